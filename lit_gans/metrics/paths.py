"""Paths: how steep D is on the straight line from a fake to a real sample."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .fields import Discriminator, discriminator_gradient


class PathGradients(NamedTuple):
    """What `path_gradients` found."""

    norms: Tensor
    """`‖∇D‖` at every point of each path, shape `(..., n, steps)`."""
    distance: Tensor
    """`‖x - y‖`, the length of each path, shape `(..., n)`."""


def nearest(samples: Tensor, others: Tensor) -> Tensor:
    """For each sample the nearest of some others, by Euclidean distance.

    Args:
        samples: Shape `(..., n, *sample)`.
        others: Shape `(m, *sample)`, the same for all leading axes.

    Returns:
        Shape `(..., n, *sample)`.
    """
    axis = samples.ndim - others.ndim
    # By differences: a matrix product errs by more than fakes that are nearly right are away.
    mode = "donot_use_mm_for_euclid_dist"
    return others[torch.cdist(samples.flatten(axis + 1), others.flatten(1), compute_mode=mode).argmin(-1)]


def path_gradients(
    discriminator: Discriminator,
    fake: Tensor,
    real: Tensor,
    steps: int = 16,
    output: Callable[[Tensor], Tensor] | None = None,
) -> PathGradients:
    """`‖∇D(y + t(x - y))‖` for `steps` values of t from 0, the fake, to 1, the real sample.

    If D tells x from y by `D(x) - D(y) ≥ ε`, its largest gradient on the path is at least `ε/‖x - y‖`, which grows
    without bound as y approaches x.

    Args:
        discriminator: D, samples `(..., n, *sample)` to logits `(..., n)`.
        fake: y, shape `(..., n, *sample)`.
        real: x, likewise, each the end of one path.
        steps: Points on a path, its ends among them; at least 2.
        output: The function of the logit whose gradient is taken; None is the logit itself.

    Source: Li, Li & Zhou, eq. 7.
    """
    with torch.no_grad():
        axis = discriminator(fake).ndim  # as many axes as logits have stand before those of a sample
    t = torch.linspace(0, 1, steps, dtype=fake.dtype, device=fake.device).reshape(-1, *[1] * (fake.ndim - axis))
    points = fake.unsqueeze(axis) + t * (real - fake).unsqueeze(axis)
    function = discriminator if output is None else lambda samples: output(discriminator(samples))
    gradient = discriminator_gradient(function, points.flatten(axis - 1, axis))
    norms = torch.linalg.vector_norm(gradient.flatten(axis), dim=-1).unflatten(-1, (-1, steps))
    return PathGradients(norms, torch.linalg.vector_norm((real - fake).flatten(axis), dim=-1))


def log_mean(values: Tensor) -> Tensor:
    """The logarithm of the geometric mean over the last axis; values that are not above 0, or infinite, stay out.

    Returns:
        Shape `(...)`; NaN where nothing is left.
    """
    return torch.where(_has_logarithm(values), values, torch.nan).log().nanmean(-1)


def growth(gradients: Tensor, distances: Tensor) -> Tensor:
    """The least-squares slope of `log gradient` against `log distance`: how gradients grow as distances shrink.

    -1: as `1/distance`, the rate of eq. 7 for a D that tells all pairs apart by as much. 0: no growth. Above 0: the
    closer, the flatter. Entries that are not above 0, or infinite, have no logarithm and are left out.

    Args:
        gradients: Shape `(..., n)`.
        distances: Shape `(..., n)`.

    Returns:
        Shape `(...)`; NaN where fewer than two different distances are left.

    Source: Li, Li & Zhou, eq. 7.
    """
    usable = _has_logarithm(gradients) & _has_logarithm(distances)
    differ = torch.where(usable, distances, 0).amax(-1) > torch.where(usable, distances, torch.inf).amin(-1)
    x, y = (torch.where(usable, values, 1).log() for values in (distances, gradients))
    x, y = (torch.where(usable, v - v.sum(-1, keepdim=True) / usable.sum(-1, keepdim=True), 0) for v in (x, y))
    return torch.where(differ, (x * y).sum(-1) / x.square().sum(-1), torch.nan)


def _has_logarithm(values: Tensor) -> Tensor:
    return (values > 0) & values.isfinite()
