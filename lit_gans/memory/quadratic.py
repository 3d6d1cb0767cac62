"""A quadratic that pulls parameters back to where they were, and the vector of parameters that it is a function of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def flattened(parameters: Sequence[Tensor], seeds_axis: tuple[int, ...] = ()) -> Tensor:
    """All parameters as one vector per seed, `(..., P)`, in the order given; differentiable.

    One operation on a long vector costs a small network less than one on each of its parameters.

    Args:
        parameters: Each of shape `(..., *shape)`.
        seeds_axis: `...`: the shape of the axis that parameters share, `(S,)`, or `()` without seeds.
    """
    axis = len(seeds_axis)
    # `flatten` leaves alone what is flat already: nothing is added to the graph.
    return torch.cat([p.flatten(axis) if p.ndim > axis else p.unsqueeze(-1) for p in parameters], -1)


@dataclass(frozen=True)
class Quadratic:
    """`q(θ) = Σ_i ω_i (θ_i - θ*_i)² + c` of a parameter vector θ, `(..., P)`."""

    importance: Tensor
    """ω, shape `(..., P)`."""
    anchor: Tensor
    """θ*, shape `(..., P)`."""
    constant: Tensor | None = None
    """c, shape `(..., 1)`; None is 0."""

    def __call__(self, parameters: Tensor) -> Tensor:
        """`q(θ)`, `(..., P)` to `(..., 1)`."""
        moved = parameters - self.anchor
        value = torch.linalg.vecdot(self.importance * moved, moved).unsqueeze(-1)
        return value if self.constant is None else value + self.constant

    def gradient(self, parameters: Tensor) -> Tensor:
        """`∂q/∂θ = 2 ω (θ - θ*)`, `(..., P)`."""
        return 2 * self.importance * (parameters - self.anchor)

    def __add__(self, other: "Quadratic") -> "Quadratic":
        """The sum of two, which is a quadratic again: any number of anchors fit into the memory of one.

        With `ω = ω₁ + ω₂`: `ω₁(θ - a₁)² + ω₂(θ - a₂)² = ω(θ - (ω₁a₁ + ω₂a₂)/ω)² + (ω₁ω₂/ω)(a₁ - a₂)²`.
        """
        importance = self.importance + other.importance
        share = torch.where(importance > 0, other.importance / importance, 0.0)  # ω = 0 leaves an anchor without pull
        apart = other.anchor - self.anchor
        constant = (self.importance * share * apart * apart).sum(-1, keepdim=True)
        for each in (self.constant, other.constant):
            constant = constant if each is None else constant + each
        return Quadratic(importance, self.anchor + share * apart, constant)
