"""Distances between two sets of samples that need no judge and no network: for points in the plane, above all."""

import torch
from torch import Tensor


def sliced_wasserstein(real: Tensor, fake: Tensor, n_projections: int = 100, seed: int = 0) -> Tensor:
    """How far the samples must be moved, on average over directions: the sliced 2-Wasserstein distance.

    `SW₂² = E_θ W₂²(θᵀx, θᵀy)` with θ uniform on the unit sphere; in one dimension W₂ compares sorted values. For a
    set and itself moved by v it is `‖v‖ / √d`. By POT (`ot.sliced_wasserstein_distance`).

    Args:
        real: Samples, shape `(n, *sample)`, flattened to vectors of d numbers.
        fake: Samples, shape `(m, *sample)`.
        n_projections: How many directions θ.
        seed: Of the directions: the same seed gives the same ones.

    Returns:
        Shape `()`, in units of the data.

    Source: Rabin et al. 2011; Bonneel et al. 2015; beyond the papers of this collection.
    """
    import ot  # only here: importing it takes a second

    x, y = real.flatten(1).double(), fake.flatten(1).double()
    distance: Tensor = ot.sliced_wasserstein_distance(x, y, n_projections=n_projections, seed=seed)
    return distance


def maximum_mean_discrepancy(real: Tensor, fake: Tensor, bandwidth: float | None = None) -> Tensor:
    """The squared distance of two distributions in the space of a Gaussian kernel, without bias.

    ```
    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y),   k(u, v) = exp(-‖u - v‖² / 2σ²)
    ```

    Pairs of a sample with itself are left out, so the mean over draws is right, and for equal distributions it is as
    often below 0 as above. A small σ sees detail within modes, a large one which modes there are.

    Args:
        real: Samples x, shape `(n, *sample)`, n > 1, flattened to vectors.
        fake: Samples y, shape `(m, *sample)`, m > 1.
        bandwidth: σ, in units of the data; None is the median distance between two reals.

    Returns:
        Shape `()`; NaN without a bandwidth where most reals are alike, whose median distance is 0.

    Source: Gretton et al. 2012, eq. 3; beyond the papers of this collection.
    """
    x, y = real.flatten(1).double(), fake.flatten(1).double()
    between_reals = torch.pdist(x)
    sigma = between_reals.median() if bandwidth is None else torch.tensor(bandwidth, dtype=x.dtype)

    def kernel(distances: Tensor) -> Tensor:
        return torch.exp(-distances.square() / (2 * sigma**2))

    return kernel(between_reals).mean() + kernel(torch.pdist(y)).mean() - 2 * kernel(torch.cdist(x, y)).mean()
