"""Image data sets as files, small enough for tests."""

import struct
from pathlib import Path

import torch
from torch import Tensor

from datamodules.mnist import FILES


def idx_bytes(values: Tensor) -> bytes:
    """Bytes in the IDX format."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


def write_idx(path: Path, values: Tensor) -> None:
    """Writes bytes in the IDX format."""
    path.write_bytes(idx_bytes(values))


def write_mnist(folder: Path, n_train: int, n_test: int) -> None:
    """The four files of MNIST: ten classes, each a bright square in a place of its own, with noise."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for split, n in (("train", n_train), ("test", n_test)):
        labels = torch.arange(n) % 10
        images = torch.randint(0, 50, (n, 28, 28), generator=generator)
        for image, label in zip(images, labels.tolist(), strict=True):
            row, column = divmod(label, 4)
            image[8 * row + 2 : 8 * row + 8, 6 * column + 2 : 6 * column + 7] += 200
        for name, values in zip(FILES[split], (images, labels), strict=True):
            write_idx(folder / name, values)
