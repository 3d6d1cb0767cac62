"""The players: a generator maps latents to samples, a discriminator maps samples to logits.

A logit rises with realness. Inside a network there is exactly one batch axis, the first: a seeds axis is
added outside, by `torch.func.vmap`. Every module that owns parameters has `reset_parameters`, so that a seed
can re-initialise a network layer by layer, and no network draws random numbers in its forward.
"""

from .auto_encoder import AutoEncoderDiscriminator
from .batch_layers import (
    MinibatchDiscrimination,
    MinibatchMLPDiscriminator,
    VirtualBatchNorm,
    VirtualBatchNormGenerator,
)
from .dcgan import DCGANDiscriminator, DCGANGenerator
from .dirac import DiracDiscriminator, DiracGenerator
from .mixture import MixtureDiscriminator, MixtureGenerator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator
from .resnet import ResNetDiscriminator, ResNetGenerator

__all__ = [
    "AutoEncoderDiscriminator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiracDiscriminator",
    "DiracGenerator",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MinibatchDiscrimination",
    "MinibatchMLPDiscriminator",
    "MixtureDiscriminator",
    "MixtureGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "VirtualBatchNorm",
    "VirtualBatchNormGenerator",
]
