"""Verdict: a probe that also looks during `validate` and `test`, and ends a run with a sentence."""

from abc import abstractmethod

import pytorch_lightning as pl

from .probe import Probe


class Verdict(Probe):
    """A probe whose last look is printed. A subclass gives `observe` and `sentence`."""

    @abstractmethod
    def sentence(self, trainer: pl.Trainer) -> str:
        """What was seen last, from `trainer.callback_metrics`, for a person to read."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks once more and prints."""
        super().on_train_end(trainer, pl_module)
        self._print(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks and prints, if `validate` was asked for by itself."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn != "fit":
            self._print(trainer)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks and prints."""
        self._look(trainer, pl_module)
        self._print(trainer)

    def _print(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            print(self.sentence(trainer))


def with_each_seed(trainer: pl.Trainer, key: str) -> str:
    """A number as text: the mean over seeds and, in brackets, each seed's."""
    numbers = trainer.callback_metrics
    by_seed = [f"{value.item():g}" for name, value in numbers.items() if name.startswith(f"{key}/seed_")]
    return f"{numbers[key].item():g}" + (f" (by seed: {', '.join(by_seed)})" if by_seed else "")
