"""Checkpoints: what a run leaves to go on from, taken between two iterations and never within one."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lit_gans.checkpoints import WholeFiles

_AGREE_EVERY = 10
"""Iterations after which several processes ask each other whether one of them has been told to stop."""


class Checkpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, from whose files an interrupted run goes on to the same bits.

    Ctrl-C and SIGTERM let the iteration end and keep it as the last checkpoint; a second Ctrl-C stops at once. So does
    SLURM's signal before a job's time is up (`SLURMEnvironment`), by which Lightning starts the job again. Several
    processes agree on the iteration, so that it may be a few later. Other exceptions come in the midst of an iteration,
    of which a checkpoint would hold a half: the run goes on from the last one before. Files are written whole or not at
    all (`lit_gans.checkpoints.WholeFiles`).
    """

    has_played = False
    """Whether an iteration was played since the run began, or began again."""
    _stop_requested: signal.Signals | None = None
    _former_handlers: dict[signal.Signals, Any] = {}  # noqa: RUF012  # replaced, never written to

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """As Lightning's; and files that are always whole."""
        super().setup(trainer, pl_module, stage)
        self.has_played = False
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeFiles()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watches for Ctrl-C and SIGTERM, in place of Lightning, which would talk to other processes at once."""
        super().on_train_start(trainer, pl_module)
        self._stop_requested, self._former_handlers = None, {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, *_requeue_signals(trainer)):
                self._former_handlers[number] = signal.signal(number, self._request_stop)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """As Lightning's; and the end of the run, where it was asked for."""
        self.has_played = True
        if not self._waits_for_validation:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif (
            self.save_last
            and trainer.global_step % self._every_n_train_steps == 0
            and not self._should_skip_saving_checkpoint(trainer)
        ):
            self.keep(trainer)
        if number := self._agreed_stop(trainer):
            self.keep(trainer)
            if number in _requeue_signals(trainer):
                self._former_handlers[signal.Signals(number)](number, None)  # Lightning's, which starts the job again
            raise KeyboardInterrupt if number == signal.SIGINT else SIGTERMException

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """As Lightning's; and the best checkpoint, where validation tells which it is."""
        if not self._waits_for_validation:
            super().on_validation_end(trainer, pl_module)
        elif trainer.state.fn == "fit" and not trainer.sanity_checking and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    @property
    def _waits_for_validation(self) -> bool:
        """Whether the best checkpoint is taken after validations; Lightning would take it at the next iteration due."""
        return bool(self._every_n_train_steps) and str(self.monitor).startswith("val/")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """As Lightning's, which would write a checkpoint of a trial run, too."""
        self._stop_watching()
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            super().on_train_end(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Says from where the run can go on."""
        self._stop_watching()
        if (last := newest_of(self)) is not None:
            rank_zero_info(f"the run can go on from {last}: give --ckpt_path last, or this file")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        super().teardown(trainer, pl_module, stage)
        self._stop_watching()

    def keep(self, trainer: pl.Trainer) -> None:
        """Writes the last checkpoint, as the game is now, if it is not as it was when the run began.

        One of another run in the same folder is left as it is.
        """
        if not self.has_played:  # and the random streams of a checkpoint have not been taken up
            return
        wanted, self.save_last = self.save_last, True  # a link would lead to one that was kept before
        try:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        finally:
            self.save_last = wanted

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        if self._stop_requested == signal.SIGINT == number:
            raise KeyboardInterrupt
        self._stop_requested = signal.Signals(number)
        again = "; once more stops at once" if number == signal.SIGINT else ""
        rank_zero_info(f"\n{self._stop_requested.name}: the run ends with this iteration, and keeps it{again}")

    def _agreed_stop(self, trainer: pl.Trainer) -> int:
        """The number of the signal by which all processes stop now; 0 to go on."""
        requested = int(self._stop_requested or 0)
        if trainer.world_size == 1:
            return requested
        if trainer.global_step % _AGREE_EVERY:
            return 0
        greatest = torch.tensor(requested, device=trainer.strategy.root_device)
        dist.all_reduce(greatest, dist.ReduceOp.MAX)
        return int(greatest)

    def _stop_watching(self) -> None:
        former: dict[signal.Signals, Callable[..., Any]] = self._former_handlers
        self._former_handlers = {}
        for number, handler in former.items():
            if signal.getsignal(number) == self._request_stop:
                signal.signal(number, handler)


def _requeue_signals(trainer: pl.Trainer) -> list[signal.Signals]:
    """By which SLURM tells that a job's time is nearly up, where Lightning is to start it again."""
    environment = trainer._accelerator_connector.cluster_environment
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue and environment.requeue_signal:
        return [environment.requeue_signal]
    return []


def newest_of(checkpoints: ModelCheckpoint) -> Path | None:
    """The newest checkpoint in the folder of a callback that has written one; what it has named may not be there."""
    if not (checkpoints.last_model_path or checkpoints.best_model_path):
        return None
    there = Path(checkpoints.dirpath or ".").glob(f"*{checkpoints.FILE_EXTENSION}")
    return max(there, key=lambda path: path.stat().st_mtime_ns, default=None)
