"""ModeCoverage: how many modes of a known mixture the generator makes."""

import pytorch_lightning as pl

from lit_gans import GAN
from lit_gans.metrics import mode_coverage

from .probe import Observation
from .verdict import Verdict, with_each_seed


class ModeCoverage(Verdict):
    """Counts covered modes on data whose modes are known, such as the ring and the grid.

    Logged: `modes/covered`, `modes/high_quality` (share of samples within 3 standard deviations of a mode) and
    `modes/reverse_kl` (nats). It looks during `fit`, `validate` and `test`, and prints what it saw last.

    Args:
        every_n_iterations: How often to look during training.
        n_samples: How many samples to judge; a mode that none of them hits counts as missed.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If the DataModule has no `centers` and `std`.

    Source: Lin et al. 2018 (PacGAN), whose protocol judges 2 500 samples.
    """

    def __init__(
        self, every_n_iterations: int = 1000, n_samples: int = 2500, seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(every_n_iterations, name)
        self.n_samples = n_samples
        self.seed = seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that the data have known modes."""
        super().setup(trainer, pl_module, stage)
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

    def sentence(self, trainer: pl.Trainer) -> str:
        """How many modes, and how many good samples."""
        n_modes = len(trainer.datamodule.centers)  # type: ignore[attr-defined]
        good = trainer.callback_metrics[self.key("modes/high_quality")].item()
        covered = with_each_seed(trainer, self.key("modes/covered"))
        return f"modes covered: {covered} of {n_modes}; {good:.1%} of samples within 3 standard deviations of a mode"
