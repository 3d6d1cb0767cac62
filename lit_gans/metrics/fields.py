"""Vector fields: where the two losses push a point of data space, and how fast that turns."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses import Objective

Discriminator = Callable[[Tensor], Tensor]


def grid_points(side: int, extent: float) -> Tensor:
    """A square grid over `[-extent, extent]²`, shape `(side², 2)`."""
    axis = torch.linspace(-extent, extent, side)
    return torch.cartesian_prod(axis, axis)


def discriminator_gradient(discriminator: Discriminator, points: Tensor) -> Tensor:
    """`∇_v D(v)` of the logit at each point; `(..., n, *sample)` to the same shape."""
    return _gradient(discriminator, points)


def generator_field(
    discriminator: Discriminator, loss: Objective, points: Tensor, real_logits: Tensor | None = None
) -> Tensor:
    """`-∂L_G/∂v`: the way a fake at v goes if G is free to move it; uphill in D.

    Args:
        discriminator: D, samples `(..., n, *sample)` to logits `(..., n)`.
        loss: The objective.
        points: Where, shape `(..., n, *sample)`.
        real_logits: D of real samples, shape `(..., n)` or `(..., 1)`, for objectives that compare.

    Source: Thanh-Tung & Tran, fig. 1.
    """
    return -_gradient(lambda v: loss.generator(real_logits, discriminator(v)), points)


def real_field(discriminator: Discriminator, loss: Objective, points: Tensor, fake_logits: Tensor) -> Tensor:
    """`-∂L_D/∂v` of the real term: the way a real sample at v would go to look more real; uphill in D.

    Args:
        discriminator: D, samples `(..., n, *sample)` to logits `(..., n)`.
        loss: The objective.
        points: Where, shape `(..., n, *sample)`.
        fake_logits: D of fakes, shape `(..., n)` or `(..., 1)`: constants, which matter where reals and fakes are
            compared.

    Source: Thanh-Tung et al. 2018, fig. 1 to 3.
    """
    # An objective that takes the distance of two samples gets the same one twice: the way is D's, not the distance's.
    return -_gradient(lambda v: loss.discriminator(discriminator(v), fake_logits, v, v.detach()), points)


def field_cosine(before: Tensor, after: Tensor) -> Tensor:
    """The mean cosine between two fields at the same points; a point where either is 0 counts as 0.

    1: the field stands still. 0: what D knew is gone. To be taken of `∇D` itself: the gradient of a saturated loss
    underflows to 0.

    Args:
        before: Shape `(..., n, d)`.
        after: Likewise.

    Returns:
        Shape `(...)`, from -1 to 1.
    """
    # Unit vectors first: a product of two tiny norms would underflow.
    return (unit(before) * unit(after)).sum(-1).mean(-1)


def attraction(field: Tensor) -> Tensor:
    """The mean resultant length `‖mean of v/‖v‖‖`: do all vectors of a field point the same way?

    1: all the same way. 0: evenly spread, or in opposed pairs. Of n independent directions it is `1/√n` in the root
    mean square, whatever the dimension. A vector that is 0 or not finite has no direction and counts as 0.

    Args:
        field: Shape `(..., n, d)`; of samples that are not flat, d stands for all entries of one.

    Returns:
        Shape `(...)`, from 0 to 1.

    Source: Thanh-Tung et al. 2018, fig. 2, in a number of our own.
    """
    finite = field.isfinite().all(-1, keepdim=True)
    return torch.linalg.vector_norm(unit(torch.where(finite, field, 0)).mean(-2), dim=-1)


def unit(vectors: Tensor) -> Tensor:
    """Vectors along the last axis at length 1; those of length 0 stay."""
    # Scaled by the largest entry before the norm squares them: entries below 1e-19 would vanish in float32.
    scale = vectors.abs().amax(-1, keepdim=True)
    scaled = torch.where(scale > 0, vectors / scale, 0)
    return torch.nn.functional.normalize(scaled, dim=-1)


def _gradient(function: Discriminator, points: Tensor) -> Tensor:
    points = points.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(points).sum(), points)
    return gradient
