"""Bounded buffers of old fakes, and the rules by which fakes enter and leave them."""

from typing import Any

import torch
from torch import Tensor

from ..streams import Draws


class ReplayBuffer:
    """At most `capacity` old fakes per seed, in memory that is taken once. A subclass gives the rule, `store`.

    Args:
        capacity: How many fakes are kept, per seed.
        on_host: Keep them in the host's memory, where the networks may live on a smaller device.

    Raises:
        ValueError: If `capacity` is below 1.
    """

    def __init__(self, capacity: int = 10_000, on_host: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"{type(self).__name__}: capacity must be at least 1 fake, got {capacity}")
        self.capacity, self.on_host = capacity, on_host
        self.clear()

    def clear(self) -> None:
        """Starts empty."""
        self.seen = 0
        self._rows: Tensor | None = None
        self._restored: Tensor | None = None

    @property
    def fakes(self) -> Tensor:
        """What is kept, `(S, n, *sample)`, n at most `capacity`; S is 1 without seeds."""
        kept = self._restored if self._rows is None else self._rows[:, : min(self.seen, self.capacity)]
        return torch.empty(0) if kept is None else kept

    def mebibytes(self, bytes_per_fake: int, n_seeds: int) -> float:
        """How much memory the buffer takes, in MiB: `capacity` fakes per seed, and one row to spare."""
        return n_seeds * (self.capacity + 1) * bytes_per_fake / 2**20

    def mix(self, fresh: Tensor, replay_ratio: float, draws: Draws) -> Tensor:
        """A batch of which the share ρ are old fakes, and keeps the fresh ones by the buffer's rule.

        Args:
            fresh: Fakes of now, `(S, B, *sample)`.
            replay_ratio: ρ: of the B fakes the last `⌊ρB + ½⌋` are replaced, none while the buffer is empty.
            draws: Decides which; the leading axis is the seeds'.

        Returns:
            The batch, as `fresh`. Old fakes are drawn uniformly, with replacement, from before `fresh` was kept.
        """
        n_old = int(replay_ratio * fresh.shape[1] + 0.5) if self.seen else 0
        storage = self._storage(fresh)
        mixed = fresh
        if n_old:
            kept = min(self.seen, self.capacity)
            slots = (self._uniform(fresh, n_old, draws) * kept).long()
            mixed = torch.cat([fresh[:, : fresh.shape[1] - n_old], self._read(slots).to(fresh)], 1)
        self.store(fresh.detach().to(storage), draws)
        self.seen += fresh.shape[1]
        return mixed

    def store(self, fresh: Tensor, draws: Draws) -> None:
        """Keeps fresh fakes `(S, B, *sample)`, all or some, in place of others where the buffer is full."""
        raise NotImplementedError(f"{type(self).__name__} must define store(fresh, draws)")

    def state_dict(self) -> dict[str, Any]:
        """The fakes that are kept, and how many were seen."""
        return {"fakes": self.fakes.clone(), "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them up again, where the next fakes are."""
        self.clear()
        self.seen = state["seen"]
        self._restored = state["fakes"] if self.seen else None

    def _storage(self, fresh: Tensor) -> Tensor:
        """The rows, `(S, capacity + 1, *sample)`, made at the first fakes.

        The last one takes what is to be lost, so that a device need not wait for a count of what is kept.

        Raises:
            ValueError: If restored fakes are of other shapes than the fresh ones, or more than `capacity`.
        """
        if self._rows is not None:
            return self._rows
        n_seeds, _, *sample = fresh.shape
        rows = fresh.new_empty((n_seeds, self.capacity + 1, *sample), device="cpu" if self.on_host else None)
        if (old := self._restored) is not None:
            n_old = min(self.seen, self.capacity)
            if old.shape != (n_seeds, n_old, *sample):
                raise ValueError(
                    f"{type(self).__name__}: the checkpoint holds old fakes of shape {tuple(old.shape)} (seeds, fakes, "
                    f"sample), this run needs {(n_seeds, n_old, *sample)}; resume with the capacity, seeds and data of "
                    f"the checkpoint"
                )
            rows[:, :n_old] = old.to(rows)
        self._rows, self._restored = rows, None
        self._offsets = torch.arange(n_seeds, device=rows.device).unsqueeze(1) * (self.capacity + 1)
        return rows

    def _uniform(self, fresh: Tensor, n: int, draws: Draws) -> Tensor:
        # In double precision: the history may be longer than single precision can tell apart.
        like = torch.empty(0, dtype=torch.float64, device="cpu" if self.on_host else fresh.device)
        return draws.uniform((fresh.shape[0], n), like=like)

    def _read(self, slots: Tensor) -> Tensor:
        """The rows at slots `(S, n)`."""
        assert self._rows is not None
        return self._rows.flatten(0, 1)[self._offsets + slots]

    def _write(self, slots: Tensor, fresh: Tensor) -> None:
        """Puts fakes into slots `(S, B)`, one after the other: of two in one slot the later stays."""
        assert self._rows is not None
        order = torch.arange(slots.shape[1], device=slots.device).expand_as(slots)
        last = order.new_full(self._rows.shape[:2], -1).scatter_reduce_(1, slots, order, "amax")
        slots = torch.where(last.gather(1, slots) == order, slots, self.capacity)
        self._rows.flatten(0, 1)[self._offsets + slots] = fresh

    def __repr__(self) -> str:
        """The kind and the capacity."""
        return f"{type(self).__name__}(capacity={self.capacity}, on_host={self.on_host})"


class Reservoir(ReplayBuffer):
    """Every fake of the whole history is in the buffer with the same probability, `capacity / seen`.

    The t-th fake, t from 1, takes slot t while there is one, and later a random slot with probability `capacity / t`.

    Source: Vitter 1985, algorithm R; Thanh-Tung & Tran, section IV-B, on old fakes.
    """

    def store(self, fresh: Tensor, draws: Draws) -> None:
        """Keeps each fake with a probability that falls with the length of the history."""
        before = torch.arange(self.seen, self.seen + fresh.shape[1], device=fresh.device)
        anywhere = (self._uniform(fresh, fresh.shape[1], draws) * (before + 1)).long()
        slots = torch.where(before < self.capacity, before, anywhere.clamp_max(self.capacity))
        self._write(slots, fresh)


class FIFO(ReplayBuffer):
    """The last `capacity` fakes: a memory of the recent past.

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

    Source: Shrivastava et al. 2017, section 2.3, on the buffer; Zhu et al. 2017, section 4, with ρ = ½.
    """

    def mix(self, fresh: Tensor, replay_ratio: float, draws: Draws) -> Tensor:
        """The batch that D is shown, `(S, B, *sample)`; a fake may come back within the batch that brought it."""
        storage = self._storage(fresh)
        n = fresh.shape[1]
        arrived = fresh.detach().to(storage)
        before = torch.arange(self.seen, self.seen + n, device=storage.device)
        heads = self._uniform(fresh, n, draws) < replay_ratio
        anywhere = (self._uniform(fresh, n, draws) * self.capacity).long()
        swapped = heads & (before >= self.capacity)
        slots = torch.where(before < self.capacity, before, torch.where(heads, anywhere, self.capacity))
        # Who sat there: the last one of this batch to sit down before, or one that was there already.
        seats, order = slots.sort(stable=True)
        again = torch.zeros_like(seats, dtype=torch.bool)
        again[:, 1:] = seats[:, 1:] == seats[:, :-1]
        sitting = torch.empty_like(order).scatter_(1, order, torch.where(again, order.roll(1, 1), -1))
        rows = torch.arange(len(fresh), device=storage.device).unsqueeze(1)
        in_batch = arrived[rows, sitting.clamp_min(0)]
        shape = (*slots.shape, *[1] * (fresh.ndim - 2))
        old = torch.where((sitting >= 0).reshape(shape), in_batch, self._read(slots))
        self._write(slots, arrived)
        self.seen += n
        return torch.where(swapped.reshape(shape).to(fresh.device), old.to(fresh), fresh)
