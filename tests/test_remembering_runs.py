"""Runs with a memory: neutral settings, seeds, resuming, mixed precision, a second fit, and what is refused."""

from functools import cache, partial

import psutil
import pytest
import pytorch_lightning as pl
import torch

from callbacks import (
    EWC,
    HistoricalAveraging,
    InstanceNoise,
    OldFakeReplay,
    OnlineEWC,
    SynapticIntelligence,
)
from datamodules import RingDataModule
from lit_gans import GAN, DiscriminatorHook, GeneratorHook
from lit_gans.memory import FIFO, ImagePool, Reservoir
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1, WGANGP
from lit_gans.schedules import Linear
from tests.toys import OPTIMIZERS, Batches, Notes, assert_same, ring_gan, state, train

BUFFERS = [FIFO, Reservoir, ImagePool]
OF_EVERY_THIRD = partial(Reservoir, keep_every=3)
TASK = 3

MEMORIES = {
    "ewc": lambda weight: EWC(weight, TASK, n_samples=8),
    "online ewc": lambda weight: OnlineEWC(weight, TASK, n_samples=8),
    "synaptic intelligence": lambda weight: SynapticIntelligence(weight, TASK),
}
NEUTRAL = {
    **{name: lambda memory=memory: memory(0.0) for name, memory in MEMORIES.items()},
    **{f"no share of {kind.__name__}": lambda kind=kind: OldFakeReplay(0.0, kind(40)) for kind in BUFFERS},
    "no noise": lambda: InstanceNoise(0.0),
    "no averaging": lambda: HistoricalAveraging(0.0, 0.0),
    "a bare hook of G": GeneratorHook,
}
FELT = {
    **{name: lambda memory=memory: memory(20.0) for name, memory in MEMORIES.items()},
    **{f"replay from {kind.__name__}": lambda kind=kind: OldFakeReplay(0.5, kind(40)) for kind in BUFFERS},
    "noise": lambda: InstanceNoise(0.2),
    "averaging": lambda: HistoricalAveraging(2.0, 3.0),
}


class Snapshots(DiscriminatorHook):
    """The state of the game after every D update, and after every iteration."""

    def __init__(self):
        self.of_updates, self.of_iterations = [], []

    def on_train_start(self, trainer, gan):
        self.gan = gan

    def discriminator_updated(self):
        self.of_updates.append(state(self.gan))

    def on_train_batch_end(self, trainer, gan, outputs, batch, batch_idx):
        self.of_iterations.append(state(gan))


def history(*callbacks, optimizer="SGD", seeds=None, iterations=8, **settings):
    """A game with batch normalisation, which shows at once if somebody looks through it in training mode."""
    pl.seed_everything(3, verbose=False)
    gan = ring_gan(optimizer, batch_norm=True, n_critic=2, seeds=seeds)
    train(gan, iterations, RingDataModule(batch_size=16), [*callbacks, snapshots := Snapshots()], **settings)
    return snapshots


@cache
def plain_history(optimizer="SGD", seeds=()):
    return history(optimizer=optimizer, seeds=list(seeds) or None)


def distance(one, other):
    return max((one[name] - value).abs().max().item() for name, value in other.items())


# ----------------------------------------------------------------------------------------------------------- neutral


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("seeds", [None, [3, 8]])
def test_neutral_settings_change_no_bit(seeds, optimizer):
    plain = plain_history(optimizer, tuple(seeds or ())).of_iterations[-1]
    for make in NEUTRAL.values():
        assert_same(history(make(), optimizer=optimizer, seeds=seeds).of_iterations[-1], plain)


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("kind", FELT)
def test_other_settings_are_felt(kind, seeds):
    plain = plain_history(seeds=tuple(seeds or ())).of_iterations[-1]
    assert distance(history(FELT[kind](), seeds=seeds).of_iterations[-1], plain) > 1e-6


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("kind", MEMORIES)
def test_a_memory_is_not_felt_before_the_first_task_has_ended(kind, seeds, optimizer):
    plain = plain_history(optimizer, tuple(seeds or ()))
    held = history(MEMORIES[kind](20.0), optimizer=optimizer, seeds=seeds)
    # In the first update of the second task D still is at the anchor, where the pull is 0.
    n_plain = 2 * TASK + 1
    for one, other in zip(held.of_updates[:n_plain], plain.of_updates[:n_plain], strict=True):
        assert_same(one, other)
    assert distance(held.of_updates[n_plain], plain.of_updates[n_plain]) > 0


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize("buffer", BUFFERS)
def test_replay_is_not_felt_while_there_is_no_past(buffer, seeds):
    plain = plain_history(seeds=tuple(seeds or ()))
    replayed = history(OldFakeReplay(0.5, buffer(16)), seeds=seeds)
    assert_same(replayed.of_updates[0], plain.of_updates[0])
    assert distance(replayed.of_updates[1], plain.of_updates[1]) > 0


# ------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("kind", FELT)
def test_each_seed_remembers_as_if_it_were_alone(kind):
    def run(seeds):
        torch.manual_seed(sum(seeds))  # the global state must not matter
        gan = ring_gan("Adam", n_critic=2, seeds=seeds)
        callback = FELT[kind]()
        train(gan, 3 * TASK + 2, RingDataModule(batch_size=16), [callback], precision="64-true")
        return state(gan)

    together = run([3, 8])
    for i, seed in enumerate([3, 8]):
        for name, value in run([seed]).items():
            torch.testing.assert_close(together[name][i], value[0], rtol=0, atol=1e-9)


# ---------------------------------------------------------------------------------------------------------- resuming

TERMS = {"d/synaptic_intelligence", "d/historical_averaging", "g/historical_averaging"}


def everything(ewc=OnlineEWC, buffer=OF_EVERY_THIRD):
    return [
        ewc(5.0, 4, n_samples=8),
        SynapticIntelligence(Linear(2.0, 8.0, 20), 4),
        OldFakeReplay(0.5, buffer(50)),
        HistoricalAveraging(0.5, 0.3),
        InstanceNoise(Linear(0.3, 0.0, 20)),
    ]


def full_game(callbacks, iterations, seeds=None, ckpt_path=None, **settings):
    gan = GAN(
        MLPGenerator(2, (2,), (8,), batch_norm=True),
        MLPDiscriminator((2,), (8,)),
        2,
        penalties={"gp": WGANGP(1.0), "lazy": R1(1.0, interval=3)},
        generator_optimizer=OPTIMIZERS["Adam"],
        discriminator_optimizer=OPTIMIZERS["Adam"],
        n_critic=2,
        seeds=seeds,
    )
    data = RingDataModule(batch_size=8, samples_per_epoch=8 * 2 * 5)
    return gan, train(gan, iterations, data, callbacks, ckpt_path, **settings)


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize(
    ("ewc", "buffer"), [(OnlineEWC, FIFO), (OnlineEWC, Reservoir), (OnlineEWC, ImagePool), (EWC, Reservoir)]
)
def test_a_resumed_run_with_everything_on_equals_one_that_was_never_stopped(ewc, buffer, seeds, tmp_path):
    def run(iterations, ckpt_path=None):
        pl.seed_everything(21 if ckpt_path is None else 99, verbose=False)  # a new process may be seeded otherwise
        notes, callbacks = Notes(), everything(ewc, buffer)
        gan, trainer = full_game(callbacks, iterations, seeds, ckpt_path, logger=notes, log_every_n_steps=1)
        memories = {type(each).__name__: each.state_dict() for each in callbacks}
        return state(gan), memories, notes, trainer

    whole, memories, notes, _ = run(14)
    rule = memories["OldFakeReplay"]["buffer"].pop("rule")  # a word, which assert_close cannot compare
    terms = {*TERMS, f"d/{ewc.term}"}
    assert all(len(notes.of(term)) >= 10 for term in terms)
    for stop in (6, 8):  # within the second task, and where it ends
        *_, half = run(stop)
        half.save_checkpoint(path := tmp_path / f"{stop}.ckpt")
        resumed, memories_then, notes_then, trainer = run(14, path)
        assert trainer.global_step == 14
        assert_same(resumed, whole)
        assert memories_then["OldFakeReplay"]["buffer"].pop("rule") == rule
        torch.testing.assert_close(memories_then, memories, rtol=0, atol=0)
        for term in terms:
            assert notes_then.of(term) == {step: value for step, value in notes.of(term).items() if step > stop}


# --------------------------------------------------------------------------------------------------- a second training


def one_fit(gan_seed, *callbacks, ckpt_path=None):
    pl.seed_everything(gan_seed, verbose=False)
    gan = ring_gan(n_critic=2)
    trainer = train(gan, 2 * TASK + 1, RingDataModule(batch_size=16), callbacks, ckpt_path)
    return gan, trainer


@pytest.mark.parametrize("kind", FELT)
def test_a_second_fit_without_a_checkpoint_starts_anew(kind):
    callback = FELT[kind]()
    one_fit(1, callback)
    again, _ = one_fit(2, callback)
    fresh, _ = one_fit(2, FELT[kind]())
    assert_same(state(again), state(fresh))


@pytest.mark.parametrize("kind", FELT)
def test_a_checkpoint_that_was_only_tested_is_not_gone_on_with(kind, tmp_path):
    callback = FELT[kind]()
    _, trainer = one_fit(1, callback)
    trainer.save_checkpoint(path := tmp_path / "old.ckpt")
    settings = {"logger": Notes(), "accelerator": "cpu", "enable_progress_bar": False, "limit_test_batches": 1}
    tester = pl.Trainer(callbacks=[callback], **settings)
    tester.test(ring_gan(n_critic=2), datamodule=RingDataModule(batch_size=16), ckpt_path=path, verbose=False)
    again, _ = one_fit(2, callback)
    fresh, _ = one_fit(2, FELT[kind]())
    assert_same(state(again), state(fresh))


# ---------------------------------------------------------------------------------------------- precision, lost steps


@pytest.mark.parametrize("seeds", [None, [3, 8]])
def test_in_mixed_precision_memory_stays_single_and_finite(seeds):
    online, si, replay, averaging, _ = callbacks = everything()
    gan, trainer = full_game(callbacks, 10, seeds, precision="bf16-mixed")
    assert trainer.precision == "bf16-mixed"
    assert all(value.isfinite().all() for value in state(gan).values())
    vectors = [online.memory.importance, online.memory.anchor, si.memory.importance, si.memory.anchor]
    vectors += [si.path.start, si.path.value, *averaging.means.values()]
    assert len(vectors) == 8
    assert all(each.dtype == torch.float32 and each.isfinite().all() for each in vectors)
    for memory in (online, si):
        assert memory.memory.importance.min() >= 0
        assert memory.memory.importance.max() > 0
    assert replay.buffer.fakes.isfinite().all()
    assert (replay.buffer.batches, replay.buffer.seen) == (10 * 2, 7 * 8)


class Skipping(torch.optim.SGD):
    """Skips some steps, as a gradient scaler does for infinite gradients, and leaves those behind."""

    n_steps = 0

    def step(self, closure=None):
        self.n_steps += 1
        if self.n_steps % 3 == 2:
            for i, p in enumerate(self.param_groups[0]["params"]):
                p.grad.fill_(float("nan") if i % 2 else float("inf"))
            return None
        return super().step(closure)


def test_a_skipped_step_leaves_no_trace_in_the_path():
    class Paths(DiscriminatorHook):
        values = ()

        def discriminator_updated(self):
            self.values = [*self.values, memory.path.value]

    memory = SynapticIntelligence(20.0, 4)
    gan = ring_gan(discriminator_optimizer=lambda p: Skipping(p, lr=0.05))
    train(gan, 10, callbacks=[memory, paths := Paths()])
    assert all(value.isfinite().all() for value in (*paths.values, memory.memory.importance, *state(gan).values()))
    assert memory.memory.importance.max() > 0
    for i, (before, after) in enumerate(zip(paths.values, paths.values[1:], strict=False), 1):
        if i % 4:  # at multiples of 4 a path begins
            assert torch.equal(before, after) == (i % 3 == 1)


# ----------------------------------------------------------------------------------------------------------- refused

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EWC(float("inf")), "EWC: weight must be at least 0 and finite, got inf"),
        (lambda: EWC(-1.0), "EWC: weight must be at least 0 and finite, got -1"),
        (lambda: OnlineEWC(NAN), "OnlineEWC: weight must be at least 0 and finite, got nan"),
        (lambda: SynapticIntelligence(-1.0), "SynapticIntelligence: weight must be at least 0 and finite, got -1"),
        (lambda: EWC(task_length=0), "EWC: task_length must be at least 1 iteration, got 0"),
        (lambda: SynapticIntelligence(task_length=0), "task_length must be at least 1 iteration, got 0"),
        (lambda: EWC(n_samples=0), "EWC: n_samples must be at least 1, got 0"),
        (lambda: OnlineEWC(newest_share=0.0), r"newest_share .* must lie in \(0, 1\], got 0"),
        (lambda: OnlineEWC(newest_share=1.5), r"newest_share .* must lie in \(0, 1\], got 1.5"),
        (lambda: OnlineEWC(newest_share=NAN), r"newest_share .* must lie in \(0, 1\], got nan"),
        (lambda: SynapticIntelligence(damping=0.0), "damping must be positive and finite, got 0"),
        (lambda: SynapticIntelligence(damping=NAN), "damping must be positive and finite, got nan"),
        (lambda: OldFakeReplay(-0.1), r"replay_ratio .* must lie in \[0, 1\], got -0.1"),
        (lambda: OldFakeReplay(1.1), r"replay_ratio .* must lie in \[0, 1\], got 1.1"),
        (lambda: OldFakeReplay(NAN), r"replay_ratio .* must lie in \[0, 1\], got nan"),
        (lambda: Reservoir(0), "Reservoir: capacity must be at least 1 fake, got 0"),
        (lambda: InstanceNoise(-0.1), "InstanceNoise: std must be at least 0 and finite, got -0.1"),
        (lambda: InstanceNoise(NAN), "InstanceNoise: std must be at least 0 and finite, got nan"),
        (lambda: HistoricalAveraging(-1.0, 0.0), "discriminator_weight must be at least 0 and finite, got -1"),
        (lambda: HistoricalAveraging(0.0, NAN), "generator_weight must be at least 0 and finite, got nan"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", MEMORIES)
@pytest.mark.parametrize("iterations", [TASK - 1, TASK])
def test_a_task_that_outlasts_the_run_is_refused(kind, iterations):
    gan = ring_gan()
    before = state(gan)
    with pytest.raises(ValueError, match=f"task_length={TASK} iterations, but the run ends at max_steps={iterations}"):
        train(gan, iterations, callbacks=[MEMORIES[kind](1.0)])
    assert_same(state(gan), before)


@pytest.mark.filterwarnings("ignore:.*fast_dev_run")
@pytest.mark.parametrize("kind", MEMORIES)
@pytest.mark.parametrize("settings", [{"fast_dev_run": 2}, {"max_epochs": 1, "limit_train_batches": 5}])
def test_a_rehearsal_and_a_run_without_max_steps_are_not_refused(kind, settings):
    trainer = train(ring_gan(), -1, callbacks=[memory := MEMORIES[kind](1.0)], **settings)
    assert trainer.global_step == settings.get("limit_train_batches", 2)
    assert (memory.memory is None) == ("fast_dev_run" in settings)


@pytest.mark.parametrize("kind", [EWC, OnlineEWC])
def test_ewc_in_a_run_without_reals_to_look_at_is_refused(kind):
    gan = ring_gan()
    before = state(gan)
    with pytest.raises(ValueError, match=r"real samples.*neither a DataModule"):
        train(gan, 5, Batches(torch.randn(16, 2)), [kind(1.0, 2)])
    assert_same(state(gan), before)


SMALL = "a share of 0.01 of 16 fakes is, in whole fakes, none of them; give the data a larger batch_size"


@pytest.mark.parametrize("data", [lambda: RingDataModule(batch_size=16), lambda: Batches(torch.randn(32, 2))])
@pytest.mark.parametrize("seeds", [None, [3]])
@pytest.mark.parametrize("buffer", BUFFERS)
def test_what_cannot_be_replayed_is_refused_before_d_moves(buffer, seeds, data):
    free = psutil.virtual_memory().available / 2**20
    for replay, message in [
        # A pool leaves the share to chance, fake by fake.
        *([] if buffer is ImagePool else [(OldFakeReplay(0.01, buffer(40)), SMALL)]),
        (OldFakeReplay(0.5, buffer(10**12)), r"10{12} fakes of shape \(2,\) takes 7629395 MiB, of which cpu has (\d+)"),
    ]:
        gan = ring_gan(n_critic=2, seeds=seeds)
        before = state(gan)
        with pytest.raises(ValueError, match=message) as error:
            train(gan, 2, data(), [replay])
        assert_same(state(gan), before)
        if message is not SMALL:
            told = float(str(error.value).split("cpu has ")[1].split()[0])
            assert free / 2 < told < free * 2


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_batch_of_one_can_only_be_swapped_by_chance(buffer):
    game = [ring_gan(), 4, RingDataModule(batch_size=1), [OldFakeReplay(0.5, buffer(40))]]
    if buffer is ImagePool:
        assert train(*game).global_step == 4
        return
    with pytest.raises(ValueError, match=r"a share of 0.5 of 1 fakes is, in whole fakes, all of them"):
        train(*game)


@pytest.mark.parametrize("kind", [EWC, OnlineEWC, SynapticIntelligence])
def test_a_penalty_of_the_same_name_is_refused_before_training(kind):
    gan = ring_gan(penalties={kind.term: R1(1.0)})
    with pytest.raises(ValueError, match=f"cannot be named {kind.term}"):
        train(gan, 9, callbacks=[kind(1.0, 2)])


def test_both_kinds_of_ewc_stand_side_by_side():
    notes = Notes()
    train(ring_gan(), 6, callbacks=[EWC(1.0, 2), OnlineEWC(1.0, 2)], logger=notes, log_every_n_steps=1)
    assert notes.of("d/ewc").keys() == notes.of("d/online_ewc").keys() == {3, 4, 5, 6}


@pytest.mark.parametrize("foreach", [None, True, False])
def test_an_optimizer_that_writes_over_gradients_is_refused(foreach):
    def nesterov(parameters):
        return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True, foreach=foreach)

    gan = ring_gan(discriminator_optimizer=nesterov)
    if foreach is False:
        assert train(gan, 3, callbacks=[SynapticIntelligence(1.0, 2)]).global_step == 3
        return
    with pytest.raises(ValueError, match=r"Nesterov momentum.*set foreach: false"):
        train(gan, 3, callbacks=[SynapticIntelligence(1.0, 2)])


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_a_buffer_may_take_what_is_free_and_no_more(share, monkeypatch):
    """Two seeds of 1000 fakes and 10 x 16 drawn ahead, of two numbers of 4 bytes: 18 560 bytes."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 18_560 / share})())
    gan = ring_gan(seeds=[3, 8])
    if share < 1:
        assert train(gan, 1, callbacks=[OldFakeReplay(0.5, Reservoir(1000))]).global_step == 1
        return
    with pytest.raises(ValueError, match=r"1000 fakes of shape \(2,\) for 2 seeds"):
        train(gan, 1, callbacks=[OldFakeReplay(0.5, Reservoir(1000))])


class Given(pl.Callback):
    """Gives a callback the state of a checkpoint, where Lightning would, had it not refused the networks before."""

    def __init__(self, callback, checkpoint):
        self.callback, self.checkpoint = callback, checkpoint

    def on_fit_start(self, trainer, gan):
        self.callback.load_state_dict(self.checkpoint)


@pytest.mark.parametrize("seeds", [None, [3, 8]])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        *[(kind, "holds a memory of parameters of shape .*337.*this discriminator's are .*33") for kind in MEMORIES],
        ("averaging", "holds the mean of a discriminator of shape .*337.*this one's is .*33"),
    ],
)
def test_the_memory_of_another_network_is_refused(kind, message, seeds):
    old = FELT[kind]()
    train(ring_gan(seeds=seeds), TASK + 1, callbacks=[old])
    other = GAN(MLPGenerator(2, (2,), (8,)), MLPDiscriminator((2,), (8,)), 2, seeds=seeds)
    before = state(other)
    new = FELT[kind]()
    with pytest.raises(ValueError, match=f"{type(new).__name__}: .*{message}"):
        train(other, TASK + 1, callbacks=[new, Given(new, old.state_dict())])
    assert_same(state(other), before)


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_buffer_of_another_capacity_is_refused(buffer):
    old, new = OldFakeReplay(0.5, buffer(40)), OldFakeReplay(0.5, buffer(30))
    train(ring_gan(), 22, callbacks=[old])
    gan = ring_gan()
    before = state(gan)
    message = rf"{buffer.__name__}: the checkpoint's buffer is .*capacity=40.*this run's is .*capacity=30"
    with pytest.raises(ValueError, match=message):
        train(gan, 2, callbacks=[new, Given(new, old.state_dict())])
    assert_same(state(gan), before)
