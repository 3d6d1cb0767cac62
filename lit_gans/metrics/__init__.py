"""Measures of a game: pure functions, tensors in, small typed results out, the seeds axis first."""

from .coverage import ClassCoverage, Coverage, class_coverage, mode_coverage
from .fields import discriminator_gradient, field_cosine, generator_field, grid_points, real_field

__all__ = [
    "ClassCoverage",
    "Coverage",
    "class_coverage",
    "discriminator_gradient",
    "field_cosine",
    "generator_field",
    "grid_points",
    "mode_coverage",
    "real_field",
]
