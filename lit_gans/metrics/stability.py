"""Stability of training: how far a network's weights turn from one iteration to the next."""

import torch
from torch import Tensor


def weight_angle(before: Tensor, after: Tensor) -> Tensor:
    """The angle `arccos(⟨a, b⟩ / ‖a‖‖b‖)` between the weights of two moments, accurate where arccos is not.

    In single precision a cosine cannot tell angles below 3e-4 from 0, and weights turn by less in one iteration. Here
    `d = b - a`, exact or nearly so for neighbours, is split into what lies along a and across it, see `angle_of`.

    Args:
        before: a, shape `(..., P)`.
        after: b, likewise.

    Returns:
        Radians, shape `(...)`, from 0 to π, of float64; NaN where a is 0 and has no direction.

    Raises:
        ValueError: If the shapes differ.

    Source: SQD, eq. 4.
    """
    if before.shape != after.shape:
        raise ValueError(
            f"weight_angle: two moments of the same weights have one shape, got {tuple(before.shape)} and "
            f"{tuple(after.shape)}"
        )
    return angle_of(turn(before, after))


def turn(before: Tensor, after: Tensor, difference: Tensor | None = None) -> Tensor:
    """`⟨a, a⟩`, `⟨a, d⟩` and `⟨d, d⟩`, with `d = b - a`: all that it takes to know the angle between a and b.

    Turns of parts of a vector add up to that of the whole.

    Args:
        before: a, shape `(..., P)`.
        after: b, likewise.
        difference: Where d may be left, of the type of the result: new memory takes longer than all the arithmetic.

    Returns:
        Shape `(..., 3)`, of float32 or of a wider type of the vectors.
    """
    before, after = (vector.to(torch.promote_types(vector.dtype, torch.float32)) for vector in (before, after))
    moved = torch.sub(after, before, out=difference)
    pairs = ((before, before), (before, moved), (moved, moved))
    return torch.stack([torch.linalg.vecdot(left, right) for left, right in pairs], -1)


def angle_of(turns: Tensor) -> Tensor:
    """The angle `atan2(‖d across a‖, ‖a‖ + d along a)` in radians.

    Of float32 weights it is good to 1e-3 from 1e-7 radians on, unless the step d is within two degrees of a's own
    direction: the part across is then a small difference of large numbers.

    Args:
        turns: As `turn` gives them, shape `(..., 3)`.

    Returns:
        Shape `(...)`, from 0 to π, of float64; NaN where a is 0.
    """
    squared, along, moved = turns.double().unbind(-1)
    across = (moved - along.square() / squared).clamp_min(0.0).sqrt()
    return torch.atan2(across, (squared + along) / squared.sqrt())
