"""InstanceNoise: real and fake samples blurred alike before D sees them."""

import math

import pytorch_lightning as pl
from torch import Tensor

from lit_gans import GAN
from lit_gans.schedules import Schedule, as_schedule

from .drawing_hook import DrawingHook


class InstanceNoise(DrawingHook):
    """Adds `N(0, s²I)` to every sample on its way into D, real and fake, in both players' updates.

    It gives the two distributions a common support, so that D's gradient says something to G even where they are far
    apart. Anneal it: with s above 0 the game's solution is G's distribution only up to the noise. Probes, samples and
    held-out numbers are without noise.

    Args:
        std: s, a number or a schedule over iterations, in the units of the data (images: of [-1, 1]).

    Raises:
        ValueError: If `std` is negative or not finite.

    Source: Sønderby et al. 2017; Arjovsky & Bottou 2017; Manisha & Gujar 2018, section 3.3.
    """

    purpose = "instance noise"

    def __init__(self, std: float | Schedule) -> None:
        super().__init__()
        if not isinstance(std, Schedule) and not 0 <= std < math.inf:
            raise ValueError(f"InstanceNoise: std must be at least 0 and finite, got {std}")
        self.std = as_schedule(std)
        self._gan: GAN | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes up the random streams, and the game whose iterations the schedule counts."""
        super().on_train_start(trainer, pl_module)
        assert isinstance(pl_module, GAN)
        self._gan = pl_module

    def perturb(self, samples: Tensor) -> Tensor:
        """`x + s ε`, `ε ~ N(0, I)`, shape `(..., B, *sample)`."""
        assert self._gan is not None
        std = self.std(self._gan.global_step)
        return samples + std * self.draws.normal(samples) if std > 0 else samples
