"""f-GAN: G minimises an f-divergence from the data, of which D finds the tightest lower bound."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .objective import SeparableObjective, softplus


class Divergence(nn.Module, ABC):
    """An f-divergence `D_f(P‖Q) = E_Q f(p/q)`, with f convex and `f(1) = 0` (but for `OriginalGAN`).

    Its variational bound is `D_f(P‖Q) ≥ E_P T - E_Q f*(T)`, `f*(t) = sup_u (ut - f(u))`, tight at `T = f'(p/q)`. D's
    logit v becomes `T = g(v)`, a function that rises with v and stays within the domain of f*.

    Source: Nowozin et al. 2016, tables 1, 2 and 6; Manisha & Gujar 2018, eq. 5.
    """

    undecided = 0.0
    """The logit of `T = f'(1)`, where a sample is as likely real as fake."""

    @abstractmethod
    def activation(self, logits: Tensor) -> Tensor:
        """`g(v)`, shape `(..., B)`."""

    @abstractmethod
    def conjugate(self, logits: Tensor) -> Tensor:
        """`f*(g(v))` of the logits v, in one formula, where the two after one another would overflow."""

    def curvature(self, logits: Tensor) -> Tensor:
        """`f*''(g(v)) g'(v)²`: by what `‖∇D‖²` counts where noise on fakes is penalised (Roth et al. 2017)."""
        raise NotImplementedError(f"{type(self).__name__} must define curvature()")


class KL(Divergence):
    """Kullback-Leibler, `E_P log p/q`: `f(u) = u log u`, `g(v) = v`, `f*(t) = e^{t-1}`."""

    undecided = 1.0

    def activation(self, logits: Tensor) -> Tensor:
        """`v`."""
        return logits

    def conjugate(self, logits: Tensor) -> Tensor:
        """`e^{v-1}`."""
        return (logits - 1).exp()

    def curvature(self, logits: Tensor) -> Tensor:
        """`e^{v-1}`."""
        return (logits - 1).exp()


class ReverseKL(Divergence):
    """Reverse Kullback-Leibler, `E_Q log q/p`: `f(u) = -log u`, `g(v) = -e^{-v}`, `f*(t) = -1 - log(-t)`."""

    def activation(self, logits: Tensor) -> Tensor:
        """`-e^{-v}`."""
        return -(-logits).exp()

    def conjugate(self, logits: Tensor) -> Tensor:
        """`v - 1`."""
        return logits - 1

    def curvature(self, logits: Tensor) -> Tensor:
        """1: `e^{2v}` times `e^{-2v}`."""
        return torch.ones_like(logits)


class PearsonChiSquared(Divergence):
    """Pearson χ², `∫ (p - q)² / q`: `f(u) = (u - 1)²`, `g(v) = v`, `f*(t) = t²/4 + t`."""

    def activation(self, logits: Tensor) -> Tensor:
        """`v`."""
        return logits

    def conjugate(self, logits: Tensor) -> Tensor:
        """`v²/4 + v`."""
        return logits.square() / 4 + logits

    def curvature(self, logits: Tensor) -> Tensor:
        """½."""
        return torch.full_like(logits, 0.5)


class SquaredHellinger(Divergence):
    """Squared Hellinger, `∫ (√p - √q)²`: `f(u) = (√u - 1)²`, `g(v) = 1 - e^{-v}`, `f*(t) = t / (1 - t)`."""

    def activation(self, logits: Tensor) -> Tensor:
        """`1 - e^{-v}`."""
        return -torch.expm1(-logits)

    def conjugate(self, logits: Tensor) -> Tensor:
        """`e^v - 1`."""
        return torch.expm1(logits)

    def curvature(self, logits: Tensor) -> Tensor:
        """`2 e^v`: `2 e^{3v}` times `e^{-2v}`."""
        return 2 * logits.exp()


class JensenShannon(Divergence):
    """Twice the Jensen-Shannon divergence, `KL(P‖M) + KL(Q‖M)` with `M = (P + Q)/2`, in [0, 2 log 2].

    `f(u) = u log u - (u + 1) log((u + 1)/2)`, `g(v) = log 2 - softplus(-v)`, `f*(t) = -log(2 - e^t)`.
    """

    def activation(self, logits: Tensor) -> Tensor:
        """`log 2 - softplus(-v)`."""
        return math.log(2) - softplus(-logits)

    def conjugate(self, logits: Tensor) -> Tensor:
        """`softplus(v) - log 2`."""
        return softplus(logits) - math.log(2)

    def curvature(self, logits: Tensor) -> Tensor:
        """`σ(v)`: `σ(v) / σ(-v)²` times `σ(-v)²`."""
        return torch.sigmoid(logits)


class OriginalGAN(Divergence):
    """What the original game minimises, `JensenShannon` less `log 4`: `f(1) = -log 4`, not 0.

    `f(u) = u log u - (u + 1) log(u + 1)`, `g(v) = -softplus(-v)`, `f*(t) = -log(1 - e^t)`: D's loss is that of
    `Minimax`.
    """

    def activation(self, logits: Tensor) -> Tensor:
        """`-softplus(-v)`."""
        return -softplus(-logits)

    def conjugate(self, logits: Tensor) -> Tensor:
        """`softplus(v)`."""
        return softplus(logits)

    def curvature(self, logits: Tensor) -> Tensor:
        """`σ(v)`, as of `JensenShannon`."""
        return torch.sigmoid(logits)


class FDivergence(SeparableObjective):
    """D minimises `-g(D(x)) + f*(g(D(y)))`: the negative of a lower bound of an f-divergence. G minimises the bound.

    The bound's own gradient for G, of `-f*(g(D(y)))`, vanishes for some divergences where D tells fakes with ease; by
    default G takes `-g(D(y))` instead, as G of `NonSaturating` does.

    Args:
        divergence: Which one.
        saturating: Whether G minimises the bound itself.
        real_weight: γ of `SeparableObjective`.

    Source: Nowozin et al. 2016, eq. 6 and section 3.2; Manisha & Gujar 2018, eq. 5.
    """

    def __init__(self, divergence: Divergence, saturating: bool = False, real_weight: float = 1.0) -> None:
        super().__init__(real_weight)
        self.divergence, self.saturating = divergence, saturating

    def real_term(self, logits: Tensor) -> Tensor:
        """`-g(D(x))`."""
        return -self.divergence.activation(logits)

    def fake_term(self, logits: Tensor) -> Tensor:
        """`f*(g(D(y)))`."""
        return self.divergence.conjugate(logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-g(D(y))`, or `-f*(g(D(y)))`."""
        return -(self.divergence.conjugate if self.saturating else self.divergence.activation)(fake_logits)

    def decision(self, logits: Tensor) -> Tensor:
        """`D - v_0`, with `g(v_0) = f'(1)`."""
        return logits - self.divergence.undecided
