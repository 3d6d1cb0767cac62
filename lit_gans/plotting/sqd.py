"""Stability, quality and diversity over a run."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .common import FAKE, REAL, Array

_MOST_POINTS = 2000


def sqd(
    moments: NDArray[np.integer],
    stability: Mapping[str, Array],
    iterations: Array,
    quality: Array,
    diversity: Array,
    most_diverse: float,
    caption: str = "",
    turning_points: Sequence[int] = (),
) -> Figure:
    """Three panels, side by side: how far each player turns, and what its samples are worth.

    Args:
        moments: When stability was measured, shape `(t,)`.
        stability: Of each player, in radians, shape `(t, S)`; drawn in degrees. Of a long run a point stands for a
            stretch of iterations, at the largest of them, so that no jump is lost.
        iterations: When samples were judged, shape `(k,)`.
        quality: Shape `(k, S)`, from 0 to 1.
        diversity: Shape `(k, S)`, in nats.
        most_diverse: `ln m`, the most that diversity can be.
        caption: The figure's title.
        turning_points: Iterations at which a line stands in all panels.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    turning, judged, spread = figure.subplots(1, 3)
    for axes in (turning, judged, spread):
        for iteration in turning_points:
            axes.axvline(iteration, color="k", linestyle=":", linewidth=0.9)
    if turning_points:
        turning.plot([], [], color="k", linestyle=":", linewidth=0.9, label="turning point")
    stretch = max(1, -(-len(moments) // _MOST_POINTS))
    for (player, angles), colour in zip(stability.items(), (FAKE, REAL), strict=True):
        _draw(turning, *_peaks(moments, np.degrees(angles), stretch), colour, player)
    of_how_many = f" (largest of {stretch})" if stretch > 1 else ""
    turning.set(yscale="log", ylabel=f"turn per iteration, in degrees{of_how_many}", title="stability")
    turning.legend(fontsize=8)
    _draw(judged, iterations, quality, FAKE)
    judged.set(ylim=(-0.03, 1.03), ylabel="probability of the domain", title="quality")
    _draw(spread, iterations, diversity, FAKE)
    spread.axhline(most_diverse, color="0.4", linestyle="--", linewidth=1, label="all modes alike")
    spread.set(ylim=(-0.03 * most_diverse, 1.08 * most_diverse + 1e-9), ylabel="entropy, in nats", title="diversity")
    spread.legend(fontsize=8)
    for axes in (turning, judged, spread):
        axes.set_xlabel("iteration")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(alpha=0.2)
    figure.suptitle(caption + (" (thin lines: seeds)" if quality.shape[1] > 1 else ""), fontsize=10)
    return figure


def _draw(
    axes: Axes, iterations: Array | NDArray[np.integer], values: Array, colour: str, label: str | None = None
) -> None:
    if values.shape[1] > 1:
        axes.plot(iterations, values, color=colour, alpha=0.25, linewidth=0.6)
    axes.plot(iterations, values.mean(1), color=colour, linewidth=1.2, label=label)


def _peaks(moments: NDArray[np.integer], values: Array, stretch: int) -> tuple[NDArray[np.integer], Array]:
    """The largest value of each stretch of so many, and when each ends."""
    starts = np.arange(0, len(moments), stretch)
    if not len(starts):
        return moments, values
    ends = np.minimum(starts + stretch, len(moments)) - 1
    return moments[ends], np.maximum.reduceat(values, starts, axis=0)
