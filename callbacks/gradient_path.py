"""GradientPath: does D get steeper between fakes and reals as the fakes come closer?"""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import growth, log_mean, nearest, path_gradients
from lit_gans.penalties import Logit, Output

from .looking import array, panel_titles, training_reals, watched, with_seeds_axis
from .probe import Observation, Probe


class GradientPath(Probe):
    """Follows `‖∇D‖` on straight lines from fakes to real samples, and what becomes of it as the lines get shorter.

    Each fake y is paired with its nearest real sample x: of all pairs these are the ones in which y goes to x (the
    distance to a real sample drawn at random stays that between modes). Logged:

    - `path/gradient_max`: the largest `‖∇D‖` on a path, the geometric mean over pairs;
    - `path/distance`: `‖x - y‖`, likewise;
    - `path/growth`: the least-squares slope of `log gradient_max` against `log distance` over all looks so far. -1 is
      the rate of an exploding gradient, 0 is no growth, above 0 D gets flatter as fakes come closer. The untrained D
      of iteration 0 and earlier looks off the beat stay out; absent before two looks are in;
    - `path/growth_over_pairs`: the same slope over the pairs of this look. It says how steepness is spread over the
      plane, not what happens as y approaches x: a longer path has more room for a steep place.

    The picture: above, each pair's largest gradient against its distance, the way of the means over the run, and the
    slope -1; below, `‖∇D‖` along the path.

    Args:
        every_n_iterations: How often to look.
        n_samples: Fakes, each the start of one path, and real samples to find the nearest in.
        steps: Points on a path, from 0, the fake, to 1, the real sample.
        output: `Logit()` or `Probability()`: what is differentiated; None is the logit.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `n_samples` is below 1, or `steps` below 2.

    Source: Li, Li & Zhou, eq. 7.
    """

    def __init__(
        self,
        every_n_iterations: int = 500,
        n_samples: int = 128,
        steps: int = 16,
        output: Output | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"GradientPath: n_samples must be at least 1, got {n_samples}")
        if steps < 2:
            raise ValueError(f"GradientPath: steps must be at least 2, the two ends of a path, got {steps}")
        self.n_samples, self.steps, self.seed = n_samples, steps, seed
        self.output = Logit() if output is None else output

    def forget(self) -> None:
        """Starts a new way."""
        super().forget()
        self._means: list[tuple[int, Tensor]] = []

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The paths as a figure and in numbers."""
        fake = gan.sample(self.n_samples, self.seed, averaged=False)
        real = nearest(fake, training_reals(trainer, self.n_samples).to(fake))
        with watched(gan, "GradientPath") as logits:
            found = path_gradients(logits, fake, real, self.steps, self.output)
        steepest = found.norms.amax(-1)
        means = torch.stack([log_mean(steepest), log_mean(found.distance)]).exp().cpu()
        numbers = {"path/gradient_max": means[0], "path/distance": means[1]}
        way = self._way(means, gan.iteration)
        if len(way) > 1:
            numbers["path/growth"] = growth(*torch.stack(way, -1))
        numbers["path/growth_over_pairs"] = growth(steepest, found.distance)
        output = type(self.output).__name__.lower()
        picture = partial(
            plotting.gradient_paths,
            array(with_seeds_axis(gan, found.norms)),
            array(with_seeds_axis(gan, found.distance)),
            array(torch.stack(way or [means]).reshape(-1, 2, len(panel_titles(gan)))),
            panel_titles(gan),
            output,
            f"D from fakes to the nearest real, iteration {gan.iteration}",
        )
        return Observation(numbers, picture, {"output": output})

    def _way(self, means: Tensor, iteration: int) -> list[Tensor]:
        """The means of all looks up to this one, each of shape `(2, ...)`; without that at the untrained D."""
        self._means = [(t, earlier) for t, earlier in self._means if t < iteration]
        way = [earlier for _, earlier in self._means]
        if iteration == 0:
            return way
        if iteration % self.every_n_iterations == 0:
            self._means.append((iteration, means))
        return [*way, means]

    def state_dict(self) -> dict[str, list[tuple[int, Tensor]]]:
        """The means of all looks."""
        return {"means": self._means}

    def load_state_dict(self, state_dict: dict[str, list[tuple[int, Tensor]]]) -> None:
        """Takes them from a checkpoint."""
        self._means = [(iteration, means) for iteration, means in state_dict["means"]]
