"""The game itself: one clock, one iteration as a bare loop would do it, losses that are functions, hooks."""

import csv
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F

from lit_gans import GAN, DiscriminatorHook
from lit_gans.losses import RelativisticPairing, Wasserstein
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import DRAGAN, R1, WGANGP, Penalty
from lit_gans.players import deal, logits_of_both
from lit_gans.schedules import Linear
from lit_gans.streams import Draws, stream
from tests.toys import Batches, Notes, Watcher, assert_same, ring_gan, state, train


def real_batches(n, *shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(n)]


def counting(made):
    class Counted(torch.optim.SGD):
        steps = 0

        def step(self, closure=None):
            self.steps += 1
            return super().step(closure)

    def build(parameters):
        made.append(Counted(parameters, lr=3e-3))
        return made[-1]

    return build


# -------------------------------------------------------------------------------------------------------- one clock


def test_an_iteration_is_one_g_update_for_every_n_critic(tmp_path):
    made = []
    gan = ring_gan(n_critic=5, generator_optimizer=counting(made), discriminator_optimizer=counting(made))
    checkpoint = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=5, save_top_k=-1, filename="{step}")
    watcher, notes, table = Watcher(), Notes(), CSVLogger(tmp_path, name="", version="")
    trainer = train(
        gan, 20, callbacks=[checkpoint, watcher], logger=[notes, table], log_every_n_steps=4, enable_checkpointing=True
    )

    of_d, of_g = made
    assert (of_g.steps, of_d.steps) == (20, 100)
    assert watcher.calls.count("discriminator_updated") == gan.discriminator_updates == 100
    assert trainer.global_step == 20
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [f"step={i}.ckpt" for i in (10, 15, 20, 5)]
    assert list(notes.of("g/adversarial")) == list(notes.of("d/adversarial")) == [4, 8, 12, 16, 20]
    with Path(tmp_path, "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [4, 8, 12, 16, 20]


def test_the_schedule_of_a_weight_runs_on_iterations_and_its_interval_on_d_updates():
    class One(Penalty):
        def forward(self, step):
            return torch.ones_like(step.real_logits)

    notes = Notes()
    penalties = {"line": One(Linear(0.0, 8.0, 8)), "lazy": One(Linear(0.0, 8.0, 8), interval=4)}
    gan = ring_gan(n_critic=3, penalties=penalties)
    train(gan, 8, logger=notes, log_every_n_steps=1)
    assert notes.of("d/line") == pytest.approx({i + 1: i for i in range(8)})
    # D updates 0, 4, 8, … fall into iterations 0, 1, 2, 4, 5, 6; in 3 and 7 the last value stands.
    paid = {i: 4 * (i // 3) for i in range(0, 24, 4)}
    last = {t + 1: paid[max(i for i in paid if i < 3 * (t + 1))] for t in range(8)}
    assert notes.of("d/lazy") == pytest.approx(last)


def test_a_lazy_penalty_is_logged_when_no_tick_meets_it():
    notes = Notes()
    gan = ring_gan(penalties={"r1": R1(1.0, interval=16)})
    train(gan, 20, logger=notes, log_every_n_steps=10)  # paid at updates 0 and 16, ticks are 9 and 19
    first, second = notes.of("d/r1").values()
    assert first > 0
    assert second > 0
    assert first != second


# ------------------------------------------------------------------------------------------------------ one iteration


def bare_loop(g, d, batches, n_critic, weight, lr, seed):
    """Algorithm 1 of Goodfellow et al. with WGAN-GP's penalty, without anything of ours but the random stream."""
    draws = stream(seed, "game on process 0")
    of_g, of_d = torch.optim.SGD(g.parameters(), lr), torch.optim.SGD(d.parameters(), lr)

    def latents(x):
        return torch.empty(len(x), 2, dtype=x.dtype).normal_(generator=draws)

    for batch in batches:
        for x in batch.chunk(n_critic):
            y = g(latents(x)).detach()
            alpha = torch.empty(len(x), dtype=x.dtype).uniform_(generator=draws)[:, None]
            u = (alpha * x + (1 - alpha) * y).requires_grad_()
            (slope,) = torch.autograd.grad(d(u).sum(), u, create_graph=True)
            penalty = (slope.norm(dim=1) - 1).square().mean()
            loss = F.softplus(-d(x)).mean() + F.softplus(d(y)).mean() + weight * penalty
            of_d.zero_grad()
            loss.backward()
            of_d.step()
        loss = F.softplus(-d(g(latents(x)))).mean()
        of_g.zero_grad()
        loss.backward()
        of_g.step()


def test_five_iterations_equal_a_bare_loop():
    pl.seed_everything(11, verbose=False)
    batches = real_batches(5, 2 * 8, 2, dtype=torch.float64)
    gan = ring_gan(n_critic=2, penalties={"gp": WGANGP(0.7)})
    start = state(gan)
    g, d = MLPGenerator(2, (2,), (16, 16)).double(), MLPDiscriminator((2,), (16, 16)).double()
    g.load_state_dict(gan.generator.state_dict())
    d.load_state_dict(gan.discriminator.state_dict())

    train(gan, 5, Batches(*batches), precision="64-true")
    bare_loop(g, d, batches, n_critic=2, weight=0.7, lr=3e-3, seed=11)

    assert_same(state(gan.generator), state(g), 1e-12)
    assert_same(state(gan.discriminator), state(d), 1e-12)
    # It moved, and by far more than the tolerance.
    assert all((state(gan)[name] - value).abs().max() > 1e-6 for name, value in start.items())


def test_every_d_update_sees_a_fresh_batch():
    watcher = Watcher()
    batches = real_batches(3, 4 * 6, 2)
    train(ring_gan(n_critic=4), 3, Batches(*batches), [watcher])
    seen = torch.cat([step.real for step in watcher.seen["discriminator_terms"]])
    torch.testing.assert_close(seen, torch.cat(batches), rtol=0, atol=0)


def test_with_seeds_every_seed_has_batches_of_its_own():
    watcher = Watcher()
    (batch,) = real_batches(1, 2 * 3 * 5, 2)
    train(ring_gan(n_critic=2, seeds=[0, 1, 2]), 1, Batches(batch), [watcher])
    seen = torch.stack([step.real for step in watcher.seen["discriminator_terms"]])
    torch.testing.assert_close(seen, batch.reshape(2, 3, 5, 2), rtol=0, atol=0)


class Between(Watcher):
    """Looks at gradients and parameters where an update starts and ends."""

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        self.gan, self.before = gan, state(gan)
        for parameter in gan.parameters():
            parameter.grad = None

    def discriminator_updated(self):
        assert all(parameter.grad is None for parameter in self.gan.generator.parameters())
        assert_same(
            state(self.gan.generator), {k[10:]: v for k, v in self.before.items() if k.startswith("generator.")}
        )
        self.of_d = state(self.gan.discriminator)
        self.gradients = [parameter.grad.clone() for parameter in self.gan.discriminator.parameters()]

    def on_train_batch_end(self, trainer, gan, outputs, batch, batch_idx):
        assert_same(state(gan.discriminator), self.of_d)
        for parameter, gradient in zip(gan.discriminator.parameters(), self.gradients, strict=True):
            assert torch.equal(parameter.grad, gradient)
            assert parameter.requires_grad
        assert all(parameter.grad.abs().max() > 0 for parameter in gan.generator.parameters())
        super().on_train_batch_end(trainer, gan, outputs, batch, batch_idx)


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_each_step_leaves_the_other_player_alone(seeds):
    watcher = Between()
    train(ring_gan(penalties={"gp": WGANGP(1.0)}, seeds=seeds), 3, callbacks=[watcher])
    steps = watcher.seen["discriminator_terms"]
    assert len(steps) == 3
    assert not any(step.fake.requires_grad for step in steps)


def test_one_pass_over_both_batches_equals_two():
    gan = ring_gan().double()
    x, y = real_batches(2, 9, 2, dtype=torch.float64)
    assert gan.discriminator.samplewise
    together = logits_of_both(gan.logits, x, y, 0, gan.discriminator.samplewise)
    for one, alone in zip(together, (gan.logits(x), gan.logits(y)), strict=True):
        torch.testing.assert_close(one, alone, rtol=0, atol=1e-12)


def test_batch_norm_sees_reals_and_fakes_apart():
    gan = ring_gan(batch_norm=True)
    x, y = real_batches(2, 9, 2)
    y = y + 5
    together = logits_of_both(gan.logits, x, y, 0, gan.discriminator.samplewise)
    for one, alone in zip(together, (gan.logits(x), gan.logits(y)), strict=True):
        torch.testing.assert_close(one, alone)
    mixed = gan.logits(torch.cat([x, y])).chunk(2)
    assert (together[0] - mixed[0]).abs().max() > 0.01


# --------------------------------------------------------------------------------------------------------------- hooks


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_a_neutral_hook_changes_no_bit(seeds):
    def run(*callbacks):
        pl.seed_everything(3, verbose=False)
        gan = ring_gan("Adam", batch_norm=True, n_critic=2, seeds=seeds, penalties={"gp": WGANGP(1.0)})
        train(gan, 12, callbacks=callbacks)
        return state(gan)

    assert_same(run(), run(DiscriminatorHook(), Watcher()))


def test_hooks_are_called_in_order_with_their_shapes():
    watcher = Watcher()
    train(ring_gan(n_critic=2, seeds=[4, 5]), 2, Batches(*real_batches(2, 2 * 2 * 8, 2)), [watcher])
    d_update = ["mix_fakes", "perturb", "perturb", "discriminator_terms", "discriminator_updated"]
    assert watcher.calls == 2 * (2 * d_update + ["perturb", "perturb"])
    assert {samples.shape for name in ("mix_fakes", "perturb") for samples in watcher.seen[name]} == {(2, 8, 2)}
    for step in watcher.seen["discriminator_terms"]:
        assert step.real_logits.shape == step.fake_logits.shape == (2, 8)


def test_what_a_hook_returns_enters_the_game_and_the_log():
    class Meddling(Watcher):
        def mix_fakes(self, fake):
            return torch.full_like(super().mix_fakes(fake), 3.0)

        def perturb(self, samples):
            return super().perturb(samples) + 1.0

        def discriminator_terms(self, step):
            super().discriminator_terms(step)
            return {"pull": 100 * step.real_logits.square()}

    notes, watcher = Notes(), Meddling()
    (batch,) = real_batches(1, 8, 2)
    gan = ring_gan()
    train(gan, 1, Batches(batch), [watcher], logger=notes, log_every_n_steps=1)
    (step,) = watcher.seen["discriminator_terms"]
    assert (step.fake == 4).all()
    torch.testing.assert_close(step.real, batch + 1)
    pull = 100 * step.real_logits.square().mean()
    assert notes.of("d/pull") == {1: pytest.approx(pull.item())}
    adversarial = (F.softplus(-step.real_logits) + F.softplus(step.fake_logits)).mean()
    assert notes.of("d/adversarial") == {1: pytest.approx(adversarial.item())}
    # In G's update: G's own fakes and not the replayed ones, then the reals; both perturbed.
    fakes, reals = watcher.seen["perturb"][2:]
    assert fakes.requires_grad
    assert (fakes != 3).any()
    assert torch.equal(reals, batch)

    def gradient(weight):
        hook = type(
            "Pull", (DiscriminatorHook,), {"discriminator_terms": lambda _, s: {"pull": weight * s.real_logits}}
        )
        gan = ring_gan()
        gan.load_state_dict(before)
        train(gan, 1, Batches(batch), [hook()])
        return torch.cat([p.grad.ravel() for p in gan.discriminator.parameters()])

    before = state(gan)
    assert (gradient(0.0) - gradient(10.0)).abs().max() > 0.1


# ---------------------------------------------------------------------------------------------------------- pure losses


def test_a_loss_is_a_function_of_its_step():
    gan = ring_gan(penalties={"r1": R1(0.5)})
    other = MLPDiscriminator((2,), (16, 16))

    class Ask(Watcher):
        def discriminator_terms(self, step):
            self.step = step
            return {}

    train(gan, 1, callbacks=[ask := Ask()])
    step = ask.step.under(gan.logits)
    assert gan.discriminator_loss(step).item() == gan.discriminator_loss(step).item()

    def logits(samples):
        return other(samples).squeeze(-1)

    x = step.real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(logits(x).sum(), x)
    by_hand = (F.softplus(-logits(step.real)) + F.softplus(logits(step.fake)) + 0.5 * slope.square().sum(-1)).mean()
    torch.testing.assert_close(gan.discriminator_loss(step, discriminator=logits), by_hand)
    assert (gan.discriminator_loss(step) - by_hand).abs() > 1e-4


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_a_loss_that_draws_is_a_function_of_its_step_too(seeds):
    class Keep(Watcher):
        def discriminator_terms(self, step):
            self.steps = [*getattr(self, "steps", []), step]
            return {}

    gan = ring_gan(penalties={"gp": WGANGP(10.0), "noise": DRAGAN(10.0)}, seeds=seeds)
    train(gan, 2, callbacks=[keep := Keep()])
    gan.hooks = []
    first, second = (step.under(gan.logits) for step in keep.steps)
    losses = [gan.discriminator_loss(step).item() for step in (first, first, second, first)]
    assert losses[0] == losses[1] == losses[3]
    assert losses[0] != losses[2]
    assert not torch.equal(first.draws.uniform((2, 4)), second.draws.uniform((2, 4)))


@pytest.mark.parametrize("loss", [Wasserstein(), RelativisticPairing()])
def test_d_of_x_is_computed_for_g_only_where_the_objective_compares(loss):
    gan = ring_gan(loss=loss)
    gan.draws = Draws(generator=torch.Generator().manual_seed(0))
    step = gan.generator_step(deal(torch.randn(6, 2), 1, ())[0])
    assert (step.real_logits is not None) == loss.needs_real
    assert step.fake.requires_grad
    assert gan.generator_loss(step).ndim == 0


def test_a_subclass_may_have_terms_of_its_own():
    class Moody(GAN):
        def discriminator_terms(self, step):
            return {**super().discriminator_terms(step), "mood": step.fake_logits.square()}

    notes = Notes()
    d = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    gan = Moody(nn.Linear(2, 2), d, latent_dim=2, penalties={"r1": R1(1.0)})
    train(gan, 2, logger=notes, log_every_n_steps=1)
    assert {"d/adversarial", "d/r1", "d/mood", "g/adversarial"} <= notes.rows[0][1].keys()
    assert all(value > 0 for value in notes.of("d/mood").values())
