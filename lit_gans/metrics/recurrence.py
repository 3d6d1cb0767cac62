"""Recurrence: does a game come back to where it was, and how often does its generator run around?"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def correlations(states: Tensor) -> Tensor:
    """Pearson's correlation of every state with every other: of what D says of the same points at different times.

    It is blind to a shift and a positive factor of D, and so is the direction in which D sends a fake, whereas both
    drift as D grows more or less sure of itself. A state that is the same at all points is like no other: 0.

    Args:
        states: Shape `(t, ..., n)`.

    Returns:
        Shape `(..., t, t)`, from -1 to 1.
    """
    states = states.movedim(0, -2)
    states = states - states.mean(-1, keepdim=True)
    # Scaled by the largest entry before the norm squares them: entries below 1e-19 would vanish in float32.
    scale = states.abs().amax(-1, keepdim=True)
    units = torch.nn.functional.normalize(torch.where(scale == 0, 0, states / scale), dim=-1)
    return (units @ units.mT).clamp(-1, 1)


def agreements(states: Tensor) -> Tensor:
    """`2⟨a, b⟩ / (‖a‖² + ‖b‖²)` of every two states: of what G makes of the same latents, seen from the data's centre.

    It is `1 - ‖a - b‖² / (‖a‖² + ‖b‖²)`: 1 only for the same samples in the same places, `cos φ` for a heap that has
    moved by the angle φ around the centre, -1 for samples mirrored there.

    Args:
        states: Shape `(t, ..., n)`, all of a state's coordinates in a row, the centre subtracted.

    Returns:
        Shape `(..., t, t)`, from -1 to 1; 1 for two states that are 0.
    """
    states = states.movedim(0, -2)
    products = states @ states.mT
    squares = products.diagonal(dim1=-2, dim2=-1)
    sums = squares.unsqueeze(-1) + squares.unsqueeze(-2)
    return torch.where(sums == 0, 1, 2 * products / sums).clamp(-1, 1)


class Returns(NamedTuple):
    """How far each state is a return to an older one; each of shape `(..., t)`."""

    closeness: Tensor
    """From 0 to 1."""
    to: Tensor
    """The index of the older state; the state's own where there was no return."""


def returns(*similarities: Tensor) -> Returns:
    """How far each state t comes back to an older one s that had been left in between.

    `max over s < t of sim(t, s) - max(min over s < r < t of sim(r, s), 0)`, and at least 0: how much more like s it is
    now than it was meanwhile, where it was least so; what is opposite to s counts as unrelated. States that stand
    still, or move away and on and on, have 0, those that run in a circle 1.

    Of several similarities, as those of D's states and of G's, it is how far all of them come back to the same s: the
    smallest of the differences, before the maximum is taken. That one of them stands still is no return.

    Args:
        similarities: Of every two states, 1 for the same, 0 for unrelated ones; symmetric, each of shape `(..., t, t)`.

    Source: Thanh-Tung et al. 2018, fig. 1 ("very similar to what they were 3000 iterations ago"), in a number of ours.
    """
    gains = torch.stack([_gain(similarity) for similarity in similarities]).amin(0)
    closeness, to = gains.max(-1)
    closeness = closeness.clamp(min=0)
    return Returns(closeness, to.where(closeness > 0, torch.arange(gains.shape[-1], device=to.device)))


def _gain(similarity: Tensor) -> Tensor:
    """How much more like s than meanwhile, `[t, s]`; -inf where there is no meanwhile."""
    t = similarity.shape[-1]
    later = torch.ones(t, t, dtype=torch.bool, device=similarity.device).tril(-1)  # [r, s]: r comes after s
    lowest = similarity.where(later, math.inf).cummin(-2).values  # the least likeness to s, up to r
    lowest = torch.cat([torch.full_like(lowest[..., :1, :], math.inf), lowest[..., :-1, :]], -2)  # before r
    return similarity.where(later, -math.inf) - lowest.clamp(min=0)


class Winding(NamedTuple):
    """A path around the origin."""

    turns: Tensor
    """How often it has gone around since its start, anticlockwise positive, shape `(t, ...)`."""
    held: Tensor
    """The path, standing still wherever it came too close to the origin, shape `(t, ..., 2)`."""


def winding(path: Tensor, least: float = 0.0) -> Winding:
    """How often a path in the plane has gone around the origin: its unwrapped angle over 2π.

    Between two points it is taken to go the shorter way around, so that it has to be looked at often enough.

    Args:
        path: Shape `(t, ..., 2)`.
        least: A point closer to the origin has no direction to speak of: the one before it stands in.
    """
    held = [path[0]]
    for point in path[1:]:
        held.append(torch.where(point.norm(dim=-1, keepdim=True) < least, held[-1], point))
    stands = torch.stack(held)
    angle = torch.atan2(stands[..., 1], stands[..., 0])
    steps = angle.diff(dim=0)
    steps = steps - 2 * math.pi * (steps / (2 * math.pi)).round()
    known = stands[:-1].norm(dim=-1) >= least  # false until the path first leaves the neighbourhood of the origin
    turns = torch.cat([torch.zeros_like(angle[:1]), (steps * known).cumsum(0) / (2 * math.pi)])
    return Winding(turns, stands)
