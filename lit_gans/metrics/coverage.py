"""Mode coverage: does G make every mode of a known mixture, and does it make only those?"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .entropy import plugin_entropy


class Coverage(NamedTuple):
    """What `mode_coverage` found; each of shape `(...)`."""

    modes: Tensor
    """How many modes have at least one high-quality sample, from 0 to M."""
    high_quality: Tensor
    """The share of samples within 3 standard deviations of their nearest mode."""
    reverse_kl: Tensor
    """`KL(q ‖ uniform)` in nats, q the histogram of nearest modes; 0 is even, `ln M` all in one."""


def mode_coverage(samples: Tensor, centers: Tensor, std: float) -> Coverage:
    """Counts the modes of an equally weighted mixture of isotropic Gaussians that samples cover.

    A sample is of high quality within `3 · std` of its nearest center; a mode is covered when one such sample is
    its own. `KL(q ‖ uniform) = Σ_m q_m ln(M q_m)` runs over all samples, of whatever quality.

    Args:
        samples: Shape `(..., n, d)`.
        centers: The modes, shape `(M, d)`, in the data's units.
        std: The standard deviation of a mode, in the data's units.

    Raises:
        ValueError: If there are no samples, or their dimension is not that of the centers.

    Source: Lin et al. 2018 (PacGAN), section 4.1.
    """
    if samples.ndim < 2 or samples.shape[-2] == 0 or samples.shape[-1] != centers.shape[-1]:
        raise ValueError(
            f"samples must have shape (..., n, {centers.shape[-1]}) with n > 0 to be compared with the modes, "
            f"got {tuple(samples.shape)}"
        )
    distance, nearest = nearest_center(samples, centers)
    good = distance <= 3 * std
    is_nearest = torch.nn.functional.one_hot(nearest, len(centers))
    covered = (is_nearest * good.unsqueeze(-1)).sum(-2) > 0
    share = is_nearest.to(samples.dtype).mean(-2)
    reverse_kl = torch.special.xlogy(share, share * len(centers)).sum(-1)
    return Coverage(covered.sum(-1), good.to(samples.dtype).mean(-1), reverse_kl.clamp(0, math.log(len(centers))))


class CountedCoverage(NamedTuple):
    """What `counted_coverage` found; each of shape `(...)`."""

    modes: Tensor
    """How many modes have a sample, from 0 to m, of float64."""
    reverse_kl: Tensor
    """`KL(q ‖ uniform)` in nats, q the shares of the modes; 0 is even, `ln m` all in one; NaN: no samples."""


def counted_coverage(counts: Tensor) -> CountedCoverage:
    """Counts the modes that a judge has seen: of Stacked MNIST, how many of a thousand.

    `KL(q ‖ uniform) = Σ_j q_j ln(m q_j)`, which is `ln m` less the plug-in entropy, and like it blurred by luck: of
    25 600 even samples of 1 000 modes it is 0.02 rather than 0.

    Args:
        counts: How many samples each mode has, shape `(..., m)`; see `mode_counts`.

    Source: Metz et al. 2017; Lin et al. 2018 (PacGAN).
    """
    return CountedCoverage((counts > 0).double().sum(-1), math.log(counts.shape[-1]) - plugin_entropy(counts))


def nearest_center(samples: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """How far each sample is from the nearest of some centers, and which that is.

    Args:
        samples: Shape `(..., n, d)`.
        centers: Shape `(M, d)`.

    Returns:
        Distances and indices, each of shape `(..., n)`.
    """
    # By differences: cdist's default, a matrix product, errs by a tenth of the ring's std in float32.
    offsets = samples.unsqueeze(-2) - centers.to(samples)
    distance, nearest = torch.linalg.vector_norm(offsets, dim=-1).min(-1)
    return distance, nearest


class ClassCoverage(NamedTuple):
    """What `class_coverage` found; each of shape `(...)`."""

    classes: Tensor
    """How many classes G makes, from 0 to C."""
    confidence: Tensor
    """The classifier's mean probability of the class it chooses; 1/C: it cannot tell; NaN: it judged none."""


def class_coverage(probabilities: Tensor, least_share: float = 0.01) -> ClassCoverage:
    """Counts the classes that a classifier finds among samples.

    A class is covered when at least `least_share` of all samples are given to it with a probability over ½.
    A classifier that only knows the classes is confident about much that is none of them: confidence is a sign of
    quality beside a picture, not instead of one.

    Args:
        probabilities: The classifier's, shape `(..., n, C)`. A sample that it could not judge, with NaN for its
            probabilities, belongs to no class and is left out of the confidence.
        least_share: Of the samples, from 0 to 1.

    Raises:
        ValueError: If there are no samples or no classes.
    """
    if probabilities.ndim < 2 or 0 in probabilities.shape[-2:]:
        raise ValueError(f"probabilities must have shape (..., n, C) with n, C > 0, got {tuple(probabilities.shape)}")
    confidence, chosen = probabilities.max(-1)
    sure = torch.nn.functional.one_hot(chosen, probabilities.shape[-1]) * (confidence > 0.5).unsqueeze(-1)
    share = sure.to(probabilities.dtype).mean(-2)
    return ClassCoverage((share >= least_share).sum(-1), confidence.nanmean(-1))


def nearest_reals(samples: Tensor, real: Tensor) -> Tensor:
    """How many different real samples are the nearest real of at least one generated sample.

    Samples that crowd around few reals share their neighbours: the smaller the number, the less diverse they are.

    Args:
        samples: Shape `(..., n, *sample)`.
        real: Shape `(m, *sample)`.

    Returns:
        Shape `(...)`, from 1 to min(n, m).
    """
    fakes, reals = samples.flatten(samples.ndim - real.ndim + 1), real.flatten(1).to(samples)
    # By differences, see `nearest_center`.
    nearest = torch.cdist(fakes, reals, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
    chosen = torch.zeros(*nearest.shape[:-1], len(real), dtype=torch.bool, device=nearest.device)
    return chosen.scatter(-1, nearest, True).sum(-1)
