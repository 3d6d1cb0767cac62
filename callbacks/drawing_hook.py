"""DrawingHook: a hook with random numbers of its own."""

from typing import Any

import pytorch_lightning as pl
import torch

from lit_gans import GAN, DiscriminatorHook
from lit_gans.streams import Draws, draws_for


class DrawingHook(DiscriminatorHook):
    """A hook that draws from streams of its own, one per seed, so that the game's own draws stay what they were.

    Where the streams stand is part of checkpoints, those of each process.
    """

    differs_by_process = True

    purpose: str
    """What the numbers are for: no other hook may have the same."""

    def __init__(self) -> None:
        self.draws = Draws()
        self._restored_draws: dict[str, Any] | None = None

    def draws_on(self, gan: GAN) -> torch.device:
        """Where the numbers are drawn."""
        return gan.device

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Starts anew with a run; a checkpoint's state comes after."""
        if stage == "fit":
            self._restored_draws = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes up a random stream per seed, new or from a checkpoint."""
        assert isinstance(pl_module, GAN)
        purpose = f"{self.purpose} on process {trainer.global_rank}"
        self.draws = draws_for(pl_module.seeds, purpose, self.draws_on(pl_module))
        if self._restored_draws is not None:
            self.draws.load_state_dict(self._restored_draws)
            self._restored_draws = None

    def state_dict(self) -> dict[str, Any]:
        """Where the random streams stand."""
        return self.draws.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps them for `on_train_start`."""
        self._restored_draws = state_dict
