"""Pictures: arrays in, a matplotlib Figure out. No model, no training loop, no window.

Wherever an array may have a leading axis of seeds, each seed gets a panel. Real is blue, fake is red.
"""

from .common import Array
from .curves import comparisons, curves
from .fields import vector_fields
from .film import film
from .landscapes import landscapes
from .samples import images, points, tile

__all__ = ["Array", "comparisons", "curves", "film", "images", "landscapes", "points", "tile", "vector_fields"]
