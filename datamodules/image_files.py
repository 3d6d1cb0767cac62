"""Images that stay in files of their own until a batch needs them."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from .base import check_counts
from .images import ImageDataModule
from .sources import StoredSource

T = TypeVar("T")


class ImageFiles(NamedTuple):
    """The images of a split: where each is, and its label `(n,)`, if there are labels."""

    paths: list[Path]
    labels: Tensor | None


class ImageFilesDataModule(ImageDataModule):
    """Images in files. A subclass gives `files(split)`.

    Each image is turned upright as its EXIF data say, its shorter side is resized to `image_size`, with antialiasing,
    and its middle is cut out. Decoding takes longer than many a game's step: give it `num_workers`, or memory.

    Args:
        image_size: Side of the square images, in pixels.
        channels: 3 for colour, 1 for grey.
        in_memory: Decodes all images at the start of a run, and keeps them as bytes.
        **settings: As of `ImageDataModule`.

    Raises:
        ValueError: If `image_size` is below 1, `channels` is neither 1 nor 3, or `on_device` is asked for images that
            stay in files. When an image is read that is broken; names it.
    """

    def __init__(self, image_size: int = 64, channels: int = 3, in_memory: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        check_counts(image_size=image_size)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 3 (colour) or 1 (grey), not {channels}")
        if self.on_device and not in_memory:
            raise ValueError("on_device needs all images at once: set in_memory to true, too, or on_device to false")
        self.image_size, self.channels, self.in_memory = image_size, channels, in_memory
        self._files: dict[str, ImageFiles] = {}
        # PIL resizes with antialiasing in any case.
        self._shape = v2.Compose([v2.Resize(image_size), v2.CenterCrop(image_size), v2.PILToTensor()])

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(channels, image_size, image_size)`."""
        return (self.channels, self.image_size, self.image_size)

    @abstractmethod
    def files(self, split: str) -> ImageFiles:
        """Finds the images of a split; called once per split."""

    def source(self, split: str) -> StoredSource:
        """The images of a split, decoded here or batch by batch."""
        if self.in_memory:
            return super().source(split)
        paths, labels = self.found(split)
        return StoredSource(torch.arange(len(paths)), labels, partial(self.images, paths), name=type(self).__name__)

    def read(self, split: str) -> tuple[Tensor, Tensor | None]:
        """Decodes a whole split, `(n, *sample_shape)`."""
        paths, labels = self.found(split)
        return torch.stack(in_threads(self.decoded, paths)), labels

    def found(self, split: str) -> ImageFiles:
        """What `files` has found."""
        if split not in self._files:
            self._files[split] = self.files(split)
        return self._files[split]

    def images(self, paths: Sequence[Path], places: Tensor) -> Tensor:
        """Of a list of files those in some places `(n,)`, `(n, *sample_shape)` in [-1, 1]."""
        return self.scale(torch.stack([self.decoded(paths[place]) for place in places.tolist()]))

    def decoded(self, path: Path) -> Tensor:
        """One image as bytes, of shape `sample_shape`.

        Raises:
            ValueError: If it cannot be read; names it.
        """
        with opened(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # of two bytes PIL would make white whatever is above 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            pixels: Tensor = self._shape(upright.convert("RGB" if self.channels == 3 else "L"))
        return pixels


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image, open; whatever is wrong with it is a ValueError that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no image that can be read ({error}); repair or remove it") from error


def check_image(path: Path) -> None:
    """A ValueError if an image is broken, found at little cost: only what has no checksum of its own is decoded.

    A JPEG is taken for whole if it ends as a JPEG does.
    """
    with opened(path) as image:
        kind = image.format
        image.verify()
    ends_well = kind == "JPEG" and path.read_bytes()[-2:] == b"\xff\xd9"
    if kind != "PNG" and not ends_well:
        with opened(path) as image:
            image.load()


def in_threads(function: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """A function of each path, in order; PIL decodes in parallel."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, paths))
