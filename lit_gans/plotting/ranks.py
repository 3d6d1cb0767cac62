"""The ranks of a network's layers over a run."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import common
from .common import Array

_COSINE = "mean cosine between columns"


def layer_ranks(
    iterations: Array, shares: Mapping[str, Mapping[str, Array]], cosines: Mapping[str, Array], caption: str = ""
) -> Figure:
    """A line per layer, from dark at the input to bright at the output: the mean over seeds; each seed is a faint one.

    Args:
        iterations: Shape `(t,)`.
        shares: By name, a panel each, from 0 to 1: the layers' values by path, each of shape `(t, S)`, NaN where
            nothing was measured.
        cosines: The layers' mean cosines between columns, likewise; the last panel.
        caption: The figure's title.
    """
    figure, panels = common.panels([*shares, _COSINE], size=3.4)
    for (axes,), layers in zip(panels, [*shares.values(), cosines], strict=True):
        _lines(axes, iterations, layers)
    for axes in panels[:-1, 0]:
        axes.set_ylim(0, 1.05)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    figure.suptitle(caption, fontsize=10)
    return figure


def _lines(axes: Axes, iterations: Array, layers: Mapping[str, Array]) -> None:
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(layers)))
    widths = np.linspace(2.8, 1.2, len(layers))  # lines that lie on each other can all be seen
    for (path, values), color, width in zip(layers.items(), colors, widths, strict=True):
        measured = ~np.isnan(values).all(axis=1)
        if values.shape[1] > 1:
            axes.plot(iterations[measured], values[measured], color=color, alpha=0.45, linewidth=0.7)
        mean = np.nanmean(values[measured], axis=1)
        axes.plot(iterations[measured], mean, color=color, linewidth=width, label=path)
    axes.set_xlabel("iteration", fontsize=8)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.2)
