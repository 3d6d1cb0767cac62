"""Mixed precision: the networks' passes are in it, losses, penalties and what is logged are not."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from callbacks import GradientClipping, OnlineEWC, SynapticIntelligence
from lit_gans import GAN
from lit_gans.losses import NonSaturating
from lit_gans.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from lit_gans.penalties import WGANGP
from tests.toys import Batches, Notes, assert_same, ring_gan, state, train


class Spy(nn.Module):
    """A network that notes the type of its first layer's outputs, pass by pass."""

    def __init__(self, network):
        super().__init__()
        self.network, self.types, self.samplewise = network, [], False
        next(m for m in network.modules() if isinstance(m, nn.Linear)).register_forward_hook(
            lambda layer, inputs, output: self.types.append(output.dtype)
        )

    def forward(self, inputs):
        return self.network(inputs)


class Noting(NonSaturating):
    def discriminator(self, real_logits, fake_logits, real=None, fake=None):
        self.seen = [each.dtype for each in (real_logits, fake_logits, real, fake)]
        return super().discriminator(real_logits, fake_logits, real, fake)


class PenaltyAlone(WGANGP):
    """Keeps its step and its value, to be computed again outside."""

    def forward(self, step):
        value = super().forward(step)
        self.kept = step, value.detach()
        return value


def test_passes_are_in_bfloat16_and_all_else_in_float32():
    loss, penalty = Noting(), PenaltyAlone(1.0)
    players = Spy(MLPGenerator(2, (2,))), Spy(MLPDiscriminator((2,)))
    gan = GAN(*players, latent_dim=2, loss=loss, penalties={"gp": penalty})
    train(gan, 1, precision="bf16-mixed")
    low, full = torch.bfloat16, torch.float32
    game = gan.generator.types[-2:], gan.discriminator.types[-4:]
    assert game == ([low, low], [low, low, full, low])  # D(x), D(y), the penalty's pass, D(G(z))
    assert loss.seen == [full] * 4
    assert {parameter.dtype for parameter in gan.parameters()} == {full}


def test_a_penalty_is_that_of_full_precision():
    penalty = PenaltyAlone(1.0)
    gan = ring_gan(penalties={"gp": penalty}, optimizer="Adam")
    train(gan, 1, precision="bf16-mixed", callbacks=[StillD()])
    step, value = penalty.kept
    step.draws.rewind()
    torch.testing.assert_close(WGANGP(1.0)(step).detach(), value, rtol=1e-6, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        step.draws.rewind()
        low = WGANGP(1.0)(step).detach()
    assert (low - value).abs().max() > 1e-4 * value.abs().max()


class StillD(pl.Callback):
    """D does not move, so that a step can be looked at again after the iteration."""

    def on_train_start(self, trainer, gan):
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = 0.0


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_each_pass_is_by_the_weights_of_its_time(seeds):
    """Autocast can keep the low-precision copies of weights: the next pass would then see the weights before a step."""
    watch = LogitsInTheGeneratorsStep()
    gan = ring_gan(n_critic=3, seeds=seeds, discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0.5))
    before = state(gan)
    train(gan, 1, precision="bf16-mixed", callbacks=[watch])
    assert (watch.in_step - watch.by_weights_now).abs().max() < 0.02
    assert (watch.in_step - watch.at_first).abs().max() > 0.1
    for name, value in state(gan).items():
        assert (value - before[name]).abs().max() > 0, name  # G too, which played under no_grad before


class LogitsInTheGeneratorsStep(pl.Callback):
    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        first = state(gan)
        terms = gan.players["generator"].terms

        def generator_terms(step):
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                self.in_step, self.by_weights_now = step.fake_logits.detach(), gan.logits(step.fake)
                now = state(gan)
                gan.load_state_dict(first)
                self.at_first = gan.logits(step.fake)
                gan.load_state_dict(now)
            return terms(step)

        gan.players["generator"].__dict__["terms"] = generator_terms


def float16(**settings):
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", **settings))


def test_what_is_logged_of_a_gradient_is_without_the_scale_of_float16():
    logged = {}
    for name, plugins in {"full": [], "scaled": [float16(init_scale=2.0**12)]}.items():
        pl.seed_everything(0, verbose=False)
        notes = Notes()
        train(ring_gan(), 3, plugins=plugins, logger=notes, log_every_n_steps=1)
        logged[name] = [notes.of(f"{player}/gradient_norm")[1] for player in "dg"]
    assert logged["scaled"] == pytest.approx(logged["full"], rel=0.02)


def test_clipping_under_float16_is_of_the_true_gradient():
    norms = []
    for limit in (1e-3, 1e9):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan(discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
        before = state(gan)
        train(gan, 1, plugins=[float16(init_scale=2.0**12)], callbacks=[GradientClipping(limit)])
        steps = [value - before[name] for name, value in state(gan).items() if name.startswith("discriminator")]
        norms.append(torch.cat([step.flatten() for step in steps]).norm().item())
    assert norms[0] == pytest.approx(1e-3, rel=1e-3)
    assert norms[1] > 1e-2


def test_a_step_that_overflows_float16_is_left_out_and_the_scale_falls():
    plugin = float16(init_scale=2.0**40)
    gan = ring_gan()
    before = state(gan)
    train(gan, 1, plugins=[plugin])
    assert all(torch.equal(value, before[name]) for name, value in state(gan).items())
    assert plugin.scaler.get_scale() < 2.0**40
    train(gan, 60, plugins=[plugin])
    assert all((value - before[name]).abs().max() > 0 for name, value in state(gan).items())


def test_resumed_float16_ends_with_the_same_bits(tmp_path):
    def run(iterations, **settings):
        pl.seed_everything(0, verbose=False)
        gan, plugin = ring_gan("Adam", penalties={"gp": WGANGP(1.0)}), float16(growth_interval=5)
        trainer = train(gan, iterations, plugins=[plugin], **settings)
        return gan, trainer, plugin

    whole, _, scale = run(20)
    _, trainer, _ = run(9)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    rest, _, scale_of_rest = run(20, ckpt_path=tmp_path / "half.ckpt")
    assert_same(state(whole), state(rest))
    assert scale_of_rest.scaler.get_scale() == scale.scaler.get_scale()


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_a_run_in_bfloat16_with_memory_stays_finite(seeds):
    notes, hooks = Notes(), [OnlineEWC(1.0, 10), SynapticIntelligence(0.1, 10)]
    gan = ring_gan("Adam", seeds=seeds, n_critic=2, accumulate=2, penalties={"gp": WGANGP(1.0)})
    train(gan, 40, precision="bf16-mixed", callbacks=hooks, logger=notes, log_every_n_steps=1, limit_val_batches=1)
    assert all(math.isfinite(value) for _, row in notes.rows for value in row.values())
    assert notes.of("d/online_ewc")[40] >= 0
    assert hooks[0].memory.importance.dtype == torch.float32


def test_convolutions_with_batch_norm_train_in_bfloat16():
    shape = (1, 8, 8)
    gan = GAN(DCGANGenerator(4, shape, width=8), DCGANDiscriminator(shape, width=8), latent_dim=4, seeds=[1, 2])
    images = torch.rand(5, 32, *shape) * 2 - 1
    before = state(gan)
    train(gan, 5, data=Batches(*images), precision="bf16-mixed")
    assert all(value.isfinite().all() for value in state(gan).values())
    assert all(not torch.equal(value, before[name]) for name, value in state(gan).items() if "weight" in name)
