"""Fully connected players, for points and for small images."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from .layers import with_spectral_norm


class MLPGenerator(nn.Module):
    """A multi-layer perceptron from latents to samples, with ReLU between its layers.

    Source: Thanh-Tung & Tran 2020, `hidden=[64, 64]` and `latent_dim=2` for eight Gaussians (sec. III-B1),
    `hidden=[512, 512, 512]` and `latent_dim=50` for MNIST (table IV).

    Args:
        latent_dim: Length of one latent vector.
        sample_shape: Shape of one sample, `(2,)` for a point, `(1, 28, 28)` for an image.
        hidden: Width of each hidden layer.
        batch_norm: Normalises every hidden layer before its ReLU.
        tanh: Closes with tanh, so that samples lie in (-1, 1).

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(
        self,
        latent_dim: int,
        sample_shape: tuple[int, ...],
        hidden: Sequence[int] = (64, 64),
        batch_norm: bool = False,
        tanh: bool = False,
    ) -> None:
        super().__init__()
        sizes = layer_sizes(latent_dim, *hidden, prod(sample_shape))
        layers = perceptron(sizes, batch_norm=batch_norm)
        if tanh:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers, nn.Unflatten(1, tuple(sample_shape)))

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to samples `(B, *sample_shape)`."""
        samples: Tensor = self.layers(z)
        return samples


class MLPDiscriminator(nn.Module):
    """A multi-layer perceptron from samples to logits, with ReLU between its layers and no closing sigmoid.

    Args:
        sample_shape: Shape of one sample, `(2,)` for a point, `(1, 28, 28)` for an image.
        hidden: Width of each hidden layer.
        batch_norm: Normalises every hidden layer before its ReLU.
        spectral_norm: Divides every weight by its largest singular value.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        hidden: Sequence[int] = (64, 64),
        batch_norm: bool = False,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.samplewise = not batch_norm
        """A sample's logit does not depend on the rest of its batch: the game may send reals and fakes together."""
        sizes = layer_sizes(prod(sample_shape), *hidden, 1)
        layers = perceptron(sizes, batch_norm=batch_norm, spectral_norm=spectral_norm)
        self.layers = nn.Sequential(nn.Flatten(1), *layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, *sample_shape)` to logits `(B, 1)`."""
        logits: Tensor = self.layers(x)
        return logits


class MLPEncoder(nn.Module):
    """A multi-layer perceptron from samples to latents, with ReLU between its layers: the encoder of `ModeRegularizer`.

    Args:
        sample_shape: Shape of one sample, `(2,)` for a point, `(1, 28, 28)` for an image.
        latent_dim: Length of one latent vector.
        hidden: Width of each hidden layer.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(self, sample_shape: tuple[int, ...], latent_dim: int, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        sizes = layer_sizes(prod(sample_shape), *hidden, latent_dim)
        self.layers = nn.Sequential(nn.Flatten(1), *perceptron(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, *sample_shape)` to latents `(B, latent_dim)`."""
        latents: Tensor = self.layers(x)
        return latents


def layer_sizes(*sizes: int) -> list[int]:
    """The sizes from input to output, or a ValueError if one is not positive."""
    if min(sizes) < 1:
        raise ValueError(
            f"an MLP was given layers of sizes {' -> '.join(map(str, sizes))} (input, hidden, output); "
            "every size must be at least 1: check latent_dim, sample_shape and hidden"
        )
    return list(sizes)


def perceptron(sizes: list[int], batch_norm: bool = False, spectral_norm: bool = False) -> list[nn.Module]:
    """Linear layers from size to size, with (batch norm and) ReLU after all but the last."""
    *pairs, last = pairwise(sizes)
    layers: list[nn.Module] = []
    for inputs, outputs in pairs:
        # A bias just before batch norm is subtracted again by it, hence no bias there.
        layers.append(with_spectral_norm(nn.Linear(inputs, outputs, bias=not batch_norm), spectral_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(outputs))
        layers.append(nn.ReLU())
    layers.append(with_spectral_norm(nn.Linear(*last), spectral_norm))
    return layers
