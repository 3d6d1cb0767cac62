"""Fetching batches ahead of time."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from .sources import Batch


def fetched(
    batch: Callable[[int], Batch], numbers: range, num_workers: int = 0, pin_memory: bool = False
) -> Iterator[Batch]:
    """The batches of some numbers, in order.

    Workers are threads: decoding and resizing images, and torch's arithmetic, let others run meanwhile. Processes would
    have to be forked from one that has threads of its own (those of an ONNX judge, for one), where they may hang.

    Args:
        batch: What makes the batch of a number, a function of it alone: any thread may be asked.
        numbers: Which ones.
        num_workers: How many threads make them, two each ahead of time; they end with the iteration. 0: none does.
        pin_memory: Puts them into page-locked memory, where there is a GPU.
    """
    make = _pinned(batch) if pin_memory and torch.cuda.is_available() else batch
    if num_workers == 0:
        yield from map(make, numbers)
        return
    pool, ahead = ThreadPoolExecutor(num_workers, thread_name_prefix="fetching"), deque[Future[Batch]]()
    try:
        for number in numbers:
            ahead.append(pool.submit(make, number))
            if len(ahead) > 2 * num_workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pinned(batch: Callable[[int], Batch]) -> Callable[[int], Batch]:
    def make(number: int) -> Batch:
        found = batch(number)
        if isinstance(found, tuple):
            return found[0].pin_memory(), found[1].pin_memory()
        return found.pin_memory()

    return make
