"""Labelled images in memory, kept as bytes, and the smallest such set: scikit-learn's digits."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .base import GANDataModule, check_counts
from .sources import StoredSource


class ImageDataModule(GANDataModule):
    """Labelled images in [-1, 1]; a subclass gives `sample_shape`, `class_names` and `read(split)`.

    Pixels are stored as bytes and scaled by `x = 2 · byte / white - 1` batch by batch. The papers have no
    validation split: validation and test both run on the test images.

    Args:
        batch_size: Samples per D update, seed and process.
        max_samples: Train on the first so many images only; None takes all. `labelled` stays whole.
        n_predict: How many latents `predict` runs on.
        num_workers: Threads that make batches ahead; 0 makes each when it is asked for. They change no bit.
        pin_memory: Hands batches to a GPU from page-locked memory.
        on_device: Keeps the training images on the trainer's device, as bytes, and cuts batches there; for sets that
            fit.

    Attributes:
        class_names: The name of each label.
        white: The byte that means white.

    Raises:
        ValueError: If a number is out of range, or `on_device` comes with workers or pinned memory, which are of the
            host.
    """

    class_names: tuple[str, ...] = ()
    white: ClassVar[int] = 255

    def __init__(
        self,
        batch_size: int = 64,
        max_samples: int | None = None,
        n_predict: int = 64,
        num_workers: int = 0,
        pin_memory: bool = False,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, n_predict=n_predict)
        if max_samples is not None:
            check_counts(max_samples=max_samples)
        if num_workers < 0:
            raise ValueError(f"num_workers must be at least 0, not {num_workers}")
        if on_device and (num_workers or pin_memory):
            raise ValueError(
                f"on_device cuts batches where they are used; num_workers={num_workers} and pin_memory={pin_memory} "
                f"are for batches that come from the host: leave them at 0 and false, or on_device false"
            )
        self.num_workers, self.pin_memory, self.on_device = num_workers, pin_memory, on_device
        self.max_samples = max_samples
        self._read: dict[str, tuple[Tensor, Tensor | None]] = {}

    @property
    def n_classes(self) -> int:
        """The number of labels."""
        return len(self.class_names)

    @abstractmethod
    def read(self, split: str) -> tuple[Tensor, Tensor | None]:
        """Reads bytes `(n, *sample_shape)` in 0 .. `white` and int64 labels `(n,)` or None; called once per split."""

    def labelled(self, split: str) -> tuple[Tensor, Tensor]:
        """All images of a split, `(n, *sample_shape)` in [-1, 1], and labels `(n,)`: for a classifier."""
        pixels, labels = self._stored(split)
        if labels is None:
            raise ValueError(
                f"{type(self).__name__} has no labels, which a classifier needs; put the images of each class into a "
                f"subfolder of its own"
            )
        return self.scale(pixels), labels

    def scale(self, pixels: Tensor) -> Tensor:
        """Bytes in 0 .. `white` to float32 in [-1, 1]."""
        return pixels.to(torch.float32).mul_(2 / self.white).sub_(1)

    def train_source(self) -> StoredSource:
        """The training images, at most `max_samples`."""
        source = self.source("train")
        n = len(source) if self.max_samples is None else self.max_samples
        if n > len(source):
            raise ValueError(
                f"max_samples is {n}, but {type(self).__name__} has {len(source)} training images; "
                f"give at most that, or None for all"
            )
        return source.beginning(n)

    def held_out_source(self, split: Literal["validate", "test"]) -> StoredSource:
        """The test images, for validation and test alike."""
        return self.source("test")

    def source(self, split: str) -> StoredSource:
        """All images of a split, for the loaders."""
        pixels, labels = self._stored(split)
        return StoredSource(pixels, labels, self.scale, name=type(self).__name__)

    def _stored(self, split: str) -> tuple[Tensor, Tensor | None]:
        if split not in self._read:
            self._read[split] = self.read(split)
        return self._read[split]


class DigitsDataModule(ImageDataModule):
    """The 1 797 handwritten digits of 8 × 8 pixels that come inside scikit-learn: nothing to download.

    Every sixth image of each class, in stored order, is a test image: 1 501 train and 296 test images, with
    the same share of every class. Arguments as of `ImageDataModule`.
    """

    class_names = tuple("0123456789")
    white = 16

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(1, 8, 8)`."""
        return (1, 8, 8)

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Reads bytes `(n, 1, 8, 8)` in 0 .. 16 and labels `(n,)`."""
        from sklearn.datasets import load_digits  # only here: importing it takes a second

        digits = load_digits()
        pixels = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(digits.target).to(torch.int64)
        place_in_class = torch.nn.functional.one_hot(labels).cumsum(0).gather(1, labels[:, None])[:, 0]
        is_test = place_in_class % 6 == 0
        chosen = is_test if split == "test" else ~is_test
        return pixels[chosen], labels[chosen]
