"""The one way of numbers out of a game: to its loggers, its progress bar, and whatever monitors it."""

from collections.abc import Collection, Mapping, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor


def by_seed(numbers: Mapping[str, Tensor], seeds: Sequence[int] | None) -> dict[str, float]:
    """The mean of each number over seeds under its own key, and each seed's beside it under `key/seed_i`.

    Args:
        numbers: By log key, each of shape `()`, or `(S,)` with seeds.
        seeds: The seeds, or None.
    """
    flat = {key: value.cpu().double().mean().item() for key, value in numbers.items()}
    for key, value in numbers.items() if seeds is not None else []:
        flat |= {f"{key}/seed_{seed}": each for seed, each in zip(seeds or [], value.double().tolist(), strict=True)}
    return flat


def is_tick(trainer: pl.Trainer, iteration: int) -> bool:
    """Whether the trainer's `log_every_n_steps` asks for numbers at an iteration; 0 never does."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and iteration % every == 0


def publish(trainer: pl.Trainer, numbers: Mapping[str, float], iteration: int, bar: Collection[str] = ()) -> None:
    """Sends numbers of an iteration to every logger, and to callbacks that monitor a metric.

    `LightningModule.log` would do it on a clock of its own (a count of batches that lags `global_step` by one), only
    at multiples of `log_every_n_steps`, and at a price that is felt beside the step of a small network.

    Args:
        trainer: The run's.
        numbers: By log key.
        iteration: When they were taken.
        bar: The keys that the progress bar shows.
    """
    trainer.callback_metrics.update({key: torch.tensor(value) for key, value in numbers.items()})
    trainer.progress_bar_metrics.update({key: numbers[key] for key in bar if key in numbers})
    for logger in trainer.loggers:
        logger.log_metrics(dict(numbers), step=iteration)
        if isinstance(logger, CSVLogger):  # which writes at steps 99, 199, … alone, and none of ours is one of these
            logger.save()
