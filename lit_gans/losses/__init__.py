"""Adversarial objectives: what the discriminator and the generator minimise, one value per sample.

Throughout, `D(x)` is a logit that rises with realness, `x` a real sample, `y` a fake one, and
`softplus(t) = log(1 + eᵗ)`. Every method maps logits of shape `(..., B)` to values of shape `(..., B)`; the module
alone takes means, so that importance weights, per-sample logs and a leading axis of seeds come for free.
"""

from .classic import Hinge, LeastSquares, Minimax, NonSaturating, RelativisticPairing, Unopposed, Wasserstein
from .energy import EnergyBased, LossSensitive
from .f_divergence import (
    KL,
    Divergence,
    FDivergence,
    JensenShannon,
    OriginalGAN,
    PearsonChiSquared,
    ReverseKL,
    SquaredHellinger,
)
from .objective import Examples, Objective, SeparableObjective, softplus

__all__ = [
    "KL",
    "Divergence",
    "EnergyBased",
    "Examples",
    "FDivergence",
    "Hinge",
    "JensenShannon",
    "LeastSquares",
    "LossSensitive",
    "Minimax",
    "NonSaturating",
    "Objective",
    "OriginalGAN",
    "PearsonChiSquared",
    "RelativisticPairing",
    "ReverseKL",
    "SeparableObjective",
    "SquaredHellinger",
    "Unopposed",
    "Wasserstein",
    "softplus",
]
