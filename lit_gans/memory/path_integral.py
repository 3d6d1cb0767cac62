"""How much each parameter has done to lower a loss, summed along the way it went."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass
class PathIntegral:
    """`w = -Σ_t g_t · Δθ_t` per parameter over the updates of one task, which began at θ₀."""

    start: Tensor
    """θ₀, shape `(..., P)`."""
    value: Tensor
    """w so far, shape `(..., P)`; summed over P it is, for small steps, by how much the loss has fallen."""

    @classmethod
    def at(cls, start: Tensor) -> Self:
        """A path that begins here."""
        return cls(start.clone(), torch.zeros_like(start))

    def add(self, gradient: Tensor, before: Tensor, after: Tensor) -> None:
        """One update of the optimizer, of any kind, from `before` to `after` under the loss's gradient at `before`.

        Where nothing moved nothing is added, whatever the gradient: a step that a gradient scaler skips for its
        infinite gradients leaves no trace.
        """
        moved = after - before
        self.value = self.value - torch.where(moved == 0, 0.0, gradient * moved)

    def importance(self, end: Tensor, damping: float) -> Tensor:
        """`w / ((θ - θ₀)² + ξ)` at the end θ of the task.

        On a quadratic loss `½ h (θ - m)²` without curvature between coordinates, followed to its minimum by small
        steps, it is `½ h` (for ξ = 0): half the curvature, as the quadratic that stands for the task must have.
        """
        return self.value / ((end - self.start).square() + damping)
