"""SampleGrid: what G makes of the same latents, through the run."""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.streams import stream

from .looking import held_out_reals, panel_titles, with_seeds_axis
from .pictures import Picture
from .probe import Observation, Probe


class SampleGrid(Probe):
    """Draws G's samples of fixed latents: a grid of images, or points beside real ones for 1-D and 2-D data.

    Files: `sample_grid/<iteration>.png` and the film `sample_grid.gif` in the run's folder.

    Args:
        every_n_iterations: How often to look.
        n_samples: How many samples to draw per seed.
        seed: Of the latents: the same seed gives the same latents in every run.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `n_samples` is below 1.
    """

    def __init__(
        self, every_n_iterations: int = 1000, n_samples: int = 64, seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"SampleGrid: n_samples must be at least 1, got {n_samples}")
        self.n_samples = n_samples
        self.seed = seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """A figure, no numbers."""
        latents = torch.randn(self.n_samples, gan.latent_dim, generator=stream(self.seed, "sample grid"))
        fake = with_seeds_axis(gan, gan.generate(latents)).float().cpu()
        picture = sample_picture(
            fake,
            panel_titles(gan),
            held_out_reals(trainer, self.n_samples),
            f"samples at iteration {gan.iteration}",
        )
        return Observation(picture=picture)


def sample_picture(fake: Tensor, titles: list[str], real: Tensor | None, caption: str) -> Picture:
    """Samples `(S, n, *sample)` as images or points, whichever their shape says.

    Raises:
        ValueError: If a sample is neither a point of one or two dimensions nor an image `(1 or 3, H, W)`.
    """
    check_drawable("SampleGrid", tuple(fake.shape[2:]))
    if fake.ndim == 5:
        return partial(plotting.images, fake.numpy(), titles, caption)
    return partial(plotting.points, fake.numpy(), titles, None if real is None else real.numpy(), caption)


def check_drawable(who: str, shape: tuple[int, ...]) -> None:
    """A ValueError unless samples are points of one or two dimensions or images `(1 or 3, H, W)`."""
    if not (len(shape) == 3 and shape[0] in (1, 3)) and shape not in ((1,), (2,)):
        raise ValueError(f"{who} draws images (1 or 3, H, W) and points (1,) or (2,), not samples of shape {shape}")
