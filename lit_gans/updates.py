"""How the players move in one iteration of the game."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from .hooks import DiscriminatorHook, DiscriminatorStep
from .lookahead import Lookahead, check_known, holding, keeping_buffers
from .modes import frozen, full_precision

if TYPE_CHECKING:
    from .gan import GAN, RealBatch


class Update(ABC):
    """Moves every player once, given one fresh real batch per D update. A subclass gives `__call__`."""

    @abstractmethod
    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """Plays one iteration.

        Args:
            gan: `discriminator_steps` and `generator_steps` build what a player sees. `descend` moves it, which is
                `differentiate`, for its gradient, and `move`.
            batches: `n_critic` real batches.
        """

    def check(self, gan: "GAN") -> None:  # noqa: B027  # an update may suit every game
        """A ValueError if a game cannot be played like this; called before a run begins."""


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


class Simultaneous(Update):
    """Both players take their gradients at the same point, and then both move.

    `(θ, ψ) ← (θ - η_G ∇_θ L_G(θ, ψ), ψ - η_D ∇_ψ L_D(θ, ψ))`. On `L_D = -L_G = θψ` it spirals outwards, by
    `√(1 + η²)` per iteration, where `Alternating` circles.

    Raises:
        ValueError: Before a run, if `n_critic` is not 1, or under float16, whose scale may change between the two
            moves.

    Source: Manisha & Gujar 2018, section 2.2.3; Mescheder et al. 2017.
    """

    def check(self, gan: "GAN") -> None:
        """One D update, and no scale."""
        _check_one_update(self, gan)

    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """Two gradients, two moves."""
        (batch,) = batches
        gan.differentiate("discriminator", gan.discriminator_steps(batch))
        with frozen(gan.players["discriminator"].parameters):
            gan.differentiate("generator", gan.generator_steps(batch))
        for name in ("discriminator", "generator"):
            gan.move(name)
        gan.discriminator_updated()
        gan.generator_updated()


class Unrolled(Update):
    """G descends against the D that would result if D took K more steps, and knows how its own move would change them.

    ```
    ψ_0 = ψ,   ψ_{k+1} = ψ_k - η ∇_ψ L_D(θ, ψ_k),   θ ← θ - η_G d/dθ L_G(θ, ψ_K(θ))
    ```

    The steps of D are those of its own optimizer, SGD or Adam, from its present state, on the last batch and on the
    fakes that G is judged by; penalties are in them. D itself has taken its one step before, and is as that left it.

    Args:
        steps: K; 0 is `Alternating`. An iteration costs K further passes of D, forwards and twice backwards.

    Raises:
        ValueError: If `steps` is below 0. Before a run, if the batch is accumulated in parts, or a callback adds to
            D's loss, which would not see the steps ahead.
        TypeError: Before a run, if D's optimizer is neither SGD nor Adam.

    Source: Metz et al. 2017, eq. 4 to 8; Manisha & Gujar 2018, section 3.1.
    """

    def __init__(self, steps: int = 5) -> None:
        if steps < 0:
            raise ValueError(f"Unrolled: steps must be at least 0 (which is the plain game), got {steps}")
        self.steps = steps

    def check(self, gan: "GAN") -> None:
        """Whole batches, a known optimizer, and no terms on D's own parameters."""
        _check_whole_batches(self, gan)
        optimizer = gan.players["discriminator"].optimizer(gan.players["discriminator"].parameters)
        check_known(optimizer)
        _check_no_hook(self, gan, "discriminator_terms", "adds to D's loss a term that would not see the steps ahead")

    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """D descends on each batch; then G descends once, against D some steps ahead."""
        for batch in batches:
            gan.descend("discriminator", gan.discriminator_steps(batch))
            gan.discriminator_updated()
        discriminator = gan.players["discriminator"]
        with keeping_buffers(discriminator.network), frozen(discriminator.parameters):
            fake = gan.fakes(batches[-1])
            ahead = self.ahead(gan, gan.discriminator_step(batches[-1], fake)) if self.steps else []
            with holding(discriminator.network, dict(zip(discriminator.parameters, ahead, strict=False))):
                gan.descend("generator", [gan.generator_step(batches[-1], fake)])
        gan.generator_updated()

    def ahead(self, gan: "GAN", step: DiscriminatorStep) -> list[Tensor]:
        """D's parameters after K steps, as functions of G's."""
        player = gan.players["discriminator"]
        lookahead = Lookahead(gan.optimizer_of("discriminator"), player.parameters)
        values = [parameter.detach().clone().requires_grad_() for parameter in player.parameters]
        for _ in range(self.steps):
            now = dict(zip(player.parameters, values, strict=True))
            with holding(player.network, now), full_precision(gan.device):
                loss = gan.discriminator_loss(step, step.discriminator)
            values = lookahead.step(values, torch.autograd.grad(loss, values, create_graph=True))
        return values


class Consensus(Update):
    """Both players also descend on the size of the joint gradient field, as if they had agreed to come to rest.

    `w = v + γ ∇ ½‖v‖²` in place of `v = (∇_ψ L_D, ∇_θ L_G)`, with both losses on the same samples, penalties inside.
    Where v circles, as on `L_D = -L_G = θψ`, the added field leads inwards: a step's eigenvalues are `1 - ηγ ± iη`.

    Args:
        weight: γ.

    Raises:
        ValueError: If `weight` is negative. Before a run, if `n_critic` is not 1, the batch is accumulated in parts,
            several processes share the batch (the size of a mean gradient is no mean of sizes), under float16, or if a
            callback mixes other fakes into D's batch.

    Source: Mescheder et al. 2017, eq. 8 and algorithm 2 (as descent); Manisha & Gujar 2018, section 3.2.
    """

    def __init__(self, weight: float = 10.0) -> None:
        if weight < 0:
            raise ValueError(f"Consensus: weight must be at least 0, got {weight}")
        self.weight = weight

    def check(self, gan: "GAN") -> None:
        """One D update on one whole batch of fresh fakes, in one process."""
        _check_one_update(self, gan)
        _check_whole_batches(self, gan)
        _check_no_hook(self, gan, "mix_fakes", "puts other fakes into D's batch, and both players need the same ones")
        if gan.trainer.world_size > 1:
            raise ValueError(
                f"Consensus: the size of a gradient is no mean over processes, and there are {gan.trainer.world_size}; "
                f"train in one (--trainer.devices 1), or take another update"
            )

    def __call__(self, gan: "GAN", batches: Sequence["RealBatch"]) -> None:
        """Both gradients with their graph, then the gradient of their size."""
        (batch,) = batches
        fake = gan.fakes(batch)
        steps = {"discriminator": gan.discriminator_step(batch, fake), "generator": gan.generator_step(batch, fake)}
        measured = {name: gan.measure(name, step) for name, step in steps.items()}
        parameters = {name: gan.parameters_of(name) for name in steps}
        field = [torch.autograd.grad(loss, parameters[name], create_graph=True) for name, (loss, _) in measured.items()]
        size = torch.stack([v.square().sum() for player in field for v in player]).sum() / 2
        everyone = [parameter for each in parameters.values() for parameter in each]
        pulls = torch.autograd.grad(size, everyone, allow_unused=True, materialize_grads=True)
        for parameter, v, pull in zip(everyone, [v for player in field for v in player], pulls, strict=True):
            parameter.grad = v.detach() + self.weight * pull
        for name, (_, numbers) in measured.items():
            gan.note(name, numbers)
            gan.move(name)
        gan.discriminator_updated()
        gan.generator_updated()


def _check_one_update(update: Update, gan: "GAN") -> None:
    name = type(update).__name__
    if gan.n_critic != 1:
        raise ValueError(
            f"{name}: both players move at once, so that n_critic must be 1, not {gan.n_critic}; give D a larger "
            f"learning rate instead, or take Alternating"
        )
    if getattr(gan.trainer.precision_plugin, "scaler", None) is not None:
        raise ValueError(
            f"{name}: under 16-mixed the losses' scale may change between the players' moves; train with "
            f"--trainer.precision bf16-mixed or 32-true"
        )


def _check_whole_batches(update: Update, gan: "GAN") -> None:
    if gan.accumulate != 1:
        raise ValueError(
            f"{type(update).__name__}: a gradient of gradients is of a whole batch, and accumulate={gan.accumulate} "
            f"splits it; set accumulate to 1 and take a smaller batch"
        )


def _check_no_hook(update: Update, gan: "GAN", method: str, why: str) -> None:
    if hooks := [hook for hook in gan.hooks if is_overridden(method, hook, DiscriminatorHook)]:
        name = type(hooks[0]).__name__
        raise ValueError(f"{type(update).__name__}: {name} {why}; take {name} out, or take Alternating")
