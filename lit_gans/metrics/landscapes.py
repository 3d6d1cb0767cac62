"""The output landscape: D along straight lines through real samples."""

from typing import NamedTuple

import torch
from torch import Tensor

from .fields import Discriminator


def unit_directions(n: int, sample_shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """`n` directions û with `‖û‖ = 1`, uniform on the sphere, shape `(n, *sample_shape)`."""
    directions = torch.randn(n, *sample_shape, generator=generator)
    return torch.nn.functional.normalize(directions.flatten(1), dim=1).reshape(directions.shape)


@torch.no_grad()
def landscape(
    discriminator: Discriminator, points: Tensor, directions: Tensor, offsets: Tensor, at_once: int = 8192
) -> Tensor:
    """`f(k) = D(x + k û)` for every direction û, point x and offset k.

    Args:
        discriminator: D, samples `(..., n, *sample)` to logits `(..., n)`.
        points: x, shape `(..., n, *sample)`.
        directions: û, shape `(d, *sample)`, each shared by all points.
        offsets: k, shape `(K,)`.
        at_once: At most so many samples go through D together, over all leading axes; it bounds the memory.

    Returns:
        Shape `(..., d, n, K)`.

    Raises:
        ValueError: If `at_once` is below 1.

    Source: Thanh-Tung & Tran, eq. 2.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1 sample, got {at_once}")
    leading = points.shape[: points.ndim - directions.ndim]
    # One tensor of lines per direction: those of all directions at once would be the largest thing in memory.
    curves = []
    for direction in directions.to(points):
        steps = offsets.to(points).reshape(-1, *[1] * direction.ndim) * direction
        samples = (points.unsqueeze(len(leading) + 1) + steps).flatten(len(leading), len(leading) + 1)
        chunks = samples.split(max(1, at_once // leading.numel()), dim=len(leading))
        curves.append(torch.cat([discriminator(chunk) for chunk in chunks], dim=-1).unflatten(-1, (-1, len(offsets))))
    return torch.stack(curves, dim=len(leading))


class LandscapeShape(NamedTuple):
    """What `landscape_shape` found, for each direction: each of shape `(..., d)`, shares over the points."""

    local_maxima: Tensor
    """The share of points that are a local maximum of their curve, shape `(..., d, windows)`."""
    monotone: Tensor
    """The share of curves that only rise or only fall."""
    slope_sign: Tensor
    """The mean sign of the mean slope, `sign(f(k_last) - f(k_first))`: 1: all rise, -1: all fall."""
    half_width: Tensor
    """The mean distance from a maximum to where its curve has fallen halfway to its lowest value, in units of k; of
    the maxima of the widest window; NaN without any."""
    flat: Tensor
    """The share of all curves' length on which `|f'| ≤ flat_slope`."""


def landscape_shape(
    curves: Tensor, offsets: Tensor, windows: Tensor, tolerance: float = 0.01, flat_slope: float = 1e-4
) -> LandscapeShape:
    """Puts a landscape into numbers, at the scale of its picture.

    Let `r = max f - min f` over a stretch of a curve. A point is a *local maximum* within a window w if nowhere in
    `|k| ≤ w` the curve is above `f(0) + tolerance · r`, on either side it falls below `f(0) - tolerance · r`, and
    `r > flat_slope · w`, all with the r of the window. A curve is *monotone* if it never falls (or never rises) by more
    than `tolerance · r` of the whole from what it had reached; a constant curve is not. A curve with a value that is
    not finite is no maximum, not monotone and not flat.

    Args:
        curves: `f(k)`, shape `(..., d, n, K)`.
        offsets: k, rising in even steps, the same on both sides of a 0, shape `(K,)`.
        windows: w, shape `(windows,)`, in the units of k.
        tolerance: Relative to a curve's range.
        flat_slope: Absolute, in units of f per unit of k.

    Raises:
        ValueError: If the offsets do not rise in even steps from -k to k, or a window does not reach a neighbour of 0.

    Source: Thanh-Tung & Tran, fig. 2 to 7 and observation 2, in numbers of our own.
    """
    center = _center(offsets, windows)
    finite = curves.isfinite().all(-1)
    curves = torch.where(finite.unsqueeze(-1), curves, 0)  # constant, hence nothing of what is counted below
    slack = tolerance * (curves.amax(-1) - curves.amin(-1))
    peaks = torch.stack(
        [
            _is_maximum(curves[..., offsets.abs() <= w * (1 + 1e-6)], curves[..., center], tolerance, flat_slope * w)
            for w in windows
        ],
        dim=-1,
    )
    rises = (curves.cummax(-1).values - curves).amax(-1) <= slack
    falls = (curves - curves.cummin(-1).values).amax(-1) <= slack
    steep = curves.diff(dim=-1).abs() > flat_slope * offsets.diff()
    width = _half_width(curves, offsets, center).where(peaks[..., windows.argmax()], torch.nan)
    return LandscapeShape(
        _share(peaks, -2),
        _share((rises ^ falls) & (slack > 0), -1),
        (curves[..., -1] - curves[..., 0]).sign().mean(-1),
        width.nanmean(-1),
        _share(~steep & finite.unsqueeze(-1), (-1, -2)),
    )


def _center(offsets: Tensor, windows: Tensor) -> int:
    center = len(offsets) // 2
    even = torch.linspace(-1, 1, 2 * center + 1).to(offsets)
    if (
        center == 0
        or offsets[-1] <= 0
        or offsets.shape != even.shape
        or (offsets / offsets[-1] - even).abs().max() > 1e-5
    ):
        raise ValueError(
            f"offsets must rise in even steps from -k over 0 to k, got {offsets.tolist()}; give an odd number of them"
        )
    nearest = offsets[center + 1].item()
    if not len(windows) or windows.min() < nearest * (1 - 1e-6):
        raise ValueError(
            f"windows must reach at least the neighbours of 0, here {nearest:g} away, got {windows.tolist()}; "
            f"widen the windows or take more offsets"
        )
    return center


def _is_maximum(within: Tensor, at_zero: Tensor, tolerance: float, flat: Tensor) -> Tensor:
    left, right = within.chunk(2, -1)
    spread = within.amax(-1) - within.amin(-1)
    slack = tolerance * spread
    falls_on_both_sides = torch.maximum(left.amin(-1), right.amin(-1)) < at_zero - slack
    return (within.amax(-1) <= at_zero + slack) & falls_on_both_sides & (spread > flat)


def _half_width(curves: Tensor, offsets: Tensor, center: int) -> Tensor:
    """The mean over both sides of the distance at which f first crosses half its fall, linear between offsets."""
    half = (curves[..., center] + curves.amin(-1)) / 2
    right = _first_crossing(curves[..., center:], offsets[center:], half)
    left = _first_crossing(curves[..., : center + 1].flip(-1), -offsets[: center + 1].flip(0), half)
    return (left + right) / 2


def _first_crossing(curves: Tensor, distances: Tensor, level: Tensor) -> Tensor:
    below = curves <= level.unsqueeze(-1)
    after = below.int().argmax(-1).clamp(min=1)
    high = curves.gather(-1, after.unsqueeze(-1) - 1).squeeze(-1)
    low = curves.gather(-1, after.unsqueeze(-1)).squeeze(-1)
    share = ((high - level) / (high - low).clamp(min=torch.finfo(curves.dtype).tiny)).clamp(0, 1)
    crossing = distances[after - 1] + share * (distances[after] - distances[after - 1])
    return crossing.where(below.any(-1), distances[-1])  # a side that never falls so far is as wide as the picture


def _share(of: Tensor, over: int | tuple[int, ...]) -> Tensor:
    return of.to(torch.get_default_dtype()).mean(over)
