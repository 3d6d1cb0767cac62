"""Pictures: arrays in, a matplotlib Figure out. No model, no training loop, no window.

Wherever an array may have a leading axis of seeds, each seed gets a panel. Real is blue, fake is red.
"""

from .common import Array
from .curves import comparisons, curves
from .dirac import dirac_portraits
from .fields import arrows, cosines, vector_fields
from .film import film
from .interpolations import interpolations
from .landscapes import landscapes
from .paths import gradient_paths
from .ranks import layer_ranks
from .recurrence import recurrences
from .runs import runs
from .samples import images, points, tile
from .scores import fixed_fakes, noisy_scores
from .sqd import sqd
from .surfaces import value_surfaces

__all__ = [
    "Array",
    "arrows",
    "comparisons",
    "cosines",
    "curves",
    "dirac_portraits",
    "film",
    "fixed_fakes",
    "gradient_paths",
    "images",
    "interpolations",
    "landscapes",
    "layer_ranks",
    "noisy_scores",
    "points",
    "recurrences",
    "runs",
    "sqd",
    "tile",
    "value_surfaces",
    "vector_fields",
]
