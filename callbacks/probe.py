"""Probe: the base of every callback that looks at a game and leaves pictures and numbers."""

import csv
import re
from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gans import GAN
from lit_gans.hooks import QuietCallback
from lit_gans.logbook import by_seed, publish
from lit_gans.modes import evaluating

from . import pictures
from .numbers_only import NumbersOnly
from .pictures import Picture

_MOST_WAITING = 32
"""Pictures of one probe that wait to be drawn: beyond it the game waits for them, so that memory stays bounded."""


@dataclass(frozen=True)
class Observation:
    """What a probe saw at one iteration."""

    numbers: dict[str, Tensor] = field(default_factory=dict)
    """By log key, each of shape `()`, or `(S,)` with seeds."""
    picture: Picture | None = None
    """Draws the figure, in a process of its own: `partial(plotting.points, array, …)`."""
    notes: dict[str, str] = field(default_factory=dict)
    """Words that stand beside the numbers in the run's table, such as which output of D was probed."""


class Probe(QuietCallback, ABC):
    """Looks at the game every n iterations, and at its first and last; and during `validate`, at what it validates.

    A subclass gives `observe`. Whatever the logger, its figures land as `<run folder>/<name>/<iteration>.png`, their
    film as `<run folder>/<name>.gif`, and its numbers as rows of `<run folder>/<name>.csv`. Loggers that take numbers
    and pictures get them too, and `ModelCheckpoint` can monitor the numbers. Figures are drawn beside the game; the
    run waits for them at its end.

    Args:
        every_n_iterations: How often to look; an iteration is one G update.
        name: What files, log keys and the state in checkpoints are called: `wide` makes `wide/<iteration>.png` and
            logs `field/cosine` as `wide/cosine`. None: files are called after the class, and keys stay. Two probes of
            one class need different names.

    Raises:
        ValueError: If `every_n_iterations` is below 1, a name cannot be a file's, or, in `setup`, another probe of
            the run has the same name. (Of two probes that keep a state, Lightning says so, when the trainer is made.)
    """

    def __init__(self, every_n_iterations: int = 1000, name: str | None = None) -> None:
        if every_n_iterations < 1:
            raise ValueError(f"{type(self).__name__}: every_n_iterations must be at least 1, got {every_n_iterations}")
        if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(
                f"{type(self).__name__}: name is what files are called, of letters, digits and _ . -, got {name!r}"
            )
        self.every_n_iterations = every_n_iterations
        self._given_name = name
        self._drawing: list[tuple[Path, int, Future[Any]]] = []
        self._asks_for: list[Probe] = [self]
        self.forget()

    def forget(self) -> None:
        """Starts anew, as before the first look; a run begins with it. A checkpoint's state comes after."""
        self.frames: list[Path] = []
        self._last_look = -1

    @abstractmethod
    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Numbers and a figure of the game as it stands, with both networks in eval mode. Must not change it."""

    @property
    def name(self) -> str:
        """What the probe's files are called."""
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", type(self).__name__)  # an acronym is one
        return self._given_name or "_".join(words).lower()

    @property
    def state_key(self) -> str:
        """Where checkpoints keep the probe's state: its class and, if it was given one, its name."""
        return super().state_key if self._given_name is None else self._generate_state_key(name=self._given_name)

    def key(self, key: str) -> str:
        """The log key of one of the probe's numbers: the last part follows the name that was given, if any."""
        return key if self._given_name is None else f"{self._given_name}/{key.rpartition('/')[2]}"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Starts anew, and makes sure that no other probe has the same name, and with it the same files."""
        self.forget()
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        probes = [callback for callback in callbacks if isinstance(callback, Probe)]
        alike = [probe for probe in probes if type(probe).on_train_batch_end is Probe.on_train_batch_end]
        self._asks_for = alike if alike[:1] == [self] else [self]
        vars(self).pop("on_train_batch_end", None)
        if self in alike[1:]:
            self.on_train_batch_end = None  # type: ignore[assignment, method-assign]
        for other in probes:
            if other is not self and other.name == self.name:
                raise ValueError(
                    f"{type(self).__name__} and {type(other).__name__} are both called {self.name!r} and would "
                    f"overwrite each other's files; give one of them another name by its argument `name`"
                )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the untrained game, or at a resumed one if it is time, as a run never stopped would."""
        if trainer.global_step % self.every_n_iterations == 0:
            self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks if it is time; the first probe of a run asks for all."""
        iteration = trainer.global_step
        for probe in self._asks_for:
            if iteration % probe.every_n_iterations == 0:
                probe._look(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks once more, and finishes."""
        if self._last_look != trainer.global_step:
            self._look(trainer, pl_module)
        self.finish(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks, if `validate` was asked for by itself."""
        if trainer.state.fn != "fit":
            self._look(trainer, pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Waits for the figures that are still being drawn."""
        self._deliver(trainer, wait=True)

    def finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the last look: joins the figures into a film, if there are two."""
        if len(self.frames) > 1:
            path = run_folder(trainer) / f"{self.name}.gif"
            self._drawing.append((path, self._last_look, pictures.join(self.frames, path)))

    def _look(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GAN)
        self._last_look = pl_module.iteration
        with (
            evaluating(pl_module.generator, pl_module.discriminator),
            torch.inference_mode(False),  # `validate` and `test` forbid gradients, which many probes take
            torch.enable_grad(),
        ):
            seen = self.observe(trainer, pl_module)
        self._record(trainer, pl_module, seen)

    def _record(self, trainer: pl.Trainer, gan: GAN, seen: Observation) -> None:
        iteration = gan.iteration
        numbers = by_seed({self.key(key): value for key, value in seen.numbers.items()}, gan.seeds)
        if numbers:
            publish(trainer, numbers, iteration)
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if numbers:
            append_row(run_folder(trainer) / f"{self.name}.csv", {"iteration": iteration, **seen.notes, **numbers})
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if seen.picture is not None and not any(isinstance(callback, NumbersOnly) for callback in callbacks):
            path = run_folder(trainer) / self.name / f"{iteration:08d}.png"
            self.frames = [*(frame for frame in self.frames if frame != path), path]
            self._drawing.append((path, iteration, pictures.draw(seen.picture, path)))
        self._deliver(trainer)

    def _deliver(self, trainer: pl.Trainer, wait: bool = False) -> None:
        """Sends the figures that are ready to the loggers that take pictures."""
        while self._drawing and (wait or self._drawing[0][2].done() or len(self._drawing) > _MOST_WAITING):
            path, iteration, drawn = self._drawing.pop(0)
            if error := drawn.exception():
                rank_zero_warn(f"{type(self).__name__} could not draw {path}: {error}")
            else:
                for logger in trainer.loggers:
                    _send(logger, self.name, path, iteration)


def run_folder(trainer: pl.Trainer) -> Path:
    """Where a run's pictures and tables land: beside its checkpoints, or in the trainer's root without a logger.

    `trainer.log_dir` will not do: for Weights & Biases it is one folder for all runs.
    """
    folder = Path(trainer.default_root_dir)
    if trainer.loggers:
        logger = trainer.loggers[0]
        version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
        folder = Path(logger.save_dir or folder) / str(logger.name) / version
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Adds a row to a table; a column that is new stays empty in the rows before."""
    known: list[str] = []
    earlier: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            known = list(reader.fieldnames or [])
            earlier = [] if set(row) <= set(known) else list(reader)
    columns = list(dict.fromkeys([*known, *row]))
    with path.open("a" if columns == known else "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if columns != known:
            writer.writeheader()
            writer.writerows(earlier)
        writer.writerow(row)


def _send(logger: Any, name: str, path: Path, iteration: int) -> None:
    """A picture under `pictures/`, a film under `films/`, to a logger that takes them."""
    if path.suffix == ".gif":
        if hasattr(logger, "log_video"):  # Weights & Biases
            logger.log_video(f"films/{name}", [str(path)], step=iteration, format=["gif"])
    elif hasattr(logger, "log_image"):  # Weights & Biases and its kin
        logger.log_image(f"pictures/{name}", [str(path)], step=iteration)
    elif hasattr(getattr(logger, "experiment", None), "add_image"):  # TensorBoard
        pixels = np.asarray(Image.open(path))
        logger.experiment.add_image(f"pictures/{name}", pixels, global_step=iteration, dataformats="HWC")
