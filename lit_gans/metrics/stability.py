"""Stability of training: how far a network's weights turn from one iteration to the next."""

from collections.abc import Sequence

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


def turn(before: Tensor, after: Tensor) -> Tensor:
    """`⟨a, a⟩`, `⟨a, d⟩` and `⟨d, d⟩`, with `d = b - a`: all that it takes to know the angle between a and b.

    Turns of parts of a vector add up to that of the whole.

    Args:
        before: a, shape `(..., P)`.
        after: b, likewise.

    Returns:
        Shape `(..., 3)`, of float32 or of a wider type of the vectors.
    """
    before, after = (vector.to(torch.promote_types(vector.dtype, torch.float32)) for vector in (before, after))
    moved = after - before
    pairs = ((before, before), (before, moved), (moved, moved))
    return torch.stack([torch.linalg.vecdot(left, right) for left, right in pairs], -1)


def step_turns(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """`turn` of several vectors, in place: `before` becomes a copy of `after`, ready for the next step.

    At every iteration new memory would take longer than the arithmetic, and so would a second pass over a vector that
    has left the cache.

    Args:
        before: Each of shape `(..., P_i)`, of float32 or wider.
        after: Likewise, of any type.

    Returns:
        Shape `(n, ..., 3)`; its sum over n is the turn of all together.
    """
    turns = []
    for vector, now in zip(before, after, strict=True):
        now = now.to(vector.dtype)
        squared = torch.linalg.vecdot(vector, vector)
        back = vector.sub_(now)  # -d
        moved = torch.linalg.vecdot(back, back)
        along = -torch.linalg.vecdot(now, back) - moved  # ⟨a, d⟩, of a = b - d
        turns += [squared, along, moved]
        vector.copy_(now)
    return torch.stack(turns).unflatten(0, (-1, 3)).movedim(1, -1)


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
