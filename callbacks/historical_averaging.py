"""HistoricalAveraging: each player is drawn to the mean of its past."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lit_gans import GAN, DiscriminatorHook, DiscriminatorStep, GeneratorHook, GeneratorStep
from lit_gans.memory import flattened


class HistoricalAveraging(DiscriminatorHook, GeneratorHook):
    """Each player's loss gains `λ ‖θ - θ̄‖²`, `θ̄ = 1/t Σ_i θ[i]` the mean of its parameters after each update so far.

    The initial parameters count as the first. The mean is a constant to the gradient. Logged:
    `d/historical_averaging` and `g/historical_averaging`.

    Args:
        discriminator_weight: λ of D; 0 leaves D alone.
        generator_weight: λ of G; 0 leaves G alone.

    Raises:
        ValueError: If a weight is negative or not finite, or, when training starts, a checkpoint's means are of another
            network.

    Source: Salimans et al. 2016, section 3.3; Manisha & Gujar 2018, section 3.2.
    """

    term = "historical_averaging"

    def __init__(self, discriminator_weight: float = 1.0, generator_weight: float = 1.0) -> None:
        self.weights = {"discriminator": discriminator_weight, "generator": generator_weight}
        for player, weight in self.weights.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"HistoricalAveraging: {player}_weight must be at least 0 and finite, got {weight}")
        self.forget()

    def forget(self) -> None:
        """Starts without a past."""
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._seeds_axis: tuple[int, ...] = ()
        self.means: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Starts without a past, as every run does."""
        if stage == "fit":
            self.forget()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first of the past are the parameters of now, unless a checkpoint brings back more."""
        assert isinstance(pl_module, GAN)
        self._seeds_axis = pl_module.seeds_axis
        for name in (name for name, weight in self.weights.items() if weight > 0):
            self._parameters[name] = pl_module.players[name].parameters
            now = self._vector(name).detach()
            mean = self.means.get(name, now).to(now)
            if mean.shape != now.shape:
                raise ValueError(
                    f"HistoricalAveraging: the checkpoint holds the mean of a {name} of shape {tuple(mean.shape)} "
                    f"(seeds if any, numbers), this one's is {tuple(now.shape)}; resume with its networks and seeds"
                )
            self.means[name], self.counts[name] = mean, self.counts.get(name, 1)

    def discriminator_terms(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """D's term, shape `(..., 1)`."""
        return self._terms("discriminator")

    def generator_terms(self, step: GeneratorStep) -> dict[str, Tensor]:
        """G's term, shape `(..., 1)`."""
        return self._terms("generator")

    def discriminator_updated(self) -> None:
        """D's parameters become part of its past."""
        self._average("discriminator")

    def generator_updated(self) -> None:
        """G's parameters become part of its past."""
        self._average("generator")

    def _terms(self, player: str) -> dict[str, Tensor]:
        if player not in self._parameters:
            return {}
        apart = self._vector(player) - self.means[player]
        return {self.term: self.weights[player] * apart.square().sum(-1, keepdim=True)}

    @torch.no_grad()
    def _average(self, player: str) -> None:
        if player in self._parameters:
            self.counts[player] += 1
            self.means[player] = self.means[player].lerp(self._vector(player), 1 / self.counts[player])

    def _vector(self, player: str) -> Tensor:
        return flattened(self._parameters[player], self._seeds_axis)

    def state_dict(self) -> dict[str, Any]:
        """The means, and of how many."""
        return {"means": self.means, "counts": self.counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both from a checkpoint."""
        self.means, self.counts = dict(state_dict["means"]), dict(state_dict["counts"])
