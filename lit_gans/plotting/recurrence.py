"""Recurrence: which states of a game are like which, and how its fakes go around."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, Array


def recurrences(
    iterations: Array,
    similarities: Mapping[str, Array],
    titles: Sequence[str],
    turns: tuple[Array, Array] | None = None,
    caption: str = "",
) -> Figure:
    """Time against time, a column per seed: red where two states are alike, blue where they are opposite.

    A state that comes back is a red stripe off the diagonal; one that stands still, a red square. Of one seed, all
    stand in a row.

    Args:
        iterations: Of the states, shape `(t,)`.
        similarities: By what is compared, each of shape `(S, t, t)`, from -1 to 1.
        titles: One per seed.
        turns: Iterations `(u,)` and the turns of the mean fake `(u, S)`, for two-dimensional data.
        caption: The figure's title.
    """
    height = len(similarities) + (turns is not None)
    if len(titles) == 1:
        figure, panels = common.panels([titles[0], *[""] * (height - 1)], size=3.2)
        panels = panels.T  # one seed, and all in a row
    else:
        figure, panels = common.panels(titles, rows_each=height, size=2.8)
    first, last = float(iterations[0]), float(iterations[-1])
    for seed, column in enumerate(panels):
        for axes, similarity in zip(column, similarities.values(), strict=False):
            edges = _edges(iterations)
            axes.pcolormesh(edges, edges, similarity[seed], cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
            axes.set_aspect("equal")
        if turns is not None:
            column[-1].plot(turns[0], turns[1][:, seed], color=FAKE, linewidth=1)
            column[-1].set_xlim(first, max(last, first + 1))
            column[-1].grid(alpha=0.2)
        for axes in column:
            axes.tick_params(labelsize=7)
            axes.locator_params(nbins=4)
        for axes in column if len(panels) == 1 else column[-1:]:
            axes.set_xlabel("iteration", fontsize=8)
    for axes, name in zip(panels[0], similarities, strict=False):
        axes.set_ylabel(f"{name}\niteration", fontsize=8)
    if turns is not None:
        panels[0, -1].set_ylabel("turns of the mean fake", fontsize=8)
    image = panels[0, 0].collections[0]
    figure.colorbar(image, ax=panels[:, : len(similarities)].ravel().tolist(), shrink=0.6, label="similarity")
    figure.suptitle(caption, fontsize=10)
    return figure


def _edges(iterations: Array) -> Array:
    """Where the cells of points in time begin and end: halfway between them."""
    if len(iterations) == 1:
        return iterations[0] + np.array([-0.5, 0.5])
    middle = (iterations[1:] + iterations[:-1]) / 2
    return np.concatenate([[2 * iterations[0] - middle[0]], middle, [2 * iterations[-1] - middle[-1]]])
