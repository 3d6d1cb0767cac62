"""How the players move in one iteration of the game."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .modes import frozen

if TYPE_CHECKING:
    from .gan import GAN, RealBatch


class Update:
    """Moves every player once, given one fresh real batch per D update. A subclass gives `__call__`."""

    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """Plays one iteration.

        Args:
            gan: `discriminator_steps` and `generator_steps` build what a player sees; `descend` moves it.
            batches: `n_critic` real batches.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__()")


class Alternating(Update):
    """`n_critic` D updates, each on a fresh batch, then one G update against the D that results.

    A two time-scale game (TTUR) is this one with different learning rates for the two optimizers.

    Source: Goodfellow et al. 2014, algorithm 1.
    """

    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """D descends on each batch; then G descends once."""
        for batch in batches:
            gan.descend("discriminator", gan.discriminator_steps(batch))
            gan.discriminator_updated()
        with frozen(gan.players["discriminator"].parameters):
            gan.descend("generator", gan.generator_steps(batches[-1]))
        gan.generator_updated()
