"""Turning points: where the weights of a player jump while what G makes gets worse."""

from typing import NamedTuple

import torch
from torch import Tensor

_NORMAL = 1.4826
"""The standard deviation of normal values, over the median of their distances from their median."""


class TurningPoints(NamedTuple):
    """What `turning_points` says of each look; NaN, and no turning point, where there is too little to compare."""

    turned: Tensor
    """Whether the look is a turning point, shape `(k, ...)`."""
    jumps: Tensor
    """Each player's turn over its usual one, shape `(k, players, ...)`."""
    before: Tensor
    """What each score usually was, shape `(k, scores, ...)`."""
    after: Tensor
    """What each score is from the look on, shape `(k, scores, ...)`."""


def turning_points(
    turns: Tensor, scores: Tensor, jump: float = 1.5, fall: float = 0.1, window: int = 10, patience: int = 5
) -> TurningPoints:
    """Finds the looks at which a player's weights jump while quality or diversity begins to fall.

    `usual(x, k)` is the median of the `window` looks before k, and `after(x, k)` that of the `patience` looks from k
    on. Look k is a turning point if

    - `turn_k > jump · usual(turn, k)` for a player, and
    - `usual(x, k) - after(x, k) > max(fall · usual(x, k), 3σ)` for a score x. σ is 1.4826 times the median distance
      of the `window` looks before k from their median: the standard deviation, as outliers do not move it.

    No angle is fixed: what is much for one network is little for another. Medians forget a single bad look.

    Args:
        turns: The largest turn per iteration since the look before, shape `(k, players, ...)`; NaN: not measured.
        scores: Quality and diversity, or others that are better when larger, shape `(k, scores, ...)`; NaN, of
            samples that are not finite, is worse than any.
        jump: So many times the usual turn is a jump.
        fall: So large a share of the usual score is a fall.
        window: How many looks make the usual.
        patience: How many looks, from the jump on, make a fall; so many must be there to tell.

    Raises:
        ValueError: If turns and scores are not of the same looks.

    Source: SQD, section 4, where turning points are found by eye.
    """
    if min(turns.ndim, scores.ndim) < 2 or (len(turns), *turns.shape[2:]) != (len(scores), *scores.shape[2:]):
        raise ValueError(
            f"turns (k, players, ...) and scores (k, scores, ...) must be of the same looks and seeds, got "
            f"{tuple(turns.shape)} and {tuple(scores.shape)}"
        )
    turns, scores = turns.double(), scores.double().nan_to_num(nan=-torch.inf)
    before, after = _median(_before(scores, window)), _median(_from(scores, patience))
    spread = _NORMAL * _median((_before(scores, window) - before.unsqueeze(-1)).abs())
    jumps = turns / _median(_before(turns, window))
    fell = before - after > torch.maximum(fall * before, 3 * spread)
    return TurningPoints((jumps > jump).any(1) & fell.any(1), jumps, before, after)


def _before(values: Tensor, n: int) -> Tensor:
    """The n rows before each row, `(k, ...)` to `(k, ..., n)`; NaN for those before the first."""
    unknown = torch.full_like(values[:1], torch.nan).expand(n, *values.shape[1:])
    return torch.cat([unknown, values]).unfold(0, n, 1)[: len(values)]


def _from(values: Tensor, n: int) -> Tensor:
    """The n rows from each row on, likewise; NaN for those after the last."""
    unknown = torch.full_like(values[:1], torch.nan).expand(n - 1, *values.shape[1:])
    return torch.cat([values, unknown]).unfold(0, n, 1)


def _median(windows: Tensor) -> Tensor:
    """Over the last axis, the mean of the middle two of an even number; NaN if any is."""
    ordered = windows.sort(-1).values
    n = windows.shape[-1]
    middle = (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2
    return middle.masked_fill(windows.isnan().any(-1), torch.nan)
