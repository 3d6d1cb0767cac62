"""Writes small image sets in the formats that they have on disk."""

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image

from lit_gans.streams import stream


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which is how CIFAR-10's files were made."""

    def save_string(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_string}


def python2_pickle(value):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_cifar10(root, n=20, binary=False):
    """Six files of n random images each; returns images `(6 n, 3, 32, 32)` and labels, in the order of the files."""
    generator = stream(0, "cifar")
    images = torch.randint(256, (6 * n, 3072), generator=generator, dtype=torch.uint8)
    labels = torch.arange(6 * n) % 10
    folder = Path(root, f"cifar-10-batches-{'bin' if binary else 'py'}")
    folder.mkdir(parents=True)
    for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
        x, c = images[i * n : (i + 1) * n].numpy(), labels[i * n : (i + 1) * n]
        if binary:
            records = np.concatenate([c.numpy().astype(np.uint8)[:, None], x], 1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        else:
            content = {b"batch_label": name.encode(), b"labels": c.tolist(), b"data": x}
            content[b"filenames"] = [f"{k}.png".encode() for k in range(n)]
            (folder / name).write_bytes(python2_pickle(content))
    return images.reshape(-1, 3, 32, 32), labels


def picture(seed, size=(40, 30), mode="RGB"):
    """An image of soft noise."""
    noise = torch.randint(256, (4, 4, 3), generator=stream(seed, "picture"), dtype=torch.uint8)
    return Image.fromarray(noise.numpy()).resize(size, Image.Resampling.BICUBIC).convert(mode)


def write_folder(root, names, size=(40, 30)):
    """An image by each name, `class/name.png` or `name.jpg`."""
    for i, name in enumerate(names):
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i, size).save(path)
    return Path(root)


PEOPLE = [2880, 17, 2880, 9000, 17, 5, 17, 2880, 9000, 5, 17, 2880]


def write_celeba(root, people=PEOPLE):
    """Faces of some people: every fourth of validation, every fifth of the test."""
    base = Path(root, "celeba")
    names = [f"{i:06d}.jpg" for i in range(1, len(people) + 1)]
    write_folder(base / "img_align_celeba", names, (178, 218))
    parts = [1 if i % 4 == 3 else 2 if i % 5 == 4 else 0 for i in range(len(people))]
    for file, numbers in (("list_eval_partition.txt", parts), ("identity_CelebA.txt", people)):
        lines = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
        (base / file).write_text("\n".join(lines) + "\n")
    return names, parts
