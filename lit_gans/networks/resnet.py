"""Residual players after SNGAN, for images of 32 x 32 and 64 x 64 pixels."""

from itertools import pairwise
from math import sqrt

from torch import Tensor, nn

from .layers import XavierConv2d, XavierLinear, with_spectral_norm

_GENERATOR = {32: (1, 1, 1, 1), 64: (16, 8, 4, 2, 1)}
"""Channels from block to block over the width, by the side of the image: each block doubles the sides, from 4 on."""
_DISCRIMINATOR = {32: (1, 1, 1, 1), 64: (1, 2, 4, 8, 16)}
"""Channels after each block over the width."""
_HALVINGS = {32: 2, 64: 5}
"""So many blocks, the first ones, halve the sides."""


class ResNetGenerator(nn.Module):
    """A linear layer to `(·, 4, 4)`, then residual blocks, each doubling the sides, then a convolution and tanh.

    32 x 32: `z -> (w, 4, 4) -> (w, 8, 8) -> (w, 16, 16) -> (w, 32, 32) -> (C, 32, 32)` with w = 256; of 4 276 739
    parameters for latents of 128 and 3 channels. 64 x 64: `z -> (16w, 4, 4) -> (8w, 8, 8) -> (4w, 16, 16) ->
    (2w, 32, 32) -> (w, 64, 64) -> (C, 64, 64)` with w = 64; of 12 220 675 parameters.

    A block is `x ↦ conv(ReLU(BN(conv(up(ReLU(BN(x))))))) + conv₁(up(x))`, of 3 x 3 convolutions and one of 1 x 1; `up`
    repeats each pixel.

    Source: Miyato et al. 2018, table 4 and fig. 9; the authors' code for the sizes at 64 x 64.

    Args:
        latent_dim: Length of one latent vector.
        sample_shape: Shape `(C, H, W)` of one image, 32 x 32 or 64 x 64.
        width: w, the channels of the last block; None takes the paper's.
        batch_norm: Normalises before every ReLU.

    Raises:
        ValueError: If `sample_shape` is no image of this kind.
    """

    def __init__(
        self, latent_dim: int, sample_shape: tuple[int, ...], width: int | None = None, batch_norm: bool = True
    ) -> None:
        super().__init__()
        channels, side = _image(type(self).__name__, sample_shape)
        width = width or {32: 256, 64: 64}[side]
        widths = [width * factor for factor in _GENERATOR[side]]
        self.layers = nn.Sequential(
            XavierLinear(latent_dim, widths[0] * 16),
            nn.Unflatten(1, (widths[0], 4, 4)),
            *(_UpBlock(inputs, outputs, batch_norm) for inputs, outputs in pairwise(widths)),
            *_norm(width, batch_norm),
            nn.ReLU(),
            XavierConv2d(width, channels, 3),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to images `(B, C, H, W)` in (-1, 1)."""
        images: Tensor = self.layers(z)
        return images


class ResNetDiscriminator(nn.Module):
    """Residual blocks, then the sum over all pixels and a linear layer to one logit; without batch norm.

    32 x 32: `(C, 32, 32) -> (w, 16, 16) -> (w, 8, 8) -> (w, 8, 8) -> (w, 8, 8) -> 1` with w = 128; of 1 053 825
    parameters for 3 channels. 64 x 64: `(C, 64, 64) -> (w, 32, 32) -> (2w, 16, 16) -> (4w, 8, 8) -> (8w, 4, 4) ->
    (16w, 2, 2) -> 1` with w = 64; of 10 141 441 parameters.

    A block is `x ↦ down(conv(ReLU(conv(ReLU(x))))) + down(conv₁(x))`, `down` the mean over 2 x 2 pixels; the first has
    no ReLU before its first convolution, and a block that changes nothing has `x` itself beside it.

    Source: Miyato et al. 2018, table 4 and fig. 9; the authors' code for the sizes at 64 x 64.

    Args:
        sample_shape: Shape `(C, H, W)` of one image, 32 x 32 or 64 x 64.
        width: w, the channels of the first block; None takes the paper's.
        spectral_norm: Divides every weight by its largest singular value, as the paper does.

    Raises:
        ValueError: If `sample_shape` is no image of this kind.
    """

    samplewise = True
    """A sample's logit does not depend on the rest of its batch: the game may send reals and fakes together."""

    def __init__(self, sample_shape: tuple[int, ...], width: int | None = None, spectral_norm: bool = True) -> None:
        super().__init__()
        channels, side = _image(type(self).__name__, sample_shape)
        width = width or {32: 128, 64: 64}[side]
        widths = [channels, *(width * factor for factor in _DISCRIMINATOR[side])]
        blocks = [
            _DownBlock(inputs, outputs, spectral_norm, first=place == 0, halves=place < _HALVINGS[side])
            for place, (inputs, outputs) in enumerate(pairwise(widths))
        ]
        self.blocks = nn.Sequential(*blocks, nn.ReLU())
        self.last = with_spectral_norm(XavierLinear(widths[-1], 1), spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images `(B, C, H, W)` to logits `(B, 1)`."""
        logits: Tensor = self.last(self.blocks(x).sum((2, 3)))
        return logits


class _UpBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, batch_norm: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_norm(inputs, batch_norm),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            XavierConv2d(inputs, outputs, 3, gain=sqrt(2)),
            *_norm(outputs, batch_norm),
            nn.ReLU(),
            XavierConv2d(outputs, outputs, 3, gain=sqrt(2)),
        )
        self.shortcut = nn.Sequential(nn.Upsample(scale_factor=2), XavierConv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out


class _DownBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, spectral_norm: bool, first: bool, halves: bool) -> None:
        super().__init__()
        between = outputs if first else inputs
        down = [nn.AvgPool2d(2)] if halves else []
        self.residual = nn.Sequential(
            *([] if first else [nn.ReLU()]),
            with_spectral_norm(XavierConv2d(inputs, between, 3, gain=sqrt(2)), spectral_norm),
            nn.ReLU(),
            with_spectral_norm(XavierConv2d(between, outputs, 3, gain=sqrt(2)), spectral_norm),
            *down,
        )
        self.shortcut = nn.Sequential()
        if inputs != outputs or halves:
            self.shortcut.extend([with_spectral_norm(XavierConv2d(inputs, outputs, 1), spectral_norm), *down])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels)] if batch_norm else []


def _image(name: str, sample_shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and side of an image that the papers have a network for."""
    if len(sample_shape) != 3 or sample_shape[1] != sample_shape[2] or sample_shape[1] not in _GENERATOR:
        raise ValueError(
            f"{name} was given sample_shape={tuple(sample_shape)}; it is made for images of 32 x 32 or 64 x 64 pixels, "
            f"(channels, 32, 32) or (channels, 64, 64): resize the images, or use the DCGAN networks"
        )
    return sample_shape[0], sample_shape[1]
