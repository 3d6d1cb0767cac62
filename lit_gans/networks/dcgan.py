"""Convolutional players after DCGAN, for small images."""

from math import prod

from torch import Tensor, nn

from .layers import DCGANBatchNorm2d, DCGANConv2d, DCGANConvTranspose2d, DCGANLinear, with_spectral_norm

_SHRINK = 4  # Two stages, each of stride 2.


class DCGANGenerator(nn.Module):
    """A linear layer to a small image, then two transposed convolutions, each doubling the sides.

    `z -> (2·width, H/4, W/4) -> (width, H/2, W/2) -> (C, H, W)`, ReLU inside and tanh at the end.

    Source: Radford et al. 2016, sec. 3, with two stages in place of four.

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
        channels, rows, columns = _image(type(self).__name__, sample_shape)
        smallest = (2 * width, rows // _SHRINK, columns // _SHRINK)
        # A bias just before batch norm is subtracted again by it, hence no bias there.
        bias = not batch_norm
        self.layers = nn.Sequential(
            DCGANLinear(latent_dim, prod(smallest), bias=bias),
            nn.Unflatten(1, smallest),
            *_norm(2 * width, batch_norm),
            nn.ReLU(),
            DCGANConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=bias),
            *_norm(width, batch_norm),
            nn.ReLU(),
            DCGANConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to images `(B, C, H, W)` in (-1, 1)."""
        images: Tensor = self.layers(z)
        return images


class DCGANDiscriminator(nn.Module):
    """Two convolutions, each halving the sides, then a linear layer to one logit.

    `(C, H, W) -> (width, H/2, W/2) -> (2·width, H/4, W/4) -> 1`, leaky ReLU of slope 0.2 inside, no sigmoid.

    Source: Radford et al. 2016, sec. 3, with two stages in place of four.

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
        channels, rows, columns = _image(type(self).__name__, sample_shape)
        features = 2 * width * (rows // _SHRINK) * (columns // _SHRINK)
        first = DCGANConv2d(channels, width, kernel_size=4, stride=2, padding=1)
        second = DCGANConv2d(width, 2 * width, kernel_size=4, stride=2, padding=1, bias=not batch_norm)
        self.layers = nn.Sequential(
            with_spectral_norm(first, spectral_norm),
            nn.LeakyReLU(0.2),
            with_spectral_norm(second, spectral_norm),
            *_norm(2 * width, batch_norm),
            nn.LeakyReLU(0.2),
            nn.Flatten(1),
            with_spectral_norm(DCGANLinear(features, 1), spectral_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps images `(B, C, H, W)` to logits `(B, 1)`."""
        logits: Tensor = self.layers(x)
        return logits


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [DCGANBatchNorm2d(channels)] if batch_norm else []


def _image(name: str, sample_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width, of an image that two stages of stride 2 can halve twice."""
    if len(sample_shape) != 3:
        raise ValueError(
            f"{name} was given sample_shape={tuple(sample_shape)}; it is made for images, so give "
            "(channels, height, width), or use the MLP networks for points"
        )
    channels, height, width = sample_shape
    if min(sample_shape) < 1 or height % _SHRINK or width % _SHRINK:
        raise ValueError(
            f"{name} was given images of {channels} channels and size {height}x{width}; its two stages of "
            f"stride 2 need a positive height and width divisible by {_SHRINK}: resize or pad the images"
        )
    return channels, height, width
