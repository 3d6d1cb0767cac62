"""SQD: angles between weights, entropies of counts, judges, and the callback that logs them."""

import itertools
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from callbacks import SQDLogger
from callbacks.sqd_logger import _by_layer
from datamodules import DigitsDataModule, RingDataModule
from lit_gans import GAN, plotting
from lit_gans.cli import main
from lit_gans.judges import Judge, Judgement, MixtureJudge
from lit_gans.metrics import (
    angle_of,
    james_stein_entropy,
    miller_madow_entropy,
    mode_counts,
    mode_coverage,
    plugin_entropy,
    step_turns,
    turn,
    weight_angle,
)
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.toys import Notes, ring_gan, table, train

LOG2 = math.log(2)


# ------------------------------------------------------------------------------------------------------------ angles


def exact_angle(before, after):
    """In float64, by Kahan's formula, which has no small difference of large numbers."""
    a, b = before.double(), after.double()
    a, b = a / a.norm(), b / b.norm()
    return 2 * torch.atan2((a - b).norm(), (a + b).norm()).item()


# Steps no nearer to a's own direction than two degrees (that by 1.0286): nearer, the docstring promises nothing.
ANGLES = {
    1.0: [1e-7, 1e-6, 1e-4, 0.01, 1.0, 3.0],
    1 + 1e-6: [1e-7, 1e-6, 1e-4, 1.0],
    1.0286: [1e-3],
    0.9: [0.01, 1.0],
    3.0: [0.3, 3.0],
}


@pytest.mark.parametrize(("stretch", "angle"), [(s, angle) for s, angles in ANGLES.items() for angle in angles])
def test_an_angle_is_that_of_the_stored_weights(angle, stretch):
    generator = torch.Generator().manual_seed(1)
    a, other = torch.randn(2, 100_000, generator=generator, dtype=torch.float64)
    across = other - (other @ a) / (a @ a) * a
    b = stretch * (math.cos(angle) * a + math.sin(angle) * across * a.norm() / across.norm())
    a, b = a.float(), b.float()
    assert weight_angle(a, b).item() == pytest.approx(exact_angle(a, b), rel=1e-3)
    assert weight_angle(b, a).item() == pytest.approx(exact_angle(a, b), rel=1e-3)
    cosine = (a @ b) / (a.norm() * b.norm())
    if angle < 1e-4:  # why not simply arccos
        assert cosine.clamp(-1, 1).arccos().item() != pytest.approx(angle, rel=0.5)


def test_angles_by_hand():
    def angle(a, b):
        return weight_angle(torch.tensor(a), torch.tensor(b)).item()

    assert angle([1.0, 0.0], [1.0, 1.0]) == pytest.approx(math.pi / 4)
    assert angle([2.0, 0.0], [0.0, 0.5]) == pytest.approx(math.pi / 2)
    assert angle([1.0, 2.0], [-1.0, -2.0]) == pytest.approx(math.pi)
    assert angle([3.0, 4.0], [3.0, 4.0]) == 0.0
    assert math.isnan(angle([0.0, 0.0], [1.0, 0.0]))
    assert weight_angle(torch.ones(3, 5), torch.ones(3, 5)).shape == (3,)
    assert weight_angle(torch.ones(4).bfloat16(), torch.ones(4).bfloat16()).dtype == torch.float64


def test_turns_of_parts_add_up():
    a, b = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = [turn(x, y) for x, y in zip(a.split([7, 33], -1), b.split([7, 33], -1), strict=True)]
    torch.testing.assert_close(angle_of(parts[0] + parts[1]), weight_angle(a, b), rtol=1e-12, atol=0)


@pytest.mark.parametrize("axis", [(), (3,)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("step", [1e-6, 1.0, 1e4])
def test_turns_of_a_step_in_place_are_those_of_the_vectors(axis, dtype, step):
    generator = torch.Generator().manual_seed(3)
    wide = torch.promote_types(dtype, torch.float32)
    before = [torch.randn(*axis, n, generator=generator, dtype=wide) for n in (1, 500, 7)]
    after = [(a + step * torch.randn(a.shape, generator=generator, dtype=wide)).to(dtype) for a in before]
    expected = weight_angle(torch.cat(before, -1), torch.cat([b.to(wide) for b in after], -1))
    one_by_one = torch.stack([weight_angle(a, b.to(wide)) for a, b in zip(before, after, strict=True)])
    turns = step_turns(before, after)
    torch.testing.assert_close(angle_of(turns.sum(0)), expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(angle_of(turns[1]), one_by_one[1], rtol=1e-3, atol=0)
    assert all(torch.equal(a, b.to(wide)) for a, b in zip(before, after, strict=True))


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(3,\) and \(4,\)"):
        weight_angle(torch.ones(3), torch.ones(4))


# ---------------------------------------------------------------------------------------------------------- entropies


def slow_james_stein(counts):
    """Algorithm 1 of the paper, line by line."""
    n, m = sum(counts), len(counts)
    p = [count / n for count in counts]
    top, bottom = 1 - sum(x**2 for x in p), (n - 1) * sum((1 / m - x) ** 2 for x in p)
    shrinkage = 1.0 if bottom == 0 else min(1.0, max(0.0, top / bottom))
    return -sum(x * math.log(x) for x in (shrinkage / m + (1 - shrinkage) * y for y in p) if x > 0)


@pytest.mark.parametrize("counts", [c for c in itertools.product(range(4), repeat=3) if sum(c)], ids=str)
def test_entropies_of_small_counts(counts):
    given, n = torch.tensor(counts), sum(counts)
    plugin = -sum(c / n * math.log(c / n) for c in counts if c)
    assert plugin_entropy(given).item() == pytest.approx(plugin, abs=1e-12)
    corrected = plugin + (sum(c > 0 for c in counts) - 1) / (2 * n)
    assert miller_madow_entropy(given).item() == pytest.approx(corrected, abs=1e-12)
    assert james_stein_entropy(given).item() == pytest.approx(slow_james_stein(counts), abs=1e-12)


def test_james_stein_by_hand():
    # n = 4, m = 2, p = (3/4, 1/4): λ = (1 - 5/8) / (3 · 1/8) = 1. Then evenness.
    assert james_stein_entropy(torch.tensor([3, 1])).item() == pytest.approx(LOG2)
    # n = 10, p = (9/10, 1/10): λ = 0.18 / (9 · 0.32) = 1/16, so p̃ = (7/8, 1/8).
    expected = -(7 / 8 * math.log(7 / 8) + 1 / 8 * math.log(1 / 8))
    assert james_stein_entropy(torch.tensor([9, 1])).item() == pytest.approx(expected)
    # One sample tells nothing: 0/0, and evenness. Many of one kind: no shrinkage.
    assert james_stein_entropy(torch.tensor([1, 0, 0])).item() == pytest.approx(math.log(3))
    assert james_stein_entropy(torch.tensor([50, 0, 0])).item() == 0.0
    assert james_stein_entropy(torch.tensor([7])).item() == 0.0
    assert james_stein_entropy(torch.tensor([5, 5])).item() == pytest.approx(LOG2)


def test_modes_without_samples_matter_to_james_stein():
    few, many = torch.tensor([6.0, 4.0]), torch.tensor([6.0, 4.0, 0.0, 0.0])
    assert plugin_entropy(few) == plugin_entropy(many)
    assert james_stein_entropy(few) != james_stein_entropy(many)


@pytest.mark.parametrize("entropy", [plugin_entropy, miller_madow_entropy, james_stein_entropy])
def test_entropies_know_the_seeds_axis_and_refuse_what_is_no_count(entropy):
    counts = torch.tensor([[4, 0, 2], [1, 1, 7], [0, 0, 0]])
    found = entropy(counts)
    assert found.shape == (3,)
    assert found[:2].tolist() == [entropy(row).item() for row in counts[:2]]
    assert found[2].isnan()
    with pytest.raises(ValueError, match=r"shape \(\.\.\., m\) with m > 0"):
        entropy(torch.zeros(3, 0))
    with pytest.raises(ValueError, match="at least 0, got -1"):
        entropy(torch.tensor([2, -1]))


@pytest.mark.parametrize(("n_modes", "of_these"), [(200, 200), (200, 20)])
def test_biases_are_those_of_theory(n_modes, of_these):
    """Of k modes alike, n samples: E[plug-in] and E[modes seen] are sums over a binomial distribution."""
    n, k, draws = 50, of_these, 4000
    counts = torch.randint(k, (draws, n), generator=torch.Generator().manual_seed(6))
    counts = mode_counts(counts, n_modes)
    chance = [math.comb(n, i) * (1 / k) ** i * (1 - 1 / k) ** (n - i) for i in range(n + 1)]
    plugin = -k * sum(p * i / n * math.log(i / n) for i, p in enumerate(chance) if i)
    seen = k * (1 - chance[0])
    for estimator, expected in ((plugin_entropy, plugin), (miller_madow_entropy, plugin + (seen - 1) / (2 * n))):
        found = estimator(counts)
        assert found.mean().item() == pytest.approx(expected, abs=4 * found.std().item() / math.sqrt(draws))
    james_stein = james_stein_entropy(counts)
    assert (james_stein >= plugin_entropy(counts) - 1e-12).all()
    if of_these == n_modes:  # it is made for this
        assert james_stein.mean().item() == pytest.approx(math.log(k), abs=0.02)
    else:  # and here it hides that nine modes of ten are missing
        assert james_stein.mean().item() > math.log(k) + 0.5


def test_modes_are_counted():
    modes = torch.tensor([[0, 2, 2, -1], [1, 1, 1, 1]])
    assert mode_counts(modes, 3).tolist() == [[1, 0, 2], [0, 4, 0]]


# ------------------------------------------------------------------------------------------------------------- judges


def test_the_judge_of_a_mixture_is_its_mode_coverage():
    ring = RingDataModule()
    samples = 1.5 * torch.randn(2, 500, 2, generator=torch.Generator().manual_seed(3))
    samples[0, :200] = ring.centers[3] + ring.std * torch.randn(200, 2, generator=torch.Generator().manual_seed(4))
    judged, found = MixtureJudge(ring.centers, ring.std)(samples), mode_coverage(samples, ring.centers, ring.std)
    assert judged.probability.mean(-1).tolist() == pytest.approx(found.high_quality.tolist())
    counts = mode_counts(judged.mode, 8)
    reverse_kl = math.log(8) - plugin_entropy(counts)
    assert reverse_kl.tolist() == pytest.approx(found.reverse_kl.tolist(), abs=1e-6)
    assert (judged.mode[0, :200] == 3).all()


def test_of_a_mixtures_own_samples_nearly_all_are_of_the_domain():
    ring = RingDataModule()
    real = ring.centers.repeat(2000, 1)
    real = real + ring.std * torch.randn(real.shape, generator=torch.Generator().manual_seed(5))
    share = MixtureJudge(ring.centers, ring.std)(real).probability.mean().item()
    assert share == pytest.approx(1 - math.exp(-9 / 2), abs=4 * math.sqrt(0.011 / len(real)))


def test_what_is_not_finite_is_of_no_mode():
    judged = MixtureJudge(torch.zeros(1, 2), 1.0)(torch.tensor([[0.0, 0.0], [math.nan, 0.0], [math.inf, 0.0]]))
    assert judged.probability.tolist() == [1, 0, 0]
    assert judged.mode.tolist() == [0, -1, -1]
    with pytest.raises(ValueError, match=r"points of 2 numbers, got samples of shape \(5, 3\)"):
        MixtureJudge(torch.zeros(1, 2), 1.0)(torch.zeros(5, 3))
    with pytest.raises(TypeError, match=r"abstract class Judge .*__call__"):
        Judge()


# --------------------------------------------------------------------------------------------------------- the logger


class Weights(SQDLogger):
    """Keeps all weights at every iteration, layer by layer."""

    def forget(self):
        super().forget()
        self.kept = []

    def keep(self, gan):
        players = {"g": gan.generator, "d": gan.discriminator}
        self.kept.append(
            {
                letter: {name: p.detach().clone() for name, p in player.named_parameters()}
                for letter, player in players.items()
            }
        )

    def on_train_start(self, trainer, gan):
        self.keep(gan)
        super().on_train_start(trainer, gan)

    def on_train_batch_end(self, trainer, gan, *rest):
        self.keep(gan)
        super().on_train_batch_end(trainer, gan, *rest)


def flat(named, of="", row=None):
    values = [p if row is None else p[row] for name, p in named.items() if of in name]
    return torch.cat([value.flatten() for value in values])


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("every", [1, 3])
def test_stability_is_the_angle_of_single_iterations(seeds, every, tmp_path):
    notes, probe = Notes(), Weights(every_n_iterations=5, stability_every=every)
    gan = ring_gan("Adam", seeds=seeds, n_critic=2)
    train(gan, 12, callbacks=[probe], logger=notes, log_every_n_steps=4, default_root_dir=tmp_path)
    moments, angles = probe._stabilities()
    assert moments.tolist() == list(range(every, 13, every))
    exact = torch.tensor(
        [
            [
                [exact_angle(flat(probe.kept[t - 1][letter], row=row), flat(probe.kept[t][letter], row=row))]
                for letter in ("g", "d")
            ]
            for t in moments.tolist()
            for row in [None if seeds is None else 0]
        ]
    )
    found = angles.reshape(len(moments), 2, -1)[..., :1]
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)
    assert found.unique().numel() == found.numel()
    # The log is told at 4, 8 and 12 of the last angle measured, and of the largest since the last time.
    suffix = "" if seeds is None else "/seed_3"
    for i, letter in enumerate(("g", "d")):
        logged, peaks = notes.of(f"sqd/stability/{letter}{suffix}"), notes.of(f"sqd/stability_peak/{letter}{suffix}")
        for tick in (4, 8, 12):
            window = [found[k, i, 0].item() for k, t in enumerate(moments.tolist()) if tick - 4 < t <= tick]
            assert logged[tick] == pytest.approx(window[-1])
            assert peaks[tick] == pytest.approx(max(window))
    # Of layers it is told likewise of the last iteration measured.
    layer = notes.of(f"sqd/stability/d/layers.3{suffix}")
    assert list(layer) == [4, 8, 12]
    row = None if seeds is None else 0
    for tick, value in layer.items():
        t = tick // every * every
        before, after = (flat(probe.kept[k]["d"], "layers.3.", row) for k in (t - 1, t))
        assert value == pytest.approx(exact_angle(before, after), rel=1e-3)


def test_quality_and_diversity_are_of_the_samples(tmp_path):
    notes, probe, gan = Notes(), SQDLogger(every_n_iterations=2, n_samples=300, seed=7), ring_gan(seeds=[3, 8])
    train(gan, 4, callbacks=[probe], logger=notes, log_every_n_steps=0, default_root_dir=tmp_path)
    ring = RingDataModule()
    found = mode_coverage(gan.sample(300, seed=7), ring.centers, ring.std)
    entropy = math.log(8) - found.reverse_kl
    for i, seed in enumerate((3, 8)):
        assert notes.of(f"sqd/quality/seed_{seed}")[4] == pytest.approx(found.high_quality[i].item())
        assert notes.of(f"sqd/diversity_plugin/seed_{seed}")[4] == pytest.approx(entropy[i].item(), abs=1e-6)
        plugin = notes.of(f"sqd/diversity_plugin/seed_{seed}")[4]
        assert notes.of(f"sqd/diversity/seed_{seed}")[4] >= plugin
        assert notes.of(f"sqd/diversity_miller_madow/seed_{seed}")[4] >= plugin
    assert notes.of("sqd/diversity_max") == pytest.approx(dict.fromkeys((0, 2, 4), math.log(8)))
    assert set(notes.of("sqd/quality")) == {0, 2, 4}
    assert not any("peak" in key for _, row in notes.rows for key in row)  # nobody asked for a log


class Halves(Judge):
    """The right half-plane is the domain; modes are quadrants."""

    n_modes = 4

    def __call__(self, samples):
        right, up = samples[..., 0] > 0, samples[..., 1] > 0
        return Judgement(0.25 + right.float() / 2, 2 * right.long() + up.long())


def test_a_users_own_judge_decides():
    notes, gan = Notes(), ring_gan()
    train(gan, 1, callbacks=[SQDLogger(judge=Halves(), name="mine")], logger=notes, log_every_n_steps=0)
    samples = gan.sample(2000, 0)
    right = (samples[:, 0] > 0).float().mean().item()
    assert notes.of("mine/quality")[1] == pytest.approx(0.25 + right / 2)
    assert notes.of("mine/diversity_max")[1] == pytest.approx(math.log(4))


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("seeds", [None, [3, 8]])
def test_a_resumed_run_tells_what_one_that_was_never_stopped_tells(seeds, every, tmp_path):
    def run(iterations, ckpt_path=None):
        notes, probe = Notes(), SQDLogger(every_n_iterations=4, stability_every=every, n_samples=50)
        trainer = train(
            ring_gan("Adam", seeds=seeds), iterations, None, [probe], ckpt_path, logger=notes, log_every_n_steps=4,
            default_root_dir=tmp_path, precision="64-true",
        )  # fmt: skip
        return notes, probe, trainer

    torch.manual_seed(5)
    whole, unbroken, _ = run(12)
    torch.manual_seed(5)
    *_, trainer = run(7)  # between two logs: what was the largest is not lost
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, continued, _ = run(12, tmp_path / "half.ckpt")
    for key in (k for k in whole.rows[-1][1] if "sqd" in k):
        for step in (8, 12):
            assert resumed.of(key).get(step) == whole.of(key).get(step)
    for one, other in zip(unbroken._stabilities(), continued._stabilities(), strict=True):
        assert torch.equal(one, other)


def test_watching_changes_no_bit_of_a_run():
    def weights(*callbacks):
        torch.manual_seed(3)
        gan = ring_gan(seeds=[1, 2])
        train(gan, 5, callbacks=callbacks)
        return flat(dict(gan.named_parameters()))

    assert torch.equal(weights(SQDLogger(every_n_iterations=2)), weights())


def test_files_of_a_run(tmp_path):
    train(ring_gan(), 6, callbacks=[SQDLogger(every_n_iterations=3)], logger=CSVLogger(tmp_path, "", "run"))
    rows = table(tmp_path / "run" / "sqd_logger.csv")
    assert [row["iteration"] for row in rows] == ["0", "3", "6"]
    assert rows[0].keys() >= {"sqd/quality", "sqd/diversity", "sqd/stability/g", "sqd/stability/d"}
    assert (tmp_path / "run" / "sqd_logger" / "00000006.png").exists()


def test_the_picture_loses_no_jump():
    moments = np.arange(1, 9001)
    angles = np.full((9000, 1), 1e-4)
    angles[4321] = 0.1
    figure = plotting.sqd(
        moments, {"G": angles, "D": angles}, np.array([0.0, 9000.0]), np.ones((2, 1)), np.ones((2, 1)), 2.0
    )
    line = figure.axes[0].lines[0]
    assert len(line.get_xdata()) <= 2000
    assert max(line.get_ydata()) == pytest.approx(math.degrees(0.1))
    assert line.get_xdata()[np.argmax(line.get_ydata())] == pytest.approx(4322, abs=5)
    assert [axes.get_xlabel() for axes in figure.axes] == ["iteration"] * 3


def test_layers_are_told_apart_by_their_path_in_the_player():
    notes, gan = (
        Notes(),
        GAN(
            MLPGenerator(2, (2,), (4, 4)),
            MLPDiscriminator((2,), (4, 4), spectral_norm=True),
            2,
            seeds=[1, 2],
        ),
    )
    train(gan, 2, callbacks=[SQDLogger()], logger=notes, log_every_n_steps=1)
    layers = {key for _, row in notes.rows for key in row if "stability/d/" in key and "seed" not in key}
    modules = {path for path, module in gan.discriminator.network.named_modules() if isinstance(module, nn.Linear)}
    assert {key.removeprefix("sqd/stability/d/") for key in layers} == modules
    assert len(modules) == 3
    assert all(math.isfinite(value) for _, row in notes.rows for value in row.values())
    of_a_single_layer = _by_layer(nn.Linear(3, 2))
    assert [(path, len(parameters)) for path, parameters in of_a_single_layer.items()] == [("network", 2)]


def test_a_run_shorter_than_the_first_measurement_has_a_picture(tmp_path):
    callbacks = [SQDLogger(stability_every=100)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(ring_gan(seeds=[1, 2]), 3, callbacks=callbacks, default_root_dir=tmp_path)
    assert (tmp_path / "sqd_logger" / "00000003.png").exists()


def test_a_probe_of_a_checkpoint_has_the_run_s_stability(tmp_path):
    configs = Path(__file__).parents[1] / "configs"
    common = [f"--config={configs / path}" for path in ("ring.yaml", "variants/sqd.yaml")] + ["--model.seeds=[1,2]"]
    place = f"{{save_dir: {tmp_path}, name: run, version: ''}}"
    options = ["--trainer.max_steps=60", "--trainer.callbacks+=NumbersOnly", "--trainer.enable_progress_bar=false"]
    main(["fit", *common, *options, "--trainer.logger.init_args", place])
    checkpoint, config = tmp_path / "run" / "checkpoints" / "last.ckpt", tmp_path / "run" / "config.yaml"
    place = f"{{save_dir: {tmp_path}, name: probe, version: ''}}"
    main(["probe", f"--config={config}", f"--ckpt_path={checkpoint}", "--trainer.logger.init_args", place])
    one, other = ((table(tmp_path / which / "sqd_logger.csv"))[-1] for which in ("run", "probe"))
    assert other["iteration"] == "60"
    assert other["sqd/stability/g/seed_2"] == one["sqd/stability/g/seed_2"] != ""
    assert other["sqd/quality"] == one["sqd/quality"]


class Careless(Judge):
    """Gives what it is told to give."""

    n_modes = 4

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, samples):
        return self.answer(samples[..., 0])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: (x.sigmoid(), x.long()), "a judge returns a lit_gans.judges.Judgement, got tuple"),
        (lambda x: Judgement(x.sigmoid().mean(), x.long()), r"probability must be one value.*\(2, 50\).*got \(\)"),
        (lambda x: Judgement(x.sigmoid(), x.long()[..., None]), r"mode must be one value.*\(2, 50\).*got \(2, 50, 1\)"),
        (lambda x: Judgement(x * 0 - 3, x.long() * 0), r"probability must lie in \[0, 1\], got -3 to -3; a logit is"),
        (lambda x: Judgement(x * math.nan, x.long() * 0), r"probability must lie in \[0, 1\], got nan"),
        (lambda x: Judgement(x.sigmoid(), x * 0), "mode must be of int64, from 0 to 3.*got torch.float32"),
        (lambda x: Judgement(x.sigmoid(), x.long() * 0 + 4), "mode must be of int64, from 0 to 3.*from 4 to 4"),
        (lambda x: Judgement(x.sigmoid(), x.long() * 0 - 2), "mode must be of int64, from 0 to 3.*from -2 to -2"),
    ],
)
def test_a_judge_that_does_not_keep_its_word_is_refused_before_training(answer, message):
    gan = ring_gan(seeds=[1, 2])
    before = flat(dict(gan.named_parameters())).clone()
    with pytest.raises((TypeError, ValueError), match=f"Careless: {message}"):
        train(gan, 1, callbacks=[SQDLogger(judge=Careless(answer), n_samples=50)])
    assert torch.equal(flat(dict(gan.named_parameters())), before)


def test_a_judge_of_no_modes_is_refused():
    class Modeless(Judge):
        def __call__(self, samples):
            raise AssertionError("nobody asks it")

    with pytest.raises(ValueError, match="Modeless: a judge needs n_modes"):
        train(ring_gan(), 1, callbacks=[SQDLogger(judge=Modeless())])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_samples": 1}, "n_samples must be at least 2, an entropy of one is none, got 1"),
        ({"stability_every": 0}, "stability_every must be at least 1 iteration, got 0"),
        ({"every_n_iterations": 0}, "every_n_iterations must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"SQDLogger: {message}"):
        SQDLogger(**settings)


def test_data_without_a_judge_are_refused():
    with pytest.raises(ValueError, match=r"SQDLogger needs a judge.*DigitsDataModule does not; give it one by its"):
        train(ring_gan(), 1, DigitsDataModule(batch_size=8), [SQDLogger()])
