"""What remembers takes part in a game: terms, gradients, memories, noise and old fakes, each by hand in a real run."""

from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from callbacks import EWC, HistoricalAveraging, InstanceNoise, OldFakeReplay, OnlineEWC, SynapticIntelligence
from datamodules import RingDataModule
from lit_gans import DiscriminatorHook, GeneratorHook
from lit_gans.memory import FIFO, ImagePool, Reservoir
from lit_gans.penalties import R1
from lit_gans.schedules import Linear
from lit_gans.streams import stream
from tests.toys import Batches, Notes, Watcher, ring_gan, train

LR = 0.05
QUICK = {f"{player}_optimizer": lambda p: torch.optim.SGD(p, lr=LR) for player in ("generator", "discriminator")}
EXACT = {"rtol": 1e-9, "atol": 1e-13}
DOUBLE = {"precision": "64-true"}


def vector(network, seeds_axis=()):
    return torch.cat([p.detach().reshape(*seeds_axis, -1) for p in network.parameters()], -1)


class Updates(DiscriminatorHook, GeneratorHook):
    """Notes every update of both players: where it starts and ends, and the game's own gradient there, by hand."""

    def __init__(self, memory=None, r1=0.0):
        self.memory, self.r1 = memory, r1
        self.calls = []
        self.of = {"discriminator": [], "generator": []}

    def on_train_start(self, trainer, gan):
        self.gan = gan

    def discriminator_terms(self, step):
        x = step.real.clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.gan.logits(x).sum(), x, create_graph=True)
        loss = F.softplus(-step.real_logits) + F.softplus(step.fake_logits) + self.r1 * slope.square().sum(-1)
        return self._note("discriminator", loss)

    def generator_terms(self, step):
        return self._note("generator", F.softplus(-step.fake_logits))

    def discriminator_updated(self):
        self._end("discriminator")

    def generator_updated(self):
        self._end("generator")

    def _note(self, player, loss):
        network, axis = getattr(self.gan, player), self.gan.seeds_axis
        gradients = torch.autograd.grad(loss.mean(-1).sum(), list(network.parameters()), retain_graph=True)
        self.of[player].append(
            SimpleNamespace(
                iteration=self.gan.global_step,
                start=vector(network, axis),
                gradient=torch.cat([g.reshape(*axis, -1) for g in gradients], -1),
                memory=None if self.memory is None else self.memory.memory,
            )
        )
        return {}

    def _end(self, player):
        self.calls.append(player)
        self.of[player][-1].end = vector(getattr(self.gan, player), self.gan.seeds_axis)


class TaskEnds(pl.Callback):
    """Notes what a memory holds after each task, where D stood then, and the importance that EWC should find."""

    def __init__(self, memory, task_length, n_samples=0):
        self.memory, self.task_length, self.n_samples = memory, task_length, n_samples
        self.rows = []

    def on_train_batch_end(self, trainer, gan, outputs, batch, batch_idx):
        if trainer.global_step % self.task_length == 0:
            at = vector(gan.discriminator)
            fisher = self.fisher(trainer, gan) if self.n_samples else None
            self.rows.append(SimpleNamespace(at=at, memory=self.memory.memory, fisher=fisher))

    def fisher(self, trainer, gan):
        """The mean over reals and fakes of the squared gradient of one sample's loss, one sample after the other."""
        gan.eval()
        latents = torch.randn(self.n_samples, 2, generator=stream(trainer.global_step, "samples")).double()
        with torch.enable_grad():
            fake = gan.generator(latents).detach()
            real = trainer.datamodule.reals(self.n_samples).double()
            squares = []
            for samples, sign in ((real, -1), (fake, 1)):
                for sample in samples:
                    loss = F.softplus(sign * gan.discriminator(sample[None])).sum()
                    gradients = torch.autograd.grad(loss, list(gan.discriminator.parameters()))
                    squares.append(torch.cat([g.flatten() for g in gradients]) ** 2)
        gan.train()
        return torch.stack(squares).mean(0)


# ----------------------------------------------------------------------------------------------- the term, its gradient

RISING = Linear(20.0, 100.0, 8)  # 20 + 10 t
MEMORIES = {
    "ewc": lambda: EWC(RISING, 2, n_samples=8),
    "online ewc": lambda: OnlineEWC(RISING, 2, n_samples=8),
    "synaptic intelligence": lambda: SynapticIntelligence(RISING, 2),
}


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("kind", MEMORIES)
def test_the_term_and_its_gradient_are_those_of_a_quadratic_whose_weight_counts_iterations(kind, seeds):
    memory, notes = MEMORIES[kind](), Notes()
    updates = Updates(memory)
    gan = ring_gan(n_critic=3, seeds=seeds, **QUICK)
    train(gan, 7, callbacks=[memory, updates], logger=notes, log_every_n_steps=1, **DOUBLE)
    logged = notes.of(f"d/{memory.term}")
    # The first task is 2 iterations, not 2 D updates: in the first 6 of those nothing is remembered.
    assert list(logged) == [3, 4, 5, 6, 7]
    of_d = updates.of["discriminator"]
    assert [row.memory is None for row in of_d] == 6 * [True] + 15 * [False]
    pulls = []
    for row in of_d:
        pull = torch.zeros_like(row.start)
        if row.memory is not None:
            weight, apart = 20 + 10 * row.iteration, row.start - row.memory.anchor
            pull = 2 * weight * row.memory.importance * apart
            value = weight * (row.memory.importance * apart**2).sum(-1)
            value += 0 if row.memory.constant is None else weight * row.memory.constant.squeeze(-1)
            row.value = value
        torch.testing.assert_close(row.end, row.start - LR * (row.gradient + pull), **EXACT)
        pulls.append(pull.abs().max())
    assert max(pulls) > 1e-4  # far above the tolerance
    for row in of_d[8::3]:  # the last D update of an iteration is the one in the log
        assert logged[row.iteration + 1] == pytest.approx(row.value.mean().item(), rel=1e-9)
        assert logged[row.iteration + 1] > 1e-8
        for i, seed in enumerate(seeds or []):
            of_seed = notes.of(f"d/{memory.term}/seed_{seed}")
            assert of_seed[row.iteration + 1] == pytest.approx(row.value[i].item(), rel=1e-9)


# ------------------------------------------------------------------------------------------------- what is remembered


def three_tasks(memory, n_samples=0, updates=None, iterations=7, **settings):
    """Three tasks of two iterations, with batch normalisation, which EWC must look through in eval mode."""
    ends = TaskEnds(memory, 2, n_samples)
    gan = ring_gan(**{**QUICK, "n_critic": 2, "batch_norm": True, **settings})
    callbacks = [memory, ends, *([updates] if updates else [])]
    train(gan, iterations, RingDataModule(batch_size=16), callbacks, **DOUBLE)
    assert len(ends.rows) == 3
    return ends.rows


def test_ewc_is_the_sum_of_one_quadratic_per_task():
    rows = three_tasks(EWC(50.0, 2, n_samples=6), n_samples=6)
    for n, row in enumerate(rows, 1):
        for spread in (0.0, 1.0):
            point = row.at + spread * torch.randn_like(row.at)
            slow = sum((each.fisher * (point - each.at) ** 2).sum() for each in rows[:n])
            torch.testing.assert_close(row.memory(point).squeeze(), slow, rtol=1e-9, atol=1e-15)
    assert rows[2].memory(rows[2].at).item() > 1e-8  # the older anchors are felt


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_online_ewc_averages_importances_around_one_anchor(share):
    rows = three_tasks(OnlineEWC(50.0, 2, newest_share=share, n_samples=6), n_samples=6)
    importance = torch.zeros_like(rows[0].at)
    for row in rows:
        importance = share * row.fisher + (1 - share) * importance
        assert importance.max() > 1e-4
        torch.testing.assert_close(row.memory.importance, importance, **EXACT)
        assert torch.equal(row.memory.anchor, row.at)
        assert row.memory.constant is None
    assert (rows[1].at - rows[0].at).abs().max() > 1e-4
    assert (rows[1].fisher - rows[0].fisher).abs().max() > 1e-4


@pytest.mark.parametrize(
    "optimizer", [lambda p: torch.optim.SGD(p, lr=3e-3), lambda p: torch.optim.Adam(p, lr=0.02)], ids=["SGD", "Adam"]
)
def test_synaptic_intelligence_keeps_the_books_of_every_update(optimizer):
    weight, damping = 200.0, 1e-5
    memory = SynapticIntelligence(weight, 2, damping)
    updates = Updates(memory, r1=0.1)
    settings = {"batch_norm": False, "n_critic": 3, "penalties": {"r1": R1(0.1)}, "discriminator_optimizer": optimizer}
    rows = three_tasks(memory, updates=updates, **settings)

    of_d = updates.of["discriminator"]
    importance, below, felt = torch.zeros_like(rows[0].at), [], []
    for task, row in enumerate(rows):
        within = of_d[6 * task : 6 * (task + 1)]
        assert {each.iteration for each in within} == {2 * task, 2 * task + 1}
        path = -sum(each.gradient * (each.end - each.start) for each in within)
        came = row.at - within[0].start
        for each in within[1:] if task else []:
            term = 2 * weight * each.memory.importance * (each.start - each.memory.anchor)
            felt.append((term.abs().max() / each.gradient.abs().max()).item())
        importance = importance + path / (came**2 + damping)
        below.append(importance.min().item())
        importance = importance.clamp_min(0.0)
        torch.testing.assert_close(row.memory.importance, importance, rtol=1e-7, atol=1e-12)
        assert torch.equal(row.memory.anchor, row.at)
        assert importance.max() > 1e-3
    assert max(felt) > 1e-2  # the term's own gradient, were it counted, would be seen
    assert min(below) < -1e-9  # and so would importances below 0


# --------------------------------------------------------------------------------------------- historical averaging


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("weights", [(3.0, 5.0), (3.0, 0.0), (0.0, 5.0)])
def test_historical_averaging_pulls_each_player_to_the_mean_of_its_past(weights, seeds):
    notes, updates = Notes(), Updates()
    gan = ring_gan(n_critic=2, seeds=seeds, **QUICK)
    callbacks = [HistoricalAveraging(*weights), updates]
    train(gan, 3, callbacks=callbacks, logger=notes, log_every_n_steps=1, **DOUBLE)
    assert updates.calls == 3 * ["discriminator", "discriminator", "generator"]
    for (player, rows), weight in zip(updates.of.items(), weights, strict=True):
        past, expected, pulls = [rows[0].start], {}, []
        for row in rows:
            apart = row.start - torch.stack(past).mean(0)
            pulls.append((2 * weight * apart).abs().max().item())
            # The mean is a constant: were it not, the last of the past would be pulled too, by 1/t less.
            torch.testing.assert_close(row.end, row.start - LR * (row.gradient + 2 * weight * apart), **EXACT)
            expected[row.iteration + 1] = weight * apart.square().sum(-1).mean().item()
            past.append(row.end)
        logged = notes.of(f"{player[0]}/historical_averaging")
        assert logged == (pytest.approx(expected, rel=1e-9) if weight else {})
        assert pulls[0] == 0
        assert (pulls[-1] > 1e-4) == (weight > 0)


@pytest.mark.parametrize("name", ["adversarial", "historical_averaging"])
def test_a_term_of_g_cannot_take_the_name_of_another(name):
    class Greedy(GeneratorHook):
        def generator_terms(self, step):
            return {name: step.fake_logits}

    with pytest.raises(ValueError, match=f"cannot be named {name}"):
        train(ring_gan(), 1, callbacks=[HistoricalAveraging(), Greedy()])


# --------------------------------------------------------------------------------------------------- instance noise


@pytest.mark.parametrize("seeds", [None, [3, 8]])
def test_all_that_d_sees_is_blurred_as_the_schedule_says_for_the_iteration(seeds):
    before, after = Watcher(), Watcher()
    gan = ring_gan(n_critic=2, seeds=seeds)
    callbacks = [before, InstanceNoise(Linear(0.4, 0.0, 4)), after]
    train(gan, 5, Batches(torch.randn(2 * 8192, 2)), callbacks, **DOUBLE)
    noise = [y - x for x, y in zip(before.seen["perturb"], after.seen["perturb"], strict=True)]
    assert len(noise) == 5 * 6  # reals and fakes twice for D, then G's fakes and reals
    for i, each in enumerate(noise):
        std = 0.4 - 0.1 * (i // 6)  # at iteration i // 6, whichever D update it is
        assert each.var().item() == pytest.approx(std**2, rel=0.06, abs=1e-20)
        assert abs(each.mean().item()) <= 0.05 * std + 1e-12
        assert each.shape == ((8192, 2) if seeds is None else (2, 4096, 2))
    rows = torch.stack([each.flatten() for each in noise[:24]])
    if seeds is not None:
        rows = torch.cat([rows[:, :8192], rows[:, 8192:]])
    apart = torch.corrcoef(rows) - torch.eye(len(rows))
    assert apart.abs().max() < 0.06  # no two batches, and no two seeds, get the same noise
    # And the blurred is what D gets.
    for i, step in enumerate(after.seen["discriminator_terms"]):
        real, fake = after.seen["perturb"][6 * (i // 2) + 2 * (i % 2) :][:2]
        assert torch.equal(step.real, real)
        assert torch.equal(step.fake, fake)


# --------------------------------------------------------------------------------------------------- old fakes


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("capacity", [40, 400])
@pytest.mark.parametrize("buffer", [partial(FIFO, keep_every=1), partial(Reservoir, keep_every=1), ImagePool], ids=repr)
def test_the_buffer_keeps_fresh_fakes_only(buffer, capacity, seeds):
    before, after = Watcher(), Watcher()
    replay = OldFakeReplay(0.5, buffer(capacity))
    callbacks = [before, replay, after, InstanceNoise(0.3)]
    train(ring_gan(n_critic=2, seeds=seeds, **QUICK), 6, RingDataModule(batch_size=16), callbacks, **DOUBLE)
    axis = 0 if seeds is None else 1
    fresh = torch.cat(before.seen["mix_fakes"], axis).reshape(len(seeds or [0]), -1, 2)
    kept = replay.buffer.fakes
    assert fresh.shape[1] == 6 * 2 * 16
    if capacity == 400:  # all that G ever made for D, in the order it was made
        assert torch.equal(kept, fresh)
    elif isinstance(replay.buffer, FIFO):
        # The last 40 of 192, each in the slot of the 40th before it.
        assert torch.equal(kept.roll(-(192 % 40), 1), fresh[:, -40:])
    for row, made in zip(kept, fresh, strict=True):
        # Were a fake that came back kept again, it would be there twice; were a blurred one, it would be none of G's.
        assert len(row.unique(dim=0)) == len(row) == min(capacity, 192)
        assert (row[:, None] == made).all(-1).any(-1).all()


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize(("share", "n_old"), [(0.5, 8), (0.3, 5), (1 / 32, 1), (1.0, 16)])
@pytest.mark.parametrize("buffer", [FIFO, Reservoir])
def test_a_share_of_each_batch_is_old_and_g_sees_none_of_it(buffer, share, n_old, seeds):
    before, after = Watcher(), Watcher()
    callbacks = [before, OldFakeReplay(share, buffer(50)), after]
    train(ring_gan(n_critic=2, seeds=seeds, **QUICK), 4, RingDataModule(batch_size=16), callbacks, **DOUBLE)
    fresh = [each.reshape(-1, 16, 2) for each in before.seen["mix_fakes"]]
    shown = [each.reshape(-1, 16, 2) for each in after.seen["mix_fakes"]]
    assert torch.equal(shown[0], fresh[0])
    for i in range(1, len(fresh)):
        new = 16 - n_old
        assert torch.equal(shown[i][:, :new], fresh[i][:, :new])
        for came, past in zip(shown[i][:, new:], torch.cat(fresh[:i], 1), strict=True):
            assert (came[:, None] == past).all(-1).any(-1).all()
    for shown_, step in zip(after.seen["mix_fakes"], after.seen["discriminator_terms"], strict=True):
        assert torch.equal(step.fake, shown_)
    for_g = after.seen["perturb"][4::6]
    assert all(fake.requires_grad for fake in for_g)
    assert not any((fake.reshape(-1, 1, 2) == torch.cat(fresh, 1).reshape(1, -1, 2)).all(-1).any() for fake in for_g)


# ------------------------------------------------------------------------------------------------- streams of their own


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("buffer", [FIFO, Reservoir, ImagePool])
def test_noise_replay_and_the_game_draw_apart_from_each_other(buffer, seeds):
    """G does not move here, so that whatever differs between two runs was drawn otherwise."""
    still = {f"{player}_optimizer": lambda p: torch.optim.SGD(p, lr=0.0) for player in ("generator", "discriminator")}

    def run(noise, share):
        pl.seed_everything(5, verbose=False)
        gan = ring_gan(n_critic=2, seeds=seeds, **still)
        before, after = Watcher(), Watcher()
        hooks = [InstanceNoise(1.0)] * noise + [OldFakeReplay(share, buffer(20))] * (share > 0)
        train(gan, 3, Batches(torch.zeros(64, 2)), [before, *hooks, after], **DOUBLE)
        streams = [gan.draws, *(hook.draws for hook in hooks)]
        return SimpleNamespace(
            fresh=torch.stack(before.seen["mix_fakes"]),
            shown=torch.stack(after.seen["mix_fakes"]),
            noise=torch.stack(after.seen["perturb"])[[i for i in range(18) if i % 6 in (0, 2, 5)]],  # reals are 0
            first_states={each.initial_seed() for draws in streams for each in draws.generators or [draws.generator]},
        )

    plain, noisy, old, both = run(False, 0.0), run(True, 0.0), run(False, 0.5), run(True, 0.5)
    for other in (noisy, old, both):
        assert torch.equal(other.fresh, plain.fresh)
    assert torch.equal(both.noise, noisy.noise)
    assert torch.equal(both.shown, old.shown)
    assert (both.noise != 0).all()
    assert not torch.equal(both.shown, both.fresh)
    assert len(both.first_states) == 3 * len(seeds or [None])
