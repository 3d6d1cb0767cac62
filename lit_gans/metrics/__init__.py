"""Measures of a game: pure functions, tensors in, small typed results out, the seeds axis first."""

from .coverage import (
    ClassCoverage,
    CountedCoverage,
    Coverage,
    class_coverage,
    counted_coverage,
    mode_coverage,
    nearest_reals,
)
from .distances import maximum_mean_discrepancy, sliced_wasserstein
from .entropy import james_stein_entropy, miller_madow_entropy, mode_counts, plugin_entropy
from .features import frechet_distance, inception_score, kernel_distance
from .fields import attraction, discriminator_gradient, field_cosine, generator_field, grid_points, real_field
from .generalization import EpsilonOptimality, epsilon_optimality, generalization_gap
from .interpolation import largest_step, spherical_interpolation
from .landscapes import LandscapeShape, landscape, landscape_shape, unit_directions
from .paths import PathGradients, growth, log_mean, nearest, path_gradients
from .ranks import (
    Ranks,
    circular_singular_values,
    column_cosine,
    convolution_matrix,
    convolution_ranks,
    convolution_route,
    effective_rank,
    matrix_ranks,
    numerical_rank,
    singular_values,
)
from .recurrence import Returns, Winding, agreements, correlations, returns, winding
from .scores import SetScores, kendall_tau, noisy_logits, realness, set_scores
from .stability import angle_of, step_turns, turn, weight_angle
from .surfaces import (
    as_probability,
    monotone_distance,
    optimal_logit,
    optimum,
    rank_correlation,
    roughness,
    surface_distance,
)
from .turning_points import TurningPoints, turning_points

__all__ = [
    "ClassCoverage",
    "CountedCoverage",
    "Coverage",
    "EpsilonOptimality",
    "LandscapeShape",
    "PathGradients",
    "Ranks",
    "Returns",
    "SetScores",
    "TurningPoints",
    "Winding",
    "agreements",
    "angle_of",
    "as_probability",
    "attraction",
    "circular_singular_values",
    "class_coverage",
    "column_cosine",
    "convolution_matrix",
    "convolution_ranks",
    "convolution_route",
    "correlations",
    "counted_coverage",
    "discriminator_gradient",
    "effective_rank",
    "epsilon_optimality",
    "field_cosine",
    "frechet_distance",
    "generalization_gap",
    "generator_field",
    "grid_points",
    "growth",
    "inception_score",
    "james_stein_entropy",
    "kendall_tau",
    "kernel_distance",
    "landscape",
    "landscape_shape",
    "largest_step",
    "log_mean",
    "matrix_ranks",
    "maximum_mean_discrepancy",
    "miller_madow_entropy",
    "mode_counts",
    "mode_coverage",
    "monotone_distance",
    "nearest",
    "nearest_reals",
    "noisy_logits",
    "numerical_rank",
    "optimal_logit",
    "optimum",
    "path_gradients",
    "plugin_entropy",
    "rank_correlation",
    "real_field",
    "realness",
    "returns",
    "roughness",
    "set_scores",
    "singular_values",
    "sliced_wasserstein",
    "spherical_interpolation",
    "step_turns",
    "surface_distance",
    "turn",
    "turning_points",
    "unit_directions",
    "weight_angle",
    "winding",
]
