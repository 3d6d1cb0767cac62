"""Generalisation of D: has it learned the distribution, or its training set?"""

from typing import NamedTuple

from torch import Tensor


def generalization_gap(training: Tensor, held_out: Tensor) -> Tensor:
    """D's mean on training reals minus its mean on held-out reals, in units of D; above 0 where D knows them by heart.

    Args:
        training: D of real samples that it was trained on, shape `(..., n)`.
        held_out: D of real samples that it never saw, shape `(..., m)`.

    Returns:
        Shape `(...)`.

    Source: Li et al., section III-A.
    """
    return training.mean(-1) - held_out.mean(-1)


class EpsilonOptimality(NamedTuple):
    """What `epsilon_optimality` found; each of shape `(...)`."""

    real: Tensor
    """The share of reals with `D(x) ≥ ½ + ε/2`."""
    fake: Tensor
    """The share of fakes with `D(y) ≤ ½ - ε/2`."""
    optimal: Tensor
    """1 if both shares are 1, so that D is ε-optimal, else 0."""


def epsilon_optimality(real: Tensor, fake: Tensor, epsilon: float) -> EpsilonOptimality:
    """How much of its training set D tells apart by a margin of ε.

    Args:
        real: D of the real samples, as a probability, shape `(..., n)`.
        fake: D of the fake samples, as a probability, shape `(..., m)`.
        epsilon: ε, from 0 to 1.

    Raises:
        ValueError: If ε is outside [0, 1].

    Source: Li et al., eq. 4.
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
    told_real = (real >= 0.5 + epsilon / 2).to(real.dtype).mean(-1)
    told_fake = (fake <= 0.5 - epsilon / 2).to(fake.dtype).mean(-1)
    return EpsilonOptimality(told_real, told_fake, ((told_real == 1) & (told_fake == 1)).to(real.dtype))
