"""Measures of a game: pure functions, tensors in, small typed results out, the seeds axis first."""

from .coverage import ClassCoverage, Coverage, class_coverage, mode_coverage, nearest_reals
from .fields import discriminator_gradient, field_cosine, generator_field, grid_points, real_field
from .landscape import LandscapeShape, landscape, landscape_shape, unit_directions

__all__ = [
    "ClassCoverage",
    "Coverage",
    "LandscapeShape",
    "class_coverage",
    "discriminator_gradient",
    "field_cosine",
    "generator_field",
    "grid_points",
    "landscape",
    "landscape_shape",
    "mode_coverage",
    "nearest_reals",
    "real_field",
    "unit_directions",
]
