"""What every objective gives, and the base of those whose real and fake terms stand apart."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


def softplus(logits: Tensor) -> Tensor:
    """`log(1 + eᵗ)` to full float64 precision: torch's own default returns t itself beyond 20, off by 2e-9."""
    return F.softplus(logits, threshold=60)


class Examples(NamedTuple):
    """A part of D's loss that is a mean over examples, each of which is judged by itself."""

    loss: Callable[..., Tensor]
    """From the logits of the samples of an example, and the samples, to its loss: `loss(*logits, *samples)`."""
    samples: tuple[Tensor, ...]
    """The samples by their place in an example, each of shape `(n, *sample)`."""


class Objective(nn.Module, ABC):
    """What both players minimise.

    A subclass gives `discriminator` and `generator`. One whose discriminator loss is a sum of a real and a fake
    term derives from `SeparableObjective` instead.
    """

    needs_real = False
    """Whether the generator's loss reads `D(x)`; if not, that forward pass is saved."""

    @abstractmethod
    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """What D minimises.

        Args:
            real_logits: `D(x)`, shape `(..., B)`.
            fake_logits: `D(y)`, shape `(..., B)`.
            real: `x`, shape `(..., B, *sample)`, for objectives that compare samples.
            fake: `y`, likewise.

        Returns:
            One value per sample, shape `(..., B)`.
        """

    @abstractmethod
    def generator(
        self, real_logits: Tensor | None, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """What G minimises, shape `(..., B)`; `real_logits` is None unless `needs_real`."""

    def examples(self, real: Tensor, fake: Tensor) -> list[Examples]:
        """D's loss on batches x and y, `(n, *sample)`, as examples: pairs (x, y) of which each has one loss."""
        return [Examples(self.discriminator, (real, fake))]

    def decision(self, logits: Tensor) -> Tensor | None:
        """D's verdict: > 0 real, < 0 fake, 0 undecided; None where only differences of logits mean anything."""
        return logits

    def check(self, discriminator: nn.Module) -> None:
        """A ValueError if a network cannot be the D of this objective."""

    def extra_repr(self) -> str:
        """The settings, for `print(gan)`."""
        settings = {name: value for name, value in vars(self).items() if name != "training"}
        return ", ".join(f"{name}={value}" for name, value in settings.items() if isinstance(value, int | float))


class SeparableObjective(Objective):
    """An objective whose discriminator loss is `γ · real_term(D(x)) + fake_term(D(y))`.

    Args:
        real_weight: γ. Above 1 it keeps D from forgetting distant real samples (Thanh-Tung & Tran,
            *Catastrophic forgetting and mode collapse in GANs*, eq. 6; the paper uses 10).

    Raises:
        ValueError: If `real_weight` is not positive.
    """

    def __init__(self, real_weight: float = 1.0) -> None:
        super().__init__()
        if not real_weight > 0:
            raise ValueError(f"{type(self).__name__}: real_weight must be positive, got {real_weight}")
        self.real_weight = real_weight

    @abstractmethod
    def real_term(self, logits: Tensor) -> Tensor:
        """D's loss on real samples, before γ; shape `(..., B)`."""

    @abstractmethod
    def fake_term(self, logits: Tensor) -> Tensor:
        """D's loss on fake samples; shape `(..., B)`."""

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, real: Tensor | None = None, fake: Tensor | None = None
    ) -> Tensor:
        """`γ · real_term(D(x)) + fake_term(D(y))`, shape `(..., B)`."""
        real_term = self.real_term(real_logits)
        if self.real_weight != 1:  # a multiplication by one is a node of the graph for nothing
            real_term = self.real_weight * real_term
        return real_term + self.fake_term(fake_logits)

    def examples(self, real: Tensor, fake: Tensor) -> list[Examples]:
        """Every sample is an example: its loss is `γ · real_term(D(x))`, or `fake_term(D(y))`."""
        return [
            Examples(lambda logit, sample: self.real_weight * self.real_term(logit), (real,)),
            Examples(lambda logit, sample: self.fake_term(logit), (fake,)),
        ]
