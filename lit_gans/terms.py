"""Weighted terms of a player's loss, and those of G beside its objective.

Throughout, x is a real sample, `y = G(z)` a fake one, f an inner layer of D, and `E` a mean over the batch. A term that
is a function of a whole batch (a distance of two means, an angle between samples) is one of each part where the batch
is accumulated in parts, and of each process's own samples where there are several.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hooks import GeneratorStep, Step
from .lookahead import holding
from .losses import NonSaturating, Objective
from .schedules import Schedule, as_schedule
from .seeds import tapping, unstacked


class Term(nn.Module, ABC):
    """A term of a player's loss. A subclass overrides `forward`.

    Args:
        weight: λ, a number or a schedule over iterations.
        interval: Apply the term at every k-th update of its player only, times k (lazy regularisation, Karras et al.
            2020).

    Raises:
        ValueError: If `weight` is negative or `interval` is below 1.
    """

    def __init__(self, weight: float | Schedule, interval: int = 1) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(weight, Schedule) and not weight >= 0:
            raise ValueError(f"{name}: weight must be at least 0, got {weight}")
        if interval < 1:
            raise ValueError(f"{name}: interval must be at least 1, got {interval}")
        self.weight = weight
        self.interval = interval

    def attach(self, objective: Objective, networks: Mapping[str, nn.Module]) -> None:
        """Learns, before anything moves, in what game it is; a ValueError if it has no place there.

        Args:
            objective: What the players minimise.
            networks: Those of the players by name: `generator`, `discriminator`, and `encoder` if there is one.
        """

    @abstractmethod
    def forward(self, step: Any) -> Tensor:
        """One unweighted value per sample, shape `(..., n)`; `(..., 1)` for what has no samples."""

    def extra_repr(self) -> str:
        """The settings, for `print(gan)`."""
        settings = {name: value for name, value in vars(self).items() if name != "training" and name[0] != "_"}
        return ", ".join(f"{name}={value}" for name, value in settings.items() if value is not None)

    def is_due(self, update: int) -> bool:
        """Whether the player's update number `update`, counted from 0, pays this term."""
        return update % self.interval == 0

    def weighted(self, step: Step, iteration: int) -> Tensor:
        """`weight(iteration) · interval · forward(step)`: the one place where the weight is applied."""
        values: Tensor = self(step)
        return as_schedule(self.weight)(iteration) * self.interval * values


def due(terms: nn.ModuleDict, step: Step, update: int, iteration: int) -> dict[str, Tensor]:
    """Those terms, by name and weighted, that a player's update number `update` pays."""
    paid: dict[str, Any] = {name: term for name, term in terms.items() if term.is_due(update)}  # type: ignore[operator]
    return {name: term.weighted(step, iteration) for name, term in paid.items()}


class GeneratorTerm(Term):
    """A term of G's loss. A subclass overrides `forward(step)`, of a `GeneratorStep`; updates are G's.

    Args:
        weight: λ, a number or a schedule over iterations.
        interval: Apply the term at every k-th G update only, times k.

    Raises:
        ValueError: If `weight` is negative or `interval` is below 1.
    """


class FeatureTerm(GeneratorTerm):
    """A term that looks at an inner layer of D.

    Args:
        weight: λ, a number or a schedule over iterations.
        layer: The layer's name in D, as `named_modules` gives it; its outputs are the features.
        interval: Apply at every k-th G update only, times k.

    Raises:
        ValueError: In `GAN`, if D has no layer of this name.
    """

    def __init__(self, weight: float | Schedule, layer: str, interval: int = 1) -> None:
        super().__init__(weight, interval)
        self.layer = layer

    def attach(self, objective: Objective, networks: Mapping[str, nn.Module]) -> None:
        """The layer must exist."""
        names = [name for name, _ in unstacked(networks["discriminator"]).named_modules() if name]
        if self.layer not in names:
            raise ValueError(
                f"{type(self).__name__}: the discriminator has no layer {self.layer!r}; it has {', '.join(names)}"
            )

    def features(self, step: GeneratorStep, samples: Tensor) -> Tensor:
        """f(v), one flat row per sample: `(..., n, *sample)` to `(..., n, k)`."""
        with tapping(step.networks["discriminator"], self.layer) as outputs:
            step.discriminator(samples)
        return outputs[-1].to(samples.dtype).flatten(step.fake_logits.ndim)


class FeatureMatching(FeatureTerm):
    """`‖E f(x) - E f(y)‖²`: G is to make samples that look like the data, on the average, to a layer of D.

    Means come first, then the distance.

    Source: Salimans et al. 2016, section 3.1, who let G minimise nothing else: with `Unopposed` for the objective, so
    it is here. Manisha & Gujar 2018, table 2.
    """

    def forward(self, step: GeneratorStep) -> Tensor:
        """One value, shape `(..., 1)`."""
        batch_axis = step.fake_logits.ndim - 1
        with torch.no_grad():
            real = self.features(step, step.real).mean(batch_axis)
        return (real - self.features(step, step.fake).mean(batch_axis)).square().sum(-1, keepdim=True)


class PullingAway(FeatureTerm):
    """PT: `1/(N(N-1)) Σ_{i≠j} (S_iᵀS_j / ‖S_i‖‖S_j‖)²`, S the features of N fakes: fakes are to differ in direction.

    0 where all features stand at right angles, 1 where all point one way, or the other. Zhao et al. take it of what an
    auto-encoder's encoder gives out, for EBGAN-PT.

    Args:
        weight: λ; Zhao et al. take 0.1.
        layer: The layer of D whose outputs are S.
        interval: Apply at every k-th G update only, times k.

    Raises:
        ValueError: In `GAN`, if D has no layer of this name. At the first step, if there is only one fake.

    Source: Zhao et al. 2017, section 2.4; Manisha & Gujar 2018, section 3.1.
    """

    def __init__(self, weight: float | Schedule, layer: str = "encoder", interval: int = 1) -> None:
        super().__init__(weight, layer, interval)

    def forward(self, step: GeneratorStep) -> Tensor:
        """One value, shape `(..., 1)`."""
        directions = F.normalize(self.features(step, step.fake), dim=-1)
        n = directions.shape[-2]
        if n < 2:
            raise ValueError("PullingAway: fakes are compared with one another, and there is only one; take a batch")
        squares = (directions @ directions.mT).square()
        others = squares.sum((-2, -1)) - squares.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (others / (n * (n - 1))).unsqueeze(-1)


class NagarajanKolter(GeneratorTerm):
    """`‖∇_ψ V‖²`, V what D gains by its objective: G also moves to where D would have nothing to learn.

    `∇_ψ V = -∇_ψ L_D`, of the objective alone, on the step's reals and on G's fakes; D's penalties are not in it. It
    makes the equilibrium of a Wasserstein game attracting: on `V = -θψ` it adds `2 η θ` to G's gradient.

    Args:
        weight: η, a number or a schedule over iterations.
        interval: Apply at every k-th G update only, times k.

    Source: Nagarajan & Kolter 2017, section 4; Manisha & Gujar 2018, section 3.2, print the norm unsquared.
    """

    def attach(self, objective: Objective, networks: Mapping[str, nn.Module]) -> None:
        """V is the objective's, a function of what of D can move."""
        self._objective = (objective,)  # a tuple, as it is the game's module, not this one's
        movable = unstacked(networks["discriminator"]).named_parameters()
        self._movable = [name for name, parameter in movable if parameter.requires_grad]

    def forward(self, step: GeneratorStep) -> Tensor:
        """One value, shape `(..., 1)`."""
        network = step.networks["discriminator"]
        parameters = dict(unstacked(network).named_parameters())
        live = [parameters[name] for name in self._movable]
        # While G moves D is frozen; a copy that is not lets its gradient be taken, and keeps none of it.
        values = [p if p.requires_grad else p.detach().clone().requires_grad_() for p in live]
        (objective,) = self._objective
        with holding(network, dict(zip(live, values, strict=True))), torch.enable_grad():
            real_logits, fake_logits = step.discriminator(step.real), step.discriminator(step.fake)
            loss = objective.discriminator(real_logits, fake_logits, step.real, step.fake).mean(-1).sum()
            gradients = torch.autograd.grad(loss, values, create_graph=True, allow_unused=True, materialize_grads=True)
        seeds_axis = step.fake_logits.shape[:-1]
        squares = [gradient.reshape(*seeds_axis, -1).square().sum(-1) for gradient in gradients]
        return torch.stack(squares).sum(0).unsqueeze(-1)


class ModeRegularizer(GeneratorTerm):
    """`λ₁ ‖x - G(E(x))‖² + λ₂ softplus(-D(G(E(x))))`: every real sample is to have a latent that G makes it from.

    E is the game's `encoder`, which descends on the same term. G is so drawn to modes that its own samples do not
    reach.

    Args:
        weight: Of both parts together.
        distance_weight: λ₁.
        realness_weight: λ₂.
        interval: Apply at every k-th G update only, times k.

    Raises:
        ValueError: If a weight is negative. In `GAN`, if there is no encoder.

    Source: Che et al. 2017, section 3.1 and 3.2 (Reg-GAN); Manisha & Gujar 2018, section 3.1.
    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        distance_weight: float = 0.2,
        realness_weight: float = 0.4,
        interval: int = 1,
    ) -> None:
        super().__init__(weight, interval)
        for name, value in (("distance_weight", distance_weight), ("realness_weight", realness_weight)):
            if not value >= 0:
                raise ValueError(f"ModeRegularizer: {name} must be at least 0, got {value}")
        self.distance_weight = distance_weight
        self.realness_weight = realness_weight
        self._realness = NonSaturating()

    def attach(self, objective: Objective, networks: Mapping[str, nn.Module]) -> None:
        """There must be an encoder."""
        if "encoder" not in networks:
            raise ValueError(
                "ModeRegularizer: reals are encoded to latents, and the game has no encoder; give one, for example "
                "encoder: MLPEncoder"
            )

    def forward(self, step: GeneratorStep) -> Tensor:
        """One value per real sample, shape `(..., B)`."""
        back = step.networks["generator"](step.networks["encoder"](step.real)).to(step.real.dtype)
        distance = (step.real - back).square().flatten(step.fake_logits.ndim).sum(-1)
        realness = self._realness.generator(None, step.discriminator(back))
        return self.distance_weight * distance + self.realness_weight * realness
