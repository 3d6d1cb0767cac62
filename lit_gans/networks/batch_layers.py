"""Layers in which samples meet: minibatch discrimination, and a batch norm in which they no longer do."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .mlp import MLPGenerator, layer_sizes, perceptron


class MinibatchDiscrimination(nn.Module):
    """Adds to each sample's features how close it is to the rest of its batch.

    `M_i = f(x_i) T`, `o(x_i)_b = Σ_j exp(-‖M_{i,b} - M_{j,b}‖₁)`, and `[f(x_i), o(x_i)]` goes on. The sum is over the
    whole batch, the sample itself included, and so grows with the batch: judge by batches of the size of training's.
    Reals and fakes must not share a batch. Time and memory grow with `B² · kernels · kernel_dim`.

    Args:
        features: Length of f.
        kernels: How many b there are: what is added to f.
        kernel_dim: Length of each `M_{i,b}`.

    Raises:
        ValueError: If a size is not positive.

    Source: Salimans et al. 2016, section 3.2; Manisha & Gujar 2018, section 3.1.
    """

    def __init__(self, features: int, kernels: int = 16, kernel_dim: int = 8) -> None:
        super().__init__()
        if min(features, kernels, kernel_dim) < 1:
            raise ValueError(
                f"MinibatchDiscrimination: sizes must be at least 1, got features={features}, kernels={kernels}, "
                f"kernel_dim={kernel_dim}"
            )
        self.tensor = nn.Parameter(torch.empty(features, kernels, kernel_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws T from N(0, 1/features)."""
        nn.init.normal_(self.tensor, std=len(self.tensor) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features `(B, features)` to `(B, features + kernels)`."""
        rows = torch.einsum("if,fbc->ibc", x, self.tensor)
        # Not cdist: it cannot be differentiated twice, as gradient penalties need.
        distances = (rows[:, None] - rows[None]).abs().sum(-1)
        return torch.cat([x, torch.exp(-distances).sum(1)], 1)


class MinibatchMLPDiscriminator(nn.Module):
    """A multi-layer perceptron with ReLU that has minibatch discrimination before its last layer.

    Args:
        sample_shape: Shape of one sample, `(2,)` for a point, `(1, 28, 28)` for an image.
        hidden: Width of each hidden layer, at least one.
        kernels: See `MinibatchDiscrimination`.
        kernel_dim: See `MinibatchDiscrimination`.

    Raises:
        ValueError: If a size is not positive, or there is no hidden layer.
    """

    samplewise = False
    """A sample's logit depends on the rest of its batch."""

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        hidden: Sequence[int] = (64, 64),
        kernels: int = 16,
        kernel_dim: int = 8,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("MinibatchMLPDiscriminator: hidden is empty; it compares features of a hidden layer")
        features = [*perceptron(layer_sizes(prod(sample_shape), *hidden)), nn.ReLU()]
        compare = MinibatchDiscrimination(hidden[-1], kernels, kernel_dim)
        self.layers = nn.Sequential(nn.Flatten(1), *features, compare, nn.Linear(hidden[-1] + kernels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, *sample_shape)` to logits `(B, 1)`."""
        logits: Tensor = self.layers(x)
        return logits


class VirtualBatchNorm(nn.Module):
    """Normalises each sample by the statistics of a fixed reference batch and of that one sample.

    With R references, of mean μ and variance σ² per channel, a sample of mean m and variance s² (over its pixels;
    0 if it has none) is normalised by the mean and variance of all R + 1 together. References are normalised by their
    own. No sample's output depends on another's.

    Args:
        channels: Size of axis 1.
        n_reference: R: so many of the first rows of the input are the references.
        eps: Added to variances.

    Source: Salimans et al. 2016, section 3.5; Manisha & Gujar 2018, table 2.
    """

    def __init__(self, channels: int, n_reference: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.n_reference = n_reference
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets scale 1 and shift 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(R + B, channels, ...)` to the same shape, references first."""
        flat = x.flatten(2) if x.ndim > 2 else x.unsqueeze(2)
        reference, current = flat[: self.n_reference], flat[self.n_reference :]
        variance, mean = torch.var_mean(reference, (0, 2), correction=0, keepdim=True)
        own_variance, own_mean = torch.var_mean(current, 2, correction=0, keepdim=True)
        n = self.n_reference
        means = (n * mean + own_mean) / (n + 1)
        # By the deviations from the common mean: a difference of mean squares would lose digits.
        variances = (n * (variance + (mean - means) ** 2) + own_variance + (own_mean - means) ** 2) / (n + 1)
        normal = torch.cat(
            [(reference - mean) / (variance + self.eps).sqrt(), (current - means) / (variances + self.eps).sqrt()]
        )
        return (normal * self.weight[:, None] + self.bias[:, None]).reshape(x.shape)


class VirtualBatchNormGenerator(nn.Module):
    """A generator whose batch norms are virtual: the reference is a batch of latents, drawn once and kept.

    Each pass takes the reference along, so that it costs as much as one of R samples more.

    Args:
        latent_dim: Length of one latent vector.
        sample_shape: Shape of one sample.
        generator: From these two to a generator with batch norm; None is `MLPGenerator` with `batch_norm=True`.
        n_reference: R, the size of the reference batch.

    Raises:
        ValueError: If `n_reference` is below 1, or the generator has no batch norm.
    """

    def __init__(
        self,
        latent_dim: int,
        sample_shape: tuple[int, ...],
        generator: Callable[[int, tuple[int, ...]], nn.Module] | None = None,
        n_reference: int = 64,
    ) -> None:
        super().__init__()
        if n_reference < 1:
            raise ValueError(f"VirtualBatchNormGenerator: n_reference must be at least 1, got {n_reference}")
        build = generator if generator is not None else partial(MLPGenerator, batch_norm=True)
        self.network = build(latent_dim, sample_shape)
        norms = {name: module for name, module in self.network.named_modules() if isinstance(module, _BatchNorm)}
        if not norms:
            raise ValueError(
                f"VirtualBatchNormGenerator: {type(self.network).__name__} has no batch norm that could become "
                f"virtual; set its batch_norm to true"
            )
        for name, norm in norms.items():
            self.network.set_submodule(name, VirtualBatchNorm(norm.num_features, n_reference, norm.eps))
        self.reference: Tensor
        self.register_buffer("reference", torch.empty(n_reference, latent_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the reference latents from N(0, 1)."""
        nn.init.normal_(self.reference)

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to samples `(B, *sample_shape)`."""
        samples: Tensor = self.network(torch.cat([self.reference, z]))
        return samples[len(self.reference) :]
