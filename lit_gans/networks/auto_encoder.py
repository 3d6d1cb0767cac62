"""An auto-encoder as discriminator: what it cannot reconstruct is fake."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from .mlp import layer_sizes, perceptron


class AutoEncoderDiscriminator(nn.Module):
    """`D(x) = -‖Dec(Enc(x)) - x‖`, of two perceptrons with ReLU inside: minus the error of a reconstruction.

    Source: Zhao et al. 2017, section 2; Manisha & Gujar 2018, section 3.1.

    Args:
        sample_shape: Shape of one sample, `(2,)` for a point, `(1, 28, 28)` for an image.
        hidden: Width of each hidden layer of the encoder; the decoder's are the same ones backwards.
        code: Width between the two.

    Raises:
        ValueError: If a size is not positive.
    """

    samplewise = True
    """A sample's logit does not depend on the rest of its batch: the game may send reals and fakes together."""

    def __init__(self, sample_shape: tuple[int, ...], hidden: Sequence[int] = (64, 64), code: int = 2) -> None:
        super().__init__()
        sizes = layer_sizes(prod(sample_shape), *hidden, code)
        self.encoder = nn.Sequential(nn.Flatten(1), *perceptron(sizes))
        self.decoder = nn.Sequential(*perceptron(sizes[::-1]), nn.Unflatten(1, tuple(sample_shape)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """`Dec(Enc(x))`, samples `(B, *sample_shape)` to samples."""
        samples: Tensor = self.decoder(self.encoder(x))
        return samples

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, *sample_shape)` to logits `(B, 1)`, at most 0."""
        return -torch.linalg.vector_norm((self.reconstruct(x) - x).flatten(1), dim=1, keepdim=True)
