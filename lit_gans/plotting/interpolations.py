"""What G makes along paths between latents."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import REAL, Array
from .samples import limit, tile


def interpolations(fake: Array, titles: Sequence[str], real: Array | None = None, caption: str = "") -> Figure:
    """A panel per seed: images in a row per path, points joined by a line per path.

    Args:
        fake: Shape `(S, p, n, *sample)`, p paths of n samples, either images `(C, H, W)` in [-1, 1], C = 1 or 3, or
            points `(2,)` or `(1,)`; of points on a line the height is the place on the path.
        titles: One per seed.
        real: Shape `(n, d)`, points drawn behind.
        caption: The figure's title.
    """
    return _rows(fake, titles, caption) if fake.ndim == 6 else _lines(fake, titles, real, caption)


def _rows(fake: Array, titles: Sequence[str], caption: str) -> Figure:
    figure, panels = common.panels(titles, size=4.0)
    for (axes,), paths in zip(panels, fake, strict=True):
        sheet = tile(paths.reshape(-1, *paths.shape[2:]), columns=paths.shape[1])
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
    figure.suptitle(caption, fontsize=10)
    return figure


def _lines(fake: Array, titles: Sequence[str], real: Array | None, caption: str) -> Figure:
    reach, on_a_line = limit(fake, real), fake.shape[-1] == 1
    if on_a_line:
        places = np.broadcast_to(np.linspace(0, 1, fake.shape[2])[:, None], fake.shape)
        fake = np.concatenate([fake, places], -1)
        real = None if real is None else np.concatenate([real, np.zeros_like(real)], -1)
    figure, panels = common.panels(titles)
    for (axes,), paths in zip(panels, fake, strict=True):
        if real is not None:
            axes.scatter(*real.T, s=4, alpha=0.3, color=REAL, label="real", linewidths=0)
        for k, path in enumerate(paths):
            axes.plot(*path.T, ".-", color=f"C{1 + k % 8}", linewidth=1, markersize=4)
        axes.plot([], [], ".-", color="0.3", label="a path of fakes")
        common.square(axes, reach)
        if on_a_line:
            axes.set(ylim=(-0.05, 1.05), aspect="auto", xlabel="sample", ylabel="place on the path")
    common.legend(figure, panels[0, 0], caption)
    return figure
