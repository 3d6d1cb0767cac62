"""The loader of everything that is not training: plain batches, in fixed order, each sample once."""

from collections.abc import Iterator

import torch

from .sources import Batch, StoredSource


class OrderedLoader:
    """Batches `(B, ...)` or `((B, ...), labels)` in stored order; the last may be smaller.

    Several processes take every `world_size`-th sample. The up to `world_size - 1` samples left over are
    dropped: every process then runs equally many batches, and no sample is counted twice.

    Args:
        source: The samples.
        batch_size: B, samples per batch and process.
        rank: Which share this process sees.
        world_size: The number of processes.
    """

    def __init__(self, source: StoredSource, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.source, self.batch_size = source, batch_size
        whole = len(source) - len(source) % world_size
        rows = torch.arange(rank, max(whole, rank), world_size)
        self._batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

    def __len__(self) -> int:
        """Batches of one run through the data."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yields every batch once, from the first."""
        for rows in self._batches:
            yield self.source.take(rows)
