"""Pictures: arrays in, a matplotlib Figure out. No model, no training loop, no window.

Wherever an array may have a leading axis of seeds, each seed gets a panel. Real is blue, fake is red.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

REAL, FAKE, FIELD = "tab:blue", "tab:red", "0.35"
Array = NDArray[np.floating]


def _panels(
    titles: Sequence[str], rows_each: int = 1, size: float = 3.2, widest: int = 5
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure of panels, each a column of `rows_each` axes, at most `widest` panels side by side."""
    columns = min(len(titles), widest)
    rows = -(-len(titles) // columns) * rows_each
    figure = Figure(figsize=(size * columns + 0.4, size * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    bands = axes.reshape(-1, rows_each, columns).transpose(0, 2, 1).reshape(-1, rows_each)
    for spare in bands[len(titles) :].ravel():
        spare.set_axis_off()
    for column, title in zip(bands, titles, strict=False):
        column[0].set_title(title, fontsize=9)
    return figure, bands[: len(titles)]


def points(fake: Array, titles: Sequence[str], real: Array | None = None, caption: str = "") -> Figure:
    """Samples of one- or two-dimensional data, a panel per seed.

    The frame is that of the reals, and so stands still through a film; without reals it is that of the fakes.

    Args:
        fake: Shape `(S, n, d)`, d = 1 or 2.
        titles: One per seed.
        real: Shape `(n, d)`, drawn behind.
        caption: The figure's title.
    """
    figure, panels = _panels(titles)
    limit = _limit(fake, real)
    for (axes,), samples in zip(panels, fake, strict=True):
        for cloud, color, label in ((real, REAL, "real"), (samples, FAKE, "fake")):
            if cloud is not None:
                heights = cloud[:, 1] if cloud.shape[1] > 1 else np.zeros(len(cloud))
                axes.scatter(cloud[:, 0], heights, s=4, alpha=0.5, color=color, label=label, linewidths=0)
        _square(axes, limit)
    _legend(figure, panels[0, 0], caption)
    return figure


def images(fake: Array, titles: Sequence[str], caption: str = "") -> Figure:
    """Samples of image data in a grid, a panel per seed.

    Args:
        fake: Shape `(S, n, C, H, W)`, values in [-1, 1], C = 1 or 3.
        titles: One per seed.
        caption: The figure's title.
    """
    figure, panels = _panels(titles, size=4.0)
    for (axes,), samples in zip(panels, fake, strict=True):
        axes.imshow(tile(samples), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
    figure.suptitle(caption, fontsize=10)
    return figure


def tile(samples: Array) -> Array:
    """Images `(n, C, H, W)` in [-1, 1] as one near-square sheet with white gaps, `(rows, columns[, 3])` in [0, 1]."""
    n, channels, height, width = samples.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    sheet = np.ones((rows * columns, channels, height + 1, width + 1))
    sheet[:n, :, :height, :width] = np.clip((samples + 1) / 2, 0, 1)
    sheet = sheet.reshape(rows, columns, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    return sheet[..., 0] if channels == 1 else sheet


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
        figure, panels = _panels(list(fields), size=4.2)
        panels = panels.T  # one seed, and all its fields in a row
    else:
        figure, panels = _panels(titles, rows_each=len(fields), size=3.8)
        for axes, name in zip(panels[0], fields, strict=True):
            axes.set_ylabel(name, fontsize=9)
    cell = 2 * np.abs(grid).max() / (np.sqrt(len(grid)) - 1)
    for column, *of_fields, samples in zip(panels, *fields.values(), fake, strict=True):
        for axes, field in zip(column, of_fields, strict=True):
            arrows = 0.9 * cell * _compressed(field)
            axes.quiver(*grid.T, *arrows.T, angles="xy", scale_units="xy", scale=1, color=FIELD, pivot="mid")
            axes.scatter(*real.T, s=5, color=REAL, label="real", linewidths=0, zorder=2)
            axes.scatter(*samples.T, s=5, color=FAKE, label="fake", linewidths=0, zorder=3)
            _square(axes, 1.08 * np.abs(grid).max())
    _legend(figure, panels[0, 0], caption)
    return figure


def curves(iterations: Array, series: Mapping[str, Array], caption: str = "") -> Figure:
    """Numbers over a run, a panel each: the mean over seeds as a line, each seed as a faint one.

    Args:
        iterations: Shape `(t,)`.
        series: By name, each of shape `(t, S)`; NaN where nothing was measured.
        caption: The figure's title.
    """
    figure, panels = _panels(list(series), size=3.4, widest=3)
    for (axes,), values in zip(panels, series.values(), strict=True):
        measured = ~np.isnan(values).all(axis=1)
        if values.shape[1] > 1:
            axes.plot(iterations[measured], values[measured], color=REAL, alpha=0.3, linewidth=0.7)
        axes.plot(iterations[measured], np.nanmean(values[measured], axis=1), color=REAL, linewidth=1.2)
        axes.set_xlabel("iteration", fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.2)
    figure.suptitle(caption, fontsize=10)
    return figure


def comparison(numbers: Mapping[str, Array], measure: str, caption: str = "") -> Figure:
    """One number per run and seed: a row per run, a dot per seed, a bar at the mean.

    Args:
        numbers: By the run's name, each of shape `(S,)`.
        measure: What the number is.
        caption: The figure's title.
    """
    figure = Figure(figsize=(7, 0.9 + 0.4 * len(numbers)), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(numbers.values()):
        spread = np.linspace(-0.15, 0.15, len(values))  # dots of equal numbers stand beside each other
        axes.plot(values, row + spread, "o", color=REAL, alpha=0.6, markersize=5)
        axes.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=FAKE, linewidth=2)
    axes.set_yticks(range(len(numbers)), list(numbers), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure} (dots: seeds, bar: mean)", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(caption, fontsize=10)
    return figure


def film(frames: Sequence[Path], path: Path, seconds: float = 0.3) -> Path:
    """Joins picture files into a looping GIF; the last one stays three times as long."""
    first, *rest = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    durations = [int(1000 * seconds)] * len(rest) + [int(3000 * seconds)]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
    return path


def _compressed(field: Array) -> Array:
    """The field's directions, with lengths between 0.1 and 1 that grow with the logarithm of its own."""
    field = field.astype(np.float64)  # in float32 the squares of what D's saturation leaves are 0
    length = np.linalg.norm(field, axis=-1, keepdims=True)
    if not length.any():
        return field
    decades = np.log10(np.maximum(length, length.max() * 1e-4) / length.max())  # -4 to 0
    return np.where(length > 0, field / np.maximum(length, np.finfo(field.dtype).tiny) * (1 + 0.225 * decades), 0)


def _limit(fake: Array, real: Array | None) -> float:
    """Half the side of a frame around 0: 1.3 times as far as the reals reach, or the finite fakes if there are none.

    Reals that all lie in one point (the Dirac GAN's) say nothing of the scale; then it is at least 1.5.
    """
    cloud = fake[np.isfinite(fake)] if real is None else real
    reach = 1.3 * float(np.abs(cloud).max(initial=0.0))
    has_extent = reach > 0 and (real is None or bool((real != real[0]).any()))
    return reach if has_extent else max(reach, 1.5)


def _square(axes: Axes, limit: float) -> None:
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.tick_params(labelsize=7)


def _legend(figure: Figure, axes: Axes, caption: str) -> None:
    figure.suptitle(caption, fontsize=10)
    axes.legend(loc="upper right", fontsize=7, markerscale=2, framealpha=0.9)
