"""The objectives of the papers, from the original game to relativistic pairing."""

import torch.nn.functional as F
from torch import Tensor, nn

from .objective import Examples, Objective, SeparableObjective, softplus


class Minimax(SeparableObjective):
    """The original, saturating game.

    D minimises `softplus(-D(x)) + softplus(D(y))`, G minimises `-softplus(D(y))`.

    With one-sided label smoothing the real target is t < 1 and D's real term
    `t · softplus(-D(x)) + (1 - t) · softplus(D(x))` (Salimans et al. 2016).

    Args:
        real_weight: γ of `SeparableObjective`.
        real_target: t, the probability that D is to give real samples; 1 is no smoothing, 0.9 is usual.

    Raises:
        ValueError: If `real_target` is not in (0.5, 1].

    Source: Goodfellow et al. 2014; Manisha & Gujar 2018, eq. 1.
    """

    def __init__(self, real_weight: float = 1.0, real_target: float = 1.0) -> None:
        super().__init__(real_weight)
        if not 0.5 < real_target <= 1:
            raise ValueError(f"{type(self).__name__}: real_target must lie in (0.5, 1], got {real_target}")
        self.real_target = real_target

    def real_term(self, logits: Tensor) -> Tensor:
        """`t · softplus(-D(x)) + (1 - t) · softplus(D(x))`."""
        # softplus(t) = softplus(-t) + t turns the sum of two softplus into one.
        return softplus(-logits) + (1 - self.real_target) * logits if self.real_target < 1 else softplus(-logits)

    def fake_term(self, logits: Tensor) -> Tensor:
        """`softplus(D(y))`."""
        return softplus(logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-softplus(D(y))`."""
        return -softplus(fake_logits)


class NonSaturating(Minimax):
    """GAN-NS: D as in `Minimax`, G minimises `softplus(-D(y))`, whose gradient does not vanish when D wins.

    Source: Goodfellow et al. 2014; Thanh-Tung & Tran, table I; Manisha & Gujar 2018, eq. 4.
    """

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`softplus(-D(y))`."""
        return softplus(-fake_logits)


class LeastSquares(SeparableObjective):
    """Least squares: D minimises `(D(x) - b)² + (D(y) - a)²`, G minimises `(D(y) - c)²`, with no hidden ½.

    Args:
        real_weight: γ of `SeparableObjective`.
        fake_target: a, the code of fake samples.
        real_target: b, the code of real samples.
        generator_target: c, the code that G wants for its fakes.

    Raises:
        ValueError: If `fake_target` is not below `real_target`: D would not rise with realness.

    Source: Mao et al. 2017 (whose letters these are; the survey's table 2 swaps a and b).
    """

    def __init__(
        self,
        real_weight: float = 1.0,
        fake_target: float = 0.0,
        real_target: float = 1.0,
        generator_target: float = 1.0,
    ) -> None:
        super().__init__(real_weight)
        if not fake_target < real_target:
            raise ValueError(
                f"LeastSquares: fake_target must be below real_target so that D rises with realness, "
                f"got {fake_target} and {real_target}"
            )
        self.fake_target, self.real_target, self.generator_target = fake_target, real_target, generator_target

    def real_term(self, logits: Tensor) -> Tensor:
        """`(D(x) - b)²`."""
        return (logits - self.real_target).square()

    def fake_term(self, logits: Tensor) -> Tensor:
        """`(D(y) - a)²`."""
        return (logits - self.fake_target).square()

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`(D(y) - c)²`."""
        return (fake_logits - self.generator_target).square()

    def decision(self, logits: Tensor) -> Tensor:
        """`D - (a + b)/2`."""
        return logits - (self.fake_target + self.real_target) / 2


class Hinge(SeparableObjective):
    """Hinge: D minimises `relu(1 - D(x)) + relu(1 + D(y))`, G minimises `-D(y)`.

    Source: Lim & Ye 2017; *Measuring GAN training in real time*, table 1.
    """

    def real_term(self, logits: Tensor) -> Tensor:
        """`relu(1 - D(x))`."""
        return F.relu(1 - logits)

    def fake_term(self, logits: Tensor) -> Tensor:
        """`relu(1 + D(y))`."""
        return F.relu(1 + logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-D(y)`."""
        return -fake_logits


class Wasserstein(SeparableObjective):
    """Wasserstein: the critic minimises `D(y) - D(x)`, G minimises `-D(y)`.

    It needs a constraint on D: a gradient penalty, weight clipping or spectral normalisation.

    Raises:
        ValueError: If `real_weight` is not 1. `D(y) - γ·D(x)` falls without bound as a constant is added to D.

    Source: Arjovsky et al. 2017; Thanh-Tung & Tran, table I.
    """

    def __init__(self, real_weight: float = 1.0) -> None:
        super().__init__(real_weight)
        if real_weight != 1:
            raise ValueError(
                f"Wasserstein: real_weight must be 1, got {real_weight}. An imbalanced weight makes the critic's "
                f"loss unbounded below; use it with Minimax, NonSaturating, LeastSquares or Hinge"
            )

    def real_term(self, logits: Tensor) -> Tensor:
        """`-D(x)`."""
        return -logits

    def fake_term(self, logits: Tensor) -> Tensor:
        """`D(y)`."""
        return logits

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-D(y)`."""
        return -fake_logits

    def decision(self, logits: Tensor) -> None:
        """None: a critic is defined up to a constant."""


class RelativisticPairing(Objective):
    """Relativistic pairing: D minimises `softplus(-(D(x) - D(y)))`, G minimises `softplus(-(D(y) - D(x)))`.

    Sample i of the real batch is paired with sample i of the fake batch. Stable together with `R1` and `R2`.

    Source: Huang et al. 2024 (*The GAN is dead; long live the GAN!*), after Jolicoeur-Martineau 2018.
    """

    needs_real = True

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`softplus(-(D(x) - D(y)))`."""
        return softplus(fake_logits - real_logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`softplus(-(D(y) - D(x)))`.

        Raises:
            ValueError: If `real_logits` is None.
        """
        if real_logits is None:
            raise ValueError("RelativisticPairing: the generator's loss compares fakes with reals; give real_logits")
        return softplus(real_logits - fake_logits)

    def decision(self, logits: Tensor) -> None:
        """None: only differences between real and fake logits enter the loss."""


class Unopposed(Objective):
    """D plays an objective's game; G has no part in it, and learns from its further terms alone.

    Args:
        objective: What D minimises; None is `NonSaturating()`.

    Source: Salimans et al. 2016, section 3.1, whose G matches features of D and minimises nothing else.
    """

    def __init__(self, objective: Objective | None = None) -> None:
        super().__init__()
        self.objective = objective if objective is not None else NonSaturating()

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """As of the objective."""
        return self.objective.discriminator(real_logits, fake_logits, real, fake)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """0, whatever D says, with a gradient, which is 0 too."""
        return 0 * fake_logits

    def examples(self, real: Tensor, fake: Tensor) -> list[Examples]:
        """As of the objective."""
        return self.objective.examples(real, fake)

    def decision(self, logits: Tensor) -> Tensor | None:
        """As of the objective."""
        return self.objective.decision(logits)

    def check(self, discriminator: nn.Module) -> None:
        """As of the objective."""
        self.objective.check(discriminator)
