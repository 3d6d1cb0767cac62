"""Vector fields over the plane."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from . import common
from .common import FAKE, FIELD, REAL, Array


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
