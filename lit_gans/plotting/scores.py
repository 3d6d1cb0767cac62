"""Scores that D gives over a run, or along growing noise."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from . import common
from .common import FIELD, REAL, Array
from .samples import tile


def fixed_fakes(
    iterations: Array,
    frozen_at: Array,
    scores: Array,
    overall: Array,
    titles: Sequence[str],
    caption: str = "",
) -> Figure:
    """Scores of sets of old fakes over a run, a panel per seed: a line per set, and a heavy one for all of them.

    Args:
        iterations: Shape `(t,)`.
        frozen_at: When each set was made, shape `(k,)`.
        scores: From 0 to 1, shape `(k, t, S)`; NaN where a set was not there yet.
        overall: Over all sets, shape `(t, S)`.
        titles: One per seed.
        caption: The figure's title.

    Source: Thanh-Tung & Tran, fig. 11.
    """
    figure, panels = common.panels(titles)
    age = ScalarMappable(Normalize(0, max(iterations[-1], 1)), colormaps["plasma"])
    for seed, (axes,) in enumerate(panels):
        for when, of_set in zip(frozen_at, scores[..., seed], strict=True):
            axes.plot(iterations, of_set, color=age.to_rgba(when), linewidth=0.9, marker=".", markersize=2)
        axes.plot(iterations, overall[:, seed], color="black", linewidth=1.8, label="all old fakes")
        axes.axhline(0.5, color=FIELD, linewidth=0.8, linestyle=":")
        axes.set(ylim=(-0.03, 1.03), xlim=(0, max(iterations[-1], 1)))
        axes.set_xlabel("iteration", fontsize=8)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=7)
    panels[0, 0].set_ylabel("mean score (0: fake, 1: real)", fontsize=8)
    bar = figure.colorbar(age, ax=panels.ravel().tolist(), aspect=30)
    bar.set_label("made at iteration", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    common.legend(figure, panels[0, 0], caption)
    return figure


def noisy_scores(
    levels: Array, scores: Array, titles: Sequence[str], examples: Array | None = None, caption: str = ""
) -> Figure:
    """Scores of real samples against the noise that was added, a panel per seed: the mean, and 80 % of the samples.

    Args:
        levels: Standard deviations in units of the data, shape `(L,)`; drawn at equal distances.
        scores: From 0 to 1, shape `(S, n, L)`.
        titles: One per seed.
        examples: One real image at every level, shape `(L, C, H, W)`, values in [-1, 1]; drawn above.
        caption: The figure's title.

    Source: Thanh-Tung & Tran, fig. 16.
    """
    figure, panels = common.panels(titles)
    places = np.arange(len(levels))
    for (axes,), of_seed in zip(panels, scores, strict=True):
        low, high = np.quantile(of_seed, [0.1, 0.9], axis=0)
        axes.fill_between(places, low, high, color=REAL, alpha=0.2, linewidth=0, label="80 % of samples")
        axes.plot(places, of_seed.mean(0), color=REAL, marker="o", markersize=3, label="mean")
        axes.axhline(0.5, color=FIELD, linewidth=0.8, linestyle=":")
        top = 1.03
        if examples is not None:
            top += 1.1 / len(levels)  # a panel is about as wide as high: square pictures
            for place, image in zip(places, examples, strict=True):
                frame = (place - 0.45, place + 0.45, 1.05, top - 0.01)
                axes.imshow(tile(image[None]), extent=frame, cmap="gray", vmin=0, vmax=1, aspect="auto")
        axes.set(ylim=(-0.03, top), xlim=(-0.5, len(levels) - 0.5), yticks=np.linspace(0, 1, 6))
        axes.set_xticks(places, [f"{level:g}" for level in levels])
        axes.set_xlabel("standard deviation of the noise", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0, 0].set_ylabel("score (0: fake, 1: real)", fontsize=8)
    panels[0, 0].legend(loc="lower left", fontsize=7, framealpha=0.7)
    figure.suptitle(caption, fontsize=10)
    return figure
