"""Where real samples come from: stored in a tensor, or drawn from a distribution as they are needed."""

import copy
from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from lit_gans.streams import stream

Batch: TypeAlias = Tensor | tuple[Tensor, Tensor]
"""What a loader yields: samples `x`, or `(x, labels)`."""


class Source(Protocol):
    """Samples to be seen in passes; each pass is a function of the seed, the epoch and the rank alone.

    A pass is opened as one tensor of *rows*, and rows become samples batch by batch. The rows of stored data
    are indices, those of drawn data the samples themselves; whoever cuts rows into batches need not know.
    """

    def __len__(self) -> int:
        """Samples of one pass, over all ranks."""
        ...

    def open(self, seed: int, epoch: int, rank: int, world_size: int) -> Tensor:
        """The rows of one rank's share of a pass, `(len(self) // world_size, ...)`, in order."""
        ...

    def take(self, rows: Tensor) -> Batch:
        """The samples of some rows."""
        ...

    def first(self, n: int) -> Tensor:
        """At most `n` samples without labels, always the same ones."""
        ...


class StoredSource:
    """Samples held in a tensor; a pass is a permutation, of which the ranks take disjoint shares.

    Args:
        samples: `(n, *sample_shape)`, kept in the type they come in, so that images may stay bytes.
        labels: `(n,)`; batches are then `(x, labels)`.
        convert: Turns taken samples into what the networks see, for example bytes into [-1, 1].
        name: What errors call the data.

    Raises:
        ValueError: The data are empty, hold NaN or infinite values, or have another number of labels.
    """

    def __init__(
        self,
        samples: Tensor,
        labels: Tensor | None = None,
        convert: Callable[[Tensor], Tensor] | None = None,
        name: str = "the data",
    ) -> None:
        if len(samples) == 0:
            raise ValueError(f"{name} holds no samples; at least one is needed")
        if labels is not None and len(labels) != len(samples):
            raise ValueError(f"{name} has {len(samples)} samples but {len(labels)} labels; give one for each")
        check_finite(samples, name)
        self.samples, self.labels, self.convert = samples, labels, convert

    def __len__(self) -> int:
        """Samples of one pass."""
        return len(self.samples)

    def open(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """Indices `(len(self) // world_size,)`: every `world_size`-th of a permutation all ranks share."""
        order = torch.randperm(len(self), generator=stream(seed, f"data/epoch{epoch}"))
        return order[rank::world_size][: len(self) // world_size]

    def take(self, rows: Tensor) -> Batch:
        """The samples, and labels if there are any, at the indices `rows`."""
        rows = rows.to(self.samples.device)
        samples = self.samples.index_select(0, rows)
        if self.convert is not None:
            samples = self.convert(samples)
        return samples if self.labels is None else (samples, self.labels.index_select(0, rows))

    def beginning(self, n: int) -> "StoredSource":
        """The first `n` samples alone."""
        return self._with(self.samples[:n], None if self.labels is None else self.labels[:n])

    def to(self, device: torch.device) -> "StoredSource":
        """The same source with samples and labels on a device, where batches are then cut."""
        return self._with(self.samples.to(device), None if self.labels is None else self.labels.to(device))

    def _with(self, samples: Tensor, labels: Tensor | None) -> "StoredSource":
        other = copy.copy(self)
        other.samples, other.labels = samples, labels
        return other

    def first(self, n: int) -> Tensor:
        """The first samples as they are stored; all, if there are fewer than `n`."""
        samples = self.samples[:n]
        return samples if self.convert is None else self.convert(samples)


class DrawnSource:
    """Samples drawn afresh for every pass, in one call, which costs far less than a draw for every batch.

    Args:
        draw: `draw(n, generator)` gives `(n, *sample_shape)`; all its randomness comes from the generator.
        size: Samples of one pass, over all ranks.
        name: What errors call the data.
    """

    def __init__(self, draw: Callable[[int, torch.Generator], Tensor], size: int, name: str = "the data") -> None:
        if size < 1:
            raise ValueError(f"a pass over {name} was given {size} samples; at least one is needed")
        self.draw, self.size, self.name = draw, size, name

    def __len__(self) -> int:
        """Samples of one pass."""
        return self.size

    def open(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """Samples `(len(self) // world_size, *sample_shape)` from a stream of this seed, epoch and rank."""
        samples = self.draw(self.size // world_size, stream(seed, f"data/epoch{epoch}/rank{rank}"))
        check_finite(samples, self.name)
        return samples

    def take(self, rows: Tensor) -> Batch:
        """The rows: they are the samples already."""
        return rows

    def first(self, n: int) -> Tensor:
        """`n` draws of a stream that no seed trains on."""
        return self.draw(n, stream(0, "data/first"))


def check_finite(values: Tensor, name: str) -> None:
    """Refuses NaN and infinite values, which would turn every parameter into NaN within one iteration.

    Raises:
        ValueError: With the number of such values and the index of the first.
    """
    if not values.is_floating_point() or bool(values.isfinite().all()):
        return
    bad = values.isfinite().logical_not().nonzero()
    first = tuple(bad[0].tolist())
    raise ValueError(
        f"{name} of shape {tuple(values.shape)} holds {len(bad)} values that are NaN or infinite, the first, "
        f"{values[first].item()}, at index {first}; remove or repair those samples"
    )
