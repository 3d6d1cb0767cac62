"""Around the game: what is logged, samples, resuming, foreign data, and what is refused before anything moves."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from datamodules import DigitsDataModule, DiracDataModule, RingDataModule
from lit_gans import GAN, DiscriminatorHook
from lit_gans.losses import LeastSquares, NonSaturating, Wasserstein
from lit_gans.networks import DiracDiscriminator, DiracGenerator, MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1, WGANGP
from tests.toys import OPTIMIZERS, Batches, Notes, Watcher, assert_same, ring_gan, state, train

KEYS = {
    *("d/adversarial", "d/r1", "d/gradient_norm", "d/accuracy_real", "d/accuracy_fake"),
    *("g/adversarial", "g/gradient_norm"),
}

# ---------------------------------------------------------------------------------------------------------- the log


def test_keys_without_seeds():
    notes = Notes()
    trainer = train(ring_gan(penalties={"r1": R1(1.0)}), 4, logger=notes, log_every_n_steps=2)
    assert [step for step, _ in notes.rows] == [2, 4]
    assert all(row.keys() == KEYS for _, row in notes.rows)
    assert trainer.callback_metrics.keys() >= KEYS


def test_with_seeds_a_key_is_the_mean_and_each_seed_stands_beside_it():
    notes = Notes()
    train(ring_gan(penalties={"r1": R1(1.0)}, seeds=[5, 9]), 2, logger=notes, log_every_n_steps=2)
    ((step, row),) = notes.rows
    assert step == 2
    assert row.keys() == KEYS | {f"{key}/seed_{seed}" for key in KEYS for seed in (5, 9)}
    for key in KEYS:
        assert row[key] == pytest.approx((row[f"{key}/seed_5"] + row[f"{key}/seed_9"]) / 2)
    assert row["d/gradient_norm/seed_5"] != row["d/gradient_norm/seed_9"]


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_gradient_norm_is_that_of_autograd(seeds):
    notes, watcher = Notes(), Watcher()
    gan = ring_gan(seeds=seeds)
    train(gan, 1, callbacks=[watcher], logger=notes, log_every_n_steps=1)
    for letter, network in (("d", gan.discriminator), ("g", gan.generator)):
        gradients = [parameter.grad for parameter in network.parameters()]
        for i, key in enumerate([""] if seeds is None else ["/seed_0", "/seed_1"]):
            flat = torch.cat([(g if seeds is None else g[i]).ravel() for g in gradients])
            assert notes.of(f"{letter}/gradient_norm{key}") == {1: pytest.approx(flat.norm().item(), rel=1e-5)}


class Fixed(nn.Module):
    """D(v) = v + offset, which does not move."""

    def __init__(self, offset=0.0):
        super().__init__()
        self.offset, self.idle = offset, nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.offset + 0 * self.idle


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (NonSaturating(), {"accuracy_real": 0.75, "accuracy_fake": 0.0}),  # fakes lie at 0.25
        (LeastSquares(), {"accuracy_real": 0.5, "accuracy_fake": 1.0}),  # undecided at ½
        (Wasserstein(), {"accuracy_pairs": 0.5}),  # a critic only compares
    ],
)
def test_accuracies_by_hand(loss, expected):
    notes = Notes()
    gan = GAN(DiracGenerator(0.25), Fixed(), 1, loss)
    train(gan, 1, Batches(torch.tensor([[-1.0], [0.1], [0.9], [2.0]])), logger=notes, log_every_n_steps=1)
    assert {key[2:]: value for key, value in notes.rows[0][1].items() if "accuracy" in key} == expected


def test_a_run_without_any_log_trains():
    gan = ring_gan()
    before = state(gan)
    train(gan, 3, log_every_n_steps=0)
    assert any((state(gan)[name] != value).any() for name, value in before.items())


# ---------------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("seeds", [None, [0, 1, 2]])
def test_samples_are_reproducible_and_touch_nothing(seeds):
    gan = ring_gan(batch_norm=True, seeds=seeds)
    train(gan, 3)
    gan.generator.train()
    list(gan.generator.modules())[-1].eval()  # one layer in another mode than the rest
    before, modes = copy.deepcopy(state(gan)), [module.training for module in gan.modules()]
    gradients = [parameter.grad for parameter in gan.parameters()]
    random_state = torch.get_rng_state()

    one, two, other = gan.sample(5, seed=0), gan.sample(5, seed=0), gan.sample(5, seed=1)

    assert one.shape == ((5, 2) if seeds is None else (3, 5, 2))
    assert torch.equal(one, two)
    assert (one != other).all()
    assert not one.requires_grad
    assert torch.equal(torch.get_rng_state(), random_state)
    assert_same(state(gan), before)
    assert [module.training for module in gan.modules()] == modes
    assert all(p.grad is g for p, g in zip(gan.parameters(), gradients, strict=True))
    assert (gan.sample(5) != gan.sample(5)).all()
    with pytest.raises(ValueError, match="n must be at least 1"):
        gan.sample(0)


def test_samples_of_a_game_in_double_precision():
    gan = ring_gan()
    single = gan.sample(3, seed=0)
    double = gan.double().sample(3, seed=0)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double, single.double(), rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (lambda: RingDataModule(batch_size=8, samples_per_epoch=8 * 2 * 7), (2,)),
        (lambda: DigitsDataModule(107), (1, 8, 8)),
    ],
    ids=["ring", "digits"],
)
def test_a_resumed_run_equals_one_that_was_never_stopped(data, shape, seeds, tmp_path):
    """Both kinds of data end a pass every 7 iterations, so 10 and 20 lie within one."""

    def run(iterations, ckpt_path=None):
        pl.seed_everything(21 if ckpt_path is None else 99, verbose=False)  # a new process may be seeded otherwise
        gan = GAN(
            MLPGenerator(2, shape, (8,), batch_norm=True),
            MLPDiscriminator(shape, (8,), batch_norm=True),
            2,
            penalties={"gp": WGANGP(1.0), "lazy": R1(1.0, interval=3)},
            generator_optimizer=OPTIMIZERS["Adam"],
            discriminator_optimizer=OPTIMIZERS["Adam"],
            n_critic=2,
            seeds=seeds,
        )
        trainer = train(gan, iterations, data(), ckpt_path=ckpt_path)
        return gan, trainer

    whole, _ = run(20)
    _, half = run(10)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, trainer = run(20, tmp_path / "half.ckpt")
    assert trainer.global_step == 20
    assert resumed.discriminator_updates == 40
    assert_same(state(resumed), state(whole))


def test_looking_at_held_out_data_does_not_change_a_run():
    def run(**settings):
        pl.seed_everything(2, verbose=False)
        gan = ring_gan(batch_norm=True)
        data = RingDataModule(batch_size=8, samples_per_epoch=8 * 4, n_validation=20)
        trainer = train(gan, 12, data, **settings)
        return state(gan), trainer.callback_metrics

    watched, numbers = run(limit_val_batches=1.0, num_sanity_val_steps=2)
    assert {"val/d/adversarial", "val/g/adversarial", "val/d/accuracy_real", "val/d/accuracy_fake"} <= numbers.keys()
    assert_same(watched, run()[0])


# ----------------------------------------------------------------------------------------------------- foreign data


def test_labels_travel_in_the_step():
    watcher = Watcher()
    samples, labels = torch.randn(12, 2), torch.arange(12)
    train(ring_gan(n_critic=2, seeds=[0, 1]), 1, Batches((samples, labels)), [watcher])
    seen = torch.stack([step.labels for step in watcher.seen["discriminator_terms"]])
    assert torch.equal(seen, labels.reshape(2, 2, 3))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_stock_loader_works_if_it_divides(columns):
    watcher = Watcher()
    gan = ring_gan(n_critic=2, seeds=[0, 1])
    data = TensorDataset(*[torch.randn(50, 2), torch.arange(50)][:columns])
    trainer = train(gan, 6, DataLoader(data, batch_size=16, drop_last=True), [watcher])
    assert trainer.global_step == 6
    assert watcher.seen["discriminator_terms"][0].real.shape == (2, 4, 2)


def test_a_batch_of_one_trains():
    gan = GAN(DiracGenerator(1.0), DiracDiscriminator(), 1, generator_optimizer=OPTIMIZERS["SGD"])
    before = state(gan)
    trainer = train(gan, 5, DiracDataModule(batch_size=1))
    assert trainer.global_step == 5
    assert all((state(gan)[name] != value).all() for name, value in before.items())


# ----------------------------------------------------------------------------------------------------------- refused

SAMPLES = torch.randn(8, 2)
BROKEN = SAMPLES.clone()
BROKEN[7, 1] = float("nan")  # in the batch of the second D update
WIDE_D = nn.Linear(2, 3)


@pytest.mark.parametrize(
    ("players", "settings", "data", "message"),
    [
        ((), {"n_critic": 3}, SAMPLES, r"holds 8 samples.*n_critic x seeds = 3.*drop_last=True"),
        ((), {"n_critic": 2, "seeds": [0, 1, 2]}, SAMPLES, r"holds 8 samples.*n_critic x seeds = 6"),
        ((nn.Linear(2, 3), None), {}, SAMPLES, r"samples of shape \(3,\), the data's are \(2,\); give the generator"),
        ((None, WIDE_D), {}, SAMPLES, r"one logit per sample, shape \(8,\) or \(8, 1\), but gave \(8, 3\)"),
        ((None, WIDE_D), {"seeds": [0, 1]}, SAMPLES, r"shape \(2, 4\) or \(2, 4, 1\), but gave \(2, 4, 3\)"),
        ((), {"n_critic": 2}, BROKEN, r"1 NaN or infinite values; clean the data first"),
        ((nn.Linear(2, 3), None), {"seeds": [0, 1]}, SAMPLES, r"samples of shape \(3,\), the data's are \(2,\)"),
        ((), {}, SAMPLES.double(), r"data are torch.float64, the generator's parameters torch.float32; cast"),
    ],
    ids=["indivisible", "by seeds", "G's shape", "D's logits", "D's logits by seeds", "NaN", "G's by seeds", "type"],
)
def test_what_does_not_fit_is_refused_before_anything_moves(players, settings, data, message):
    g, d = players or (None, None)
    gan = GAN(g or nn.Linear(2, 2), d or nn.Linear(2, 1), 2, **settings)
    before = state(gan)
    with pytest.raises(ValueError, match=message):
        train(gan, 2, Batches(data))
    assert_same(state(gan), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_critic": 0}, "n_critic must be at least 1, got 0"),
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"seeds": [1, 2, 1]}, r"different integers, got \[1, 2, 1\]"),
        ({"penalties": {"adversarial": R1(1.0)}}, "cannot be named adversarial"),
        ({"penalties": {"gradient_norm": R1(1.0)}}, "cannot be named gradient_norm"),
    ],
)
def test_settings_that_make_no_game_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GAN(nn.Linear(2, 2), nn.Linear(2, 1), **{"latent_dim": 2, **settings})


def test_a_hook_cannot_replace_a_term():
    class Greedy(DiscriminatorHook):
        def discriminator_terms(self, step):
            return {"r1": step.real_logits}

    with pytest.raises(ValueError, match="cannot be named r1"):
        train(ring_gan(penalties={"r1": R1(1.0)}), 1, callbacks=[Greedy()])


def test_batch_norm_under_a_gradient_penalty_is_warned_of():
    with pytest.warns(UserWarning, match="gp: the discriminator has BatchNorm1d, .*batch_norm to false"):
        ring_gan(batch_norm=True, penalties={"gp": WGANGP(1.0)})


def test_validation_is_logged_at_the_iteration_it_was_made():
    notes = Notes()
    train(ring_gan(), 8, logger=notes, val_check_interval=4, limit_val_batches=1, log_every_n_steps=2)
    assert [step for step, numbers in notes.rows if "val/d/adversarial" in numbers] == [4, 8]


def test_iteration_outside_of_fit_is_the_checkpoint_s(tmp_path):
    trainer = train(ring_gan(), 6)
    trainer.save_checkpoint(path := tmp_path / "six.ckpt")
    again = ring_gan()
    pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, limit_test_batches=1).test(
        again, datamodule=RingDataModule(batch_size=8), ckpt_path=path, verbose=False
    )
    assert again.iteration == 6


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_a_penalty_that_is_reduced_already_is_refused_by_name(seeds):
    class Reduced(R1):
        def forward(self, step):
            return super().forward(step).mean()

    with pytest.raises(ValueError, match=r"loss term drift must be one value per sample.*shape \(\)"):
        train(ring_gan(penalties={"drift": Reduced(1.0)}, seeds=seeds), 1)
