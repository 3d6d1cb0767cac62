"""SampleWriter: what `predict` leaves behind."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from lit_gans import GAN

from .looking import held_out_reals, panel_titles, with_seeds_axis
from .probe import run_folder
from .sample_grid import sample_picture


class SampleWriter(BasePredictionWriter):
    """Writes the samples of `predict` as `samples.pt`, `(n, *sample)` or `(S, n, *sample)`, and `samples.png`.

    Points of one or two dimensions are drawn beside held-out real ones, where the DataModule has some.

    Args:
        n_drawn: How many of them the picture shows.
    """

    def __init__(self, n_drawn: int = 64) -> None:
        super().__init__(write_interval="epoch")
        self.n_drawn = n_drawn

    def write_on_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Writes both files into the run's folder."""
        assert isinstance(pl_module, GAN)
        batch_axis = 0 if pl_module.seeds is None else 1
        samples = torch.cat(list(predictions), batch_axis).cpu()
        if trainer.world_size > 1:
            samples = _of_all_processes(samples, batch_axis)
        if not trainer.is_global_zero:
            return
        folder = run_folder(trainer)
        torch.save(samples, folder / "samples.pt")
        shown = with_seeds_axis(pl_module, samples)[:, : self.n_drawn].float()
        real = held_out_reals(trainer, self.n_drawn) if shown.ndim == 3 else None  # images stand alone
        caption = f"samples at iteration {pl_module.iteration}"
        picture = sample_picture(shown, panel_titles(pl_module), real, caption)
        picture().savefig(folder / "samples.png", dpi=100)
        print(f"samples: {folder / 'samples.pt'} {tuple(samples.shape)}, picture: {folder / 'samples.png'}")


def _of_all_processes(mine: Tensor, batch_axis: int) -> Tensor:
    """What all processes have made, in the order of their latents: the first of each, then the second of each."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    places = torch.cat([torch.arange(samples.shape[batch_axis]) for samples in everyone])
    return torch.cat(everyone, batch_axis).index_select(batch_axis, places.argsort(stable=True))
