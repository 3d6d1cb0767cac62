"""Scores: D's verdict on old fakes and on noisy reals, by hand, and the probes that follow them."""

import itertools
import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from callbacks import SampleGrid
from callbacks.fixed_fakes import FixedFakes
from callbacks.noisy_reals import NoisyReals
from lit_gans import GAN
from lit_gans.losses import Hinge, LeastSquares, Minimax, NonSaturating, RelativisticPairing, Wasserstein
from lit_gans.metrics import kendall_tau, noisy_logits, realness, set_scores
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.plotting.scores import fixed_fakes, noisy_scores
from tests.toys import Batches, assert_same, ring_gan, state, table, train

# -------------------------------------------------------------------------------------------------------- the measures


@pytest.mark.parametrize(
    ("loss", "threshold"),
    [(NonSaturating(), 0), (Minimax(), 0), (Hinge(), 0), (LeastSquares(), 0.5), (LeastSquares(1, -1, 3), 1)],
)
def test_an_objective_with_a_decision_needs_no_comparison(loss, threshold):
    logits = torch.tensor([[-2.0, 0.0], [0.7, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(realness(loss, logits), logits - threshold, rtol=0, atol=1e-15)


@pytest.mark.parametrize("loss", [Wasserstein(), RelativisticPairing()])
@pytest.mark.parametrize("constant", [0.0, 100.0])
def test_where_only_differences_count_the_middle_is_zero(loss, constant):
    logits = torch.tensor([[1.0, 3.0], [-1.0, 0.0]], dtype=torch.float64) + constant
    real = torch.tensor([[4.0, 2.0, 6.0], [0.0, 1.0, 2.0]], dtype=torch.float64) + constant  # means 4, 1
    fake = torch.tensor([[0.0], [-2.0]], dtype=torch.float64) + constant
    expected = torch.tensor([[-1.0, 1.0], [-0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(realness(loss, logits, real, fake), expected, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} only compares.*give D's logits"):
        realness(loss, logits)


def test_sets_are_scored_by_hand():
    odds = torch.tensor([[[1.0, 3.0], [0.25, 4.0]], [[1 / 9, 9.0], [1.0, 1.0]]], dtype=torch.float64)
    found = set_scores(odds.log())
    torch.testing.assert_close(
        found.score, torch.tensor([[0.625, 0.5], [0.5, 0.5]], dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert found.scored_real.tolist() == [[0.5, 0.5], [0.5, 0]]  # undecided is not real


@pytest.mark.parametrize("shape", [(3,), (1, 4, 4)])
@pytest.mark.parametrize("leading", [(), (2,)])
def test_noise_keeps_its_direction_and_grows(shape, leading):
    slope = torch.randn(shape, dtype=torch.float64)
    samples = torch.randn(*leading, 5, *shape, dtype=torch.float64)
    noise = torch.randn(5, *shape, dtype=torch.float64)
    levels = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)

    def linear(v):
        return (slope * v).flatten(len(leading) + 1).sum(-1)

    found = noisy_logits(linear, samples, noise, levels)
    drift = (slope * noise).flatten(1).sum(-1)
    expected = linear(samples).unsqueeze(-1) + levels * drift.unsqueeze(-1)
    assert found.shape == (*leading, 5, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], 1),
        ([3, 2, 1], -1),
        ([5, 5, 5], 0),
        ([1, 3, 2], 1 / 3),
        ([0, 0, 1], 2 / 3),
        ([1, math.nan, 2], 1 / 3),
    ],
)
def test_the_rank_correlation_by_hand(values, expected):
    assert kendall_tau(torch.tensor(values).double()).item() == pytest.approx(expected)


def test_the_rank_correlation_pair_by_pair():
    values = torch.randint(5, (3, 4, 7)).double()
    found = kendall_tau(values)
    for index in itertools.product(range(3), range(4)):
        row = values[index].tolist()
        pairs = [(b > a) - (b < a) for a, b in itertools.combinations(row, 2)]
        assert found[index].item() == pytest.approx(sum(pairs) / len(pairs))


# ------------------------------------------------------------------------------------------------------ fixed old fakes


class Witness(pl.Callback):
    """Keeps G's samples of every iteration."""

    def __init__(self, n, seed):
        self.n, self.seed, self.fakes = n, seed, {}

    def on_train_start(self, trainer, gan):
        self.fakes[0] = gan.sample(self.n, self.seed)

    def on_train_batch_end(self, trainer, gan, *_):
        self.fakes[trainer.global_step] = gan.sample(self.n, self.seed)


@pytest.mark.parametrize("seeds", [None, [3, 5]])
def test_old_fakes_are_kept_and_judged(seeds, tmp_path, unwritten):
    gan = ring_gan(seeds=seeds)
    witness, probe = Witness(9, 2), FixedFakes(2, [0, 3, 6], n_samples=9, seed=2)
    train(gan, 6, callbacks=[probe, witness])
    assert sorted(probe.fakes) == [0, 3, 6]
    for made, fakes in probe.fakes.items():
        assert torch.equal(fakes, witness.fakes[made])
    assert not torch.equal(probe.fakes[0], probe.fakes[3])
    rows = table(tmp_path / "fixed_fakes.csv")
    assert [row["iteration"] for row in rows] == ["0", "2", "4", "6"]
    assert [bool(row["fakes/score_from_3"]) for row in rows] == [False, False, True, True]
    assert [bool(row["fakes/scored_real"]) for row in rows] == [False, True, True, True]  # nothing is old at 0
    logits = {made: gan.logits(witness.fakes[made]).detach() for made in (0, 3, 6)}
    for name, judge in (("score", torch.sigmoid), ("scored_real", lambda v: (v > 0).float())):
        for made, values in logits.items():
            assert float(rows[-1][f"fakes/{name}_from_{made}"]) == pytest.approx(judge(values).mean().item(), abs=1e-6)
        old = judge(torch.cat([logits[0], logits[3]], -1)).mean(-1)  # not those of this very iteration
        assert float(rows[-1][f"fakes/{name}"]) == pytest.approx(old.mean().item(), abs=1e-6)
        for seed, value in zip(seeds or [], old.reshape(-1).tolist(), strict=bool(seeds)):
            assert float(rows[-1][f"fakes/{name}/seed_{seed}"]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("loss", [LeastSquares(), Wasserstein(), RelativisticPairing()])
def test_fakes_are_judged_as_the_objective_judges(loss, unwritten):
    gan, probe = ring_gan(loss=loss), FixedFakes(2, [1], n_samples=30)
    trainer = train(gan, 4, callbacks=[probe])
    side = gan.logits(probe.fakes[1]) - 0.5
    if not isinstance(loss, LeastSquares):
        real = trainer.datamodule.reals(30)
        side = gan.logits(probe.fakes[1]) - (gan.logits(real).mean() + gan.logits(gan.sample(30, 0)).mean()) / 2
    assert trainer.callback_metrics["fakes/score"].item() == pytest.approx(side.sigmoid().mean().item(), abs=1e-6)
    assert trainer.callback_metrics["fakes/scored_real"].item() == pytest.approx((side > 0).float().mean().item())


@pytest.mark.parametrize(("iterations", "made"), [(20, range(2, 20, 2)), (4, range(4)), (1, [0])])
def test_by_default_fakes_are_kept_at_each_tenth_of_the_run(iterations, made, unwritten):
    probe = FixedFakes(100, n_samples=2)
    train(ring_gan(), iterations, callbacks=[probe])
    assert sorted(probe.fakes) == list(made)


def test_a_resumed_run_remembers_the_same_fakes(tmp_path, unwritten):
    def run(iterations, probe, **settings):
        pl.seed_everything(1, verbose=False)
        return train(ring_gan(seeds=[0, 1]), iterations, callbacks=[probe], **settings)

    whole, first, second = FixedFakes(3, [1, 5]), FixedFakes(3, [1, 5]), FixedFakes(3, [1, 5])
    run(9, whole)
    run(6, first).save_checkpoint(tmp_path / "half.ckpt")
    run(9, second, ckpt_path=tmp_path / "half.ckpt")
    assert second.history == whole.history
    assert [iteration for iteration, _ in second.history] == [0, 3, 6, 9]
    assert sorted(second.fakes) == sorted(whole.fakes) == [1, 5]
    assert all(torch.equal(second.fakes[made], whole.fakes[made]) for made in (1, 5))
    torch.save(second.state_dict(), tmp_path / "state.pt")
    assert set(torch.load(tmp_path / "state.pt", weights_only=True)) == {"history", "fakes"}


def test_sets_that_a_checkpoint_lacks_are_named(tmp_path, unwritten):
    train(ring_gan(), 4).save_checkpoint(tmp_path / "without.ckpt")
    with pytest.warns(UserWarning, match=r"goes on at iteration 4 .*no fakes of \[1, 3\]"):
        train(ring_gan(), 6, callbacks=[FixedFakes(2, [1, 3, 5])], ckpt_path=tmp_path / "without.ckpt")


@pytest.mark.parametrize("freeze_at", [[], [-1], [3, -2], [4, 4]])
def test_iterations_that_cannot_be_are_refused(freeze_at):
    with pytest.raises(ValueError, match=r"FixedFakes: freeze_at must be a list of different iterations"):
        FixedFakes(freeze_at=freeze_at)


def test_iterations_that_will_not_come_are_refused(unwritten):
    with pytest.raises(ValueError, match="freeze_at asks for iteration 5, but the run ends at max_steps=4"):
        train(ring_gan(), 4, callbacks=[FixedFakes(freeze_at=[2, 5])])
    with pytest.raises(ValueError, match="the run has no max_steps; set it, or say by freeze_at"):
        train(ring_gan(), -1, callbacks=[FixedFakes()], max_epochs=1)
    with pytest.raises(ValueError, match="both called 'sample_grid'"):
        train(ring_gan(), 4, callbacks=[FixedFakes(name="sample_grid"), SampleGrid()])
    train(ring_gan(), 4, callbacks=[FixedFakes(freeze_at=[4])])
    train(ring_gan(), 4, callbacks=[FixedFakes(freeze_at=[500])], fast_dev_run=True)  # a trial of a longer run


def test_the_picture_has_a_line_per_set_and_a_panel_per_seed(unwritten):
    gan, probe = ring_gan(seeds=[0, 1]), FixedFakes(2, [0, 3], name="old")
    train(gan, 6, callbacks=[probe])
    *panels, bar = probe.picture(gan)().axes
    assert len(panels) == 2
    for seed, axes in enumerate(panels):
        first, second, overall, half = (line.get_ydata() for line in axes.lines)
        keys = ("old/score_from_0", "old/score_from_3", "old/score")
        for line, key in zip((first, second, overall), keys, strict=True):
            expected = [numbers.get(key, [math.nan] * 2)[seed] for _, numbers in probe.history]
            assert line.tolist() == pytest.approx(expected, nan_ok=True)
        assert set(half) == {0.5}
    assert bar.get_ylabel() == "made at iteration"


def test_a_run_that_ends_before_any_set_is_made_is_drawn(unwritten):
    probe = FixedFakes(2, [4])
    train(ring_gan(), 4, callbacks=[probe], max_time={"seconds": 0})
    assert probe.fakes == {}
    assert fixed_fakes(*(torch.zeros(shape).numpy() for shape in ((1,), (0,), (0, 1, 1), (1, 1))), [""]).axes


# ---------------------------------------------------------------------------------------------------------- noisy reals


@pytest.mark.parametrize("seeds", [None, [3, 5]])
@pytest.mark.parametrize("loss", [NonSaturating(), LeastSquares(), Wasserstein()])
def test_noisy_reals_are_scored_by_level(seeds, loss, unwritten):
    gan, probe = ring_gan(seeds=seeds, loss=loss), NoisyReals(2, [0, 0.25, 1.0, 4.0], n_samples=20)
    trainer = train(gan, 4, callbacks=[probe])
    found = probe.observe(trainer, gan).numbers
    assert {key: trainer.callback_metrics[key].item() for key in found} == pytest.approx(
        {key: value.mean().item() for key, value in found.items()}
    )  # the noise is the same at every look
    assert list(found) == [f"noise/score_at_{s}" for s in ("0", "0.25", "1", "4")] + ["noise/rank_correlation"]
    real = trainer.datamodule.reals(20).expand(*([] if seeds is None else [2]), 20, 2)
    clean = gan.logits(real)
    middle = {NonSaturating: torch.zeros(1), LeastSquares: torch.full((1,), 0.5)}.get(
        type(loss), (clean.mean(-1, keepdim=True) + gan.logits(gan.sample(20, 0)).mean(-1, keepdim=True)) / 2
    )
    expected = (clean - middle).sigmoid().mean(-1)
    torch.testing.assert_close(found["noise/score_at_0"], expected.detach(), rtol=0, atol=1e-6)
    assert all(value.shape == (() if seeds is None else (2,)) for value in found.values())


class Bowl(nn.Module):
    """D falls with the distance from the nearest point of the unit circle."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(sign))

    def forward(self, samples):
        return self.scale * (0.05 - (samples.norm(dim=-1) - 1).square())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_d_that_knows_its_data_scores_noise_lower(sign):
    class Circle(pl.LightningDataModule):
        def reals(self, n):
            angles = torch.linspace(0, 6, n)
            return torch.stack([angles.cos(), angles.sin()], -1)

        def train_dataloader(self):
            return Batches(self.reals(8))

    gan = GAN(MLPGenerator(2, (2,), (4,)), Bowl(sign), 2, discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0))
    found = train(gan, 1, Circle(), [NoisyReals(1, [0.0, 0.05, 0.2, 1.0, 3.0], 200)]).callback_metrics
    scores = [found[f"noise/score_at_{s}"].item() for s in ("0", "0.05", "0.2", "1", "3")]
    assert scores == sorted(scores, reverse=sign > 0)
    assert scores[0] == pytest.approx(1 / (1 + math.exp(-sign * 0.05)))
    assert sign * found["noise/rank_correlation"] < -0.6


def test_images_are_shown_at_every_level(tmp_path):
    gan = GAN(MLPGenerator(2, (1, 8, 8), (4,)), MLPDiscriminator((1, 8, 8), (4,)), 2, seeds=[0, 1])
    probe = NoisyReals(2, [0.0, 1.0], n_samples=6)

    class Images(pl.LightningDataModule):
        def reals(self, n):
            return torch.linspace(-1, 1, 64 * n).reshape(n, 1, 8, 8)

        def train_dataloader(self):
            return Batches(self.reals(8))

    trainer = train(gan, 2, Images(), [probe])
    assert len(list((tmp_path / "noisy_reals").iterdir())) == 2
    figure = probe.observe(trainer, gan).picture()
    assert [len(axes.images) for axes in figure.axes] == [2, 2]
    clean, noisy = (image.get_array().data for image in figure.axes[0].images)
    assert clean == pytest.approx(((Images().reals(6)[0, 0] + 1) / 2).numpy(), abs=1e-6)
    assert abs(noisy - clean).mean() > 0.1


def test_points_are_drawn_as_a_mean_and_a_spread():
    scores = torch.linspace(0, 1, 11).reshape(1, 11, 1).expand(1, 11, 3)
    (axes,) = noisy_scores(torch.tensor([0.0, 1.0, 2.0]).numpy(), scores.numpy(), [""]).axes
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([0.5] * 3)
    spread = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (spread.min(), spread.max()) == pytest.approx((0.1, 0.9))


@pytest.mark.parametrize("levels", [[], [0.5], [0.5, 0.5], [1.0, 0.5], [-0.1, 1.0], [0.0, float("nan")]])
def test_levels_that_do_not_rise_are_refused(levels):
    with pytest.raises(ValueError, match="NoisyReals: levels must be two or more"):
        NoisyReals(levels=levels)


# ----------------------------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("probe", [FixedFakes, NoisyReals])
def test_no_samples_are_refused(probe):
    with pytest.raises(ValueError, match=f"{probe.__name__}: n_samples must be at least 1, got 0"):
        probe(n_samples=0)


def test_looking_changes_no_bit(unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = ring_gan("Adam", batch_norm=True, seeds=[0, 1], loss=Wasserstein())
        train(gan, 7, callbacks=callbacks)
        return state(gan)

    assert_same(run(FixedFakes(2, [0, 1, 5], 9), NoisyReals(2, n_samples=9)), run())


def test_a_seed_among_others_is_judged_as_alone(unwritten):
    def run(seeds):
        probes = [FixedFakes(2, [1]), NoisyReals(2, n_samples=9)]
        return train(ring_gan(seeds=seeds), 4, callbacks=probes).callback_metrics

    both, alone = run([3, 5]), run([5])
    keys = [key for key in alone if key.endswith("/seed_5")]
    assert len(keys) == 2 + 2 + 6 + 1
    assert [both[key].item() for key in keys] == pytest.approx([alone[key].item() for key in keys], abs=1e-5)
