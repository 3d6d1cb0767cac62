"""CelebA, with whose face each image is."""

import os
from pathlib import Path
from typing import Literal

import torch

from .downloads import DownloadedDataModule
from .image_files import ImageFiles, ImageFilesDataModule
from .sources import StoredSource

_SPLITS = {"train": 0, "validate": 1, "test": 2}
_PARTITION, _IDENTITIES, _IMAGES = "list_eval_partition.txt", "identity_CelebA.txt", "img_align_celeba"


class CelebADataModule(DownloadedDataModule, ImageFilesDataModule):
    """CelebA: 202 599 faces of 10 177 people, 178 × 218 pixels, of which a square is taken from the middle.

    Read in torchvision's layout: `data_dir/celeba/` holds the folder `img_align_celeba` with the images, and
    `list_eval_partition.txt` and `identity_CelebA.txt`, a line for each: `000001.jpg 0` (0 train, 1 validation, 2 test)
    and `000001.jpg 2880`. The label is the place of the identity among all. Arguments as of `DownloadedDataModule` and
    `ImageFilesDataModule`.

    Raises:
        FileNotFoundError: In `setup`: a file, the folder, or an image that the lists name is missing.
        ValueError: In `setup`: a list has a line of another form, or names other images than the other.

    Source: Liu et al. 2015.
    """

    torchvision_name = "CelebA"
    own_way = (
        f"put {_IMAGES}/ (the images), {_PARTITION} (their splits) and {_IDENTITIES} (who it is: the labels) into a "
        f"folder `celeba`, and name the folder that this lies in by `--data.data_dir`"
    )

    @property
    def root(self) -> Path:
        """Where everything is."""
        return Path(self.data_dir, "celeba")

    def missing(self) -> bool:
        """Whether the folder or one of the lists is not there."""
        return not all((self.root / name).exists() for name in (_IMAGES, _PARTITION, _IDENTITIES))

    def held_out_source(self, split: Literal["validate", "test"]) -> StoredSource:
        """Validation's images or the test's: CelebA has both."""
        return self.source(split)

    def files(self, split: str) -> ImageFiles:
        """The images of a split, and the labels of their identities."""
        if self.missing():
            raise self.not_found([self.root / name for name in (_IMAGES, _PARTITION, _IDENTITIES)])
        parts, identities = _numbers(self.root / _PARTITION), _numbers(self.root / _IDENTITIES)
        if set(parts) != set(identities):
            odd = sorted(set(parts) ^ set(identities))
            raise ValueError(
                f"{self.root / _PARTITION} and {_IDENTITIES} must name the same images, but {odd[0]} is in one of them "
                f"only (one of {len(odd)}); fetch both again"
            )
        present = set(os.listdir(self.root / _IMAGES))
        names = [name for name, part in parts.items() if part == _SPLITS[split]]
        if absent := [name for name in names if name not in present]:
            raise FileNotFoundError(
                f"{self.root / _IMAGES / absent[0]} is missing, one of {len(absent)} images of the {split} split that "
                f"{_PARTITION} names; unpack img_align_celeba.zip again"
            )
        if not names:
            raise ValueError(f"{self.root / _PARTITION} names no image of the {split} split ({_SPLITS[split]})")
        known = sorted(set(identities.values()))
        self.class_names = tuple(map(str, known))
        place = {identity: i for i, identity in enumerate(known)}
        labels = torch.tensor([place[identities[name]] for name in names])
        return ImageFiles([self.root / _IMAGES / name for name in names], labels)


def _numbers(path: Path) -> dict[str, int]:
    """A list of `name number`, line by line."""
    numbers = {}
    for i, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        name, _, number = line.strip().partition(" ")
        if not number.strip().isdigit():
            raise ValueError(f"{path}, line {i}: expected an image's name and a number, got {line!r}; fetch it again")
        numbers[name] = int(number)
    return numbers
