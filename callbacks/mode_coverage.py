"""ModeCoverage: how many modes of a known mixture the generator makes."""

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from lit_gans import GAN
from lit_gans.metrics import mode_coverage

from .probe import Observation, Probe


class ModeCoverage(Probe):
    """Counts covered modes on data whose modes are known, such as the ring and the grid.

    Logged: `modes/covered`, `modes/high_quality` (share of samples within 3 standard deviations of a mode) and
    `modes/reverse_kl` (nats). It looks during `fit`, `validate` and `test`, and prints what it saw last.

    Args:
        every_n_iterations: How often to look during training.
        n_samples: How many samples to judge; a mode that none of them hits counts as missed.
        seed: Of the latents.

    Raises:
        ValueError: If the DataModule has no `centers` and `std`.

    Source: Lin et al. 2018 (PacGAN), whose protocol judges 2 500 samples.
    """

    def __init__(self, every_n_iterations: int = 1000, n_samples: int = 2500, seed: int = 0) -> None:
        super().__init__(every_n_iterations)
        self.n_samples = n_samples
        self.seed = seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that the data have known modes."""
        data = getattr(trainer, "datamodule", None)
        if stage != "predict" and not (hasattr(data, "centers") and hasattr(data, "std")):
            raise ValueError(
                f"ModeCoverage needs data with known modes (`centers` and `std`, as RingDataModule and GridDataModule "
                f"have), got {type(data).__name__}; take it out of the callbacks of this run"
            )

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Numbers, no figure."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        found = mode_coverage(gan.sample(self.n_samples, self.seed), data.centers, data.std)
        numbers = {"modes/covered": found.modes, "modes/high_quality": found.high_quality}
        return Observation({**numbers, "modes/reverse_kl": found.reverse_kl})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks once more and prints the verdict."""
        super().on_train_end(trainer, pl_module)
        self._print(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks and prints, if `validate` was asked for by itself."""
        if not trainer.state.fn == "fit":
            self._look(trainer, pl_module)
            self._print(trainer)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks and prints."""
        self._look(trainer, pl_module)
        self._print(trainer)

    @rank_zero_only
    def _print(self, trainer: pl.Trainer) -> None:
        numbers = trainer.callback_metrics
        covered = [value.item() for key, value in numbers.items() if key.startswith("modes/covered/seed_")]
        each = f" (by seed: {', '.join(f'{value:.0f}' for value in covered)})" if covered else ""
        n_modes = len(trainer.datamodule.centers)  # type: ignore[attr-defined]
        print(
            f"modes covered: {numbers['modes/covered'].item():g} of {n_modes}{each}, "
            f"{numbers['modes/high_quality'].item():.1%} of samples within 3 standard deviations of a mode"
        )
