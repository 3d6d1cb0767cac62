"""What every picture shares: panels, colours, frames."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

REAL, FAKE, FIELD = "tab:blue", "tab:red", "0.35"
Array = NDArray[np.floating]


def panels(
    titles: Sequence[str], rows_each: int = 1, size: float = 3.2, widest: int = 5
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure of panels, each a column of `rows_each` axes, at most `widest` panels side by side."""
    columns = min(len(titles), widest)
    rows = -(-len(titles) // columns) * rows_each
    figure = Figure(figsize=(size * columns + 0.4, size * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    bands = axes.reshape(-1, rows_each, columns).transpose(0, 2, 1).reshape(-1, rows_each)
    for spare in bands[len(titles) :].ravel():
        spare.set_axis_off()
    for column, title in zip(bands, titles, strict=False):
        column[0].set_title(title, fontsize=9)
    return figure, bands[: len(titles)]


def square(axes: Axes, limit: float) -> None:
    """Frames `[-limit, limit]²`, one unit as long in both directions."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.tick_params(labelsize=7)


def legend(figure: Figure, axes: Axes, caption: str) -> None:
    """Puts the caption above the figure, and what the colours mean into one of its axes."""
    figure.suptitle(caption, fontsize=10)
    axes.legend(loc="upper right", fontsize=7, markerscale=2, framealpha=0.9)
