"""Runs of Weights & Biases that go on where they were interrupted."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger


def keep(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> None:
    """Adds to a checkpoint which run of Weights & Biases it belongs to, if any."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            checkpoint["wandb_run"] = logger.version


def go_on(trainer: pl.Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Lets a logger go on with the run that a checkpoint belongs to, unless it was told which run it is to log to."""
    run = checkpoint.get("wandb_run")
    for logger in trainer.loggers:
        if run is not None and isinstance(logger, WandbLogger) and logger.version is None:
            logger._id = run
            logger._wandb_init.update(id=run, resume="allow")
