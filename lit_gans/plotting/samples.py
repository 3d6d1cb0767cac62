"""Samples: points and images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, REAL, Array


def points(fake: Array, titles: Sequence[str], real: Array | None = None, caption: str = "") -> Figure:
    """Samples of one- or two-dimensional data, a panel per seed.

    The frame is that of the reals, and so stands still through a film; without reals it is that of the fakes.

    Args:
        fake: Shape `(S, n, d)`, d = 1 or 2.
        titles: One per seed.
        real: Shape `(n, d)`, drawn behind.
        caption: The figure's title.
    """
    figure, panels = common.panels(titles)
    reach = limit(fake, real)
    for (axes,), samples in zip(panels, fake, strict=True):
        for cloud, color, label in ((real, REAL, "real"), (samples, FAKE, "fake")):
            if cloud is not None:
                heights = cloud[:, 1] if cloud.shape[1] > 1 else np.zeros(len(cloud))
                axes.scatter(cloud[:, 0], heights, s=4, alpha=0.5, color=color, label=label, linewidths=0)
        common.square(axes, reach)
    common.legend(figure, panels[0, 0], caption)
    return figure


def images(fake: Array, titles: Sequence[str], caption: str = "") -> Figure:
    """Samples of image data in a grid, a panel per seed.

    Args:
        fake: Shape `(S, n, C, H, W)`, values in [-1, 1], C = 1 or 3.
        titles: One per seed.
        caption: The figure's title.
    """
    figure, panels = common.panels(titles, size=4.0)
    for (axes,), samples in zip(panels, fake, strict=True):
        axes.imshow(tile(samples), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
    figure.suptitle(caption, fontsize=10)
    return figure


def tile(samples: Array, columns: int | None = None) -> Array:
    """Images `(n, C, H, W)` in [-1, 1] as one sheet with white gaps, `(rows, columns[, 3])` in [0, 1].

    Without a number of columns it is near-square.
    """
    n, channels, height, width = samples.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    sheet = np.ones((rows * columns, channels, height + 1, width + 1))
    sheet[:n, :, :height, :width] = np.clip((samples + 1) / 2, 0, 1)
    sheet = sheet.reshape(rows, columns, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    return sheet[..., 0] if channels == 1 else sheet


def limit(fake: Array, real: Array | None) -> float:
    """Half the side of a frame around 0: 1.3 times as far as the reals reach, or the finite fakes if there are none.

    Reals that all lie in one point (the Dirac GAN's) say nothing of the scale; then it is at least 1.5.
    """
    cloud = fake[np.isfinite(fake)] if real is None else real
    reach = 1.3 * float(np.abs(cloud).max(initial=0.0))
    has_extent = reach > 0 and (real is None or bool((real != real[0]).any()))
    return reach if has_extent else max(reach, 1.5)
