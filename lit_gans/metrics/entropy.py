"""Entropy of a discrete distribution from counts: how evenly G makes the modes of the data."""

import torch
from torch import Tensor


def mode_counts(modes: Tensor, n_modes: int) -> Tensor:
    """How many samples each mode has.

    Args:
        modes: The index of each sample's mode from 0 to m - 1, or -1 for none; shape `(..., n)`.
        n_modes: m.

    Returns:
        Shape `(..., m)`, of float64.
    """
    counts = torch.zeros(*modes.shape[:-1], n_modes + 1, dtype=torch.float64, device=modes.device)
    return counts.scatter_add(-1, modes + 1, torch.ones_like(modes, dtype=torch.float64))[..., 1:]


def plugin_entropy(counts: Tensor) -> Tensor:
    """`H(p) = -Σ_j p_j ln p_j` in nats of the shares `p_j = n_j / n`.

    Too low on average, by about `(m - 1) / 2n`: with few samples per mode it takes luck for loss of diversity.

    Args:
        counts: Non-negative, shape `(..., m)`; modes without a sample count with a zero.

    Returns:
        Shape `(...)`, in `[0, ln m]`; NaN where there are no samples.

    Raises:
        ValueError: If there are no modes, or a count is negative.
    """
    return _entropy(_shares(counts))


def miller_madow_entropy(counts: Tensor) -> Tensor:
    """The plug-in entropy, plus `(m⁺ - 1) / 2n` for its bias, m⁺ the number of modes that have a sample.

    With most modes unseen m⁺ says little, and the correction is too small. It can exceed `ln m`.

    Args:
        counts: As in `plugin_entropy`, which see for errors, too.

    Returns:
        Shape `(...)`, in nats.

    Source: Miller 1955.
    """
    seen = (counts > 0).sum(-1)
    return plugin_entropy(counts) + (seen - 1) / (2 * counts.double().sum(-1))


def james_stein_entropy(counts: Tensor) -> Tensor:
    """The entropy in nats of shares that are shrunk towards evenness.

    ```
    p̃_j = λ/m + (1 - λ) p_j,   λ = (1 - Σ_j p_j²) / ((n - 1) Σ_j (1/m - p_j)²),   in [0, 1], and 1 at 0/0
    ```

    It is close where the truth is close to even. Where it is not, few samples per mode are shrunk to evenness all the
    same: unless n is several times m, a generator that makes a tenth of the modes seems to make most of them.

    Args:
        counts: As in `plugin_entropy`, which see for errors, too. Modes without a sample matter: m is their number.

    Returns:
        Shape `(...)`, in `[0, ln m]`.

    Source: Hausser & Strimmer 2009; SQD, algorithm 1.
    """
    p, n = _shares(counts), counts.double().sum(-1)
    distance = (1 / p.shape[-1] - p).square().sum(-1)
    shrinkage = (1 - p.square().sum(-1)).clamp_min(0.0) / ((n - 1) * distance)
    shrinkage = shrinkage.nan_to_num(nan=1.0).clamp(0.0, 1.0).unsqueeze(-1)
    return _entropy(shrinkage / p.shape[-1] + (1 - shrinkage) * p)


def _shares(counts: Tensor) -> Tensor:
    if counts.ndim == 0 or counts.shape[-1] == 0:
        raise ValueError(f"counts must have shape (..., m) with m > 0 modes, got {tuple(counts.shape)}")
    if (counts < 0).any():
        raise ValueError(f"counts must be at least 0, got {counts.min().item():g}")
    counts = counts.double()
    return counts / counts.sum(-1, keepdim=True)


def _entropy(p: Tensor) -> Tensor:
    return 0.0 - torch.special.xlogy(p, p).sum(-1).clamp_max(0.0)  # of a single mode 0, not -0
