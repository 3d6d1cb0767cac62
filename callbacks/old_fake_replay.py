"""OldFakeReplay: D is shown fakes of the past beside those of now."""

from math import prod
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lit_gans import GAN
from lit_gans.memory import ReplayBuffer, Reservoir

from .drawing_hook import DrawingHook


class OldFakeReplay(DrawingHook):
    """Replaces a share ρ of the fakes in each of D's batches by fakes of earlier updates.

    The batch keeps its size, and G's updates are as without it. The buffer keeps fresh fakes only: every batch that G
    makes for D, as G made it. What is kept and what returns is the buffer's rule: `Reservoir` (the whole history
    alike), `FIFO` (the recent past) or `ImagePool` (CycleGAN's).

    The buffer, in MiB told at the start of the run, is part of every checkpoint. Under several processes each keeps a
    buffer of its own, of its own fakes; the checkpoint holds them all.

    Args:
        replay_ratio: ρ, the share of old fakes in a batch: of B fakes `⌊ρB + ½⌋` are old as soon as the buffer holds
            any (with `ImagePool` ρ of them on average).
        buffer: Which fakes are kept; None is `Reservoir()`, of 10 000 fakes per seed.

    Raises:
        ValueError: If ρ lies outside [0, 1], or a batch is too small for the share: in `setup` where the DataModule
            tells, or else in the first iteration, before D moves. Likewise if the buffer is larger than the memory
            that is free.

    Source: Thanh-Tung & Tran, section IV-B; Shrivastava et al. 2017, section 2.3.
    """

    purpose = "old fake replay"

    def __init__(self, replay_ratio: float = 0.5, buffer: ReplayBuffer | None = None) -> None:
        super().__init__()
        if not 0 <= replay_ratio <= 1:
            raise ValueError(f"OldFakeReplay: replay_ratio is a share and must lie in [0, 1], got {replay_ratio}")
        self.replay_ratio = replay_ratio
        self.buffer = buffer if buffer is not None else Reservoir()
        self._has_seeds = False
        self._checked = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Starts with an empty buffer, and makes sure that it fits."""
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        assert isinstance(pl_module, GAN)
        self.buffer.clear()
        self._has_seeds, self._checked = pl_module.seeds is not None, False
        data = getattr(trainer, "datamodule", None)
        batch_size, sample_shape = getattr(data, "batch_size", None), getattr(data, "sample_shape", None)
        if batch_size is not None and sample_shape is not None:
            shape = (len(pl_module.seeds or [None]), batch_size, *sample_shape)
            dtype = next((p.dtype for p in pl_module.generator.parameters()), torch.float32)
            self._check(torch.empty(shape, dtype=dtype, device="meta"), trainer.strategy.root_device)

    def draws_on(self, gan: GAN) -> torch.device:
        """The host, where the buffer decides: a device need not be waited for."""
        return torch.device("cpu")

    def mix_fakes(self, fake: Tensor) -> Tensor:
        """The batch `(..., B, *sample)` with a share of old fakes."""
        fresh = fake if self._has_seeds else fake.unsqueeze(0)
        if not self._checked:
            self._check(fresh, fake.device)
        mixed = self.buffer.mix(fresh, self.replay_ratio, self.draws)
        return mixed if self._has_seeds else mixed.squeeze(0)

    def _check(self, fresh: Tensor, device: torch.device) -> None:
        """Refuses what cannot be done for fresh fakes `(S, B, *sample)`, and tells what is taken."""
        n_seeds, batch_size, *sample = fresh.shape
        n_old = self.buffer.n_old(batch_size, self.replay_ratio)
        if n_old is not None and 0 < self.replay_ratio < 1 and n_old in (0, batch_size):
            raise ValueError(
                f"OldFakeReplay: a share of {self.replay_ratio} of {batch_size} fakes is, in whole fakes, "
                f"{'none' if n_old == 0 else 'all'} of them; give the data a larger batch_size, or another replay_ratio"
            )
        needed = self.buffer.mebibytes(prod(sample) * fresh.element_size(), n_seeds, n_old or 0)
        place = torch.device("cpu") if self.buffer.on_host else device
        free = _free_mebibytes(place)
        what = f"{self.buffer.capacity} fakes of shape {tuple(sample)}" + (f" for {n_seeds} seeds" * (n_seeds > 1))
        if needed > free:
            raise ValueError(
                f"OldFakeReplay: a buffer of {what} takes {needed:.0f} MiB, of which {place} has {free:.0f} free; "
                f"lower its capacity"
                + ("" if place.type == "cpu" else ", or keep it in the host's memory by on_host: true")
            )
        rank_zero_info(f"OldFakeReplay keeps up to {what}: {needed:.1f} MiB on {place}")
        self._checked = True

    def state_dict(self) -> dict[str, Any]:
        """The old fakes, and where the random streams stand."""
        return {"buffer": self.buffer.state_dict(), "draws": super().state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both from a checkpoint."""
        self.buffer.load_state_dict(state_dict["buffer"])
        super().load_state_dict(state_dict["draws"])


def _free_mebibytes(device: torch.device) -> float:
    """The memory that nothing else takes, in MiB."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return float(free) / 2**20
