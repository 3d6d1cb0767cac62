"""Trend: a probe whose picture is its numbers over the run."""

from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl

from lit_gans import GAN, plotting

from .pictures import Picture
from .probe import Observation, Probe


class Trend(Probe):
    """A probe that keeps what it saw, and draws all of it at the end of the run: one picture, no film.

    A subclass gives `observe`, which returns numbers, and may give `picture`. The history is part of checkpoints, so
    that a resumed run draws the whole of it.
    """

    def forget(self) -> None:
        """Starts a new history."""
        super().forget()
        self.history: list[tuple[int, dict[str, list[float]]]] = []

    def picture(self, gan: GAN) -> Picture:
        """Every number in a panel of its own, a faint line per seed."""
        return partial(plotting.curves, *self.series(gan), self.name.replace("_", " "))

    def series(self, gan: GAN) -> tuple[plotting.Array, dict[str, plotting.Array]]:
        """Iterations `(t,)`, and each number by its key `(t, S)`, NaN where it was not measured."""
        unknown = [float("nan")] * len(gan.seeds or [None])
        names = list(dict.fromkeys(name for _, numbers in self.history for name in numbers))
        iterations = np.array([iteration for iteration, _ in self.history])
        return iterations, {
            name: np.array([numbers.get(name, unknown) for _, numbers in self.history]) for name in names
        }

    def _record(self, trainer: pl.Trainer, gan: GAN, seen: Observation) -> None:
        numbers = {self.key(key): value.detach().reshape(-1).tolist() for key, value in seen.numbers.items()}
        if self.history and self.history[-1][0] == gan.iteration:  # a resumed run looks once more
            numbers = {**self.history.pop()[1], **numbers}
        self.history.append((gan.iteration, numbers))
        super()._record(trainer, gan, seen)

    def finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the last look: draws the history."""
        assert isinstance(pl_module, GAN)
        if any(numbers for _, numbers in self.history):
            super()._record(trainer, pl_module, Observation(picture=self.picture(pl_module)))

    def state_dict(self) -> dict[str, Any]:
        """The history."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the history from a checkpoint."""
        self.history = [tuple(row) for row in state_dict["history"]]
