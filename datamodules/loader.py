"""The loader of a game: every item holds the real batches of one whole iteration, for every seed."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .fetching import fetched
from .sources import Batch, Source


class GameLoader:
    """An endless stream of game iterations, handed out in epochs of `len(loader)` items.

    An item is a flat batch of n_critic · S · B samples for which `x.unflatten(0, (n_critic, S, B))` gives
    `n_critic` real batches of shape `(S, B, ...)`; S is the number of seeds, 1 without seeds. Every seed sees
    its own order, the one it would see alone. An epoch is one pass over the data per seed; what does not fill
    an iteration is dropped, and differs from pass to pass.

    Iterating goes on where it last stopped, so the number of items handed out is all there is to remember,
    and a resumed loader continues with the very next item. Each `iter(loader)` gives `len(loader)` items; one
    that starts within a pass (after `break`, `limit_train_batches` or a resume) runs into the next pass.

    No `torch.utils.data.DataLoader` is involved: its overhead exceeds the step of a small network. Workers fetch items
    ahead, the same ones, bit for bit.

    Args:
        source: The samples.
        batch_size: B, samples per D update, seed and process.
        n_critic: D updates per iteration, each on a fresh batch.
        seeds: One stream per entry.
        rank: Which share of every pass this process sees.
        world_size: The number of processes.
        seed: The stream when `seeds` is None; None takes `torch.initial_seed()`, set by `seed_everything`.
        num_workers: Threads that fetch items ahead; 0 fetches each when it is asked for.
        pin_memory: Hands out items in page-locked memory, which a GPU copies from while it computes.

    Raises:
        ValueError: An argument is out of range, or one iteration needs more samples than one pass holds.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        n_critic: int = 1,
        seeds: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        seed: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < 1 or n_critic < 1:
            raise ValueError(f"batch_size and n_critic must be at least 1, not {batch_size} and {n_critic}")
        if seeds is not None and len(seeds) == 0:
            raise ValueError("seeds is empty; give one seed per run, or None to train without a seeds axis")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in 0 .. world_size - 1, not rank {rank} of {world_size}")
        share = len(source) // world_size
        if batch_size * n_critic > share:
            raise ValueError(
                f"one iteration takes n_critic * batch_size = {n_critic} * {batch_size} = "
                f"{n_critic * batch_size} samples, but one pass holds only {share} per process; lower "
                f"batch_size or n_critic, or give more data (toy distributions: raise samples_per_epoch)"
            )
        self.source, self.batch_size, self.n_critic = source, batch_size, n_critic
        self.rank, self.world_size = rank, world_size
        self.seeds = None if seeds is None else list(seeds)
        self.seed = torch.initial_seed() if seed is None else seed
        self.num_workers, self.pin_memory = num_workers, pin_memory
        self.handed_out = 0
        self._length = share // (batch_size * n_critic)
        self._rows: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Iterations of one epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """Yields the next `len(self)` items."""
        items = range(self.handed_out, self.handed_out + self._length)
        for batch in fetched(self.item, items, self.num_workers, self.pin_memory):
            # Counted before it is handed out: a checkpoint taken while the item is in use must not repeat it.
            self.handed_out += 1
            yield batch

    def item(self, number: int) -> Batch:
        """The item of a number, counted from the start of the stream."""
        epoch, position = divmod(number, self._length)
        opened = self._rows  # another worker may open another epoch meanwhile
        if opened is None or opened[0] != epoch:
            self._rows = opened = epoch, self._open(epoch)
        return self.source.take(opened[1][position])

    def _open(self, epoch: int) -> Tensor:
        """The rows of one epoch, `(len(self), n_critic * S * B, ...)`: one item per entry."""
        seeds = [self.seed] if self.seeds is None else self.seeds
        passes = [self.source.open(seed, epoch, self.rank, self.world_size) for seed in seeds]
        needed = self._length * self.n_critic * self.batch_size
        rows = torch.stack([rows[:needed] for rows in passes])
        rows = rows.reshape(len(seeds), self._length, self.n_critic, self.batch_size, *rows.shape[2:])
        # (S, length, n_critic, B, ...) -> (length, n_critic, S, B, ...) -> (length, n_critic * S * B, ...)
        return rows.movedim(0, 2).flatten(1, 3)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as plain numbers."""
        return {
            "seeds": None if self.seeds is None else list(self.seeds),
            "seed": self.seed,
            "handed_out": self.handed_out,
            "length": self._length,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with the item after the last one that was handed out when the state was taken.

        A loader whose epochs have another length (other data, batch size or number of processes) cannot: it
        warns and starts at the next pass.

        Raises:
            ValueError: The state is of other seeds than this loader was given.
        """
        if state["seeds"] != self.seeds:
            raise ValueError(
                f"the checkpoint holds the data streams of seeds={state['seeds']}, this run asks for "
                f"seeds={self.seeds}; resume with the seeds of the checkpoint"
            )
        self.seed, self.handed_out, self._rows = state["seed"], state["handed_out"], None
        if state["length"] != self._length:
            self.handed_out = -(-state["handed_out"] // state["length"]) * self._length
            warnings.warn(
                f"the checkpoint's epochs have {state['length']} iterations, this run's {self._length}: the "
                f"place within the pass is lost, and training goes on at the start of a new pass",
                stacklevel=2,
            )
