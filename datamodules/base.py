"""What every DataModule of the collection shares: the loaders, and what they read from the game."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans.streams import stream

from .loader import GameLoader
from .ordered import OrderedLoader
from .sources import Source, StoredSource


class GANDataModule(pl.LightningDataModule, ABC):
    """Data for a game. A subclass gives `sample_shape`, `train_source()` and `held_out_source(split)`.

    Training batches follow the game that the trainer plays: `n_critic` and `seeds` are read from its module
    (1 and None where it has none), rank and number of processes from the trainer. See `GameLoader` for their
    layout. Validation and test batches are plain, without a seeds axis and in fixed order. Prediction runs on
    latents `(B, latent_dim)` from N(0, I), always the same ones; `latent_dim` is read from the module too.

    Args:
        batch_size: Samples per D update, seed and process.
        n_predict: How many latents `predict` runs on.

    Raises:
        ValueError: A number is below 1.
    """

    num_workers: int = 0
    pin_memory: bool = False
    on_device: bool = False

    def __init__(self, batch_size: int = 64, n_predict: int = 64) -> None:
        super().__init__()
        check_counts(batch_size=batch_size, n_predict=n_predict)
        self.batch_size = batch_size
        self.n_predict = n_predict

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, known from construction on: networks are built from it."""

    @abstractmethod
    def train_source(self) -> Source:
        """The samples to train on."""

    @abstractmethod
    def held_out_source(self, split: Literal["validate", "test"]) -> StoredSource:
        """Samples that training never sees."""

    def reals(self, n: int) -> Tensor:
        """`n` samples of those trained on, `(n, *sample)`, the same at every call: the first ones, or fixed draws."""
        return self.train_source().first(n)

    def setup(self, stage: str) -> None:
        """Loads the data the stage needs, so that missing or bad data stop a run before it starts."""
        if stage == "fit":
            self.train_source()
        if stage in ("fit", "validate"):
            self.held_out_source("validate")
        if stage == "test":
            self.held_out_source("test")

    def train_dataloader(self) -> GameLoader:
        """One item per game iteration, laid out for the module's `n_critic` and `seeds`."""
        trainer = self.trainer
        if trainer is None:
            return GameLoader(self.train_source(), self.batch_size, **self._fetching())
        overfit_batches = getattr(trainer, "overfit_batches", 0)
        if overfit_batches > 0:
            raise ValueError(
                f"overfit_batches={overfit_batches} cannot be honoured: every epoch has an order of its own; "
                f"train on a small data set instead (images: max_samples)"
            )
        module: Any = trainer.lightning_module
        source = self.train_source()
        loader = GameLoader(
            source.to(trainer.strategy.root_device) if self.on_device and isinstance(source, StoredSource) else source,
            self.batch_size,
            n_critic=getattr(module, "n_critic", 1),
            seeds=getattr(module, "seeds", None),
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            # Processes that were not seeded each have their own seed, yet must share out one permutation.
            seed=trainer.strategy.broadcast(torch.initial_seed()),
            **self._fetching(),
        )
        # A loader made anew in a later epoch (reload_dataloaders_every_n_epochs) must not repeat the first.
        loader.handed_out = trainer.current_epoch * len(loader)
        return loader

    def val_dataloader(self) -> OrderedLoader:
        """Held-out samples for validation."""
        return self._ordered(self.held_out_source("validate"))

    def test_dataloader(self) -> OrderedLoader:
        """Held-out samples for the test."""
        return self._ordered(self.held_out_source("test"))

    def predict_dataloader(self) -> OrderedLoader:
        """Latents `(B, latent_dim)`, `n_predict` in all."""
        module = None if self.trainer is None else self.trainer.lightning_module
        latent_dim = getattr(module, "latent_dim", None)
        if not isinstance(latent_dim, int):
            raise ValueError(
                f"predict draws latents for a module with a `latent_dim`, an integer; "
                f"{type(module).__name__} has latent_dim={latent_dim!r}; run it by a Trainer on a GAN"
            )
        generator = stream(0, "data/predict")
        latents = torch.randn(self.n_predict, latent_dim, generator=generator, dtype=torch.float32)
        return self._ordered(StoredSource(latents, name="the latents"), drop_rest=False)

    def _ordered(self, source: StoredSource, drop_rest: bool = True) -> OrderedLoader:
        ranks = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        return OrderedLoader(source, self.batch_size, *ranks, **self._fetching(), drop_rest=drop_rest)

    def _fetching(self) -> dict[str, Any]:
        return {"num_workers": self.num_workers, "pin_memory": self.pin_memory}


def check_counts(**counts: int) -> None:
    """Refuses counts below 1, by the name the user gave them under."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
