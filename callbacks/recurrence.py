"""Recurrence: does the game run in a loop?"""

from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import agreements, correlations, grid_points, returns, winding
from lit_gans.streams import stream

from .looking import array, for_each_seed, panel_titles, training_reals, watched, with_seeds_axis
from .pictures import Picture
from .probe import Observation
from .thinned import Thinned
from .trend import Trend

_N_REALS = 256
_MOST_COORDINATES = 8192  # of a state of G: what is kept of 256 looks is 8 MB per seed at most
_LEAST_RADIUS = 0.25


class Recurrence(Trend):
    """Compares D and G with what they were: have they come back to an older state that they had left in between?

    D's state is its logits at fixed points, compared by correlation; G's its samples of fixed latents, compared by
    their agreement as seen from the mean of the reals (see `metrics.recurrence`). The points: of two-dimensional data a
    20 x 20 grid over `[-extent, extent]²`; of other data 256 training reals and the same ones with Gaussian noise of
    the reals' own standard deviation, because D is of interest at the data and around them.

    Logged, from 0 to 1: `recurrence/discriminator` and `recurrence/generator`, how far each one's state is a return to
    an older one, and `recurrence/return`, how far both are, to the same one: 0 for a game that stands still or goes on
    to ever new states, 1 for one that runs in a circle. The last is the one to judge a loop by: a D that has nothing
    left to say is a flat one, whose faint ripples come and go while G stands still. `recurrence/lag`: how many
    iterations ago that older state was, 0 without one. Two-dimensional data: `recurrence/turns`, how often the mean
    fake has gone around the mean real, anticlockwise positive; while it is nearer to it than a quarter of the reals'
    root mean square distance, it has no direction and its turning is not counted. Between two looks it must turn by
    less than half.

    The picture, at the end of the run: D's and G's similarity of every two looks, and the turns. At most `most` looks
    are kept to compare with; when there are more, every second one is dropped, over the whole run alike.

    Args:
        every_n_iterations: How often to look.
        extent: Half the side of the grid; data that are not two-dimensional have no use for it.
        n_samples: How many latents G's state is made of; of large samples as many as make 8 192 numbers, at least one.
        most: How many looks are kept, in memory and in checkpoints.
        seed: Of the latents and of the noise.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `n_samples` is below 1, `extent` is not positive or `most` is below 4.

    Source: Thanh-Tung et al. 2018, fig. 1.
    """

    def __init__(
        self,
        every_n_iterations: int = 100,
        extent: float = 2.0,
        n_samples: int = 64,
        most: int = 256,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        if n_samples < 1:
            raise ValueError(f"Recurrence: n_samples must be at least 1, got {n_samples}")
        if not extent > 0:
            raise ValueError(f"Recurrence: extent is half the side of the grid and must be positive, got {extent}")
        if most < 4:
            raise ValueError(f"Recurrence: most must be at least 4 looks, to see one leave and return, got {most}")
        self.extent, self.n_samples, self.most, self.seed = extent, n_samples, most, seed
        super().__init__(every_n_iterations, name)

    def forget(self) -> None:
        """Starts with no states to compare with."""
        super().forget()
        self._points: Tensor | None = None
        self._center = torch.zeros(0)
        self._least_radius = 0.0
        self._states: Thinned[dict[str, Tensor]] = Thinned(self.most)
        self._turns: Tensor | None = None
        self._held: Tensor | None = None

    @torch.no_grad()
    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """How far the game has returned, and how often its fakes have gone around."""
        if self._points is None:
            self._choose_points(trainer)
        assert self._points is not None
        with watched(gan, "Recurrence") as logits:
            of_d = with_seeds_axis(gan, logits(for_each_seed(gan, self._points))).float().cpu()
        n = min(self.n_samples, max(1, _MOST_COORDINATES // self._center.numel()))
        fake = with_seeds_axis(gan, gan.sample(n, self.seed, averaged=False)).float().cpu() - self._center
        self._states.add(gan.iteration, {"discriminator": of_d, "generator": fake.flatten(1)})
        similarities = self._similarities()
        found = {name: returns(values) for name, values in similarities.items()}
        both = returns(*similarities.values())
        looks = torch.tensor(self._states.iterations)
        lag = looks[-1] - looks[both.to[:, -1]]
        numbers = {f"recurrence/{name}": each.closeness[:, -1] for name, each in found.items()}
        numbers |= {"recurrence/return": both.closeness[:, -1], "recurrence/lag": lag.float()}
        if self._center.shape == (2,):
            numbers["recurrence/turns"] = self._wind(fake.mean(1))
        return Observation(numbers if gan.seeds is not None else {name: value[0] for name, value in numbers.items()})

    def picture(self, gan: GAN) -> Picture:
        """Likeness of every two looks, and the turns."""
        similarities = {f"{name} then and now": array(values) for name, values in self._similarities().items()}
        iterations, series = self.series(gan)
        turns = series.get(self.key("recurrence/turns"))
        return partial(
            plotting.recurrences,
            np.array(self._states.iterations),
            similarities,
            panel_titles(gan),
            None if turns is None else (iterations, turns),
            "which states of the game are like which",
        )

    def _choose_points(self, trainer: pl.Trainer) -> None:
        real = training_reals(trainer, _N_REALS).float()
        self._center = real.mean(0)
        if real.shape[1:] == (2,):
            self._points = grid_points(20, self.extent)
            self._least_radius = _LEAST_RADIUS * (real - self._center).square().sum(-1).mean().sqrt().item()
            return
        noise = torch.randn(real.shape, generator=stream(self.seed, "recurrence"))
        self._points = torch.cat([real, real + real.std() * noise])

    def _similarities(self) -> dict[str, Tensor]:
        """`(S, t, t)` each; D's and G's."""
        compare = {"discriminator": correlations, "generator": agreements}
        states = self._states.seen
        return {name: alike(torch.stack([state[name] for state in states])) for name, alike in compare.items()}

    def _wind(self, mean_fake: Tensor) -> Tensor:
        before = mean_fake if self._held is None else self._held
        steps, held = winding(torch.stack([before, mean_fake]), self._least_radius)
        self._held = held[-1]
        self._turns = steps[-1] if self._turns is None else self._turns + steps[-1]
        return self._turns

    def state_dict(self) -> dict[str, Any]:
        """The history, the states that are kept, and where the mean fake stands."""
        path = {"turns": self._turns, "held": self._held}
        return {**super().state_dict(), **path, "states": self._states.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint."""
        super().load_state_dict(state_dict)
        self._states.load_state_dict(state_dict["states"])
        self._turns, self._held = state_dict["turns"], state_dict["held"]
