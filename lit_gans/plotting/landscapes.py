"""The output landscape: real samples, D's curves through them, generated samples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from . import common
from .common import FAKE, FIELD, REAL, Array
from .samples import limit, tile


def landscapes(
    real: Array,
    offsets: Array,
    curves: Array,
    fake: Array,
    titles: Sequence[str],
    output: str,
    caption: str = "",
) -> Figure:
    """Three blocks side by side, a row per seed: real samples, their curves in the same places, generated samples.

    All curves of a seed share one vertical scale: from 0 to 1 for a probability, else from their lowest to their
    highest value, which stand in the title. The dotted line in each cell is k = 0, the sample itself.

    Args:
        real: Shape `(n, *sample)`: images, or points of one or two dimensions.
        offsets: k, shape `(K,)`.
        curves: f(k), shape `(S, n, K)`.
        fake: Shape `(S, m, *sample)`.
        titles: One per seed.
        output: Which output of D, in words.
        caption: The figure's title.

    Source: the layout of Thanh-Tung & Tran, fig. 2 to 7.
    """
    figure = Figure(figsize=(9.6, 3.3 * len(titles) + 0.5), layout="constrained")
    rows = figure.subplots(len(titles), 3, squeeze=False)
    for axes, title, lines, samples in zip(rows, titles, curves, fake, strict=True):
        _samples(axes[0], real, real, REAL)
        bottom, top = (0.0, 1.0) if output == "probability" else _range(lines)
        _cells(axes[1], offsets, lines, bottom, top)
        _samples(axes[2], samples, real, FAKE)
        axes[0].set_ylabel(title, fontsize=9)
        axes[1].set_title(
            f"D's {output}, from {bottom:.3g} to {top:.3g}\nk from {offsets[0]:g} to {offsets[-1]:g}", fontsize=9
        )
    rows[0, 0].set_title("real", fontsize=9)
    rows[0, 2].set_title("generated", fontsize=9)
    figure.suptitle(caption, fontsize=10)
    return figure


def _range(lines: Array) -> tuple[float, float]:
    finite = lines[np.isfinite(lines)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _cells(axes: Axes, offsets: Array, lines: Array, bottom: float, top: float) -> None:
    """Every curve in a cell of its own, in the order of `tile`."""
    columns = int(np.ceil(np.sqrt(len(lines))))
    rows = -(-len(lines) // columns)
    row, column = np.divmod(np.arange(len(lines)), columns)
    across = (offsets - offsets[0]) / (offsets[-1] - offsets[0])
    up = (lines - bottom) / (top - bottom) if top > bottom else np.where(np.isfinite(lines), 0.5, np.nan)
    x = column[:, None] + 0.05 + 0.9 * across
    y = rows - 1 - row[:, None] + 0.08 + 0.84 * up
    axes.add_collection(LineCollection(list(np.stack([x, y], -1)), colors=REAL, linewidths=1.0))
    middle = 0.05 - 0.9 * offsets[0] / (offsets[-1] - offsets[0])
    axes.vlines(column + middle, rows - 1 - row, rows - row, color=FIELD, linewidth=0.6, linestyle=":")
    axes.hlines(range(rows + 1), 0, columns, color="0.8", linewidth=0.8)
    axes.vlines(range(columns + 1), 0, rows, color="0.8", linewidth=0.8)
    axes.set(xlim=(0, columns), ylim=(0, rows), aspect="equal", xticks=[], yticks=[])
    axes.set_frame_on(False)


def _samples(axes: Axes, samples: Array, frame: Array, color: str) -> None:
    if samples.ndim == 4:
        axes.imshow(tile(samples), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
        return
    flat = samples.reshape(len(samples), -1)
    heights = flat[:, 1] if flat.shape[1] > 1 else np.zeros(len(flat))
    axes.scatter(flat[:, 0], heights, s=8, color=color, linewidths=0)
    common.square(axes, limit(samples, frame))
