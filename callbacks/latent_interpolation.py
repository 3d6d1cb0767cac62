"""LatentInterpolation: what lies between two samples."""

from functools import partial

import pytorch_lightning as pl
import torch

from lit_gans import GAN, plotting
from lit_gans.metrics import largest_step, spherical_interpolation
from lit_gans.streams import stream

from .looking import array, held_out_reals, panel_titles, with_seeds_axis
from .probe import Observation, Probe
from .sample_grid import check_drawable


class LatentInterpolation(Probe):
    """Draws G along paths between latents: does one sample turn into the next, or jump?

    Logged: `interpolation/largest_step`, the largest step over the mean one, averaged over the paths (1: even).

    Args:
        every_n_iterations: How often to look.
        n_paths: How many paths per seed.
        n_steps: Samples on each, its ends included.
        seed: Of the ends: the same seed gives the same paths in every run.
        name: See `Probe`.

    Raises:
        ValueError: If `n_paths` is below 1 or `n_steps` below 3, or samples cannot be drawn.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        n_paths: int = 8,
        n_steps: int = 10,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_paths < 1 or n_steps < 3:
            raise ValueError(
                f"LatentInterpolation: n_paths must be at least 1 and n_steps at least 3, got {n_paths} and {n_steps}"
            )
        self.n_paths, self.n_steps, self.seed = n_paths, n_steps, seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The paths, and how even they are."""
        start, end = torch.randn(2, self.n_paths, gan.latent_dim, generator=stream(self.seed, "interpolation"))
        latents = spherical_interpolation(start, end, self.n_steps)
        samples = gan.generate(latents.flatten(0, 1))
        axis = len(gan.seeds_axis)
        paths = samples.unflatten(axis, (self.n_paths, self.n_steps))
        check_drawable(type(self).__name__, tuple(samples.shape[axis + 1 :]))
        real = held_out_reals(trainer, 500)
        picture = partial(
            plotting.interpolations,
            array(with_seeds_axis(gan, paths)),
            panel_titles(gan),
            None if real is None or real.ndim > 2 else array(real),
            f"between latents, iteration {gan.iteration}",
        )
        steps = largest_step(paths, samples.ndim - axis - 1).mean(-1)
        return Observation({"interpolation/largest_step": steps}, picture)
