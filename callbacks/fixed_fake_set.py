"""FixedFakeSet: D trained on a fixed set of fakes, G standing aside."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN

from .drawing_hook import DrawingHook


class FixedFakeSet(DrawingHook):
    """Replaces G's fakes in D's updates by draws, with replacement, from the DataModule's `fake_set`.

    How D generalises is asked of a D that trains on two fixed, finite sets. Give G an optimizer that does not move it
    (SGD of rate 0): what G makes, and its loss, have no part in such a run.

    Raises:
        ValueError: In `setup`, if the DataModule has no `fake_set`.

    Source: Li et al., section IV-B.
    """

    purpose = "fixed fake set"

    def __init__(self) -> None:
        super().__init__()
        self._fakes = torch.empty(0)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that there is a set of fakes."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and fixed_fakes(trainer) is None:
            raise ValueError(
                f"FixedFakeSet needs data with a `fake_set`, as GaussianPairDataModule has when it is given "
                f"`n_samples`; {type(getattr(trainer, 'datamodule', None)).__name__} has none. Give it one, or take "
                f"FixedFakeSet out of the callbacks of this run"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes up the set."""
        super().on_train_start(trainer, pl_module)
        assert isinstance(pl_module, GAN)
        fakes = fixed_fakes(trainer)
        assert fakes is not None
        self._fakes = fakes.to(pl_module.device)

    def mix_fakes(self, fake: Tensor) -> Tensor:
        """As many fakes of the set, `(..., B, *sample)`."""
        batch_shape = fake.shape[: fake.ndim - self._fakes.ndim + 1]
        # In the set's precision: a game's own may be too coarse to reach every row evenly.
        rows = self.draws.uniform(batch_shape, like=self._fakes) * len(self._fakes)
        return self._fakes[rows.long()].to(fake)


def fixed_fakes(trainer: pl.Trainer) -> Tensor | None:
    """The fakes that D is trained on, `(n, *sample)`, where a `FixedFakeSet` of the run shows it no others."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if not any(isinstance(callback, FixedFakeSet) for callback in callbacks):
        return None
    return getattr(getattr(trainer, "datamodule", None), "fake_set", None)
