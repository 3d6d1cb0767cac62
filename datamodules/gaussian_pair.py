"""Two Gaussians with known densities: the one game whose optimal discriminator can be written down."""

import math

import torch
from torch import Tensor

from lit_gans.streams import stream

from .base import check_counts
from .mixtures import mixture_log_density
from .sources import DrawnSource, Source
from .toy import ToyDataModule, check_positive


class GaussianPairDataModule(ToyDataModule):
    """A real and a fake Gaussian in the plane, `p(x) = N(x; mean, std² I)` each; the real one is the data.

    The optimal discriminator's logit is `log p_real(x) - log p_fake(x)`, from `real_log_density` and
    `fake_log_density`. Source: Li et al., reproducibility report of 0-GP, section IV-B, fig. 2 and 3. It prints no
    means or deviations: the defaults are ours, two Gaussians that overlap.

    The report trains on fixed, finite sets and asks how D generalises. With `n_samples` the batches are drawn, with
    replacement, from `real_set`; `fake_set` is its counterpart. Held-out samples always come from the density.

    Args:
        real_mean: Mean of the real Gaussian.
        fake_mean: Mean of the fake Gaussian.
        real_std: Standard deviation of the real Gaussian along each axis.
        fake_std: Standard deviation of the fake Gaussian along each axis.
        n_samples: Size of the fixed sets; None draws every sample anew.
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws.
        n_predict: How many latents `predict` runs on.

    Attributes:
        real_set: `(n_samples, 2)`, or None; the same points whatever the seed.
        fake_set: `(n_samples, 2)`, or None.
    """

    def __init__(
        self,
        *,
        real_mean: tuple[float, float] = (1.0, 0.0),
        fake_mean: tuple[float, float] = (-1.0, 0.0),
        real_std: float = 1.0,
        fake_std: float = 1.0,
        n_samples: int | None = None,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        super().__init__(
            batch_size=batch_size, samples_per_epoch=samples_per_epoch, n_validation=n_validation, n_predict=n_predict
        )
        check_positive(real_std=real_std, fake_std=fake_std)
        for name, mean in (("real_mean", real_mean), ("fake_mean", fake_mean)):
            if len(mean) != 2 or not all(math.isfinite(value) for value in mean):
                raise ValueError(f"{name} must be two finite numbers, not {mean}")
        self.real_mean, self.fake_mean = tuple(real_mean), tuple(fake_mean)
        self.real_std, self.fake_std = real_std, fake_std
        self.real_set: Tensor | None = None
        self.fake_set: Tensor | None = None
        if n_samples is not None:
            check_counts(n_samples=n_samples)
            self.real_set = self.draw(n_samples, stream(0, "data/real set"))
            self.fake_set = self.draw_fake(n_samples, stream(0, "data/fake set"))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(2,)`."""
        return (2,)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Points `(n, 2)` of the real Gaussian."""
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float32)
        return torch.tensor(self.real_mean, dtype=torch.float32) + self.real_std * noise

    def draw_fake(self, n: int, generator: torch.Generator) -> Tensor:
        """Points `(n, 2)` of the fake Gaussian."""
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float32)
        return torch.tensor(self.fake_mean, dtype=torch.float32) + self.fake_std * noise

    def real_log_density(self, x: Tensor) -> Tensor:
        """`log p_real(x)`, `(..., 2)` to `(...)`."""
        return mixture_log_density(x, x.new_tensor([self.real_mean]), self.real_std)

    def fake_log_density(self, x: Tensor) -> Tensor:
        """`log p_fake(x)`, `(..., 2)` to `(...)`."""
        return mixture_log_density(x, x.new_tensor([self.fake_mean]), self.fake_std)

    def reals(self, n: int) -> Tensor:
        """`n` points of the density, `(n, 2)`, or the first of the fixed set: all, if there are fewer than `n`."""
        return super().reals(n) if self.real_set is None else self.real_set[:n]

    def train_source(self) -> Source:
        """Fresh draws of the density, or of the fixed set."""
        real_set = self.real_set
        if real_set is None:
            return super().train_source()

        def resample(n: int, generator: torch.Generator) -> Tensor:
            return real_set[torch.randint(len(real_set), (n,), generator=generator)]

        return DrawnSource(resample, self.samples_per_epoch, name=type(self).__name__)
