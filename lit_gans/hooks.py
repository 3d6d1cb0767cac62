"""The record of one step of a player, and the hooks by which a callback takes part in the game."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytorch_lightning as pl
from torch import Tensor, nn

from .streams import Draws


@dataclass(frozen=True)
class Step:
    """What one update of one player sees. `...` is empty, or the axis of seeds."""

    discriminator: Callable[[Tensor], Tensor]
    """D: samples `(..., n, *sample)` to logits `(..., n)`."""
    real: Tensor
    """Real samples x, shape `(..., B, *sample)`."""
    fake: Tensor
    """Fake samples y, shape `(..., B, *sample)`."""
    real_logits: Tensor | None
    """D(x), shape `(..., B)`."""
    fake_logits: Tensor
    """D(y), shape `(..., B)`."""
    labels: Tensor | None = None
    """Labels of x where the data have them, shape `(..., B)`."""
    draws: Draws = field(default_factory=Draws)
    """Where mixing coefficients and noise come from."""


@dataclass(frozen=True)
class DiscriminatorStep(Step):
    """One D update: `fake` carries no gradient to G."""

    real_logits: Tensor

    def under(self, discriminator: Callable[[Tensor], Tensor]) -> Self:
        """The same step as another D sees it: same samples, its own logits."""
        return replace(
            self,
            discriminator=discriminator,
            real_logits=discriminator(self.real),
            fake_logits=discriminator(self.fake),
        )


@dataclass(frozen=True)
class GeneratorStep(Step):
    """One G update: `fake` carries the gradient to G; `real_logits` is None unless the objective needs it."""

    networks: Mapping[str, nn.Module] = field(default_factory=dict)
    """The players' networks by name, for terms that look inside."""


class QuietCallback(pl.Callback):
    """A callback of whose methods Lightning calls, at every iteration, only those that a subclass gives.

    It asks each callback for each of these, through its profiler. Beside a small network that costs more than what the
    callback does; what is None is not called.
    """

    on_train_batch_start: Any = None
    on_before_zero_grad: Any = None
    on_before_backward: Any = None
    on_after_backward: Any = None
    on_before_optimizer_step: Any = None


class DiscriminatorHook(QuietCallback):
    """A callback that takes part in D's game. Every method is neutral until overridden.

    The module collects its trainer's hooks once, in `setup`, and calls them in the callbacks' order. Lightning
    does not know these methods, only its own.
    """

    differs_by_process = False
    """Whether the state of the hook (`state_dict`) is another in each process: a checkpoint then keeps them all."""

    def mix_fakes(self, fake: Tensor) -> Tensor:
        """D's fake batch, fresh from G, shape `(..., B, *sample)`, as D shall see it (replay)."""
        return fake

    def perturb(self, samples: Tensor) -> Tensor:
        """Any batch on its way into D, in both players' updates (instance noise)."""
        return samples

    def discriminator_terms(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """Further terms of D's loss by name, weighted, of shape `(..., n)` (memory)."""
        return {}

    def discriminator_updated(self) -> None:
        """D has just taken an optimizer step (clipping, path integrals, averages)."""


class GeneratorHook(QuietCallback):
    """A callback that takes part in G's updates, as a `DiscriminatorHook` does in D's. One callback may be both."""

    def generator_terms(self, step: GeneratorStep) -> dict[str, Tensor]:
        """Further terms of G's loss by name, weighted, of shape `(..., n)`."""
        return {}

    def generator_updated(self) -> None:
        """G has just taken an optimizer step."""
