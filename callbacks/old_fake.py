"""OldFake: one fake of the past, which D is shown for ever."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, DiscriminatorHook


class OldFake(DiscriminatorHook):
    """Puts one fixed sample, an old fake, into each of D's fake batches, in place of the first fake.

    The batch keeps its size: of B fakes B - 1 are current, and the old one weighs 1/B in D's loss. The Dirac game with
    a batch of 2 then trains D on the reals 0, 0 and the fakes `at`, θ. G's updates are as without it.

    Args:
        at: The old fake: a number or a list that broadcasts to a sample. -1 is the point -1, or a black image.

    Raises:
        ValueError: If `at` does not broadcast to a sample, or a batch is of a single fake, which the old one would
            hide: in `setup` where the DataModule tells, or else in the first iteration, before D moves.

    Source: Thanh-Tung & Tran, fig. 8 (g) to (j).
    """

    def __init__(self, at: float | list[float] = -1.0) -> None:
        self.at = at
        self._batch_axis = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that the old fake is a sample, and not alone."""
        assert isinstance(pl_module, GAN)
        self._batch_axis = 0 if pl_module.seeds is None else 1
        data = getattr(trainer, "datamodule", None)
        batch_size, sample_shape = getattr(data, "batch_size", None), getattr(data, "sample_shape", None)
        if stage == "fit" and batch_size is not None and sample_shape is not None:
            self._batch_of(torch.zeros(1, batch_size, *sample_shape), batch_axis=1)

    def mix_fakes(self, fake: Tensor) -> Tensor:
        """The batch `(..., B, *sample)` with its first fake replaced."""
        return self._batch_of(fake, self._batch_axis)

    def _batch_of(self, fake: Tensor, batch_axis: int) -> Tensor:
        old, current = fake.split([1, fake.shape[batch_axis] - 1], batch_axis)
        if not current.numel():
            raise ValueError(
                "OldFake takes the place of one fake of a batch, but the batch has no other; "
                "give the data a batch_size of at least 2"
            )
        at = torch.as_tensor(self.at, dtype=fake.dtype, device=fake.device)
        sample_shape = tuple(fake.shape[batch_axis + 1 :])
        try:
            at = at.expand(sample_shape)
        except RuntimeError as error:
            raise ValueError(
                f"OldFake: `at` is of shape {tuple(at.shape)}, which does not broadcast to a sample {sample_shape}; "
                f"give one number, or a list as long as the last axis of a sample"
            ) from error
        return torch.cat([at.expand_as(old), current], batch_axis)
