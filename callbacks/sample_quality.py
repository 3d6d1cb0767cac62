"""SampleQuality: the Fréchet and kernel inception distances and the inception score of the samples."""

import os
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lit_gans import GAN
from lit_gans.extractors import Features, InceptionExtractor, extracted, fingerprint
from lit_gans.metrics import frechet_distance, inception_score, kernel_distance

from .looking import training_reals, with_seeds_axis
from .probe import Observation
from .trend import Trend


class SampleQuality(Trend):
    """Compares samples with real ones, by the features that a network sees in them.

    Logged: `quality/fid`, the distance `‖μ - μ'‖² + Tr(Σ + Σ' - 2 (ΣΣ')^½)` of two Gaussians that have the features'
    means and covariances; `quality/kid`, the squared maximum mean discrepancy with the kernel `(f·f'/d + 1)³`, its mean
    over 100 subsets; and, if the extractor has classes, `quality/inception_score`, `exp E KL(p(y|x) ‖ p(y))`, its mean
    over 10 parts. torchmetrics computes them, in float64. All three depend on how many samples there are: compare only
    what was measured alike. A seed with a sample that is not finite gets NaN.

    The features of the real samples are computed once for a data set and an extractor, and kept in a file whose name
    depends on both. The extractor is no part of the game: its weights are in no checkpoint.

    Args:
        every_n_iterations: How often to look.
        extractor: Images in [-1, 1] to features, see `lit_gans.extractors`; None: the Inception network, whose weights
            are downloaded.
        n_samples: How many samples are compared; papers take 50 000.
        n_reals: With how many of the training set, all of a smaller one.
        subset_size: Of KID.
        batch_size: How many images the extractor sees at a time.
        cache: The folder that keeps the features of real samples.
        seed: Of latents and subsets.
        name: See `Probe`.

    Raises:
        ValueError: If a number is too small, or, in `setup`, there are fewer real samples than `subset_size`, or the
            extractor does not take them.

    Source: Heusel et al. 2017 (FID), Bińkowski et al. 2018 (KID), Salimans et al. 2016 (IS).
    """

    def __init__(
        self,
        every_n_iterations: int = 5000,
        extractor: nn.Module | None = None,
        n_samples: int = 10_000,
        n_reals: int = 50_000,
        subset_size: int = 1000,
        batch_size: int = 100,
        cache: str = "~/.cache/lit-gans",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        for what, number, least in (
            ("subset_size", subset_size, 2),
            ("n_samples", n_samples, subset_size),
            ("n_reals", n_reals, subset_size),
            ("batch_size", batch_size, 1),
        ):
            if number < least:
                raise ValueError(
                    f"SampleQuality: {what} must be at least {least}{' (subset_size)' * (least == subset_size)}, "
                    f"got {number}"
                )
        self.extractor, self.n_samples, self.n_reals, self.subset_size = extractor, n_samples, n_reals, subset_size
        self.batch_size, self.cache, self.seed = batch_size, Path(cache).expanduser(), seed
        self._reals: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes the extractor, and looks at the real samples."""
        super().setup(trainer, pl_module, stage)
        if stage == "predict":
            return
        reals = training_reals(trainer, self.n_reals)
        if len(reals) < self.subset_size:
            raise ValueError(
                f"SampleQuality: there are {len(reals)} real samples, fewer than subset_size={self.subset_size}; "
                f"lower it"
            )
        if self.extractor is None:
            self.extractor = InceptionExtractor()
        self.extractor.to(trainer.strategy.root_device)  # the game itself is moved there only later
        self._reals = self._features_of(reals)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Compares the samples of each seed with the same real ones."""
        assert self.extractor is not None
        assert self._reals is not None
        samples = with_seeds_axis(gan, gan.sample(self.n_samples, self.seed))
        by_seed = [self._compared(extracted(self.extractor, each, self.batch_size)) for each in samples]
        return Observation(
            {
                f"quality/{key}": torch.stack([numbers[key] for numbers in by_seed]).reshape(gan.seeds_axis)
                for key in by_seed[0]
            }
        )

    def _compared(self, fakes: Features) -> dict[str, Tensor]:
        assert self._reals is not None
        numbers = {
            "fid": frechet_distance(self._reals, fakes.features),
            "kid": kernel_distance(self._reals, fakes.features, self.subset_size, self.seed),
        }
        if fakes.logits is not None:
            numbers["inception_score"] = inception_score(fakes.logits, self.seed)
        return numbers

    def _features_of(self, reals: Tensor) -> Tensor:
        """The features of real samples: from the cache, or computed and put there."""
        assert self.extractor is not None
        path = self.cache / f"{fingerprint(self.extractor, reals)}.pt"
        if path.is_file():
            kept: Tensor = torch.load(path, weights_only=True)
            return kept
        features = extracted(self.extractor, reals, self.batch_size).features.clone()
        self.cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")  # of this process: others may be writing the same
        torch.save(features, unfinished)
        unfinished.replace(path)
        return features
