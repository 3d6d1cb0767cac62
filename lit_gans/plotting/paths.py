"""D's gradient on the straight lines from fakes to real samples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, FIELD, REAL, Array


def gradient_paths(
    norms: Array, distances: Array, way: Array, titles: Sequence[str], output: str, caption: str = ""
) -> Figure:
    """A column per seed: above, each path's largest gradient against its length; below, the gradient along the path.

    The dashed line has slope -1, a gradient that grows as 1/length, and passes through the first look of the run.

    Args:
        norms: `‖∇D‖` at equal steps from the fake to the real sample, shape `(S, n, steps)`.
        distances: The paths' lengths, shape `(S, n)`.
        way: The means of the largest gradients and of the lengths at each look so far, shape `(looks, 2, S)`.
        titles: One per seed.
        output: Which output of D is differentiated, in words.
        caption: The figure's title.

    Source: Li, Li & Zhou, eq. 7.
    """
    figure, panels = common.panels(titles, rows_each=2, size=3.4)
    t = np.linspace(0, 1, norms.shape[-1])
    for (above, below), of_seed, lengths, gradients, means in zip(
        panels, norms, distances, way[:, 0].T, way[:, 1].T, strict=True
    ):
        above.scatter(lengths, of_seed.max(-1), s=5, color=FIELD, alpha=0.5, linewidths=0, label="a path")
        above.plot(means, gradients, color=FAKE, linewidth=1, marker=".", markersize=4, label="mean of each look")
        above.plot(
            means[-1:], gradients[-1:], color=FAKE, marker="o", markersize=6, linestyle="", label="mean of this look"
        )
        above.set(xscale="log", yscale="log")
        ends = np.array(above.get_xlim())
        above.autoscale(False)
        above.plot(ends, gradients[0] * means[0] / ends, color="black", linewidth=0.8, linestyle="--", label="slope −1")
        above.set_xlabel("length ‖x − y‖", fontsize=8)
        low, high = np.quantile(of_seed, [0.1, 0.9], axis=0)
        below.fill_between(t, low, high, color=REAL, alpha=0.2, linewidth=0, label="80 % of paths")
        below.plot(t, of_seed.mean(0), color=REAL, label="mean")
        below.set_xlabel("t, from fake (0) to real (1)", fontsize=8)
        below.set(xlim=(0, 1), ylim=(0, None))
        for axes in (above, below):
            axes.tick_params(which="both", labelsize=7)
    panels[0, 0].set_ylabel(f"largest ‖∇‖ of D's {output}", fontsize=8)
    panels[0, 1].set_ylabel(f"‖∇‖ of D's {output}", fontsize=8)
    for axes in panels[0]:
        axes.legend(loc="best", fontsize=7, framealpha=0.7)
    figure.suptitle(caption, fontsize=10)
    return figure
