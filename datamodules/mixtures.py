"""Mixtures of Gaussians in the plane, whose modes can be counted: the ring and the grid."""

import math

import torch
from torch import Tensor

from .base import check_counts
from .toy import ToyDataModule, check_positive


class MixtureDataModule(ToyDataModule):
    """An equal mixture of M round Gaussians, `p(x) = 1/M Σ_m N(x; c_m, std² I)`.

    Args:
        centers: The means c, `(M, 2)`.
        std: Standard deviation of each Gaussian along each axis.
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        centers: Tensor,
        std: float,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        super().__init__(
            batch_size=batch_size, samples_per_epoch=samples_per_epoch, n_validation=n_validation, n_predict=n_predict
        )
        check_positive(std=std)
        self.centers = centers.to(torch.float32)
        self.std = std

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(2,)`."""
        return (2,)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Points `(n, 2)`."""
        modes = torch.randint(len(self.centers), (n,), generator=generator)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float32)
        return self.centers.index_select(0, modes).add_(noise, alpha=self.std)

    def real_log_density(self, x: Tensor) -> Tensor:
        """`log p(x)`, `(..., 2)` to `(...)`."""
        return mixture_log_density(x, self.centers, self.std)


def mixture_log_density(x: Tensor, centers: Tensor, std: float) -> Tensor:
    """`log 1/M Σ_m N(x; c_m, std² I)`, finite however far x is from every center.

    Args:
        x: Points, `(..., d)`.
        centers: The means c, `(M, d)`.
        std: Standard deviation of each Gaussian along each axis.

    Returns:
        Shape `(...)`, in the dtype of `x`.
    """
    squared_distance = (x.unsqueeze(-2) - centers.to(x)).square().sum(-1)
    of_modes = -squared_distance / (2 * std**2) - centers.shape[-1] / 2 * math.log(2 * math.pi * std**2)
    return of_modes.logsumexp(-1) - math.log(len(centers))


class RingDataModule(MixtureDataModule):
    """Gaussians evenly spaced on a circle, the first at `(radius, 0)`.

    The defaults are those of the code published with Thanh-Tung & Tran 2020, *Catastrophic forgetting and mode
    collapse in GANs*: radius 2 and std 0.02, everything divided by 1.414. PacGAN's protocol (Lin et al. 2018) is
    `radius=1, std=0.01`.

    Args:
        n_modes: The number M of Gaussians.
        radius: Distance of the centers from 0.
        std: Standard deviation of each Gaussian along each axis.
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        n_modes: int = 8,
        radius: float = 2 / 1.414,
        std: float = 0.02 / 1.414,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        check_counts(n_modes=n_modes)
        check_positive(radius=radius)
        angles = 2 * math.pi * torch.arange(n_modes, dtype=torch.float64) / n_modes
        centers = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
        super().__init__(
            centers=centers,
            std=std,
            batch_size=batch_size,
            samples_per_epoch=samples_per_epoch,
            n_validation=n_validation,
            n_predict=n_predict,
        )


class GridDataModule(MixtureDataModule):
    """Gaussians on a square grid around 0.

    The defaults are the grid of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): 25 Gaussians at
    {-4, -2, 0, 2, 4}², std 0.05.

    Args:
        n_side: Gaussians along one side, so that M = n_side².
        spacing: Distance between neighbours.
        std: Standard deviation of each Gaussian along each axis.
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        n_side: int = 5,
        spacing: float = 2.0,
        std: float = 0.05,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        check_counts(n_side=n_side)
        check_positive(spacing=spacing)
        ticks = spacing * (torch.arange(n_side, dtype=torch.float64) - (n_side - 1) / 2)
        super().__init__(
            centers=torch.cartesian_prod(ticks, ticks),
            std=std,
            batch_size=batch_size,
            samples_per_epoch=samples_per_epoch,
            n_validation=n_validation,
            n_predict=n_predict,
        )
