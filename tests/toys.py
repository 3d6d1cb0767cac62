"""Small games that tests share."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import DummyLogger
from torch import Tensor, nn

from datamodules import RingDataModule
from lit_gans import GAN, DiscriminatorHook
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
        **{"generator_optimizer": OPTIMIZERS[optimizer], "discriminator_optimizer": OPTIMIZERS[optimizer], **settings},
    )


def train(
    gan: GAN,
    iterations: int,
    data: Any = None,
    callbacks: Sequence[pl.Callback] = (),
    ckpt_path: Any = None,
    **settings: Any,
) -> pl.Trainer:
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
    kind = "datamodule" if isinstance(data, pl.LightningDataModule) else "train_dataloaders"
    trainer.fit(gan, **{kind: data}, ckpt_path=ckpt_path)
    return trainer


class Batches:
    """A loader that gives the same batches in every epoch."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Notes(DummyLogger):
    """A logger that keeps what it is told: `rows` of (iteration, numbers)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def of(self, key: str) -> dict[int, float]:
        """One number by iteration."""
        return {step: row[key] for step, row in self.rows if key in row}


class Watcher(DiscriminatorHook):
    """A hook that changes nothing and notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.seen: dict[str, list[Any]] = {"mix_fakes": [], "perturb": [], "discriminator_terms": []}

    def mix_fakes(self, fake: Tensor) -> Tensor:
        return self._note("mix_fakes", fake)

    def perturb(self, samples: Tensor) -> Tensor:
        return self._note("perturb", samples)

    def discriminator_terms(self, step: Any) -> dict[str, Tensor]:
        self._note("discriminator_terms", step)
        return {}

    def discriminator_updated(self) -> None:
        self.calls.append("discriminator_updated")

    def _note(self, name: str, what: Any) -> Any:
        self.calls.append(name)
        self.seen[name].append(what)
        return what


def state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's parameters and buffers."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 0.0) -> None:
    """Two states agree, by default to the last bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            value, other[name], rtol=0, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a probe's table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
