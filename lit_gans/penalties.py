"""Penalties on D. A gradient penalty is *where you sample* x *what you ask of the norm* x *of which output*.

Throughout, x is a real sample, y a fake one, `u = αx + (1-α)y` with one `α ~ U(0,1)` per sample, and `‖·‖` the
Euclidean norm over all axes of one sample. A penalty returns one unweighted value per sample; `weight · E[·]` enters
D's loss, with no hidden ½.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .hooks import DiscriminatorStep
from .losses import Divergence, FDivergence, JensenShannon, Minimax, Objective, OriginalGAN
from .schedules import Schedule
from .terms import Term


class Penalty(Term):
    """A term of D's loss. A subclass overrides `forward(step)`, of a `DiscriminatorStep`; updates are D's.

    Args:
        weight: λ, a number or a schedule over iterations.
        interval: Apply the penalty at every k-th D update only, times k (lazy regularisation, Karras et al. 2020).

    Raises:
        ValueError: If `weight` is negative or `interval` is below 1.
    """


class Output(nn.Module, ABC):
    """Which output of D a gradient penalty differentiates: a function of the logit, applied per sample."""

    @abstractmethod
    def forward(self, logits: Tensor) -> Tensor:
        """The output, shape `(..., B)`, as its logits are."""


class Logit(Output):
    """The logit `D(x)` itself, as in WGAN-GP and in Mescheder's R1."""

    def forward(self, logits: Tensor) -> Tensor:
        """`D`."""
        return logits


class Probability(Output):
    """The probability `σ(D(x))`, as where D ends in a sigmoid (Thanh-Tung & Tran, table IV).

    At D = 0 its squared gradient is 1/16 of the logit's: weights do not carry over between the two.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """`σ(D)`."""
        return torch.sigmoid(logits)


def gradient_at(step: DiscriminatorStep, points: Tensor, output: nn.Module) -> Tensor:
    """`∇_v output(D(v))` at the given points, differentiable in D's parameters.

    Args:
        step: Gives D and the number of batch axes, that of `real_logits`.
        points: Where to take the gradient, shape `(..., n, *sample)`.
        output: The function of the logit that is differentiated.

    Returns:
        Gradients, one flat row per sample, shape `(..., n, prod(sample))`.
    """
    points = points.detach().requires_grad_()
    # A sample's gradient may be taken through the sum, because D treats samples one by one (batch norm does not).
    (gradient,) = torch.autograd.grad(output(step.discriminator(points)).sum(), points, create_graph=True)
    return gradient.reshape(*gradient.shape[: step.real_logits.ndim], -1)


class GradientPenalty(Penalty):
    """`E[(‖∇D‖ - k)²]` at points that a subclass chooses by `points(step)`.

    Args:
        weight: λ, a number or a schedule over iterations.
        center: k, the norm that is asked for. At 0 no root is taken.
        output: What is differentiated: `Logit` (None means it) or `Probability`.
        interval: Apply at every k-th D update only, times k.

    Raises:
        ValueError: If `weight` or `center` is negative, or `interval` is below 1.
    """

    def __init__(
        self, weight: float | Schedule, center: float = 0.0, output: Output | None = None, interval: int = 1
    ) -> None:
        super().__init__(weight, interval)
        if not center >= 0:
            raise ValueError(f"{type(self).__name__}: center must be at least 0, got {center}")
        self.center = center
        self.output = output if output is not None else Logit()

    @abstractmethod
    def points(self, step: DiscriminatorStep) -> Tensor:
        """Where the gradient is asked, shape `(..., n, *sample)`."""

    def of_squared_norm(self, squared_norm: Tensor) -> Tensor:
        """`(‖∇D‖ - k)²` from `‖∇D‖²`, shape `(..., n)`."""
        return squared_norm if self.center == 0 else (root(squared_norm) - self.center).square()

    def forward(self, step: DiscriminatorStep) -> Tensor:
        """One value per point, shape `(..., n)`."""
        return self.of_squared_norm(gradient_at(step, self.points(step), self.output).square().sum(-1))


def root(squared: Tensor) -> Tensor:
    """`√s` whose derivative is 0, not infinite, at `s = 0`: a norm's subgradient at the origin."""
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()


def interpolates(step: DiscriminatorStep) -> Tensor:
    """`u = αx + (1-α)y`, one `α ~ U(0,1)` per sample; shape `(..., B, *sample)`."""
    shape = step.real_logits.shape
    alpha = step.draws.uniform(shape, like=step.real).reshape(*shape, *[1] * (step.real.ndim - len(shape)))
    return alpha * step.real + (1 - alpha) * step.fake


class ZeroGP(GradientPenalty):
    """0-GP: `E_u ‖∇D(u)‖²` on the lines between real and fake samples; makes real samples wide maxima of D.

    Source: Thanh-Tung et al. 2019; Thanh-Tung & Tran, table I; Li et al., eq. 12.
    """

    def points(self, step: DiscriminatorStep) -> Tensor:
        """`u`."""
        return interpolates(step)


class WGANGP(ZeroGP):
    """WGAN-GP, 1-GP: `E_u (‖∇D(u)‖ - 1)²`.

    Batch normalisation in D couples samples, whose gradients then mean nothing one by one: leave it out of D.

    Source: Gulrajani et al. 2017; Thanh-Tung & Tran, table I; Li et al., eq. 14.
    """

    def __init__(
        self, weight: float | Schedule, center: float = 1.0, output: Output | None = None, interval: int = 1
    ) -> None:
        super().__init__(weight, center, output, interval)


class Lipschitz(WGANGP):
    """WGAN-LP, one-sided: `E_u max(0, ‖∇D(u)‖ - 1)²`, which leaves slopes below 1 alone.

    Source: Petzka et al. 2018; *Measuring GAN training in real time*, table 3.
    """

    def of_squared_norm(self, squared_norm: Tensor) -> Tensor:
        """`max(0, ‖∇D‖ - k)²`."""
        return (root(squared_norm) - self.center).relu().square()


class R1(GradientPenalty):
    """R1: `E_x ‖∇D(x)‖²` at real samples, with no hidden ½ (Mescheder's γ is twice our weight).

    Source: Mescheder et al. 2018; Thanh-Tung & Tran, table I.
    """

    def points(self, step: DiscriminatorStep) -> Tensor:
        """`x`."""
        return step.real


class R2(GradientPenalty):
    """R2: `E_y ‖∇D(y)‖²` at fake samples.

    Source: Mescheder et al. 2018; Huang et al. 2024.
    """

    def points(self, step: DiscriminatorStep) -> Tensor:
        """`y`."""
        return step.fake


class ZeroGPSample(GradientPenalty):
    """0-GP-sample: `E ‖∇D‖²` over the union of the real and the fake batch, a mean over 2B: half of R1 + R2.

    Source: Li et al., eq. 15.
    """

    def points(self, step: DiscriminatorStep) -> Tensor:
        """Both x and y, shape `(..., 2B, *sample)`."""
        return torch.cat([step.real, step.fake], dim=step.real_logits.ndim - 1)


class DRAGAN(GradientPenalty):
    """DRAGAN: `E (‖∇D(x + δ)‖ - k)²`, `δ ~ N(0, cI)`: slope k around the real samples.

    Args:
        weight: λ, a number or a schedule over iterations.
        center: k, the norm that is asked for.
        variance: c, the variance of the noise in every coordinate, in squared units of the data.
        output: `Logit` (None means it) or `Probability`.
        interval: Apply at every k-th D update only, times k.

    Raises:
        ValueError: If `weight`, `center` or `variance` is negative, or `interval` is below 1.

    Source: Kodali et al. 2017; Manisha & Gujar 2018, section 3.1; Thanh-Tung et al. 2018, section 2.1. None of them
    fixes c for every data set; the default, a standard deviation of ½, is ours.
    """

    def __init__(
        self,
        weight: float | Schedule,
        center: float = 1.0,
        variance: float = 0.25,
        output: Output | None = None,
        interval: int = 1,
    ) -> None:
        super().__init__(weight, center, output, interval)
        if not variance >= 0:
            raise ValueError(f"DRAGAN: variance must be at least 0, got {variance}")
        self.variance = variance

    def points(self, step: DiscriminatorStep) -> Tensor:
        """`x + δ`."""
        return step.real + self.variance**0.5 * step.draws.normal(step.real)


class Roth(Penalty):
    """Roth et al.: what small Gaussian noise on both distributions would do to the objective, without the noise.

    Of the original game, by the logit:

    ```
    Ω = E_x (1 - σ(D(x)))² ‖∇D(x)‖² + E_y σ(D(y))² ‖∇D(y)‖²
    ```

    and of another f-divergence `Ω = E_y f*''(ψ(y)) ‖∇ψ(y)‖²` with `ψ = g(D)`, at fakes alone. Noise of variance s²
    changes the bound by `-½ s² Ω` where D is optimal: the paper's `γ/2` is our weight, γ the variance. The objective
    says which form it is.

    Args:
        weight: λ, a number or a schedule over iterations.
        interval: Apply at every k-th D update only, times k.

    Raises:
        ValueError: If `weight` is negative or `interval` is below 1. In `GAN`, if the objective has no f.

    Source: Roth et al. 2017; Manisha & Gujar 2018, section 3.2.
    """

    def __init__(self, weight: float | Schedule, interval: int = 1) -> None:
        super().__init__(weight, interval)
        self.divergence: Divergence | None = None

    def attach(self, objective: Objective, networks: Mapping[str, nn.Module]) -> None:
        """Takes the form that belongs to the objective."""
        if isinstance(objective, FDivergence):
            original = isinstance(objective.divergence, JensenShannon | OriginalGAN)
            self.divergence = None if original else objective.divergence
        elif not isinstance(objective, Minimax):
            raise ValueError(
                f"Roth: the penalty follows from an f-divergence, and {type(objective).__name__} minimises none; take "
                f"Minimax, NonSaturating or FDivergence, or another penalty, such as R1"
            )

    def forward(self, step: DiscriminatorStep) -> Tensor:
        """One value per pair of a real and a fake sample, or per fake sample, shape `(..., B)`."""
        of_fakes = gradient_at(step, step.fake, Logit()).square().sum(-1)
        if self.divergence is not None:
            return self.divergence.curvature(step.fake_logits) * of_fakes
        of_reals = gradient_at(step, step.real, Logit()).square().sum(-1)
        return (
            torch.sigmoid(-step.real_logits).square() * of_reals + torch.sigmoid(step.fake_logits).square() * of_fakes
        )
