"""Scores: how real D finds samples that it should know, such as old fakes and noisy reals."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..losses import Objective
from .fields import Discriminator


def realness(
    loss: Objective, logits: Tensor, real_logits: Tensor | None = None, fake_logits: Tensor | None = None
) -> Tensor:
    """How far D is on the side of real: > 0 real, < 0 fake; σ of it is a probability that is ½ where D is undecided.

    It is the objective's own `decision(D)`: the logit itself, but `D - ½` for least squares with targets 0 and 1. A
    Wasserstein critic and a relativistic D have none, for a constant added to D changes nothing. There the middle
    between their mean logits of current reals and of current fakes stands for 0; its unit is the critic's own.

    Args:
        loss: The objective.
        logits: D of the samples in question, shape `(..., n)`.
        real_logits: D of current reals, shape `(..., m)`; needed if the objective only compares.
        fake_logits: D of current fakes, likewise.

    Returns:
        Shape `(..., n)`.

    Raises:
        ValueError: If the objective only compares, and there is nothing to compare with.
    """
    decision = loss.decision(logits)
    if decision is not None:
        return decision
    if real_logits is None or fake_logits is None:
        raise ValueError(f"{type(loss).__name__} only compares samples; give D's logits of current reals and fakes")
    middle = (real_logits.mean(-1, keepdim=True) + fake_logits.mean(-1, keepdim=True)) / 2
    return logits - middle


class SetScores(NamedTuple):
    """What `set_scores` found."""

    score: Tensor
    """The mean of `σ(realness)` over each set; shape `(..., k)`."""
    scored_real: Tensor
    """The share of each set with `realness > 0`; shape `(..., k)`."""


def set_scores(realness: Tensor) -> SetScores:
    """The mean score of k sets of samples, and the share of each that D takes for real.

    Args:
        realness: See `realness`; shape `(..., k, n)`.

    Source: Thanh-Tung & Tran, fig. 11.
    """
    return SetScores(realness.sigmoid().mean(-1), (realness > 0).to(realness.dtype).mean(-1))


@torch.no_grad()
def noisy_logits(discriminator: Discriminator, samples: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """`D(x + s·δ)` for each noise level s: every sample keeps its own direction δ, which only grows.

    Args:
        discriminator: D, samples `(..., n, *sample)` to logits `(..., n)`.
        samples: x, shape `(..., n, *sample)`.
        noise: δ, one draw from N(0, I) per sample, shape `(n, *sample)`.
        levels: s, the standard deviations in units of the data, shape `(L,)`.

    Returns:
        Shape `(..., n, L)`.

    Source: Thanh-Tung & Tran, fig. 16.
    """
    axis = samples.ndim - noise.ndim
    steps = levels.to(samples).reshape(-1, *[1] * (noise.ndim - 1))
    noisy = samples.unsqueeze(axis + 1) + steps * noise.to(samples).unsqueeze(1)
    return discriminator(noisy.flatten(axis, axis + 1)).unflatten(-1, (-1, len(levels)))


def kendall_tau(values: Tensor) -> Tensor:
    """Kendall's τ between the order of the last axis and the values on it: 1 they only rise, -1 they only fall.

    `τ = mean over i < j of sign(v_j - v_i)`; equal values, and NaN, count as 0.

    Args:
        values: Shape `(..., L)`, L at least 2.

    Returns:
        Shape `(...)`, from -1 to 1.
    """
    first, second = torch.triu_indices(values.shape[-1], values.shape[-1], offset=1, device=values.device)
    return (values[..., second] - values[..., first]).sign().nan_to_num(0).mean(-1)
