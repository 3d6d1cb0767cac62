"""ClassCoverage: how many classes of labelled images the generator makes, as a classifier sees it."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from lit_gans import GAN
from lit_gans.metrics import class_coverage

from .probe import Observation
from .verdict import Verdict, with_each_seed


class ClassCoverage(Verdict):
    """Shows G's samples to a classifier trained on the DataModule's labels.

    The classifier is scikit-learn's perceptron with one hidden layer of 256, trained on pixels before the game
    begins; its accuracy on the test split is logged beside what it says. Logged: `classes/covered` (at least 1 % of
    samples, each with a probability over ½), `classes/confidence` and `classes/judge_accuracy`. A sample that is not
    finite belongs to no class, and confidence leaves it out; it is NaN if no sample is finite. The probe looks during
    `fit`, `validate` and `test`, and prints what it saw last.

    Args:
        every_n_iterations: How often to look during training.
        n_samples: How many samples to judge.
        n_train: At most this many training images teach the classifier.
        seed: Of the latents and of the classifier.
        name: See `Probe`.

    Raises:
        ValueError: If the DataModule gives no labelled images.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        n_samples: int = 1000,
        n_train: int = 10_000,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        self.n_samples, self.n_train, self.seed = n_samples, n_train, seed
        self._classifier: MLPClassifier | None = None
        self._accuracy = torch.tensor(float("nan"))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Trains the classifier, once."""
        super().setup(trainer, pl_module, stage)
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "labelled"):
            raise ValueError(
                f"ClassCoverage needs labelled images (`labelled(split)`, as DigitsDataModule and MNISTDataModule "
                f"have), got {type(data).__name__}; take it out of the callbacks of this run"
            )
        if stage == "predict" or self._classifier is not None:
            return
        images, labels = data.labelled("train")
        classifier = MLPClassifier((256,), early_stopping=True, random_state=self.seed)
        self._classifier = classifier.fit(_flat(images)[: self.n_train], labels[: self.n_train].numpy())
        images, labels = data.labelled("test")
        self._accuracy = torch.tensor(self._classifier.score(_flat(images), labels.numpy()))

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Numbers, no figure."""
        assert self._classifier is not None
        samples = gan.sample(self.n_samples, self.seed).float().cpu()
        batch_shape = samples.shape[: 1 if gan.seeds is None else 2]
        flat = _flat(samples.flatten(0, len(batch_shape) - 1))
        finite = np.isfinite(flat).all(axis=1)  # the classifier refuses what a diverged G makes
        probabilities = np.full((len(flat), len(self._classifier.classes_)), np.nan)
        if finite.any():
            probabilities[finite] = self._classifier.predict_proba(flat[finite])
        found = class_coverage(torch.from_numpy(probabilities).reshape(*batch_shape, -1))
        numbers = {"classes/covered": found.classes, "classes/confidence": found.confidence}
        return Observation({**numbers, "classes/judge_accuracy": self._accuracy.expand(found.classes.shape)})

    def sentence(self, trainer: pl.Trainer) -> str:
        """How many classes, how sure, and how good the classifier is."""
        numbers = trainer.callback_metrics
        n_classes = trainer.datamodule.n_classes  # type: ignore[attr-defined]
        return (
            f"classes covered: {with_each_seed(trainer, self.key('classes/covered'))} of {n_classes}; the classifier "
            f"is {numbers[self.key('classes/confidence')].item():.0%} sure of the samples and right about "
            f"{numbers[self.key('classes/judge_accuracy')].item():.0%} of the test images"
        )


def _flat(images: Tensor) -> NDArray[np.floating]:
    return images.flatten(1).numpy()
