"""Buffers of old fakes against slow ones that take fakes one by one, and against what chance allows."""

import io
import math
from collections import deque
from fractions import Fraction
from functools import partial

import pytest
import torch

from lit_gans import memory
from lit_gans.memory import ImagePool, ReplayBuffer
from lit_gans.streams import Draws, draws_for, stream


class ReservoirOfAll(memory.Reservoir):
    """Keeps every batch unless told otherwise, so that short histories fill it."""

    def __init__(self, capacity, on_host=False, keep_every=1):
        super().__init__(capacity, on_host, keep_every)


class FIFOOfAll(memory.FIFO):
    """Likewise."""

    def __init__(self, capacity, on_host=False, keep_every=1):
        super().__init__(capacity, on_host, keep_every)


Reservoir, FIFO = ReservoirOfAll, FIFOOfAll  # the command line must not find two classes of one name
KINDS = [Reservoir, FIFO, ImagePool]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
# Batches smaller and larger than a capacity of 5, dividing it and not, in every order that matters.
SIZES = [[2] * 7, [5] * 4, [1, 4, 3, 3], [8, 8, 8], [7, 1, 1, 1, 1, 1], [12, 3, 2, 1], [3, 13, 1, 10, 1]]
every_sizes = pytest.mark.parametrize("sizes", SIZES, ids=str)


class Noted(Draws):
    """Draws that note what they gave."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.given = []

    def uniform(self, shape, like=None):
        self.given.append(super().uniform(shape, like).clone())
        return self.given[-1]


def one(seed=0):
    """Draws of one seed or of any number of rows, from a single stream."""
    return Noted(generator=stream(seed, "tests"))


def history(sizes, n_seeds=1, sample=()):
    """Batches `(S, B, *sample)` of fakes numbered from 1 in the order they come, by row apart."""
    total, ends = sum(sizes), torch.tensor(sizes).cumsum(0).tolist()
    numbers = torch.arange(1.0, total + 1) + 1000 * torch.arange(n_seeds).unsqueeze(1)
    fakes = numbers.reshape(n_seeds, total, *[1] * len(sample)).expand(n_seeds, total, *sample)
    return [fakes[:, end - size : end].clone() for size, end in zip(sizes, ends, strict=True)]


def play(buffer, batches, ratio, draws):
    return [buffer.mix(batch, ratio, draws) for batch in batches]


def held(buffer):
    return [sorted(row) for row in buffer.fakes.tolist()]


def p_of_chi_square(statistic, freedom):
    return torch.special.gammaincc(torch.tensor(freedom / 2), torch.tensor(statistic / 2)).item()


def assert_even(counts, expected, variance, freedom):
    """Counts differ as much as chance lets them, and not much less."""
    statistic = sum((count - expected) ** 2 for count in counts) / variance
    assert 1e-3 < p_of_chi_square(statistic, freedom) < 1 - 1e-3


# The slow ones, from their definitions. Each takes one batch of one seed and the numbers drawn for it.


class SlowReplay:
    """Shows old fakes in the last places of a batch, then keeps the fresh ones, one after the other."""

    def __init__(self, capacity):
        self.capacity, self.kept, self.seen = capacity, [], 0

    def mix(self, batch, ratio, numbers):
        n_old = math.floor(Fraction(str(ratio)) * len(batch) + Fraction(1, 2)) if self.kept else 0
        old = [self.kept[int(u * len(self.kept))] for u in numbers.pop(0)] if n_old else []
        assert len(old) == n_old
        for i, fake in enumerate(batch):
            self.keep(fake, i, numbers)
        return batch[: len(batch) - n_old] + old


class SlowReservoir(SlowReplay):
    """Vitter's algorithm R: the t-th takes a random place out of t, if there is such a place."""

    def keep(self, fake, i, numbers):
        self.seen += 1
        if len(self.kept) < self.capacity:
            self.kept.append(fake)
        elif (place := int(numbers[0][i] * self.seen)) < self.capacity:
            self.kept[place] = fake


class SlowFIFO(SlowReplay):
    """The oldest leaves; places are taken in turn."""

    def keep(self, fake, i, numbers):
        self.kept[self.seen % self.capacity : self.seen % self.capacity + 1] = [fake]
        self.seen += 1


class SlowImagePool(SlowReplay):
    """CycleGAN's: a fake fills a free place; else by a coin it changes places with a random one, which is shown."""

    def mix(self, batch, ratio, numbers):
        shown, (coins, places) = [], numbers
        for fake, coin, place in zip(batch, coins, places, strict=True):
            shown.append(fake)
            if len(self.kept) < self.capacity:
                self.kept.append(fake)
            elif coin < ratio:
                shown[-1], self.kept[int(place * self.capacity)] = self.kept[int(place * self.capacity)], fake
        return shown


SLOW = {Reservoir: SlowReservoir, FIFO: SlowFIFO, ImagePool: SlowImagePool}


@every_kind
@every_sizes
@pytest.mark.parametrize("capacity", [1, 5, 100])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_a_buffer_is_the_slow_one_fed_the_same_numbers(kind, sizes, capacity, ratio):
    buffer, draws, slow = kind(capacity), one(), [SLOW[kind](capacity) for _ in range(20)]
    for batch in history(sizes, n_seeds=20):
        draws.given.clear()
        mixed = buffer.mix(batch, ratio, draws)
        for i, each in enumerate(slow):
            expected = each.mix(batch[i].tolist(), ratio, [numbers[i].tolist() for numbers in draws.given])
            assert mixed[i].tolist() == expected
            assert buffer.fakes[i].tolist() == each.kept


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("keep_every", [2, 3])
def test_of_every_few_batches_one_is_kept(kind, keep_every):
    # The slow one is shown the kept batches alone; in between, old fakes are of what it holds.
    buffer, draws, slow = kind(5, keep_every=keep_every), one(), SLOW[kind](5)
    for i, batch in enumerate(history([4] * 12)):
        draws.given.clear()
        before = list(slow.kept)
        mixed = buffer.mix(batch, 0.5, draws)
        fresh, old = mixed[0].split([2, 2] if i else [4, 0])
        assert fresh.tolist() == batch[0, : len(fresh)].tolist()
        assert set(old.tolist()) <= set(before)
        # Old fakes are drawn once for all batches until the next is kept, and what is kept draws when it is.
        drawn = [numbers.shape[1] for numbers in draws.given]
        kept = i % keep_every == 0
        assert drawn == [2 * keep_every] * (i % keep_every == 1) + [4] * (kept and kind is Reservoir)
        if kept:
            slow.mix(batch[0].tolist(), 0.0, [numbers[0].tolist() for numbers in draws.given])
        assert buffer.fakes[0].tolist() == slow.kept
    assert (buffer.batches, buffer.seen) == (12, 4 * math.ceil(12 / keep_every))


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
def test_what_is_drawn_ahead_is_shown_once_in_the_order_drawn(kind):
    buffer, draws = kind(7, keep_every=4), one(3)
    sizes = [7, 2, 6, 1, 3, 5, 12]  # of changing length: where too few were drawn, more are
    shown, kept = [], []
    for i, batch in enumerate(history(sizes)):
        kept.append(buffer.fakes[0].tolist() if i else [])
        shown.append(buffer.mix(batch, 1.0, draws)[0].tolist())
        if i in (0, 4):
            draws.given = [n for n in draws.given if n.shape[1] != sizes[i]]
    # Batch 1 draws 4 x 2 and is shown 2 of them; batch 2 takes the other 6; batch 3 draws 4; batch 4 takes the other 3
    # and is kept; batch 5 draws 20 and is shown 5; batch 6 takes 12 of the 15 that are left.
    assert [numbers.shape[1] for numbers in draws.given] == [8, 4, 20]
    old = [
        [held[int(7 * u)] for u in numbers[0].tolist()]
        for numbers, held in zip(draws.given, (kept[1], kept[3], kept[5]), strict=True)
    ]
    assert shown[1:] == [old[0][:2], old[0][2:], old[1][:1], old[1][1:], old[2][:5], old[2][5:17]]


def test_a_fake_returns_within_the_batch_that_brought_it():
    # A pool of one place and heads for ever: everyone is shown the one before.
    (shown,) = play(ImagePool(1), history([6]), 1.0, one())
    assert shown.tolist() == [[1, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_an_image_pool_shows_old_fakes_at_its_ratio(ratio):
    pool, batches, n = ImagePool(50), history([50, 40, 60], n_seeds=200), 200 * 100
    first, *later = (mixed != batch for mixed, batch in zip(play(pool, batches, ratio, one()), batches, strict=True))
    assert not first.any()  # there was room
    swapped = sum(each.sum().item() for each in later)
    assert abs(swapped - ratio * n) <= 4 * math.sqrt(n * ratio * (1 - ratio))


@pytest.mark.parametrize(
    ("capacity", "sizes"), [(6, [4] * 5 + [3]), (6, [17, 1, 5]), (1, [3, 3, 3]), (7, [8]), (7, [8, 16, 1])], ids=str
)
def test_a_reservoir_holds_the_whole_history_alike(capacity, sizes):
    # Each of S reservoirs draws c of n without replacement: counts have covariance S p (1 - p) n/(n-1) (I - 1/n).
    n_seeds, n = 4000, sum(sizes)
    buffer = Reservoir(capacity)
    play(buffer, [batch % 1000 for batch in history(sizes, n_seeds)], 0.0, one())
    assert buffer.fakes.shape == (n_seeds, capacity)
    counts, p = buffer.fakes.flatten().long().bincount(minlength=n + 1).tolist()[1:], capacity / n
    assert sum(counts) == n_seeds * capacity
    assert all(len(set(row)) == capacity for row in buffer.fakes[:200].tolist())
    assert_even(counts, n_seeds * p, n_seeds * p * (1 - p) * n / (n - 1), n - 1)


@every_sizes
@pytest.mark.parametrize("capacity", [1, 5, 100])
def test_a_fifo_holds_the_last_fakes(sizes, capacity):
    buffer, last, draws = FIFO(capacity), deque(maxlen=capacity), one()
    for batch in history(sizes):
        buffer.mix(batch, 0.0, draws)
        last.extend(batch[0].tolist())
        assert held(buffer) == [list(last)]
    assert draws.given == []


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("ratio", [0, 0.1, 0.25, 0.5, 0.75, 1])
@pytest.mark.parametrize("size", [1, 4, 5, 10, 15])
def test_a_batch_has_its_share_of_old_fakes(kind, ratio, size):
    buffer, draws, seen = kind(12), one(), set()
    n_old = math.floor(Fraction(str(ratio)) * size + Fraction(1, 2))
    for i, batch in enumerate(history([size] * 8)):
        given, before = batch.clone(), set(held(buffer)[0]) if i else set()
        mixed = buffer.mix(batch, ratio, draws)
        fresh, old = mixed.split([size - n_old, n_old] if i else [size, 0], 1)
        assert fresh.tolist() == given[:, : fresh.shape[1]].tolist()
        assert set(old[0].tolist()) <= before <= seen
        seen.update(given[0].tolist())
        assert set(held(buffer)[0]) <= seen
        assert len(set(held(buffer)[0])) == min(12, len(seen))  # nobody twice: what was replayed is not kept again
        assert batch.tolist() == given.tolist()


@every_kind
def test_without_replay_batches_stay_as_they_are(kind):
    batches, draws = history([3, 8, 2], n_seeds=2), one()
    for batch, mixed in zip(batches, play(kind(4), batches, 0.0, draws), strict=True):
        assert torch.equal(mixed, batch)
    if kind is not ImagePool:  # whose coins are tossed whatever they are to decide
        assert [numbers.shape[1] for numbers in draws.given] == [3, 8, 2] * (kind is Reservoir)


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("kept", [3, 7])
def test_old_fakes_are_drawn_uniformly_from_what_is_kept(kind, kept):
    buffer, draws, n = kind(7), one(2), 20_000
    buffer.mix(history([kept])[0], 0.0, draws)
    old = buffer.mix(torch.zeros(1, n), 1.0, draws)
    counts = old.flatten().long().bincount().tolist()
    assert counts[0] == 0
    assert len(counts) == kept + 1
    assert_even(counts[1:], n / kept, n / kept, kept - 1)


@every_kind
@pytest.mark.parametrize("sample", [(), (2,), (3, 4, 4)])
def test_seeds_are_each_seed_alone(kind, sample):
    # Samples of any shape come back whole: all entries of one are its number.
    seeds, sizes = [4, 0, 9], [4, 4, 9, 1, 4]
    batches = history(sizes, n_seeds=3, sample=sample)
    buffer = kind(6)
    together = play(buffer, batches, 0.5, draws_for(seeds, "game"))
    for i, seed in enumerate(seeds):
        lone = kind(6)
        alone = play(lone, [batch[i : i + 1] for batch in batches], 0.5, Draws(generator=stream(seed, "game")))
        assert torch.equal(lone.fakes[0], buffer.fakes[i])
        for mixed, single in zip(together, alone, strict=True):
            assert torch.equal(single[0], mixed[i])
    assert buffer.fakes.shape == (3, 6, *sample)
    whole = torch.cat([*together, buffer.fakes], 1).flatten(2) if sample else buffer.fakes.unsqueeze(2)
    assert torch.equal(whole, whole[..., :1].expand_as(whole))
    assert any((mixed != batch).any() for mixed, batch in zip(together, batches, strict=True))


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_memory_is_taken_once(kind, dtype):
    buffer, sample = kind(10), (3, 4, 4)
    bytes_per_fake = math.prod(sample) * dtype.itemsize
    places = set()
    for batch in history([4, 4, 12, 1, 30, 4], n_seeds=2, sample=sample):
        buffer.mix(batch.to(dtype), 0.5, one())
        places.add((buffer.fakes.data_ptr(), buffer.fakes.untyped_storage().nbytes()))
    ((_, n_bytes),) = places
    assert buffer.fakes.dtype == dtype
    assert buffer.mebibytes(bytes_per_fake, n_seeds=2) == n_bytes / 2**20


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("on_host", [False, True])
def test_what_is_drawn_ahead_is_counted(kind, on_host):
    buffer, n_bytes, batches = kind(10, on_host, keep_every=3), [], history([4] * 5, n_seeds=2)
    for batch in batches:
        buffer.mix(batch, 0.5, one())
        ahead = 0 if buffer._ahead is None else buffer._ahead.untyped_storage().nbytes()
        n_bytes.append(buffer.fakes.untyped_storage().nbytes() + ahead)
    assert max(n_bytes) == 4 * 2 * (10 + 3 * 2) == buffer.mebibytes(4, n_seeds=2, n_old=2) * 2**20


@every_kind
def test_a_buffer_keeps_its_dtype_and_a_batch_its_own(kind):
    buffer, draws, dtypes = kind(6), one(), [torch.float32, torch.bfloat16, torch.float32, torch.float64]
    for dtype, batch in zip(dtypes, history([8] * 4), strict=True):  # numbers up to 32 are exact in all of them
        mixed = buffer.mix(batch.to(dtype), 0.5, draws)
        assert mixed.dtype == dtype
        assert buffer.fakes.dtype == torch.float32
        # Numbers of few digits cannot choose among many.
        assert all(numbers.dtype == torch.float64 for numbers in draws.given)
        known = set(range(1, int(batch.max()) + 1))
        assert set(mixed.flatten().tolist()) | set(buffer.fakes.flatten().tolist()) <= known
    rounded = kind(6)
    rounded.mix(torch.ones(1, 2, dtype=torch.bfloat16), 0.5, draws)
    rounded.mix(torch.full((1, 2), 1 / 3), 0.0, draws)
    assert sorted(rounded.fakes.flatten().tolist()) == [torch.tensor(1 / 3).bfloat16().item()] * 2 + [1.0] * 2


@every_kind
def test_on_the_host_a_buffer_does_the_same(kind):
    batches, (here, there) = history([4, 4, 9, 1], n_seeds=2, sample=(2,)), (kind(5), kind(5, on_host=True))
    for one_batch, other in zip(play(here, batches, 0.5, one()), play(there, batches, 0.5, one()), strict=True):
        assert torch.equal(one_batch, other)
    assert torch.equal(here.fakes, there.fakes)
    assert there.fakes.device.type == "cpu"
    assert repr(there) == f"{kind.__name__}(5, on_host=True, keep_every=1)"


@every_kind
def test_a_buffer_holds_no_graph_and_nothing_of_the_batch(kind):
    buffer, draws = kind(4), one()
    for batch in history([3, 3, 3]):
        mixed = buffer.mix(batch.requires_grad_(), 0.5, draws)
        before = held(buffer)
        with torch.no_grad():  # what D's update may do to its batch is not done to the memory
            batch -= 100
            mixed -= 100
        assert held(buffer) == before
        assert not buffer.fakes.requires_grad


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    "build",
    [Reservoir, FIFO, ImagePool, partial(Reservoir, keep_every=3), partial(FIFO, keep_every=2)],
    ids=["Reservoir", "FIFO", "ImagePool", "Reservoir of every third", "FIFO of every second"],
)
@pytest.mark.parametrize("stop", [1, 2, 3, 4], ids=["before full", "just full", "later", "after full"])
def test_a_restored_buffer_goes_on_bit_for_bit(build, stop):
    batches, draws = history([4, 4, 3, 9, 2, 4, 4], n_seeds=2, sample=(3,)), draws_for([1, 2], "replay")
    buffer = build(8)
    play(buffer, batches[:stop], 0.5, draws)
    state = buffer.state_dict()
    stored = through_a_file({"buffer": state, "draws": draws.state_dict()})
    assert state["fakes"].untyped_storage().nbytes() == state["fakes"].numel() * 4  # no empty rows in a checkpoint
    expected = play(buffer, batches[stop:], 0.5, draws)
    assert torch.equal(state["fakes"], stored["buffer"]["fakes"])  # the run that goes on leaves it alone
    for _ in range(2):  # and so does one that was restored
        other, its_draws = build(8), draws_for([5, 6], "other")
        play(other, batches[:3], 0.5, its_draws)  # what it held before is gone
        other.load_state_dict(stored["buffer"])
        its_draws.load_state_dict(stored["draws"])
        again = other.state_dict()
        assert (again["seen"], again["batches"]) == (state["seen"], state["batches"])
        assert torch.equal(again["fakes"], state["fakes"])
        for found, wanted in zip(play(other, batches[stop:], 0.5, its_draws), expected, strict=True):
            assert torch.equal(found, wanted)
        assert torch.equal(other.fakes, buffer.fakes)


@every_kind
def test_an_empty_buffer_is_restored_empty(kind):
    state, batches = through_a_file(kind(8).state_dict()), history([4, 4, 4], n_seeds=2)
    fresh, restored = kind(8), kind(8)
    play(restored, history([3], n_seeds=5), 0.5, one())
    restored.load_state_dict(state)
    assert restored.fakes.numel() == restored.seen == 0
    for found, wanted in zip(play(restored, batches, 0.5, one()), play(fresh, batches, 0.5, one()), strict=True):
        assert torch.equal(found, wanted)
    restored.clear()
    assert restored.fakes.numel() == restored.seen == 0


@every_kind
@pytest.mark.parametrize(
    ("n_seeds", "sample"),
    [(2, (4,)), (2, (3, 1)), (3, (3,)), (1, (3,))],
    ids=["wider samples", "more axes", "more seeds", "fewer seeds"],
)
def test_a_buffer_of_another_run_is_refused(kind, n_seeds, sample):
    buffer = kind(8)
    play(buffer, history([4, 5], n_seeds=2, sample=(3,)), 0.5, one())
    other = kind(8)
    other.load_state_dict(buffer.state_dict())
    (batch,) = history([4], n_seeds, sample)
    message = (
        rf"^{kind.__name__}: the checkpoint holds old fakes of shape \(2, 8, 3\) .* this run needs "
        rf"\({n_seeds}, 8, .*; resume with the seeds and data of the checkpoint$"
    )
    with pytest.raises(ValueError, match=message):
        other.mix(batch, 0.5, one())


@pytest.mark.parametrize(
    "other",
    [Reservoir(7), Reservoir(9), Reservoir(8, keep_every=2), FIFO(8), ImagePool(8)],
    ids=["smaller", "larger", "of every second batch", "FIFO", "ImagePool"],
)
def test_a_buffer_of_another_rule_is_refused(other):
    buffer = Reservoir(8)
    play(buffer, history([4, 5]), 0.5, one())
    message = (
        rf"^{type(other).__name__}: the checkpoint's buffer is ReservoirOfAll\(capacity=8, keep_every=1\), this run's "
        rf"is {type(other).__name__}\(capacity={other.capacity}, keep_every={other.keep_every}\); resume with that of"
    )
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(buffer.state_dict())
    Reservoir(8, on_host=True).load_state_dict(buffer.state_dict())  # where they lie is no part of the rule


@every_kind
def test_a_buffer_that_was_refused_is_refused_again(kind):
    buffer, other = kind(8), kind(8)
    play(buffer, history([4, 5], n_seeds=2), 0.5, one())
    other.load_state_dict(buffer.state_dict())
    for _ in range(2):  # what the second time is shown or kept must not be memory that nobody has filled
        with pytest.raises(ValueError, match="resume with the seeds and data of the checkpoint"):
            other.mix(history([4], n_seeds=3)[0], 0.5, one())
    assert torch.equal(other.fakes, buffer.fakes)


@every_kind
@pytest.mark.parametrize("capacity", [0, -3])
def test_a_buffer_without_room_is_refused(kind, capacity):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: capacity must be at least 1 fake, got {capacity}$"):
        kind(capacity)


@pytest.mark.parametrize("kind", [Reservoir, FIFO], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("keep_every", [0, -1])
def test_a_buffer_that_keeps_nothing_is_refused(kind, keep_every):
    message = rf"^{kind.__name__}: keep_every must be at least 1 batch, got {keep_every}$"
    with pytest.raises(ValueError, match=message):
        kind(5, keep_every=keep_every)


def test_an_unfinished_buffer_says_what_it_lacks():
    class Unfinished(ReplayBuffer):
        pass

    with pytest.raises(NotImplementedError, match=r"^Unfinished must define store\(fresh, draws\)$"):
        Unfinished(3).mix(torch.zeros(1, 2), 0.5, one())
    with pytest.raises(TypeError, match="ReplayBuffer is only the base of buffers; take one with a rule: Reservoir"):
        ReplayBuffer(3)
