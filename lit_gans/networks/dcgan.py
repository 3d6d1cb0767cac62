"""Convolutional players after DCGAN."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from .layers import DCGANBatchNorm2d, DCGANConv2d, DCGANConvTranspose2d, DCGANLinear, with_spectral_norm

_CORE = 4
"""Sides are halved down to this, as far as they divide, but at least twice."""


class DCGANGenerator(nn.Module):
    """A linear layer to a small image, then transposed convolutions, each doubling the sides.

    64 x 64: `z -> (8w, 4, 4) -> (4w, 8, 8) -> (2w, 16, 16) -> (w, 32, 32) -> (C, 64, 64)` with w the width, ReLU inside
    and tanh at the end. 32 x 32 is one stage less, `z -> (4w, 4, 4) -> …`, and 28 x 28 two, `z -> (2w, 7, 7) -> …`.

    At 64 x 64, with a latent dimension of 100, it is the generator of PyTorch's DCGAN example, of 3 576 704 parameters;
    like that one it has no biases beside batch norm.

    Source: Radford et al. 2016, sec. 3; PyTorch's DCGAN example.

    Args:
        latent_dim: Length of one latent vector.
        sample_shape: Shape `(C, H, W)` of one image, H and W divisible by 4.
        width: Channels of the last hidden layer.
        batch_norm: Normalises every layer but the last.

    Raises:
        ValueError: If `sample_shape` is no image of this kind.
    """

    def __init__(
        self, latent_dim: int, sample_shape: tuple[int, ...], width: int = 64, batch_norm: bool = True
    ) -> None:
        super().__init__()
        channels, *sides = _image(type(self).__name__, sample_shape)
        stages = _stages(*sides)
        widths = [width * 2**stage for stage in reversed(range(stages))]
        smallest = (widths[0], *(side // 2**stages for side in sides))
        bias = not batch_norm
        layers: list[nn.Module] = [
            DCGANLinear(latent_dim, prod(smallest), bias=bias),
            nn.Unflatten(1, smallest),
            *_norm(widths[0], batch_norm),
            nn.ReLU(),
        ]
        for inputs, outputs in pairwise(widths):
            layers += [_doubling(inputs, outputs, bias), *_norm(outputs, batch_norm), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _doubling(width, channels, bias), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to images `(B, C, H, W)` in (-1, 1)."""
        images: Tensor = self.layers(z)
        return images


class DCGANDiscriminator(nn.Module):
    """Convolutions, each halving the sides, then a linear layer to one logit.

    64 x 64: `(C, 64, 64) -> (w, 32, 32) -> (2w, 16, 16) -> (4w, 8, 8) -> (8w, 4, 4) -> 1` with w the width, leaky ReLU
    of slope 0.2 inside, no sigmoid. 32 x 32 is one stage less, and 28 x 28 two, down to 7 x 7.

    At 64 x 64 and with 3 channels it is the discriminator of PyTorch's DCGAN example, of 2 765 568 parameters.

    Source: Radford et al. 2016, sec. 3; PyTorch's DCGAN example.

    Args:
        sample_shape: Shape `(C, H, W)` of one image, H and W divisible by 4.
        width: Channels of the first hidden layer.
        batch_norm: Normalises every hidden layer but the first.
        spectral_norm: Divides every weight by its largest singular value; usually without batch norm.

    Raises:
        ValueError: If `sample_shape` is no image of this kind.
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        width: int = 64,
        batch_norm: bool = True,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.samplewise = not batch_norm
        """A sample's logit does not depend on the rest of its batch: the game may send reals and fakes together."""
        channels, *sides = _image(type(self).__name__, sample_shape)
        stages = _stages(*sides)
        widths = [width * 2**stage for stage in range(stages)]
        bias = not batch_norm
        layers = [with_spectral_norm(_halving(channels, width, bias), spectral_norm), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(widths):
            halving = with_spectral_norm(_halving(inputs, outputs, bias), spectral_norm)
            layers += [halving, *_norm(outputs, batch_norm), nn.LeakyReLU(0.2)]
        features = widths[-1] * prod(side // 2**stages for side in sides)
        last = with_spectral_norm(DCGANLinear(features, 1, bias=bias), spectral_norm)
        self.layers = nn.Sequential(*layers, nn.Flatten(1), last)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images `(B, C, H, W)` to logits `(B, 1)`."""
        logits: Tensor = self.layers(x)
        return logits


def _doubling(inputs: int, outputs: int, bias: bool) -> nn.Module:
    return DCGANConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=bias)


def _halving(inputs: int, outputs: int, bias: bool) -> nn.Module:
    return DCGANConv2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=bias)


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [DCGANBatchNorm2d(channels)] if batch_norm else []


def _stages(rows: int, columns: int) -> int:
    """How often an image is halved."""
    stages, rows, columns = 2, rows // 4, columns // 4
    while rows % 2 == columns % 2 == 0 and min(rows, columns) > _CORE:
        stages, rows, columns = stages + 1, rows // 2, columns // 2
    return stages


def _image(name: str, sample_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width, of an image whose sides can be halved twice."""
    if len(sample_shape) != 3:
        raise ValueError(
            f"{name} was given sample_shape={tuple(sample_shape)}; it is made for images, so give "
            "(channels, height, width), or use the MLP networks for points"
        )
    channels, height, width = sample_shape
    if min(sample_shape) < 1 or height % 4 or width % 4:
        raise ValueError(
            f"{name} was given images of {channels} channels and size {height}x{width}; its stages of "
            f"stride 2, two at least, need a positive height and width divisible by 4: resize or pad the images"
        )
    return channels, height, width
