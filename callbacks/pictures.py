"""Pictures are drawn in a process of their own, so that a game does not wait for them.

A figure takes a tenth of a second or more, the step of a small game a millisecond.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from loky import get_reusable_executor
from matplotlib.figure import Figure

from lit_gans import plotting

Picture = Callable[[], Figure]
"""Draws a figure from what it carries: most often a `functools.partial` of a function of `lit_gans.plotting`."""


def draw(picture: Picture, path: Path) -> "Future[Any]":
    """Draws a picture into a file, some time soon."""
    return _worker().submit(_draw, picture, path)


def join(frames: Sequence[Path], path: Path) -> "Future[Any]":
    """Joins pictures into a film, once those that were asked for before are there."""
    return _worker().submit(plotting.film, list(frames), path)


def _worker() -> Any:
    # One worker: what is asked for first is drawn first. It starts over if the last one has died.
    return get_reusable_executor(max_workers=1, timeout=300, initializer=_serve, initargs=(os.getpid(),))


def _serve(game: int) -> None:
    """Yields to the process of the game, and ends where that has ended."""
    if hasattr(os, "nice"):
        os.nice(10)
    threading.Thread(target=_end_with, args=(game,), daemon=True).start()


def _end_with(game: int) -> None:
    while os.getppid() == game:
        time.sleep(1)
    os._exit(0)


def _draw(picture: Picture, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")  # a process that is ended leaves no half of a picture
    picture().savefig(part, dpi=100, format="png")
    part.replace(path)
