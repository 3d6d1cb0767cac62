"""Mixtures of generators and of discriminators, with weights that are learned."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .mlp import MLPDiscriminator, MLPGenerator


class Mixture(nn.Module, ABC):
    """Networks of one kind, each with a share in the game.

    The payoff of MIX+GAN is `Σ_ij u_i v_j V(G_i, D_j)`, u and v the softmax of what is learned. Here a batch is split:
    a part is made by one generator, or judged by one discriminator, and counts by its weight times the number of
    members. That is the payoff in the mean, at the cost of one network. Each pair of a generator and a discriminator
    meets if the batch divides by the number of pairs.

    Args:
        members: The networks, alike but for their parameters.
        entropy_weight: λ of `-λ/K Σ log u_i`, which the player pays for weights that leave uniform.

    Raises:
        ValueError: If there is no member, or λ is negative.

    Source: Arora et al. 2017, section 5; Thanh-Tung et al. 2018, section 3.2.
    """

    def __init__(self, members: list[nn.Module], entropy_weight: float) -> None:
        super().__init__()
        if not members:
            raise ValueError(f"{type(self).__name__}: size must be at least 1, got 0")
        if not entropy_weight >= 0:
            raise ValueError(f"{type(self).__name__}: entropy_weight must be at least 0, got {entropy_weight}")
        self.members = nn.ModuleList(members)
        self.entropy_weight = entropy_weight
        self.mixing = nn.Parameter(torch.empty(len(members)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gives all members the same weight."""
        nn.init.zeros_(self.mixing)

    @abstractmethod
    def places(self, n: int) -> Tensor:
        """Which member has which of n samples, shape `(n,)`."""

    def sample_weights(self, n: int) -> Tensor:
        """What each of n samples of a training batch counts, 1 in the mean at the start; `(..., n)`."""
        weights: Tensor = self.mixing.softmax(-1)[..., self.places(n).to(self.mixing.device)]
        return weights * len(self.members)

    def entropy_term(self) -> Tensor:
        """`-λ/K Σ log u_i`, shape `(..., 1)`; lowest where all weights are alike."""
        return -self.entropy_weight * self.mixing.log_softmax(-1).mean(-1, keepdim=True)


class MixtureGenerator(Mixture):
    """K generators; outside of training, each makes as large a share of the samples as its weight.

    Args:
        latent_dim: Length of one latent vector.
        sample_shape: Shape of one sample.
        generator: From these two to one generator; None is `MLPGenerator`.
        size: K.
        entropy_weight: See `Mixture`.
    """

    def __init__(
        self,
        latent_dim: int,
        sample_shape: tuple[int, ...],
        generator: Callable[[int, tuple[int, ...]], nn.Module] | None = None,
        size: int = 2,
        entropy_weight: float = 0.01,
    ) -> None:
        build: Any = generator if generator is not None else MLPGenerator
        super().__init__([build(latent_dim, sample_shape) for _ in range(size)], entropy_weight)

    def places(self, n: int) -> Tensor:
        """The first generator has the first part of the batch, and so on."""
        parts = torch.arange(n).tensor_split(len(self.members))
        return torch.cat([torch.full_like(part, i) for i, part in enumerate(parts)])

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)` to samples `(B, *sample_shape)`."""
        if self.training:
            parts = z.tensor_split(len(self.members))
            return torch.cat([member(part) for member, part in zip(self.members, parts, strict=True)])
        # Numbers that fill (0, 1) evenly, whatever n is, stand for the choice: a network draws none at random.
        n = torch.arange(len(z), device=z.device, dtype=torch.float64)
        even = torch.remainder(0.5 + n * (5**0.5 - 1) / 2, 1)
        bounds = self.mixing.softmax(-1).cumsum(-1)[:-1]
        chosen = (even[:, None] >= bounds).sum(-1)
        samples = torch.stack([member(z) for member in self.members])
        return samples[chosen, torch.arange(len(z), device=z.device)]


class MixtureDiscriminator(Mixture):
    """M discriminators; outside of training the logit is the mean of theirs by their weights.

    Args:
        sample_shape: Shape of one sample.
        discriminator: From it to one discriminator; None is `MLPDiscriminator`.
        size: M.
        entropy_weight: See `Mixture`.
    """

    samplewise = False
    """Which member judges a sample depends on its place in the batch: reals and fakes are to come apart."""

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        discriminator: Callable[[tuple[int, ...]], nn.Module] | None = None,
        size: int = 2,
        entropy_weight: float = 0.01,
    ) -> None:
        build: Any = discriminator if discriminator is not None else MLPDiscriminator
        super().__init__([build(sample_shape) for _ in range(size)], entropy_weight)

    def places(self, n: int) -> Tensor:
        """In turn, so that each has some of the samples of each generator."""
        return torch.arange(n) % len(self.members)

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, *sample_shape)` to logits `(B, 1)`."""
        if not self.training:
            logits = torch.stack([member(x).reshape(len(x)) for member in self.members], -1)
            return (logits * self.mixing.softmax(-1)).sum(-1, keepdim=True)
        size = len(self.members)
        parts = [member(x[i::size]).reshape(-1) for i, member in enumerate(self.members)]
        order = torch.cat([torch.arange(len(x))[i::size] for i in range(size)])
        return torch.cat(parts)[order.argsort().to(x.device)].unsqueeze(-1)


class Mixtures:
    """The mixtures among the networks of a game, and what they make of its losses.

    Args:
        networks: By the player's name.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        found = {name: [m for m in network.modules() if isinstance(m, Mixture)] for name, network in networks.items()}
        self._mixtures = {name: mixtures[0] for name, mixtures in found.items() if mixtures}

    def terms(self, player: str, losses: Tensor) -> dict[str, Tensor]:
        """A player's adversarial loss by sample, `(..., B)`, weighted, and what it pays for uneven weights.

        Only the weights of its own are its to learn.
        """
        for name, mixture in self._mixtures.items():
            weights = mixture.sample_weights(losses.shape[-1])
            losses = losses * (weights if name == player else weights.detach())
        own = self._mixtures.get(player)
        return {"adversarial": losses} if own is None else {"adversarial": losses, "mixing": own.entropy_term()}
