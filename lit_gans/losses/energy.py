"""Objectives that see D as an energy or a loss: low where samples are real."""

import torch.nn.functional as F
from torch import Tensor, nn

from .objective import Objective, SeparableObjective


class EnergyBased(SeparableObjective):
    """EBGAN: D minimises `e(x) + relu(m - e(y))`, G minimises `e(y)`.

    The energy e is the error `‖Dec(Enc(v)) - v‖` of an auto-encoder, which D gives with a minus, so that it rises with
    realness as every D does: `e = -D`. Fakes are pushed up to the margin m and no further.

    Args:
        margin: m, above 0, in units of the data.
        real_weight: γ of `SeparableObjective`.

    Raises:
        ValueError: If the margin is not above 0. In `GAN`, if D has no `reconstruct`.

    Source: Zhao et al. 2017, eq. 1 and 2; Manisha & Gujar 2018, section 3.1.
    """

    def __init__(self, margin: float = 1.0, real_weight: float = 1.0) -> None:
        super().__init__(real_weight)
        if not margin > 0:
            raise ValueError(f"EnergyBased: margin must be above 0, got {margin}")
        self.margin = margin

    def check(self, discriminator: nn.Module) -> None:
        """An auto-encoder is needed: of another D's output the margin means nothing."""
        if not callable(getattr(discriminator, "reconstruct", None)):
            raise ValueError(
                f"EnergyBased: the energy is the error of a reconstruction, and the discriminator, a "
                f"{type(discriminator).__name__}, has no reconstruct(x); take "
                f"AutoEncoderDiscriminator, or a network of yours with that method that returns "
                f"minus the error"
            )

    def real_term(self, logits: Tensor) -> Tensor:
        """`e(x) = -D(x)`."""
        return -logits

    def fake_term(self, logits: Tensor) -> Tensor:
        """`relu(m - e(y)) = relu(m + D(y))`."""
        return F.relu(self.margin + logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`e(y) = -D(y)`."""
        return -fake_logits

    def decision(self, logits: Tensor) -> Tensor:
        """`m/2 - e`: halfway between the energies that D gives to reals and to fakes."""
        return logits + self.margin / 2


class LossSensitive(Objective):
    """LS-GAN: D minimises `L(x) + λ relu(Δ(x, y) + L(x) - L(y))`, G minimises `L(y)`, with `L = -D`.

    A fake's loss is to exceed a real sample's by their distance `Δ(x, y) = ‖x - y‖₁` at least. Sample i of the real
    batch is paired with sample i of the fake batch. A constant added to D lowers D's loss without bound and changes
    nothing else: only differences of D mean anything. A penalty keeps slopes finite where reals and fakes meet.

    Args:
        weight: λ, above 0.

    Raises:
        ValueError: If `weight` is not above 0.

    Source: Qi 2017 (*Loss-sensitive GANs on Lipschitz densities*); Manisha & Gujar 2018, table 2.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not weight > 0:
            raise ValueError(f"LossSensitive: weight must be above 0, got {weight}")
        self.weight = weight

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-D(x) + λ relu(‖x - y‖₁ - D(x) + D(y))`.

        Raises:
            ValueError: If the samples are not given.
        """
        if real is None or fake is None:
            raise ValueError("LossSensitive: the margin is the distance of real and fake samples; give real and fake")
        margin = (real - fake).abs().flatten(real_logits.ndim - real.ndim).sum(-1)
        return -real_logits + self.weight * F.relu(margin - real_logits + fake_logits)

    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`-D(y)`."""
        return -fake_logits

    def decision(self, logits: Tensor) -> None:
        """None: D is defined up to a constant."""
