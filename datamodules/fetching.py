"""Fetching batches ahead, in other processes."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from .sources import Batch


def fetched(
    batch: Callable[[int], Batch], numbers: range, num_workers: int = 0, pin_memory: bool = False
) -> Iterable[Batch]:
    """The batches of some numbers, in order.

    Args:
        batch: What makes the batch of a number, a function of it alone: any process may be asked.
        numbers: Which ones.
        num_workers: How many processes make them, ahead of time; they end with the iteration. 0 makes each here.
        pin_memory: Puts them into page-locked memory, where there is a GPU.
    """
    pin_memory = pin_memory and torch.cuda.is_available()
    if num_workers == 0 and not pin_memory:
        return map(batch, numbers)
    return DataLoader(
        _Numbered(batch),
        batch_size=None,
        collate_fn=_as_it_is,
        sampler=numbers,
        num_workers=num_workers,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or it would draw from the global one, which is the game's
    )


def _as_it_is(batch: Any) -> Any:
    return batch


class _Numbered(Dataset[Batch]):
    def __init__(self, batch: Callable[[int], Batch]) -> None:
        self.batch = batch

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)
