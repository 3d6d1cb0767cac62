"""Layers that carry their own initialisation, so that `reset_parameters` alone makes a fresh network."""

from torch import nn
from torch.nn.utils import parametrizations

_STD = 0.02


def with_spectral_norm(layer: nn.Module, enabled: bool) -> nn.Module:
    """The layer, its weight W replaced by W / σ(W), with σ the largest singular value, if `enabled`.

    One step of the power method per forward in training mode keeps the estimate of σ up to date.
    Source: Miyato et al. 2018, alg. 1.
    """
    return parametrizations.spectral_norm(layer) if enabled else layer


class DCGANLinear(nn.Linear):
    """A linear layer with weights from N(0, 0.02²), biases 0 (Radford et al. 2016, sec. 4)."""

    def reset_parameters(self) -> None:
        """Draws the weight anew and sets the bias to 0."""
        _draw(self)


class DCGANConv2d(nn.Conv2d):
    """A convolution with weights from N(0, 0.02²), biases 0 (Radford et al. 2016, sec. 4)."""

    def reset_parameters(self) -> None:
        """Draws the weight anew and sets the bias to 0."""
        _draw(self)


class DCGANConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution with weights from N(0, 0.02²), biases 0 (Radford et al. 2016, sec. 4)."""

    def reset_parameters(self) -> None:
        """Draws the weight anew and sets the bias to 0."""
        _draw(self)


class DCGANBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with a scale from N(1, 0.02²), shift 0 (PyTorch's DCGAN example)."""

    def reset_parameters(self) -> None:
        """Draws the scale anew, sets the shift to 0 and forgets the running statistics."""
        super().reset_parameters()
        nn.init.normal_(self.weight, mean=1.0, std=_STD)


class XavierLinear(nn.Linear):
    """A linear layer with weights from U(-a, a), `a = √(6 / (n_in + n_out))`, biases 0 (Glorot & Bengio 2010)."""

    def reset_parameters(self) -> None:
        """Draws the weight anew and sets the bias to 0."""
        _draw_xavier(self, gain=1.0)


class XavierConv2d(nn.Conv2d):
    """A convolution with weights from U(-a, a), `a = g √(6 / (n_in + n_out))`, biases 0 (Glorot & Bengio 2010).

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel_size: Side of the kernel, odd; the image keeps its size.
        gain: The factor g.
        bias: Whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, gain: float = 1.0, bias: bool = True) -> None:
        self.gain = gain
        super().__init__(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias)

    def reset_parameters(self) -> None:
        """Draws the weight anew and sets the bias to 0."""
        _draw_xavier(self, self.gain)


def _draw_xavier(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _draw(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.normal_(layer.weight, mean=0.0, std=_STD)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
