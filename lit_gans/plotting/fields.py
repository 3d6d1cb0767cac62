"""Vector fields over the plane."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, FIELD, REAL, Array
from .samples import limit


def vector_fields(
    grid: Array,
    fields: Mapping[str, Array],
    real: Array,
    fake: Array,
    titles: Sequence[str],
    caption: str = "",
) -> Figure:
    """Vector fields over two-dimensional data: a column per seed, a row per field; of one seed, side by side.

    Arrows show the direction; their length grows with the logarithm of the field's, scaled within each panel,
    because the field's own spans many orders of magnitude.

    Args:
        grid: Where the arrows stand, shape `(k, 2)`.
        fields: By name, each of shape `(S, k, 2)`.
        real: Real samples, shape `(n, 2)`.
        fake: Fake samples, shape `(S, n, 2)`.
        titles: One per seed.
        caption: The figure's title.
    """
    if len(titles) == 1:
        figure, panels = common.panels(list(fields), size=4.2)
        panels = panels.T  # one seed, and all its fields in a row
    else:
        figure, panels = common.panels(titles, rows_each=len(fields), size=3.8)
        for axes, name in zip(panels[0], fields, strict=True):
            axes.set_ylabel(name, fontsize=9)
    cell = 2 * np.abs(grid).max() / (np.sqrt(len(grid)) - 1)
    for column, *of_fields, samples in zip(panels, *fields.values(), fake, strict=True):
        for axes, field in zip(column, of_fields, strict=True):
            arrows = 0.9 * cell * _compressed(field)
            axes.quiver(*grid.T, *arrows.T, angles="xy", scale_units="xy", scale=1, color=FIELD, pivot="mid")
            axes.scatter(*real.T, s=5, color=REAL, label="real", linewidths=0, zorder=2)
            axes.scatter(*samples.T, s=5, color=FAKE, label="fake", linewidths=0, zorder=3)
            common.square(axes, 1.08 * np.abs(grid).max())
    common.legend(figure, panels[0, 0], caption)
    return figure


def _compressed(field: Array) -> Array:
    """The field's directions, with lengths between 0.1 and 1 that grow with the logarithm of its own."""
    field = field.astype(np.float64)  # in float32 the squares of what D's saturation leaves are 0
    length = np.linalg.norm(field, axis=-1, keepdims=True)
    if not length.any():
        return field
    decades = np.log10(np.maximum(length, length.max() * 1e-4) / length.max())  # -4 to 0
    return np.where(length > 0, field / np.maximum(length, np.finfo(field.dtype).tiny) * (1 + 0.225 * decades), 0)


def arrows(fake: Array, pulls: Array, real: Array, titles: Sequence[str], caption: str = "") -> Figure:
    """Fakes of two-dimensional data, each with an arrow of one length in the direction it is pulled; a panel per seed.

    The frame is that of the reals, and so stands still through a film.

    Args:
        fake: Shape `(S, n, 2)`.
        pulls: A vector for each, shape `(S, n, 2)`.
        real: Shape `(m, 2)`; there may be none.
        titles: One per seed.
        caption: The figure's title.
    """
    figure, panels = common.panels(titles, size=3.8)
    reach = limit(fake, real if len(real) else None)
    for (axes,), samples, vectors in zip(panels, fake, pulls, strict=True):
        directions = 0.12 * reach * _unit(vectors)
        axes.quiver(*samples.T, *directions.T, color=FIELD, angles="xy", scale_units="xy", scale=1, width=0.003)
        axes.scatter(*samples.T, s=7, color=FAKE, label="fake", linewidths=0, zorder=3)
        axes.scatter(*real.T, s=5, color=REAL, label="real", linewidths=0, zorder=4)
        common.square(axes, reach)
    common.legend(figure, panels[0, 0], caption)
    return figure


def cosines(pulls: Array, titles: Sequence[str], caption: str = "") -> Figure:
    """A histogram of the cosines between each vector and the mean of all directions; a panel per seed.

    Args:
        pulls: Vectors, shape `(S, n, d)`; those without a direction are left out.
        titles: One per seed.
        caption: The figure's title.
    """
    figure, panels = common.panels(titles)
    for (axes,), vectors in zip(panels, pulls, strict=True):
        directions = _unit(vectors)
        toward = _unit(directions.mean(0))
        axes.hist(directions[directions.any(-1)] @ toward, bins=40, range=(-1, 1), color=FAKE, alpha=0.8)
        axes.axvline(0, color=FIELD, linewidth=0.8, linestyle=":")
        axes.set(xlim=(-1, 1))
        axes.set_xlabel("cosine with the mean direction", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0, 0].set_ylabel("fakes", fontsize=8)
    figure.suptitle(caption, fontsize=10)
    return figure


def _unit(vectors: Array) -> Array:
    """Vectors of length 1; those that are 0 or not finite become 0."""
    vectors = np.where(np.isfinite(vectors).all(-1, keepdims=True), vectors, 0).astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
