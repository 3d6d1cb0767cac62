"""What is not of a domain of images: examples for a judge to learn from, since its quality depends on them."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..streams import stream

Negatives = dict[str, Tensor]
"""By kind: images `(n, *sample)` that are none of the domain."""


def negatives(images: Tensor, labels: Tensor, n: int, photo: str, seed: int) -> Negatives:
    """N images each of the four kinds of images that are not of the domain.

    - `noise`: every pixel uniform in [-1, 1].
    - `shuffled`: an image of the domain with its pixels in random order, the same in each channel.
    - `blends`: the mean of two images of different classes.
    - `patches`: square pieces of a photograph, of random size and place, in the size and channels of the images.

    Args:
        images: Of the domain, `(N, C, H, W)` in [-1, 1].
        labels: Their classes, `(N,)`.
        n: How many of each kind.
        photo: One of the two photographs that come with scikit-learn, `china.jpg` or `flower.jpg`.
        seed: Of all that is random here.

    Raises:
        ValueError: If the images are all of one class, or are no images.
    """
    if images.ndim != 4:
        raise ValueError(
            f"a judge by classifier is for images (N, C, H, W), got samples of shape {tuple(images.shape)}"
        )
    if len(labels.unique()) < 2:
        raise ValueError("a judge by classifier is of images of at least two classes, got one")
    kinds: dict[str, Callable[[torch.Generator], Tensor]] = {
        "noise": lambda generator: torch.rand((n, *images.shape[1:]), generator=generator) * 2 - 1,
        "shuffled": lambda generator: _shuffled(images, n, generator),
        "blends": lambda generator: _blends(images, labels, n, generator),
        "patches": lambda generator: _patches(photo, n, images.shape[1:], generator),
    }
    return {kind: make(stream(seed, f"negatives, {kind}")) for kind, make in kinds.items()}


def _shuffled(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    chosen = images[torch.randint(len(images), (n,), generator=generator)].flatten(2)
    order = torch.rand((n, 1, chosen.shape[-1]), generator=generator).argsort(-1)
    return chosen.gather(-1, order.expand_as(chosen)).reshape(n, *images.shape[1:])


def _blends(images: Tensor, labels: Tensor, n: int, generator: torch.Generator) -> Tensor:
    first, second = torch.randint(len(images), (2, n), generator=generator)
    while (alike := labels[first] == labels[second]).any():
        second = torch.where(alike, torch.randint(len(images), (n,), generator=generator), second)
    return (images[first] + images[second]) / 2


def _patches(photo: str, n: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    from sklearn.datasets import load_sample_image  # only here: importing it takes a second

    picture = torch.from_numpy(np.array(load_sample_image(photo))).permute(2, 0, 1).float() * (2 / 255) - 1
    picture = picture if shape[0] == 3 else picture.mean(0, keepdim=True).expand(shape[0], -1, -1)
    height, width = picture.shape[1:]
    patches = []
    for size, down, right in torch.rand((n, 3), generator=generator).tolist():
        side = int(max(shape[1:]) * (1 + 3 * size))  # from the images' own size to four times as large
        side = min(side, height, width)
        top, left = int(down * (height - side)), int(right * (width - side))
        piece = picture[None, :, top : top + side, left : left + side]
        patches.append(interpolate(piece, shape[1:], mode="area"))
    return torch.cat(patches)
