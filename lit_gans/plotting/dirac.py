"""The Dirac game: θ against D's slope, and D's curve as it was."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from . import common
from .common import FAKE, REAL, Array


def dirac_portraits(
    iterations: Array,
    theta: Array,
    slope: Array,
    offsets: Array,
    curves: Mapping[int, Array],
    real: float,
    titles: Sequence[str],
    caption: str = "",
) -> Figure:
    """A column per seed: the path of the game in the plane of θ and D's slope, and below it D at some iterations.

    The path goes from light to dark and ends in a red dot; the blue cross is the equilibrium. Each of D's curves has
    its iteration's shade; the red dot on it is the fake, the blue one the real point. D is drawn less its value at the
    real point, because a constant says nothing about who is ahead. Of one seed, both stand side by side.

    Args:
        iterations: Shape `(t,)`.
        theta: The mean fake, shape `(t, S)`.
        slope: D's slope there, shape `(t, S)`.
        offsets: Where D's curves are given, from the real point, shape `(K,)`.
        curves: D, by iteration, each of shape `(S, K)`; offset 0 is in the middle.
        real: The real point.
        titles: One per seed.
        caption: The figure's title.

    Source: Thanh-Tung & Tran, fig. 8 and 12; Mescheder et al. 2018, fig. 1.
    """
    if len(titles) == 1:
        figure, panels = common.panels([titles[0], ""], size=3.2)
        panels = panels.T  # one seed, and both in a row
    else:
        figure, panels = common.panels(titles, rows_each=2, size=2.8)
    shades = colormaps["viridis_r"](np.linspace(0.05, 1, max(len(curves), 2)))
    times = np.linspace(0, 1, len(theta))
    for seed, (portrait, below) in enumerate(panels):
        portrait.plot(theta[:, seed], slope[:, seed], color="0.8", linewidth=0.6, zorder=1)
        portrait.scatter(theta[:, seed], slope[:, seed], c=times, cmap="viridis_r", s=5, linewidths=0, zorder=2)
        portrait.plot(real, 0, "+", color=REAL, markersize=10, zorder=3)
        portrait.plot(theta[-1, seed], slope[-1, seed], "o", color=FAKE, markersize=4, zorder=4)
        for shade, (iteration, curve) in zip(shades, curves.items(), strict=False):
            heights = curve[seed] - curve[seed, len(offsets) // 2]
            fakes = theta[iterations == iteration, seed]
            below.plot(real + offsets, heights, color=shade, linewidth=1, label=str(iteration))
            below.plot(fakes, np.interp(fakes, real + offsets, heights), "o", color=FAKE, markersize=3.5, zorder=3)
        below.plot(real, 0, "o", color=REAL, markersize=4.5, zorder=4)
        below.set_xlim(real + offsets[0], real + offsets[-1])
        portrait.set_xlabel("θ", fontsize=8, labelpad=1)
        below.set_xlabel("x", fontsize=8, labelpad=1)
        for axes in (portrait, below):
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.2)
    panels[0, 0].set_ylabel("D's slope at θ", fontsize=8)
    panels[0, 1].set_ylabel("D(x) − D(real)", fontsize=8)
    panels[0, 1].legend(title="iteration", fontsize=6, title_fontsize=6, ncols=2, framealpha=0.8)
    figure.suptitle(caption, fontsize=10)
    return figure
