"""What D remembers by: quadratics that hold its parameters, and buffers of old fakes; no callback, no Lightning."""

from .fisher import fisher_diagonal
from .path_integral import PathIntegral
from .quadratic import Quadratic, flattened
from .replay import FIFO, ImagePool, ReplayBuffer, Reservoir

__all__ = [
    "FIFO",
    "ImagePool",
    "PathIntegral",
    "Quadratic",
    "ReplayBuffer",
    "Reservoir",
    "fisher_diagonal",
    "flattened",
]
