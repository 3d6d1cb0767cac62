"""NearestReals: how many different real samples the fakes come close to."""

import pytorch_lightning as pl

from lit_gans import GAN
from lit_gans.metrics import nearest_reals

from .looking import training_reals
from .probe import Observation
from .trend import Trend


class NearestReals(Trend):
    """Counts the training samples that are the nearest one of some fake: a diversity that needs no judge.

    Logged: `fakes/nearest_reals`, from 1 (all fakes crowd around one) to `n_samples`.

    Args:
        every_n_iterations: How often to look.
        n_samples: How many fakes.
        n_reals: At most so many training samples, the first ones.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If a count is below 1.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        n_samples: int = 1000,
        n_reals: int = 2000,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if min(n_samples, n_reals) < 1:
            raise ValueError(f"NearestReals: n_samples and n_reals must be at least 1, got {n_samples} and {n_reals}")
        self.n_samples, self.n_reals, self.seed = n_samples, n_reals, seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """One number."""
        fake = gan.sample(self.n_samples, self.seed)
        return Observation({"fakes/nearest_reals": nearest_reals(fake, training_reals(trainer, self.n_reals))})
