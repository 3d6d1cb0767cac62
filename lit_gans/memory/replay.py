"""Bounded buffers of old fakes, and the rules by which fakes enter and leave them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..streams import Draws

_DOUBLE = torch.empty(0, dtype=torch.float64)


class ReplayBuffer:
    """At most `capacity` old fakes per seed, in memory that is taken once. A subclass gives the rule, `store`.

    Args:
        capacity: How many fakes are kept, per seed.
        on_host: Keep them in the host's memory, where the networks may live on a smaller device.
        keep_every: Only each such batch, from the first, is given to the rule. From one batch to the next G hardly
            moves: fewer of them span the same past at less cost, and a FIFO of the same capacity a longer one.

    Raises:
        TypeError: If there is no rule.
        ValueError: If `capacity` or `keep_every` is below 1.
    """

    def __init__(self, capacity: int = 10_000, on_host: bool = False, keep_every: int = 10) -> None:
        if type(self) is ReplayBuffer:
            raise TypeError(
                "ReplayBuffer is only the base of buffers; take one with a rule: Reservoir, FIFO, ImagePool"
            )
        if capacity < 1:
            raise ValueError(f"{type(self).__name__}: capacity must be at least 1 fake, got {capacity}")
        if keep_every < 1:
            raise ValueError(f"{type(self).__name__}: keep_every must be at least 1 batch, got {keep_every}")
        self.capacity, self.on_host, self.keep_every = capacity, on_host, keep_every
        self.clear()

    def clear(self) -> None:
        """Starts empty."""
        self.batches = self.seen = 0
        self._ahead: Tensor | None = None
        self._rows: Tensor | None = None
        self._restored: Tensor | None = None

    @property
    def fakes(self) -> Tensor:
        """What is kept, `(S, n, *sample)`, n at most `capacity`; S is 1 without seeds."""
        kept = self._restored if self._rows is None else self._rows[:, : min(self.seen, self.capacity)]
        return torch.empty(0) if kept is None else kept

    def mebibytes(self, bytes_per_fake: int, n_seeds: int, n_old: int = 0) -> float:
        """How much memory the buffer takes, in MiB, with `n_old` old fakes drawn for each of `keep_every` batches."""
        return n_seeds * (self.capacity + self.keep_every * n_old) * bytes_per_fake / 2**20

    def n_old(self, batch_size: int, replay_ratio: float) -> int | None:
        """How many fakes of a batch are old once there are any: `⌊ρB + ½⌋`; None where that is left to chance."""
        return int(replay_ratio * batch_size + 0.5)

    def mix(self, fresh: Tensor, replay_ratio: float, draws: Draws) -> Tensor:
        """A batch of which the share ρ are old fakes; the fresh ones of each `keep_every`-th are kept by the rule.

        Args:
            fresh: Fakes of now, `(S, B, *sample)`.
            replay_ratio: ρ: of the B fakes the last `n_old(B, ρ)` are replaced, none while the buffer is empty.
            draws: Decides which, on the host: no device has to be waited for. The leading axis is the seeds'.

        Returns:
            The batch, as `fresh`. Old fakes are drawn uniformly, with replacement, from before `fresh` was kept.
        """
        n = fresh.shape[1]
        n_old = (self.n_old(n, replay_ratio) or 0) if self.seen else 0
        storage = self._storage(fresh)
        mixed = torch.cat([fresh[:, : n - n_old], self._old(n_old, draws).to(fresh)], 1) if n_old else fresh
        if self.batches % self.keep_every == 0:
            self.store(fresh.detach().to(storage), draws)
            self.seen, self._ahead = self.seen + n, None
        self.batches += 1
        return mixed

    def _old(self, n: int, draws: Draws) -> Tensor:
        """`n` of the fakes that are kept, `(S, n, *sample)`.

        Until others are kept they may as well be drawn for all the batches to come: once for many costs a fraction.
        """
        if self._ahead is None or self._ahead.shape[1] < n:
            anywhere = self._uniform(n * self.keep_every, draws)
            self._ahead = self._read((anywhere * min(self.seen, self.capacity)).astype(np.int64))
        old, self._ahead = self._ahead[:, :n], self._ahead[:, n:]
        return old

    def store(self, fresh: Tensor, draws: Draws) -> None:
        """Keeps fresh fakes `(S, B, *sample)`, all or some, in place of others where the buffer is full."""
        raise NotImplementedError(f"{type(self).__name__} must define store(fresh, draws)")

    def state_dict(self) -> dict[str, Any]:
        """The fakes that are kept, those drawn ahead, how many the rule has seen, of how many batches, and the rule."""
        ahead = None if self._ahead is None else self._ahead.clone()
        state = {"fakes": self.fakes.clone(), "ahead": ahead, "seen": self.seen, "batches": self.batches}
        return {**state, "rule": self._rule()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them up again, where the next fakes are.

        Raises:
            ValueError: If they were kept by another rule, in another number.
        """
        if state["rule"] != self._rule():
            raise ValueError(
                f"{type(self).__name__}: the checkpoint's buffer is {state['rule']}, this run's is {self._rule()}; "
                f"resume with that of the checkpoint"
            )
        self.clear()
        self.seen, self.batches = state["seen"], state["batches"]
        self._restored, self._ahead = state["fakes"] if self.seen else None, state["ahead"]

    def _rule(self) -> str:
        return f"{type(self).__name__}(capacity={self.capacity}, keep_every={self.keep_every})"

    def _storage(self, fresh: Tensor) -> Tensor:
        """The rows, `(S, capacity, *sample)`, made at the first fakes.

        Raises:
            ValueError: If restored fakes are of other shapes than the fresh ones.
        """
        if self._rows is not None:
            return self._rows
        n_seeds, _, *sample = fresh.shape
        rows = fresh.new_empty((n_seeds, self.capacity, *sample), device="cpu" if self.on_host else None)
        if (old := self._restored) is not None:
            n_old = min(self.seen, self.capacity)
            if old.shape != (n_seeds, n_old, *sample):
                raise ValueError(
                    f"{type(self).__name__}: the checkpoint holds old fakes of shape {tuple(old.shape)} (seeds, fakes, "
                    f"sample), this run needs {(n_seeds, n_old, *sample)}; resume with the seeds and data of the "
                    f"checkpoint"
                )
            rows[:, :n_old] = old.to(rows)
            self._ahead = None if self._ahead is None else self._ahead.to(rows)
        self._rows, self._restored = rows, None
        self._offsets = np.arange(n_seeds)[:, None] * self.capacity
        return rows

    def _uniform(self, n: int, draws: Draws) -> NDArray[np.float64]:
        # In double precision: the history may be longer than single precision can tell apart. As arrays, whose
        # operations on so few numbers take a fraction of the time that those on tensors take.
        numbers: NDArray[np.float64] = draws.uniform((len(self._offsets), n), like=_DOUBLE).numpy()
        return numbers

    def _read(self, slots: NDArray[np.int64]) -> Tensor:
        """The rows at slots `(S, n)`."""
        assert self._rows is not None
        places = torch.from_numpy((self._offsets + slots).ravel()).to(self._rows.device)
        return self._rows.flatten(0, 1).index_select(0, places).unflatten(0, slots.shape)

    def _write(self, slots: NDArray[np.int64], fresh: Tensor) -> None:
        """Puts fakes into slots `(S, B)`, one after the other: of two in one slot the later stays.

        A slot of `capacity` and beyond is none: its fake is lost.
        """
        assert self._rows is not None
        arriving = np.flatnonzero(slots < self.capacity)
        if arriving.size:
            last = dict(zip((self._offsets + slots).ravel()[arriving].tolist(), arriving.tolist(), strict=True))
            places, comers = (
                torch.from_numpy(np.fromiter(each, np.int64)).to(self._rows.device) for each in (last, last.values())
            )
            self._rows.flatten(0, 1).index_copy_(0, places, fresh.flatten(0, 1).index_select(0, comers))

    def __repr__(self) -> str:
        """The kind and its arguments."""
        return f"{type(self).__name__}({self.capacity}, on_host={self.on_host}, keep_every={self.keep_every})"


class Reservoir(ReplayBuffer):
    """Every fake of the whole history is in the buffer with the same probability, `capacity / seen`.

    The t-th fake, t from 1, takes slot t while there is one, and later a random slot with probability `capacity / t`.
    History are the fakes of each `keep_every`-th batch.

    Source: Vitter 1985, algorithm R; Thanh-Tung & Tran, section IV-B, on old fakes.
    """

    def store(self, fresh: Tensor, draws: Draws) -> None:
        """Keeps each fake with a probability that falls with the length of the history."""
        before = np.arange(self.seen, self.seen + fresh.shape[1])
        anywhere = (self._uniform(fresh.shape[1], draws) * (before + 1)).astype(np.int64)
        self._write(np.where(before < self.capacity, before, anywhere), fresh)


class FIFO(ReplayBuffer):
    """The last `capacity` fakes of each `keep_every`-th batch: a memory of the recent past.

    Source: Thanh-Tung & Tran, section IV-B, on buffers of recent fakes.
    """

    def store(self, fresh: Tensor, draws: Draws) -> None:
        """Keeps every fake in place of the oldest."""
        assert self._rows is not None
        end, fresh = self.seen + fresh.shape[1], fresh[:, -self.capacity :]
        slots = torch.arange(end - fresh.shape[1], end, device=fresh.device) % self.capacity
        self._rows.index_copy_(1, slots, fresh)


class ImagePool(ReplayBuffer):
    """Fakes are swapped, one after the other, with those in the pool.

    While the pool has room a fake is put there and shown to D. Then with probability ρ it takes the place of a random
    one, which D is shown in its stead; otherwise D is shown the fake and the pool stays. With `replay_ratio` ½ that is
    the pool of CycleGAN, with `capacity` 50 there. The share of old fakes is ρ on average, not in every batch.

    Args:
        capacity: How many fakes are in the pool, per seed.
        on_host: Keep them in the host's memory.

    Source: Shrivastava et al. 2017, section 2.3, on the buffer; Zhu et al. 2017, section 4, with ρ = ½.
    """

    def __init__(self, capacity: int = 50, on_host: bool = False) -> None:
        super().__init__(capacity, on_host, keep_every=1)

    def n_old(self, batch_size: int, replay_ratio: float) -> None:
        """None: ρB on average."""

    def mix(self, fresh: Tensor, replay_ratio: float, draws: Draws) -> Tensor:
        """The batch that D is shown, `(S, B, *sample)`; a fake may come back within the batch that brought it."""
        arrived = fresh.detach().to(self._storage(fresh))
        n_seeds, n = fresh.shape[:2]
        heads = (self._uniform(n, draws) < replay_ratio).tolist()
        anywhere = (self._uniform(n, draws) * self.capacity).astype(np.int64).tolist()
        slots = [[self.capacity] * n for _ in range(n_seeds)]
        pooled: dict[int, int] = {}  # by place in the batch, the place in the pool whose fake D is shown there
        returned: dict[int, int] = {}  # the same, of fakes that sat down earlier in this batch
        for seed in range(n_seeds):
            sitting: dict[int, int] = {}  # by slot, who of this batch sat down there last
            for i in range(n):
                slot = self.seen + i
                if slot >= self.capacity:
                    if not heads[seed][i]:
                        continue
                    slot = anywhere[seed][i]
                    place, earlier = seed * n + i, sitting.get(slot)
                    if earlier is None:
                        pooled[place] = seed * self.capacity + slot
                    else:
                        returned[place] = seed * n + earlier
                sitting[slot] = i
                slots[seed][i] = slot
        shown = arrived.flatten(0, 1).clone()
        for source, places in ((self._storage(fresh), pooled), (arrived, returned)):
            if places:
                shown[list(places)] = source.flatten(0, 1)[list(places.values())]
        self._write(np.array(slots), arrived)
        self.seen += n
        return shown.reshape(fresh.shape).to(fresh)
