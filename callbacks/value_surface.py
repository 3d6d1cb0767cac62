"""ValueSurface: D over the plane, beside the D that would be optimal."""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.losses import Objective
from lit_gans.metrics import (
    as_probability,
    grid_points,
    monotone_distance,
    optimal_logit,
    optimum,
    rank_correlation,
    roughness,
    surface_distance,
)

from .fixed_fake_set import fixed_fakes
from .looking import array, for_each_seed, panel_titles, training_reals, watched, with_seeds_axis
from .probe import Observation, Probe


class ValueSurface(Probe):
    """Draws D over the plane, and where it is known `D*(v) = p_r(v) / (p_r(v) + p_g(v))`; measures how far apart.

    D is drawn as a probability where its objective makes it one (see `metrics.surfaces.as_probability`), else as a
    score with the boundary 0, or as a critic without a boundary. Logged:

    - `surface/roughness` (of what is drawn, in its units per squared unit of length; see
      `metrics.surfaces.roughness`) and `surface/relative_roughness`, the same divided by the standard deviation of D
      over the square, which any two surfaces may be compared by;
    - `surface/distance`, the root mean square of `D - D*` over points as real and fake samples fall, that is with the
      weights `(p_r + p_g)/2`, where D is a probability;
    - `surface/distance_monotone`, the same after the best rising rescaling of D, and `surface/rank_correlation` over
      the square: they compare critics, too.

    `D*` is known, and the last three are logged, where the DataModule has both densities (`real_log_density` and
    `fake_log_density`, as GaussianPairDataModule has) and D trains on its `fake_set` (`FixedFakeSet`). Where G plays,
    the density of the fakes is G's, which nobody knows; its fakes are drawn then.

    Args:
        every_n_iterations: How often to look.
        extent: Half the side of the square.
        side: Grid points along one side; roughness compares on one grid only.
        n_samples: How many real and fake samples to draw.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `extent` is not positive, `side` is below 3 or `n_samples` below 1, or the data are not
            two-dimensional.

    Source: Li et al., eq. 3, fig. 2 and 3.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        extent: float = 2.0,
        side: int = 60,
        n_samples: int = 256,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if not extent > 0:
            raise ValueError(f"ValueSurface: extent must be positive, got {extent}")
        if side < 3:
            raise ValueError(f"ValueSurface: side must be at least 3, a grid with an inner point, got {side}")
        if n_samples < 1:
            raise ValueError(f"ValueSurface: n_samples must be at least 1, got {n_samples}")
        self.extent, self.side, self.n_samples, self.seed = extent, side, n_samples, seed
        self.grid = grid_points(side, extent)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The surface as a figure and in numbers."""
        fake = with_seeds_axis(gan, gan.sample(self.n_samples, self.seed, averaged=False))
        if fake.shape[2:] != (2,):
            raise ValueError(
                f"ValueSurface needs two-dimensional data, of sample shape (2,), got {tuple(fake.shape[2:])}; "
                f"take it out of the callbacks of this run"
            )
        fixed = fixed_fakes(trainer)
        if fixed is not None:
            fake = fixed[: self.n_samples].expand(len(fake), -1, -1)
        with watched(gan, "ValueSurface") as discriminator, torch.no_grad():
            logits = discriminator(for_each_seed(gan, self.grid)).cpu().double()
        values, output, boundary = _readable(gan.loss, logits)
        surfaces = values.unflatten(-1, (self.side, self.side))
        rough = roughness(surfaces, spacing=2 * self.extent / (self.side - 1))
        numbers = {
            "roughness": rough,
            "relative_roughness": rough / values.std(-1).clamp(min=torch.finfo(values.dtype).tiny),
        }
        optimal = None
        if (log_densities := self._log_densities(trainer)) is not None:
            optimal = optimum(gan.loss, optimal_logit(*log_densities))
            weights = torch.logaddexp(*log_densities).softmax(-1)  # (p_r + p_g)/2, whose sum over the grid is 1
            if output == "probability":
                numbers["distance"] = surface_distance(values, optimal, weights)
            numbers["distance_monotone"] = monotone_distance(logits, optimal, weights)
            # In float32, so that rounding does not rank points at which D* is the same.
            numbers["rank_correlation"] = rank_correlation(logits.float(), optimal_logit(*log_densities).float())
        picture = partial(
            plotting.value_surfaces,
            array(with_seeds_axis(gan, surfaces)),
            self.extent,
            array(training_reals(trainer, self.n_samples)),
            array(fake),
            panel_titles(gan),
            output,
            boundary,
            None if optimal is None else array(optimal.unflatten(-1, (self.side, self.side))),
            f"D's value ({output}) over the plane, iteration {gan.iteration}",
        )
        return Observation({f"surface/{key}": value for key, value in numbers.items()}, picture, {"output": output})

    def _log_densities(self, trainer: pl.Trainer) -> tuple[Tensor, Tensor] | None:
        """Those of the reals and of the fakes that D trains on, over the grid; None where one is not known."""
        data = getattr(trainer, "datamodule", None)
        known = hasattr(data, "real_log_density") and hasattr(data, "fake_log_density")
        if data is None or not known or fixed_fakes(trainer) is None:
            return None
        grid = self.grid.double()
        return data.real_log_density(grid), data.fake_log_density(grid)


def _readable(loss: Objective, logits: Tensor) -> tuple[Tensor, str, float | None]:
    """D's values as they are drawn, what they are, and which of them tells real from fake."""
    probability = as_probability(loss, logits)
    if probability is not None:
        return probability, "probability", 0.5
    decision = loss.decision(logits)
    return (logits, "critic", None) if decision is None else (decision, "score", 0.0)
