"""NoisyReals: does D tell a real sample from a noisy one?"""

from collections.abc import Sequence
from functools import partial

import pytorch_lightning as pl
import torch

from lit_gans import GAN, plotting
from lit_gans.metrics import kendall_tau, noisy_logits, realness
from lit_gans.streams import stream

from .looking import array, for_each_seed, panel_titles, training_reals, watched, with_seeds_axis
from .probe import Observation, Probe


class NoisyReals(Probe):
    """Shows real samples to D at growing levels of Gaussian noise; a good D scores noisier ones lower.

    The noise is the same at every look; on each sample it keeps its direction and only grows. It is not clipped to the
    range of images. Logged: `noise/score_at_<level>`, the mean score `σ(D)` (of the objective's decision, see
    `metrics.realness`), and `noise/rank_correlation`, the mean over samples of Kendall's τ between level and D: -1 if
    every sample's score falls at every step, 0 if D does not care, 1 if it finds noise more real.

    Args:
        every_n_iterations: How often to look.
        levels: Standard deviations of the noise in units of the data, rising; 0 is the sample itself.
        n_samples: How many real samples, of those that D is trained on.
        seed: Of the noise, and of the latents of an objective that only compares.
        name: See `Probe`.

    Raises:
        ValueError: If `n_samples` is below 1, or `levels` are fewer than two, below 0, or do not rise.

    Source: Thanh-Tung & Tran, fig. 16.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        levels: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6),
        n_samples: int = 64,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"NoisyReals: n_samples must be at least 1, got {n_samples}")
        self.levels = torch.tensor(levels)
        if len(levels) < 2 or not levels[0] >= 0 or not (self.levels.diff() > 0).all():
            raise ValueError(
                f"NoisyReals: levels must be two or more standard deviations of at least 0, rising, got {list(levels)}"
            )
        self.n_samples = n_samples
        self.seed = seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Scores by level, as a figure and in numbers."""
        real = training_reals(trainer, self.n_samples)
        noise = torch.randn(real.shape, generator=stream(self.seed, "noise on reals"))
        with watched(gan, "NoisyReals") as logits, torch.no_grad():
            samples = for_each_seed(gan, real)
            found = noisy_logits(logits, samples, noise, self.levels)
            fake = logits(gan.sample(self.n_samples, self.seed, averaged=False))
            side = realness(gan.loss, found.flatten(-2), logits(samples), fake)
        scores = side.sigmoid().unflatten(-1, found.shape[-2:])
        numbers = {f"noise/score_at_{s:g}": scores[..., i].mean(-1) for i, s in enumerate(self.levels.tolist())}
        numbers["noise/rank_correlation"] = kendall_tau(found).mean(-1)
        examples = real[:1] + self.levels.reshape(-1, *[1] * (real.ndim - 1)) * noise[:1]
        is_image = real.ndim == 4 and real.shape[1] in (1, 3)
        picture = partial(
            plotting.noisy_scores,
            self.levels.numpy(),
            array(with_seeds_axis(gan, scores)),
            panel_titles(gan),
            array(examples) if is_image else None,
            f"how real D finds noisy real samples, iteration {gan.iteration}",
        )
        return Observation(numbers, picture)
