"""lit-gans: a PyTorch Lightning collection for training GANs and seeing why they fail."""

from . import losses, networks, penalties, schedules, updates
from .gan import GAN
from .hooks import DiscriminatorHook, DiscriminatorStep, GeneratorHook, GeneratorStep
from .strategy import GANStrategy

__version__ = "0.1.0"

__all__ = [
    "GAN",
    "DiscriminatorHook",
    "DiscriminatorStep",
    "GANStrategy",
    "GeneratorHook",
    "GeneratorStep",
    "losses",
    "networks",
    "penalties",
    "schedules",
    "updates",
]
