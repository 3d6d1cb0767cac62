"""SampleDistance: how far fakes are from reals, where points themselves can be compared."""

import pytorch_lightning as pl
import torch

from lit_gans import GAN
from lit_gans.metrics import maximum_mean_discrepancy, sliced_wasserstein

from .looking import training_reals, with_seeds_axis
from .probe import Observation
from .verdict import Verdict, with_each_seed


class SampleDistance(Verdict):
    """The sliced Wasserstein distance and the MMD between fakes and reals: for points, and for small images.

    Logged: `distance/sliced_wasserstein` (in units of the data) and `distance/mmd` (squared; as often below 0 as above
    where there is no difference). It looks during `fit`, `validate` and `test`, and prints what it saw last.

    Args:
        every_n_iterations: How often to look during training.
        n_samples: How many fakes, and at most how many reals; time and memory of the MMD grow with the square.
        n_projections: Directions of the sliced Wasserstein distance.
        bandwidth: σ of the MMD's kernel, in units of the data; None is the median distance between two reals.
        seed: Of the latents and the directions.
        name: See `Probe`.

    Raises:
        ValueError: If `n_samples` is below 2, `n_projections` below 1, or the bandwidth not above 0.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        n_samples: int = 1000,
        n_projections: int = 100,
        bandwidth: float | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 2 or n_projections < 1 or (bandwidth is not None and not bandwidth > 0):
            raise ValueError(
                f"SampleDistance: n_samples must be at least 2, n_projections at least 1, and bandwidth above 0 or "
                f"null, got {n_samples}, {n_projections} and {bandwidth}"
            )
        self.n_samples, self.n_projections, self.bandwidth, self.seed = n_samples, n_projections, bandwidth, seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Numbers, no figure."""
        real = training_reals(trainer, self.n_samples).to(gan.device)
        fakes = with_seeds_axis(gan, gan.sample(self.n_samples, self.seed))
        slices = [sliced_wasserstein(real, fake, self.n_projections, self.seed) for fake in fakes]
        discrepancies = [maximum_mean_discrepancy(real, fake, self.bandwidth) for fake in fakes]
        numbers = {"distance/sliced_wasserstein": slices, "distance/mmd": discrepancies}
        return Observation({key: torch.stack(values).reshape(gan.seeds_axis) for key, values in numbers.items()})

    def sentence(self, trainer: pl.Trainer) -> str:
        """Both distances."""
        slices, mmd = (with_each_seed(trainer, self.key(f"distance/{key}")) for key in ("sliced_wasserstein", "mmd"))
        return f"distance of fakes from reals: sliced Wasserstein {slices}, MMD² {mmd}"
