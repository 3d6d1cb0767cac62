"""Learning-rate schedulers: one per player, one step per iteration, whatever n_critic is, and after a resume."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from datamodules import RingDataModule
from tests.toys import Notes, assert_same, ring_gan, state, train

N = 12


def cosine(t):
    """Of the base's rate at iteration t, `(1 + cos(π t / N)) / 2`."""
    return (1 + math.cos(math.pi * t / N)) / 2


class Rates(pl.Callback):
    """The learning rates that an iteration is played with, and the weights after it."""

    def __init__(self):
        self.of, self.after = {}, {}

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        self.of[trainer.global_step] = [float(optimizer.param_groups[0]["lr"]) for optimizer in trainer.optimizers]

    def on_train_batch_end(self, trainer, gan, *_):
        self.after[trainer.global_step] = state(gan)


def scheduled_gan(**settings):
    pl.seed_everything(0, verbose=False)
    return ring_gan(
        generator_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=N),
        discriminator_scheduler=lambda optimizer: StepLR(optimizer, step_size=4, gamma=0.5),
        **settings,
    )


@pytest.mark.parametrize("settings", [{}, {"n_critic": 5}, {"seeds": [3, 4]}, {"optimizer": "Adam", "n_critic": 2}])
def test_the_rate_at_an_iteration_is_the_formulas(settings):
    rates = Rates()
    train(scheduled_gan(**settings), N, callbacks=[rates])
    base = 3e-4 if "optimizer" in settings else 3e-3
    assert sorted(rates.of) == list(range(N))
    for t, (of_d, of_g) in rates.of.items():
        assert of_g == pytest.approx(base * cosine(t), rel=1e-9)
        assert of_d == pytest.approx(base * 0.5 ** (t // 4), rel=1e-9)


@pytest.mark.parametrize("n_critic", [1, 5])
def test_a_resumed_run_goes_on_at_the_rate_and_ends_with_the_same_bits(n_critic, tmp_path):
    whole, rest = Rates(), Rates()
    data = {"samples_per_epoch": 32 * n_critic * N, "batch_size": 32}
    train(scheduled_gan(n_critic=n_critic), N, data=RingDataModule(**data), callbacks=[whole])
    trainer = train(scheduled_gan(n_critic=n_critic), 7, data=RingDataModule(**data))
    trainer.save_checkpoint(tmp_path / "seven.ckpt", weights_only=False)
    gan = scheduled_gan(n_critic=n_critic)
    train(gan, N, data=RingDataModule(**data), callbacks=[rest], ckpt_path=tmp_path / "seven.ckpt")
    assert rest.of == {t: rates for t, rates in whole.of.items() if t >= 7}
    assert_same(state(gan), whole.after[N])


def halving(optimizer):
    return StepLR(optimizer, 1, gamma=0.5)


SCHEDULERS = {
    "none": {},
    "cosine": {"generator_scheduler": lambda o: CosineAnnealingLR(o, T_max=N)},
    "sequence": {"generator_scheduler": lambda o: SequentialLR(o, [CosineAnnealingLR(o, T_max=N), StepLR(o, 1)], [99])},
    "chain": {"generator_scheduler": lambda o: ChainedScheduler([CosineAnnealingLR(o, T_max=N), StepLR(o, 99)])},
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_rate_that_is_given_anew_holds_for_the_rest_of_a_run(kind, tmp_path):
    scheduler, scheduled = SCHEDULERS[kind], kind != "none"

    def game(**settings):
        pl.seed_everything(0, verbose=False)
        return ring_gan(generator_optimizer=lambda p: torch.optim.SGD(p, **settings), **scheduler)

    train(game(lr=1e-3), 7).save_checkpoint(tmp_path / "seven.ckpt")
    for settings in ({"lr": 1e-3}, {"lr": 1e-5, "weight_decay": 0.5}):
        rates = Rates()
        trainer = train(game(**settings), N, callbacks=[rates], ckpt_path=tmp_path / "seven.ckpt")
        for t in range(7, N):
            of_d, of_g = rates.of[t]
            assert of_d == 3e-3
            assert of_g == pytest.approx(settings["lr"] * (cosine(t) if scheduled else 1), rel=1e-9)
        assert trainer.optimizers[1].param_groups[0]["weight_decay"] == settings.get("weight_decay", 0)
        trainer.save_checkpoint(tmp_path / "end.ckpt")
        rates = Rates()
        train(game(**settings), N + 1, callbacks=[rates], ckpt_path=tmp_path / "end.ckpt")
        assert rates.of[N][1] == pytest.approx(settings["lr"] * (cosine(N) if scheduled else 1), abs=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"generator_scheduler": halving}, "generator_scheduler: the checkpoint's is none, this run's is StepLR"),
        ({"generator_scheduler": halving}, {}, "generator_scheduler: the checkpoint's is StepLR, this run's is none"),
        (
            {"generator_scheduler": halving},
            {"generator_scheduler": lambda o: StepLR(o, 1, gamma=0.1)},
            "generator_scheduler: gamma=0.1, there gamma=0.5, with which the run has to go on",
        ),
        (
            {"generator_scheduler": halving},
            {"generator_scheduler": lambda o: ExponentialLR(o, 0.5)},
            "the checkpoint's is StepLR, this run's is ExponentialLR",
        ),
        ({}, {"optimizer": "Adam"}, "discriminator_optimizer: the checkpoint's is SGD, this run's is Adam"),
        (
            {},
            {"discriminator_optimizer": lambda p: torch.optim.SGD(p, lr=3e-3, momentum=0.5)},
            "discriminator_optimizer: momentum=0.5, there momentum=0, with which the run has to go on",
        ),
    ],
)
def test_what_cannot_go_on_is_refused_by_name(before, after, told, tmp_path):
    train(ring_gan(**before), 3).save_checkpoint(tmp_path / "three.ckpt")
    with pytest.raises(ValueError, match=told):
        train(ring_gan(**after), 5, ckpt_path=tmp_path / "three.ckpt")


@pytest.mark.parametrize("scheduler", [halving, lambda o: LinearLR(o, 0.1, total_iters=5)])
@pytest.mark.parametrize("lr", [1e-3, torch.tensor(1e-3)])
def test_with_the_same_settings_nothing_is_changed(scheduler, lr, tmp_path):
    def game():
        pl.seed_everything(0, verbose=False)
        rate = lr.clone() if isinstance(lr, torch.Tensor) else lr
        return ring_gan(generator_optimizer=lambda p: torch.optim.Adam(p, lr=rate), generator_scheduler=scheduler)

    whole, rest = Rates(), Rates()
    train(game(), N, callbacks=[whole])
    train(game(), 7).save_checkpoint(tmp_path / "seven.ckpt")
    train(game(), N, callbacks=[rest], ckpt_path=tmp_path / "seven.ckpt")
    assert rest.of == {t: rates for t, rates in whole.of.items() if t >= 7}
    assert_same(rest.after[N], whole.after[N])


def test_a_warm_up_that_begins_elsewhere_is_over_all_the_same(tmp_path):
    def game(start):
        return ring_gan(generator_scheduler=lambda o: LambdaLR(o, lambda t: min(1, start + t / 5)))

    train(game(0.1), 7).save_checkpoint(tmp_path / "seven.ckpt")
    rates = Rates()
    train(game(0.2), 9, callbacks=[rates], ckpt_path=tmp_path / "seven.ckpt")
    assert [of_g for _, of_g in rates.of.values()] == pytest.approx([3e-3, 3e-3])


def test_one_player_alone_may_have_one():
    rates = Rates()
    gan = ring_gan(generator_scheduler=lambda optimizer: LambdaLR(optimizer, lambda t: 1 / (1 + t)))
    train(gan, 3, callbacks=[rates])
    assert [of_d for of_d, _ in rates.of.values()] == [3e-3] * 3
    assert [of_g for _, of_g in rates.of.values()] == pytest.approx([3e-3, 1.5e-3, 1e-3])


def test_a_rate_of_zero_moves_nothing():
    rates = Rates()
    train(ring_gan(generator_scheduler=lambda o: LambdaLR(o, lambda t: float(t < 2))), 4, callbacks=[rates])
    generator, discriminator = (
        [{name: value for name, value in after.items() if name.startswith(player)} for after in rates.after.values()]
        for player in ("generator", "discriminator")
    )
    assert_same(generator[1], generator[3])
    assert not torch.equal(*(torch.cat([v.flatten() for v in generator[i].values()]) for i in (0, 1)))
    assert not torch.equal(*(torch.cat([v.flatten() for v in discriminator[i].values()]) for i in (2, 3)))


def test_lightnings_own_monitor_sees_them():
    notes = Notes()
    train(scheduled_gan(), N, callbacks=[LearningRateMonitor("step")], logger=notes, log_every_n_steps=1)
    logged = [value for _, row in notes.rows for key, value in row.items() if key.startswith("lr-")]
    assert len(set(logged)) > N // 2


def test_one_that_waits_for_a_metric_is_refused():
    gan = ring_gan(generator_scheduler=lambda optimizer: ReduceLROnPlateau(optimizer))
    with pytest.raises(TypeError, match="ReduceLROnPlateau waits for a metric to stop falling"):
        train(gan, 1)
