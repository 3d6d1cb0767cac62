"""Checkpoints: what a run leaves to go on from, taken between two iterations and never within one."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException


class Checkpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, from whose files an interrupted run goes on to the same bits.

    Ctrl-C lets the iteration end and keeps it as `last.ckpt`, and so does SIGTERM; a second Ctrl-C stops at once. Other
    exceptions come in the midst of an iteration, of which a checkpoint would hold a half: the run goes on from the last
    one before. Of several processes each would stop at an iteration of its own, so that Ctrl-C keeps nothing there.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Watches for Ctrl-C."""
        super().setup(trainer, pl_module, stage)
        self._asked = False
        ours = threading.current_thread() is threading.main_thread() and trainer.world_size == 1
        if stage == "fit" and ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """As Lightning's; and the end of the run, where Ctrl-C has asked for it."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._asked:
            self.keep(trainer)
            raise KeyboardInterrupt

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keeps what SIGTERM has ended, if not in the midst of a validation; says from where the run can go on."""
        if isinstance(exception, SIGTERMException) and not trainer.validating:
            self.keep(trainer)
        if last := self.last_model_path or self.best_model_path:
            rank_zero_info(f"the run can go on from {last}: give --ckpt_path last, or this file")

    def keep(self, trainer: pl.Trainer) -> None:
        """Writes `last.ckpt`, as the game is now."""
        if self.dirpath is not None:
            self.last_model_path = str(Path(self.dirpath) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")
            trainer.save_checkpoint(self.last_model_path, weights_only=False)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives Ctrl-C back."""
        super().teardown(trainer, pl_module, stage)
        if signal.getsignal(signal.SIGINT) == self._ask:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        rank_zero_info("\nCtrl-C: the run ends with this iteration, and keeps it; once more stops at once")
