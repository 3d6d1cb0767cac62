"""Value surfaces: D over the plane, how far it is from the optimal one, and how rough.

A surface is D's values at points of data space; where neighbours matter, on a square grid.
"""

import math
from collections.abc import Callable

import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor
from torchmetrics.functional import spearman_corrcoef

from ..losses import LeastSquares, Minimax, Objective, SeparableObjective


def optimal_logit(real_log_density: Tensor, fake_log_density: Tensor) -> Tensor:
    """`log p_r(v) - log p_g(v)`, the logit of the optimal discriminator `D*(v) = p_r / (p_r + p_g)`.

    Args:
        real_log_density: `log p_r`, shape `(..., n)`.
        fake_log_density: `log p_g`, likewise.

    Returns:
        Shape `(..., n)`; ±inf where one density is 0, NaN where both are.

    Source: Goodfellow et al. 2014, prop. 1; Li et al., eq. 3.
    """
    return real_log_density - fake_log_density


def as_probability(loss: Objective, logits: Tensor) -> Tensor | None:
    """D's output as the probability that a sample is real: what an objective drives towards `p_r / (p_r + p_g)`.

    `σ(D)` for `Minimax` and `NonSaturating`, `(D - a)/(b - a)` for `LeastSquares`, which may leave [0, 1]; None for
    all others, whose D is a score. See `optimum` for what a `real_weight` and label smoothing make of it.

    Args:
        loss: The objective.
        logits: D's, of any shape, which stays.
    """
    if isinstance(loss, Minimax):
        return logits.sigmoid()
    if isinstance(loss, LeastSquares):
        return (logits - loss.fake_target) / (loss.real_target - loss.fake_target)
    return None


def optimum(loss: Objective, log_ratio: Tensor) -> Tensor:
    """The probability that an objective drives D to: `t · γ p_r / (γ p_r + p_g)`, γ its `real_weight`, t its smoothing.

    Without either it is `D* = p_r / (p_r + p_g)`.

    Args:
        loss: The objective.
        log_ratio: `log p_r - log p_g`, of any shape, which stays.
    """
    weighted = log_ratio + math.log(loss.real_weight if isinstance(loss, SeparableObjective) else 1.0)
    return weighted.sigmoid() * (loss.real_target if isinstance(loss, Minimax) else 1.0)


def surface_distance(surface: Tensor, optimal: Tensor, weights: Tensor | None = None) -> Tensor:
    """`√ Σ_i w_i (D_i - D*_i)² / Σ_i w_i`, the root mean square distance of two surfaces, in units of D.

    With `w = (p_r + p_g)/2` on a fine grid its square is what D's Brier score loses to that of `D*`, on samples half
    of which are real.

    Args:
        surface: `D_i`, a probability, shape `(..., n)`.
        optimal: `D*_i`, shape `(n,)`.
        weights: `w_i`, at least 0, shape `(n,)`; None counts all points alike.

    Returns:
        Shape `(...)`.
    """
    weights = torch.ones_like(optimal) if weights is None else weights
    return ((weights * (surface - optimal).square()).sum(-1) / weights.sum()).sqrt()


def monotone_distance(surface: Tensor, optimal: Tensor, weights: Tensor | None = None) -> Tensor:
    """`min_f surface_distance(f(D), D*)` over all f that never fall: what no rescaling of D can mend.

    For a critic, whose scale means nothing. 0 if D ranks all points as `D*` does; at worst, for a D that is constant
    or ranks them the other way round, the standard deviation of `D*`. The best f is the isotonic regression of `D*`
    on D.

    Args:
        surface: `D_i`, in any units, shape `(..., n)`.
        optimal: `D*_i`, shape `(n,)`.
        weights: `w_i`, at least 0, shape `(n,)`; None counts all points alike.

    Returns:
        Shape `(...)`, on the CPU; NaN where D returned anything that is not a finite number.
    """
    optimal = optimal.detach().double().cpu()
    weights = torch.ones_like(optimal) if weights is None else weights.detach().double().cpu()

    def of_one(values: Tensor) -> Tensor:
        ranks = values.unique(return_inverse=True)[1]  # of any size: scikit-learn takes values 1e-15 apart for one
        regression = IsotonicRegression(out_of_bounds="clip").fit(ranks, optimal, weights)
        return surface_distance(torch.from_numpy(regression.predict(ranks)), optimal, weights)

    return _one_by_one(of_one, surface)


def rank_correlation(surface: Tensor, optimal: Tensor) -> Tensor:
    """Spearman's correlation of D with `D*` over the points: 1 if one is a rising function of the other.

    Args:
        surface: `D_i`, in any units, shape `(..., n)`.
        optimal: `D*_i` or its logit, shape `(n,)`.

    Returns:
        Shape `(...)`, from -1 to 1, on the CPU; 0 for a constant D, NaN where D returned anything that is not a
        finite number.
    """
    optimal = optimal.detach().cpu()
    return _one_by_one(lambda values: spearman_corrcoef(values, optimal.to(values)), surface)


def roughness(surface: Tensor, spacing: float) -> Tensor:
    """The root mean square of a surface's discrete Laplacian, in units of D per squared unit of length.

    `(Δ D)_ij = (D_i+1,j + D_i-1,j + D_i,j+1 + D_i,j-1 - 4 D_ij) / h²` at the grid's inner points: 0 for a plane, large
    where the surface is steep and bends within a cell. A network with ReLU has kinks, at which it grows as `1/√h`:
    compare it on one grid only.

    Args:
        surface: Shape `(..., side, side)`, on a square grid.
        spacing: h, the distance of neighbouring grid points, in the data's units.

    Returns:
        Shape `(...)`. For a critic, whose unit means nothing, give the surface divided by its standard deviation.

    Raises:
        ValueError: If the grid has no inner points.
    """
    if surface.ndim < 2 or min(surface.shape[-2:]) < 3:
        raise ValueError(f"roughness needs a surface on a grid of at least 3 x 3, got shape {tuple(surface.shape)}")
    inner = surface[..., 1:-1, 1:-1]
    across = surface[..., 2:, 1:-1] + surface[..., :-2, 1:-1]
    along = surface[..., 1:-1, 2:] + surface[..., 1:-1, :-2]
    return ((across + along - 4 * inner) / spacing**2).square().mean((-1, -2)).sqrt()


def _one_by_one(measure: Callable[[Tensor], Tensor], surface: Tensor) -> Tensor:
    """A measure of each surface `(n,)` of `(..., n)`, shape `(...)`; NaN for those that are not all finite."""
    rows = surface.detach().cpu().reshape(-1, surface.shape[-1])
    found = [float(measure(row)) if row.isfinite().all() else float("nan") for row in rows]
    return torch.tensor(found, dtype=surface.dtype).reshape(surface.shape[:-1])
