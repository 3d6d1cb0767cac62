"""Small games that tests share."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from datamodules import RingDataModule
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator

SGD = "SGD"
OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=3e-3),
    "Adam": lambda p: torch.optim.Adam(p, lr=3e-4, betas=(0.5, 0.99)),
}


def ring_gan(optimizer: str = SGD, batch_norm: bool = False, **settings: Any) -> GAN:
    """A game of two small MLPs on 2-D data."""
    return GAN(
        MLPGenerator(2, (2,), hidden=(16, 16), batch_norm=batch_norm),
        MLPDiscriminator((2,), hidden=(16, 16), batch_norm=batch_norm),
        latent_dim=2,
        generator_optimizer=OPTIMIZERS[optimizer],
        discriminator_optimizer=OPTIMIZERS[optimizer],
        **settings,
    )


def train(gan: GAN, iterations: int, data: Any = None, callbacks: Sequence[pl.Callback] = (), **settings: Any) -> pl.Trainer:
    """Trains a game on the ring, or on other data, without files."""
    defaults = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
    }
    trainer = pl.Trainer(max_steps=iterations, callbacks=list(callbacks), **{**defaults, **settings})
    data = data if data is not None else RingDataModule(batch_size=32)
    trainer.fit(gan, **({"datamodule": data} if isinstance(data, pl.LightningDataModule) else {"train_dataloaders": data}))
    return trainer


class Batches:
    """A loader that gives the same batches in every epoch."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's parameters and buffers."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
