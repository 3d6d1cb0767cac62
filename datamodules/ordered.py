"""The loader of everything that is not training: plain batches, in fixed order, each sample once."""

from collections.abc import Iterator

import torch

from .fetching import fetched
from .sources import Batch, StoredSource


class OrderedLoader:
    """Batches `(B, ...)` or `((B, ...), labels)` in stored order; the last may be smaller.

    Several processes take every `world_size`-th sample. The up to `world_size - 1` samples left over are
    dropped, unless all are asked for: every process then runs equally many batches, and no sample is counted twice.

    Args:
        source: The samples.
        batch_size: B, samples per batch and process.
        rank: Which share this process sees.
        world_size: The number of processes.
        num_workers: Threads that fetch batches ahead; 0 fetches each when it is asked for.
        pin_memory: Hands out batches in page-locked memory.
        drop_rest: Whether the samples left over are dropped; else the first processes have one more.
    """

    def __init__(
        self,
        source: StoredSource,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
        drop_rest: bool = True,
    ) -> None:
        self.source, self.batch_size = source, batch_size
        self.num_workers, self.pin_memory = num_workers, pin_memory
        whole = len(source) - len(source) % world_size if drop_rest else len(source)
        rows = torch.arange(rank, max(whole, rank), world_size)
        self._batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

    def __len__(self) -> int:
        """Batches of one run through the data."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yields every batch once, from the first."""
        yield from fetched(self._batch, range(len(self)), self.num_workers, self.pin_memory)

    def _batch(self, number: int) -> Batch:
        return self.source.take(self._batches[number])
