"""Value surfaces over the plane."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from . import common
from .common import FAKE, REAL, Array


def value_surfaces(
    surfaces: Array,
    extent: float,
    real: Array,
    fake: Array,
    titles: Sequence[str],
    output: str,
    boundary: float | None = None,
    optimal: Array | None = None,
    caption: str = "",
) -> Figure:
    """D's value over two-dimensional data as colour, a panel per seed, and a last one of the optimal D.

    Blue is where D says real, red where it says fake; the black line is where it cannot tell.

    Args:
        surfaces: D's values over `[-extent, extent]²`, shape `(S, side, side)`, the first axis of the square first.
        extent: Half the side of the square.
        real: Real samples, shape `(n, 2)`.
        fake: Fake samples, shape `(S, n, 2)`.
        titles: One per seed.
        output: What D's values are, in words; the colours of a `"probability"` run from 0 to 1, those of anything
            else from each panel's lowest to its highest value.
        boundary: The value of D that tells real from fake; None draws no line.
        optimal: `D*`, a probability, shape `(side, side)`.
        caption: The figure's title.

    Source: Li et al., fig. 2 and 3.
    """
    drawn = [(title, *each, output, boundary) for title, *each in zip(titles, surfaces, fake, strict=True)]
    if optimal is not None:
        drawn.append(("optimal D*", optimal, fake[0], "probability", 0.5))
    figure, panels = common.panels([title for title, *_ in drawn], size=3.2, widest=6)
    frame = (-extent, extent, -extent, extent)
    sharing = []  # one colour bar
    for (axes,), (_, surface, samples, kind, level) in zip(panels, drawn, strict=True):
        low, high = (0.0, 1.0) if kind == "probability" else (None, None)
        colours = axes.imshow(surface.T, cmap="RdBu", vmin=low, vmax=high, origin="lower", extent=frame, alpha=0.6)
        if kind == "probability":
            sharing.append(axes)
        else:
            figure.colorbar(colours, ax=axes, fraction=0.046, label=f"D ({kind})").ax.tick_params(labelsize=7)
        if level is not None and surface.min() < level < surface.max():
            axes.contour(surface.T, [level], colors="black", linewidths=1, extent=frame)
        for cloud, color, label in ((real, REAL, "real"), (samples, FAKE, "fake")):
            axes.scatter(*cloud.T, s=9, color=color, label=label, linewidths=0.4, edgecolors="white")
        common.square(axes, extent)
        axes.set_xlabel("$v_1$", fontsize=8)
        axes.set_ylabel("$v_2$", fontsize=8)
    if sharing:
        bar = figure.colorbar(colours, ax=sharing, fraction=0.046, aspect=30, label="D (probability)")
        bar.ax.tick_params(labelsize=7)
    common.legend(figure, panels[0, 0], caption)
    return figure
