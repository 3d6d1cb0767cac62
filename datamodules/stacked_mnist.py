"""Stacked MNIST: three digits as the colours of one image, which makes a thousand modes."""

from typing import Any

import torch
from torch import Tensor

from lit_gans.streams import stream

from .base import check_counts
from .images import ImageDataModule
from .mnist import MNISTDataModule


class StackedMNISTDataModule(ImageDataModule):
    """Three random digits of MNIST as red, green and blue: 3 × 28 × 28 pixels, 1 000 modes.

    Label 427 is a 4 in red, a 2 in green and a 7 in blue. The triples are drawn once, with replacement, and are always
    the same: training images of training digits, test images of test digits, as many as these. They are held as bytes
    (2.4 kB each). MNIST's own files are looked for as `MNISTDataModule` does.

    Args:
        data_dir: Where to look, and where to download to.
        download: Fetch MNIST by torchvision if it is found nowhere.
        n_images: How many training images there are.
        **settings: As of `ImageDataModule`.

    Raises:
        FileNotFoundError, ValueError: In `setup`, as `MNISTDataModule`.

    Source: Metz et al. 2017; Lin et al. 2018 (PacGAN). Modes are told by a `lit_gans.judges.StackedJudge`.
    """

    class_names = tuple(f"{label:03d}" for label in range(1000))

    def __init__(
        self, data_dir: str = "data", download: bool = False, n_images: int = 128_000, **settings: Any
    ) -> None:
        super().__init__(**settings)
        check_counts(n_images=n_images)
        self.n_images = n_images
        self.digits = MNISTDataModule(data_dir, download)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(3, 28, 28)`."""
        return (3, 28, 28)

    def prepare_data(self) -> None:
        """Downloads MNIST by torchvision, if asked to and if it is found nowhere."""
        self.digits.prepare_data()

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Bytes `(n, 3, 28, 28)` and labels `(n,)`."""
        pixels, digits = self.digits.read(split)
        n = self.n_images if split == "train" else len(pixels)
        chosen = torch.randint(len(pixels), (n, 3), generator=stream(0, f"data/stacked/{split}"))
        return pixels[chosen].squeeze(2), digits[chosen] @ torch.tensor([100, 10, 1])
