"""Toy distributions: drawn, never stored, so that no run can learn its data by heart."""

import math
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from lit_gans.streams import stream

from .base import GANDataModule, check_counts
from .sources import DrawnSource, Source, StoredSource


class ToyDataModule(GANDataModule):
    """A distribution one can draw from; a subclass gives `sample_shape` and `draw(n, generator)`.

    An epoch is `samples_per_epoch // (batch_size * n_critic)` iterations, each on fresh draws.

    Args:
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws, always the same ones; validation and test have different ones.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        super().__init__(batch_size=batch_size, n_predict=n_predict)
        check_counts(samples_per_epoch=samples_per_epoch, n_validation=n_validation)
        self.samples_per_epoch = samples_per_epoch
        self.n_validation = n_validation

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws `(n, *sample_shape)` in float32; a function of its arguments alone."""

    def train_source(self) -> Source:
        """Fresh draws for every epoch."""
        return DrawnSource(self.draw, self.samples_per_epoch, name=type(self).__name__)

    def held_out_source(self, split: Literal["validate", "test"]) -> StoredSource:
        """The `n_validation` draws of a stream that no seed trains on."""
        held_out = self.draw(self.n_validation, stream(0, f"data/{split}"))
        return StoredSource(held_out, name=f"the held-out draws of {type(self).__name__}")


class DiracDataModule(ToyDataModule):
    """The Dirac distribution at 0, samples of shape `(1,)`: the smallest game that fails to converge.

    Source: Thanh-Tung & Tran 2020, *Catastrophic forgetting and mode collapse in GANs*, section IV-B; Mescheder et
    al. 2018, *Which training methods for GANs do actually converge?*.

    Args:
        batch_size: Samples per D update, seed and process; all are 0, so one is enough.
        samples_per_epoch: Samples per epoch and seed, over all processes.
        n_validation: Held-out samples; one is enough, too.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        batch_size: int = 1,
        samples_per_epoch: int = 256_000,
        n_validation: int = 1,
        n_predict: int = 64,
    ) -> None:
        super().__init__(
            batch_size=batch_size, samples_per_epoch=samples_per_epoch, n_validation=n_validation, n_predict=n_predict
        )

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(1,)`."""
        return (1,)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Zeros `(n, 1)`."""
        return torch.zeros(n, 1, dtype=torch.float32)


class SwissRollDataModule(ToyDataModule):
    """The Swiss roll in the plane, `x = (t cos t, t sin t) / scale`, t uniform on [3π/2, 9π/2], plus noise.

    The noise is N(0, noise²) before the division by `scale`. Source: Gulrajani et al. 2017 (WGAN-GP).

    Args:
        noise: Standard deviation of the noise, in units of the unscaled roll (which reaches out to 9π/2).
        scale: Divides everything.
        batch_size: Samples per D update, seed and process.
        samples_per_epoch: Samples drawn per epoch and seed, over all processes.
        n_validation: Held-out draws.
        n_predict: How many latents `predict` runs on.
    """

    def __init__(
        self,
        *,
        noise: float = 0.25,
        scale: float = 7.5,
        batch_size: int = 256,
        samples_per_epoch: int = 256_000,
        n_validation: int = 2_500,
        n_predict: int = 64,
    ) -> None:
        super().__init__(
            batch_size=batch_size, samples_per_epoch=samples_per_epoch, n_validation=n_validation, n_predict=n_predict
        )
        check_positive(noise=noise, scale=scale)
        self.noise = noise
        self.scale = scale

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(2,)`."""
        return (2,)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Points `(n, 2)`."""
        t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator, dtype=torch.float32))
        noise = self.noise * torch.randn(n, 2, generator=generator, dtype=torch.float32)
        return (torch.stack([t * t.cos(), t * t.sin()], dim=1) + noise) / self.scale


def check_positive(**values: float) -> None:
    """Refuses what is not a finite number above 0, by the name the user gave it under."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number above 0, not {value}")
