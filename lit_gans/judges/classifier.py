"""ClassifierJudge: a perceptron that tells the classes of images, and what is no image of the domain at all."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from .judge import Judge, Judgement
from .negatives import negatives


class ClassifierJudge(Judge):
    """Judges by a classifier of m + 1 classes: those of the data, which are the modes, and "not of this domain".

    `lit-gans judge` trains one. The probability that a sample is of the domain is 1 less that of the last class; its
    mode is the likeliest of the others. What counts as none of the domain is what `negatives` makes; quality says no
    more than that samples are unlike those.

    Args:
        file: What `lit-gans judge` has written.

    Attributes:
        layers: Weight `(out, in)` and bias `(out,)` of each, from pixels to the logits of m + 1 classes.
        accuracy: What it got right of test images and test negatives when it was trained, by kind.

    Raises:
        ValueError: If the file is not there or holds no judge.

    Source: SQD, section 3, with faces told by MTCNN and ArcFace there.
    """

    def __init__(self, file: str | Path) -> None:
        path = Path(file)
        if not path.is_file():
            raise ValueError(
                f"ClassifierJudge: there is no file {path}; make one by `lit-gans judge --data ... --file {path}`"
            )
        try:
            self._take(torch.load(path, weights_only=True, map_location="cpu"))
        except Exception as error:
            raise ValueError(
                f"ClassifierJudge: {path} holds no judge ({error}); write it by `lit-gans judge`"
            ) from error

    def _take(self, state: dict[str, Any]) -> None:
        self.layers = list(zip(state["weights"], state["biases"], strict=True))
        self.n_modes = len(state["biases"][-1]) - 1
        self.sample_shape, self.accuracy = tuple(state["sample_shape"]), dict(state["accuracy"])

    @classmethod
    def train(
        cls, file: str | Path, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], n_train: int, seed: int
    ) -> Self:
        """Trains a judge, writes it into a file, and returns it.

        The classifier is scikit-learn's perceptron with one hidden layer of 256. It sees half as many negatives of
        each kind as images, and those of its test are of other numbers, images and photographs.

        Args:
            file: Where to.
            train: Images `(N, C, H, W)` in [-1, 1] and labels from 0 to m - 1 `(N,)`.
            test: Likewise, to measure accuracy on.
            n_train: At most so many training images, at random.
            seed: Of all that is random.

        Raises:
            ValueError: If a class has no image among those chosen, or what `negatives` refuses.
        """
        from sklearn.neural_network import MLPClassifier  # only here: importing it takes a second

        images, labels = train
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:n_train]
        images, labels = images[chosen], labels[chosen]
        n_classes = int(train[1].max()) + 1
        if missing := sorted(set(range(n_classes)) - set(labels.tolist())):
            raise ValueError(
                f"a judge of {n_classes} classes needs images of each, and has none of class "
                f"{', '.join(map(str, missing))} among {len(labels)}; give it more of them by --n_train"
            )
        of_none = negatives(images, labels, -(-len(images) // 2), "china.jpg", seed)
        inputs = torch.cat([images, *of_none.values()]).flatten(1).numpy()
        targets = np.full(len(inputs), n_classes)
        targets[: len(labels)] = labels.numpy()
        classifier = MLPClassifier((256,), early_stopping=True, n_iter_no_change=20, random_state=seed)
        classifier.fit(inputs, targets)
        state: dict[str, Any] = {
            "weights": [torch.from_numpy(weight.T.astype(np.float32)).contiguous() for weight in classifier.coefs_],
            "biases": [torch.from_numpy(bias.astype(np.float32)) for bias in classifier.intercepts_],
            "sample_shape": list(images.shape[1:]),
            "accuracy": {},
        }
        judge = cls.__new__(cls)  # in memory first: a file is there when all of it is known
        judge._take(state)
        judge.accuracy = state["accuracy"] = judge._accuracy(*test, seed=seed + 1)
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, file)
        return judge

    def __call__(self, samples: Tensor) -> Judgement:
        """Judges images `(..., n, C, H, W)` in [-1, 1].

        Raises:
            ValueError: If they are of another shape than those that it was trained on.
        """
        if tuple(samples.shape[-3:]) != self.sample_shape or samples.ndim < 4:
            raise ValueError(
                f"ClassifierJudge: judges images (..., n, {', '.join(map(str, self.sample_shape))}), got samples of "
                f"shape {tuple(samples.shape)}; train a judge on the data of this run by `lit-gans judge`"
            )
        values = samples.float().flatten(-3)
        finite = values.isfinite().all(-1)
        for i, (weight, bias) in enumerate(self.layers):
            values = torch.nn.functional.linear(values.relu() if i else values, weight.to(values), bias.to(values))
        probabilities = values.softmax(-1)
        mode = probabilities[..., :-1].argmax(-1)
        of_domain = probabilities[..., :-1].sum(-1).clamp(0.0, 1.0)
        return Judgement(of_domain.where(finite, 0.0), mode.where(finite, -1))

    def _accuracy(self, images: Tensor, labels: Tensor, seed: int) -> dict[str, float]:
        """Shares of test images told right, and taken to be of the domain; of negatives of each kind, not taken so."""
        judged = self(images)
        accuracy = {
            "classes": (judged.mode == labels).double().mean().item(),
            "images": (judged.probability > 0.5).double().mean().item(),
        }
        for kind, samples in negatives(images, labels, min(len(images), 2500), "flower.jpg", seed).items():
            accuracy[kind] = (self(samples).probability <= 0.5).double().mean().item()
        return accuracy
