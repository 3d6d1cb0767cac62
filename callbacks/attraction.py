"""Attraction: are all fakes pulled the same way?"""

from functools import partial

import pytorch_lightning as pl
import torch

from lit_gans import GAN, plotting
from lit_gans.metrics import attraction, discriminator_gradient

from .looking import array, held_out_reals, panel_titles, watched, with_seeds_axis
from .probe import Observation, Probe


class Attraction(Probe):
    """Measures how alike the directions of `∇D` at G's samples are; draws them.

    Where G collapses, all fakes are pulled to the same real sample, and on to the same mode (1); a D that knows all
    of its data pulls them to different ones (near 0). Logged: `fakes/attraction`, the mean resultant length of
    the unit vectors of `∇D` (see `metrics.attraction`); n independent directions give about `1/√n`.

    The picture: of two-dimensional data, fakes with arrows in the direction of `∇D`, and real samples; of other data,
    the cosines between `∇D` at each fake and the mean direction.

    Args:
        every_n_iterations: How often to look.
        n_samples: How many fakes.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `n_samples` is below 1.

    Source: Thanh-Tung et al. 2018, fig. 2.
    """

    def __init__(
        self, every_n_iterations: int = 1000, n_samples: int = 256, seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"Attraction: n_samples must be at least 1, got {n_samples}")
        self.n_samples = n_samples
        self.seed = seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The directions as a figure, and how alike they are."""
        fake = gan.sample(self.n_samples, self.seed, averaged=False)
        with watched(gan, "Attraction") as logits:
            field = discriminator_gradient(logits, fake).flatten(1 if gan.seeds is None else 2)
        found = attraction(field)
        pulls, fake = array(with_seeds_axis(gan, field)), with_seeds_axis(gan, fake)
        titles = [
            f"{title}  attraction {value:.2f}".strip()
            for title, value in zip(panel_titles(gan), found.reshape(-1).tolist(), strict=True)
        ]
        caption = f"where D pulls the fakes, iteration {gan.iteration}"
        if fake.shape[2:] != (2,):
            return Observation({"fakes/attraction": found}, partial(plotting.cosines, pulls, titles, caption))
        real = held_out_reals(trainer, self.n_samples)
        real = torch.empty(0, 2) if real is None else real
        picture = partial(plotting.arrows, array(fake), pulls, array(real), titles, caption)
        return Observation({"fakes/attraction": found}, picture)
