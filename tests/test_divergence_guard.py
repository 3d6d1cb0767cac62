"""DivergenceGuard: what is not finite ends a run, is named, and never reaches a checkpoint."""

import math
import re

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.precision import MixedPrecision

from callbacks import DivergenceGuard
from lit_gans import DiscriminatorHook, GANStrategy
from lit_gans.checks import DivergenceError
from lit_gans.penalties import Penalty
from tests.toys import ring_gan, state, train


class Bad(Penalty):
    """A penalty that is not finite at one iteration, for one seed."""

    def __init__(self, value, at=6, seed=None):
        super().__init__(weight=1.0)
        self.value, self.at, self.seed, self.calls = value, at, seed, 0

    def forward(self, step):
        self.calls += 1
        values = torch.zeros_like(step.real_logits)
        if self.calls == self.at:
            values[... if self.seed is None else self.seed] = self.value
        return values * step.real_logits.exp()


class BadGradient(DiscriminatorHook):
    """A D whose first layer has an infinite gradient at one iteration, though its loss is finite."""

    def discriminator_terms(self, step):
        weight = next(step.discriminator.__self__.discriminator.parameters())
        here = step.discriminator.__self__.global_step == 5
        return {"rooted": (weight - weight.detach()).sum().reshape(1).abs().sqrt() * 1.0} if here else {}


class BadValue(pl.Callback):
    """Writes a value into G between two iterations."""

    def __init__(self, at=6):
        self.at = at

    def on_train_batch_end(self, trainer, gan, *_):
        if trainer.global_step == self.at:
            next(gan.generator.parameters()).data[0, 0] = math.nan


def refusal(gan, iterations=20, callbacks=(), **settings):
    with pytest.raises(DivergenceError) as caught:
        train(gan, iterations, callbacks=list(callbacks), **settings)
    return str(caught.value)


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
def test_a_term_is_named_with_the_iteration(value, word):
    told = refusal(ring_gan(penalties={"bad": Bad(value)}), callbacks=[DivergenceGuard()])
    assert told.startswith(f"iteration 6: the loss term d/bad is {word}")
    assert "no checkpoint had been written" in told


def test_the_seed_is_named_and_the_others_are_not():
    told = refusal(ring_gan(seeds=[7, 8, 9], penalties={"bad": Bad(math.nan, seed=1)}), callbacks=[DivergenceGuard()])
    assert re.match(r"iteration 6: the loss term d/bad is NaN \(seed 8\)", told)


def test_a_gradient_is_named_with_its_layer():
    told = refusal(ring_gan(), callbacks=[BadGradient(), DivergenceGuard()], log_every_n_steps=2)
    assert re.match(r"iteration 6: the gradient of discriminator\.layers\.\d\.weight is (NaN|infinite)", told)


def test_a_parameter_is_named():
    told = refusal(ring_gan(), callbacks=[BadValue(), DivergenceGuard()])
    assert re.match(r"iteration 6: the value of generator\.layers\.0\.weight is NaN", told)


class BadBuffer(pl.Callback):
    """Writes an infinity into a running statistic."""

    def on_train_batch_end(self, trainer, gan, *_):
        if trainer.global_step == 6:
            gan.generator.layers[1].running_mean[0] = math.inf


def test_a_buffer_is_looked_at_unless_it_was_never_finite():
    gan = ring_gan(batch_norm=True)
    gan.register_buffer("mask", torch.tensor(-math.inf))
    told = refusal(gan, callbacks=[BadBuffer(), DivergenceGuard()])
    assert re.match(r"iteration 6: the value of generator\.layers\.1\.running_mean is infinite", told)


@pytest.mark.parametrize("every", [1, 100])
def test_the_last_checkpoint_is_good_and_named(every, tmp_path):
    checkpoints = ModelCheckpoint(
        dirpath=tmp_path, every_n_train_steps=2, save_last=True, filename="{step}", save_on_exception=True
    )
    told = refusal(
        ring_gan(penalties={"bad": Bad(math.nan, at=7)}),
        callbacks=[DivergenceGuard(every), checkpoints],
        enable_checkpointing=True,
    )
    assert told.startswith(f"iteration {7 if every == 1 else 8}: the")
    assert str(tmp_path / "last.ckpt") in told
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_a_checkpoint_that_was_refused_is_not_offered(tmp_path):
    checkpoints = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=2, filename="{step}")
    told = refusal(
        ring_gan(penalties={"bad": Bad(math.nan, at=7)}),
        callbacks=[DivergenceGuard(100), checkpoints],
        enable_checkpointing=True,
    )
    assert told.startswith("iteration 8: ")
    assert f"the last finite checkpoint is {tmp_path / 'step=6.ckpt'}" in told


class BadInOne(DiscriminatorHook):
    """A term that is not finite in the second process alone, and has no gradient that would tell the first."""

    def discriminator_terms(self, step):
        here = step.discriminator.__self__
        bad = here.global_step == 5 and here.trainer.global_rank == 1
        return {"bad": torch.full((1,), math.nan if bad else 0.0)}


def test_processes_end_together():
    strategy = GANStrategy(start_method="fork", process_group_backend="gloo")
    with pytest.raises(
        Exception, match=r"iteration 6: (another process of this run has met a NaN|the loss term d/bad is NaN)"
    ):
        train(ring_gan(), 20, callbacks=[BadInOne(), DivergenceGuard()], devices=2, strategy=strategy)


def test_it_changes_no_bit_of_a_run():
    def run(*callbacks):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan()
        train(gan, 5, callbacks=callbacks)
        return state(gan)

    assert all(torch.equal(a, b) for a, b in zip(run().values(), run(DivergenceGuard()).values(), strict=True))


def test_an_infinite_gradient_under_float16_is_left_to_the_scale():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    gan = ring_gan()
    train(gan, 3, callbacks=[DivergenceGuard()], plugins=[precision], log_every_n_steps=1)
    assert scaler.get_scale() < 2.0**100
    assert all(value.isfinite().all() for value in gan.state_dict().values())


def test_a_cadence_below_one_is_refused():
    with pytest.raises(ValueError, match="every_n_iterations must be at least 1, got 0"):
        DivergenceGuard(0)
