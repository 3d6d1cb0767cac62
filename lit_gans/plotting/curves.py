"""Numbers: over a run, and side by side."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, REAL, Array


def curves(iterations: Array, series: Mapping[str, Array], caption: str = "") -> Figure:
    """Numbers over a run, a panel each: the mean over seeds as a line, each seed as a faint one.

    Args:
        iterations: Shape `(t,)`.
        series: By name, each of shape `(t, S)`; NaN where nothing was measured.
        caption: The figure's title.
    """
    figure, panels = common.panels(list(series), size=3.4, widest=3)
    for (axes,), values in zip(panels, series.values(), strict=True):
        measured = ~np.isnan(values).all(axis=1)
        if values.shape[1] > 1:
            axes.plot(iterations[measured], values[measured], color=REAL, alpha=0.3, linewidth=0.7)
        axes.plot(iterations[measured], np.nanmean(values[measured], axis=1), color=REAL, linewidth=1.2)
        axes.set_xlabel("iteration", fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.2)
    figure.suptitle(caption, fontsize=10)
    return figure


def comparisons(measures: Mapping[str, Mapping[str, Array]], caption: str = "") -> Figure:
    """One number per measure, run and seed: a panel per measure, a row per run, a dot per seed, a bar at the mean.

    Args:
        measures: By what the number is, and by the run's name, each of shape `(S,)`.
        caption: The figure's title.
    """
    runs = list(next(iter(measures.values())))
    figure = Figure(figsize=(3.5 + 3.5 * len(measures), 0.9 + 0.4 * len(runs)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, (measure, numbers) in zip(panels, measures.items(), strict=True):
        for row, values in enumerate(numbers.values()):
            spread = np.linspace(-0.15, 0.15, len(values))  # dots of equal numbers stand beside each other
            axes.plot(values, row + spread, "o", color=REAL, alpha=0.6, markersize=5)
            axes.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=FAKE, linewidth=2)
        axes.set_xlabel("\n".join(textwrap.wrap(measure, 50)), fontsize=8)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(runs)), runs, fontsize=9)
    panels[0].invert_yaxis()
    figure.suptitle(f"{caption} (dots: seeds, bar: mean)", fontsize=10)
    return figure
