"""Several runs in one chart."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from . import common
from .common import Array


def runs(series: Mapping[str, Mapping[str, tuple[Array, Array]]]) -> Figure:
    """Numbers over several runs, a panel each: the mean over seeds as a line, from least to most as a band.

    Args:
        series: By what the number is, then by the run's name: iterations `(t,)` and values `(t, S)`.
    """
    names = list(dict.fromkeys(name for of_runs in series.values() for name in of_runs))
    colors = {name: f"C{i % 10}" for i, name in enumerate(names)}
    figure, panels = common.panels(list(series), size=3.4, widest=3)
    for (axes,), of_runs in zip(panels, series.values(), strict=True):
        for name, (iterations, values) in of_runs.items():
            alone = {"marker": "."} if len(iterations) == 1 else {}
            axes.plot(iterations, values.mean(1), color=colors[name], linewidth=1.2, **alone)
            if values.shape[1] > 1:
                axes.fill_between(iterations, values.min(1), values.max(1), color=colors[name], alpha=0.15, linewidth=0)
        axes.set_xlabel("iteration", fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.2)
    lines = [panels[0, 0].plot([], [], color=color, label=name)[0] for name, color in colors.items()]
    figure.legend(lines, names, loc="outside upper left", ncols=min(len(names), 4), fontsize=8, frameon=False)
    return figure
