"""VectorField: where the two losses push the points of a two-dimensional data space."""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import discriminator_gradient, field_cosine, generator_field, grid_points, real_field

from .looking import array, held_out_reals, panel_titles, watched, with_seeds_axis
from .probe import Observation, Probe


class VectorField(Probe):
    """Draws `-∂L_G/∂x` and, of the real term of D's loss, `-∂L_D/∂x` over the plane, and measures their turning.

    Both point uphill in D. Logged: `field/cosine`, the mean cosine between `∇D` on a 20 x 20 grid over
    `[-extent, extent]²` now and one look ago: near 1 D's knowledge stands, near 0 it was forgotten in between.

    Args:
        every_n_iterations: How often to look; also the distance between the two fields that are compared.
        extent: Half the side of the square.
        n_samples: How many real and fake samples to draw.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` is below 1, or the data are not two-dimensional.

    Source: Thanh-Tung & Tran, fig. 1; Thanh-Tung et al. 2018, fig. 1 to 3.
    """

    def __init__(
        self,
        every_n_iterations: int = 500,
        extent: float = 2.0,
        n_samples: int = 256,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        self.grid = grid_points(20, extent)
        self.n_samples = n_samples
        self.seed = seed

    def forget(self) -> None:
        """Starts with no field to compare with."""
        super().forget()
        self._before: Tensor | None = None
        self._before_iteration = -1

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The fields as a figure, and their cosine with those of the last look."""
        fake = with_seeds_axis(gan, gan.sample(self.n_samples, self.seed, averaged=False))
        if fake.shape[2:] != (2,):
            raise ValueError(
                f"VectorField needs two-dimensional data, of sample shape (2,), got {tuple(fake.shape[2:])}; "
                f"take it out of the callbacks of this run"
            )
        real = held_out_reals(trainer, self.n_samples)
        real = torch.empty(0, 2) if real is None else real
        everywhere = self.grid.to(fake).expand(len(fake), -1, -1)
        points = everywhere[0] if gan.seeds is None else everywhere
        with watched(gan, "VectorField") as logits:
            real_logits, fake_logits = self._references(gan, real.to(fake), fake)
            fields = {
                "−∂L_G/∂x": generator_field(logits, gan.loss, points, real_logits),
                "−∂L_D/∂x, real term": real_field(logits, gan.loss, points, fake_logits),
            }
            now = discriminator_gradient(logits, points)
        picture = partial(
            plotting.vector_fields,
            self.grid.numpy(),
            {name: array(with_seeds_axis(gan, value)) for name, value in fields.items()},
            real.numpy(),
            array(fake),
            panel_titles(gan),
            f"where D's score rises, iteration {gan.iteration}",
        )
        return Observation(self._turning(now, gan.iteration), picture)

    def _turning(self, now: Tensor, iteration: int) -> dict[str, Tensor]:
        # Looks at the ends of a run may be closer together; their cosine would not compare with the others.
        if iteration % self.every_n_iterations:
            return {}
        before, self._before = self._before, now
        apart, self._before_iteration = iteration - self._before_iteration, iteration
        if before is None or apart != self.every_n_iterations:
            return {}
        return {"field/cosine": field_cosine(before.to(now), now)}

    @staticmethod
    @torch.no_grad()
    def _references(gan: GAN, real: Tensor, fake: Tensor) -> tuple[Tensor | None, Tensor]:
        """Mean logits of real and fake samples, for objectives that compare the two; shape `(..., 1)`."""
        fake_logits = gan.logits(fake[0] if gan.seeds is None else fake).mean(-1, keepdim=True)
        if not gan.loss.needs_real or not len(real):
            return None, fake_logits
        real = real if gan.seeds is None else real.expand(len(fake), -1, -1)
        return gan.logits(real).mean(-1, keepdim=True), fake_logits

    def state_dict(self) -> dict[str, Tensor | int | None]:
        """The field of the last look, so that a resumed run compares with it."""
        return {"before": self._before, "iteration": self._before_iteration}

    def load_state_dict(self, state_dict: dict[str, Tensor | int | None]) -> None:
        """Takes the field of the last look from a checkpoint."""
        self._before, self._before_iteration = state_dict["before"], state_dict["iteration"]  # type: ignore[assignment]
