"""Distances between features of real and of generated samples, as torchmetrics computes them, in float64."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

_ALONE: dict[str, Any] = {"sync_on_compute": False}
"""Every process sees the same samples: adding up what each has found would count them again."""


def frechet_distance(real: Tensor, fake: Tensor) -> Tensor:
    """FID: `‖μ - μ'‖² + Tr(Σ + Σ' - 2 (ΣΣ')^½)` of two sets of features, taken for Gaussian.

    Args:
        real: Shape `(N, d)`.
        fake: Shape `(n, d)`.

    Returns:
        Of float64; NaN if a feature is not finite.

    Source: Heusel et al. 2017.
    """
    return _compared(FrechetInceptionDistance(_AsTheyAre(real.shape[1]), **_ALONE), real, fake)


def kernel_distance(real: Tensor, fake: Tensor, subset_size: int = 1000, seed: int = 0) -> Tensor:
    """KID: the unbiased squared MMD of features under the kernel `(f·f'/d + 1)³`, its mean over 100 random subsets.

    Args:
        real: Shape `(N, d)`.
        fake: Shape `(n, d)`.
        subset_size: How many of each a subset has, at most N and n.
        seed: Of the subsets.

    Returns:
        Of float64; NaN if a feature is not finite.

    Source: Bińkowski et al. 2018.
    """
    with warnings.catch_warnings(), _drawing_from(seed):
        warnings.filterwarnings("ignore", message=".*will save all extracted features")  # we have them anyway
        metric = KernelInceptionDistance(_AsTheyAre(real.shape[1]), subset_size=subset_size, **_ALONE)
        return _compared(metric, real, fake)


def inception_score(logits: Tensor, seed: int = 0) -> Tensor:
    """IS: `exp E KL(p(y|x) ‖ p(y))` of the classes that samples show, its mean over 10 random parts.

    Args:
        logits: Of m classes, shape `(n, m)`.
        seed: Of the parts.

    Returns:
        Of float64, from 1 to m; NaN if a logit is not finite.

    Source: Salimans et al. 2016.
    """
    with warnings.catch_warnings(), _drawing_from(seed):
        warnings.filterwarnings("ignore", message=".*will save all extracted features")
        metric = InceptionScore(_AsTheyAre(logits.shape[1]), **_ALONE)
        if not logits.isfinite().all():
            return torch.tensor(float("nan"), dtype=torch.float64)
        logits = logits.double()
        # A class whose probability is 0 in the machine would make NaN of it; at e^-600 it is as good as that.
        metric.update(logits.clamp_min(logits.amax(1, keepdim=True) - 600))
        mean: Tensor = metric.compute()[0]
        return mean


class _AsTheyAre(nn.Identity):
    """Hands torchmetrics features that are known already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def _compared(metric: Any, real: Tensor, fake: Tensor) -> Tensor:
    if not (real.isfinite().all() and fake.isfinite().all()):
        return torch.tensor(float("nan"), dtype=torch.float64)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    found = metric.compute()
    value: Tensor = found[0] if isinstance(found, tuple) else found
    return value


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Torchmetrics draws from the global state, which is put back: watching a game must not change it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
