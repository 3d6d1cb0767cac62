"""CIFAR-10, from the files that torchvision fetches or from the binary ones."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .downloads import DownloadedDataModule

_SHAPE = (3, 32, 32)
_FILES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_PICKLED, _BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"


class CIFAR10DataModule(DownloadedDataModule):
    """CIFAR-10: 50 000 training and 10 000 test images of ten kinds of things, 3 × 32 × 32 pixels.

    Read from `data_dir/cifar-10-batches-py`, where torchvision puts it, or from the files of the binary version in
    `data_dir/cifar-10-batches-bin`. Those of the first are pickles, which could run code when they are loaded; here
    they may make arrays and nothing else. Arguments as of `DownloadedDataModule`.

    Raises:
        FileNotFoundError: In `setup`: neither folder has all files. Names every path, and the cures.
        ValueError: In `setup`: a file is damaged; names it.

    Source: Krizhevsky 2009.
    """

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    torchvision_name = "CIFAR10"
    own_way = f"put the folder {_PICKLED} or {_BINARY} into one of yours and name that by `--data.data_dir`"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(3, 32, 32)`."""
        return _SHAPE

    def paths(self, folder: str, split: str) -> list[Path]:
        """The files of a split in one of the two folders."""
        ending = ".bin" if folder == _BINARY else ""
        return [Path(self.data_dir, folder, name + ending) for name in _FILES[split]]

    def missing(self) -> bool:
        """Whether neither folder has all files."""
        return self._folder() is None

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Reads bytes `(n, 3, 32, 32)` and labels `(n,)`."""
        folder = self._folder()
        if folder is None:
            everywhere = [path for each in (_PICKLED, _BINARY) for part in _FILES for path in self.paths(each, part)]
            raise self.not_found(everywhere)
        read = _read_binary if folder == _BINARY else _read_pickled
        images, labels = zip(*map(read, self.paths(folder, split)), strict=True)
        return torch.cat(images).reshape(-1, *_SHAPE), torch.cat(labels).long()

    def _folder(self) -> str | None:
        for folder in (_PICKLED, _BINARY):
            if all(path.is_file() for split in _FILES for path in self.paths(folder, split)):
                return folder
        return None


def _read_binary(path: Path) -> tuple[Tensor, Tensor]:
    """Records of a label's byte and the 3072 of an image."""
    content = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    record = 1 + int(np.prod(_SHAPE))
    if len(content) == 0 or len(content) % record:
        raise _damaged(path, f"it holds {len(content)} bytes, and every image takes {record}")
    labels, images = content.reshape(-1, record).split([1, record - 1], dim=1)
    return _checked(path, images, labels[:, 0].tolist())


def _read_pickled(path: Path) -> tuple[Tensor, Tensor]:
    """A dict of `b"data"`, an array of bytes `(n, 3072)`, and `b"labels"`, a list."""
    try:
        with path.open("rb") as file:
            content: Any = _ArraysOnly(file, encoding="bytes").load()
        images, labels = content[b"data"], content[b"labels"]
    except Exception as error:  # a damaged pickle may raise anything
        raise _damaged(path, f"it cannot be read ({type(error).__name__}: {error})") from error
    if not isinstance(labels, list):
        raise _damaged(path, f"its labels are no list but of type {type(labels).__name__}")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), np.prod(_SHAPE)):
        raise _damaged(path, f"it holds no bytes of {len(labels)} images of 3 x 32 x 32")
    return _checked(path, torch.from_numpy(images.copy()), labels)


def _checked(path: Path, images: Tensor, labels: list[int]) -> tuple[Tensor, Tensor]:
    if wrong := [label for label in labels if not isinstance(label, int) or not 0 <= label < 10]:
        raise _damaged(path, f"labels run from 0 to 9, and one is {wrong[0]!r}")
    return images, torch.tensor(labels)


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that makes numpy arrays and plain values: a pickle may name any function to be called."""

    def find_class(self, module: str, name: str) -> Any:
        harmless = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if module.split(".")[0] == "numpy" and name in harmless:
            return harmless[name]
        if (module, name) == ("_codecs", "encode"):  # how newer Pythons write bytes for older ones
            return _latin1_bytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")


def _latin1_bytes(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"{path} is damaged, or no file of CIFAR-10: {what}; delete it and fetch it again")
