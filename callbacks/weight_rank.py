"""WeightRank: does a player's matrices' rank fall, and do their columns grow alike?"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from lit_gans import GAN, plotting
from lit_gans.metrics import convolution_ranks, convolution_route, matrix_ranks
from lit_gans.modes import evaluating
from lit_gans.seeds import SeedStack

from .pictures import Picture
from .probe import Observation
from .trend import Trend


class WeightRank(Trend):
    """Follows the rank of every weight matrix of a player, and the mean cosine between its columns, over the run.

    Looks at `Linear`, `Conv2d` and `ConvTranspose2d`, the last two as the matrix that maps whole images to whole
    images, and at weights as the player uses them, spectral norm included. Other layers are passed over.

    Logged for each layer, by its path in the player: `rank/<path>/numerical` and `rank/<path>/effective`, which are at
    most the matrix's smaller side, and `rank/<path>/column_cosine`. Means over the layers: `rank/effective_share`, the
    effective rank as a share of the full one (1 of any layer with one output), and `rank/column_cosine`.

    Where a convolution is too large for its matrix, its singular values are those of the same convolution with
    circular padding: the table then says `circular` under `<path>/operator`, and `rank/<path>/boundary` bounds how far
    they are from those of the layer's own (see `lit_gans.metrics.ranks.Ranks`).

    Args:
        every_n_iterations: How often to look. A look at the ring's MLP takes 1 ms, at large convolutions seconds.
        player: `generator` or `discriminator`.
        max_entries: A convolution's matrix of at most so many entries is built; the time grows as their power 1.5.
        name: See `Probe`.

    Raises:
        ValueError: If the player is none of the two, `max_entries` is below 1, or, in `setup`, the player has no such
            layer, one of its convolutions does not run, or is too large and has no circular counterpart.

    Source: Thanh-Tung et al. 2018, sec. 3.1 and 3.2.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        player: Literal["generator", "discriminator"] = "generator",
        max_entries: int = 2**20,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if player not in ("generator", "discriminator"):
            raise ValueError(f"WeightRank: player must be 'generator' or 'discriminator', got {player!r}")
        if max_entries < 1:
            raise ValueError(f"WeightRank: max_entries must be at least 1, got {max_entries}")
        self.player = player
        self.max_entries = max_entries
        self._input_sizes: dict[str, tuple[int, int]] = {}
        self._full: dict[str, int] = {}
        self._circular: set[str] = set()

    def key(self, key: str) -> str:
        """The log key of a number: a name that was given stands for `rank`, and the layer's path stays."""
        return key if self._given_name is None else f"{self._given_name}/{key.removeprefix('rank/')}"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Finds the layers, and the size of the images that reach each convolution."""
        super().setup(trainer, pl_module, stage)
        if stage == "predict":
            return
        assert isinstance(pl_module, GAN)
        layers = dict(_layers(_network(pl_module, self.player)))
        if not layers:
            raise ValueError(
                f"WeightRank: the {self.player} has no Linear, Conv2d or ConvTranspose2d layer to look at; "
                f"take WeightRank out of the callbacks of this run, or give it the other player"
            )
        convolutions = {path: layer for path, layer in layers.items() if not isinstance(layer, nn.Linear)}
        self._input_sizes = _input_sizes(pl_module, self.player, convolutions) if convolutions else {}
        self._circular = set()
        for path, layer in convolutions.items():
            if path not in self._input_sizes:
                raise ValueError(
                    f"WeightRank: the {self.player}'s {path} ({type(layer).__name__}) does not run in its forward "
                    f"pass, so that its operator is unknown; remove the layer, or WeightRank from the callbacks"
                )
            try:
                route = convolution_route(layer, self._input_sizes[path], self.max_entries)
            except ValueError as error:
                raise ValueError(f"WeightRank: the {self.player}'s {path}: {error}") from error
            if route == "circular":
                self._circular.add(path)

    @torch.no_grad()
    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The numbers of every layer, and their means."""
        network = _network(gan, self.player)
        found = {}
        with evaluating(network):
            for path, layer in _layers(network):
                weight = _weight(layer, gan.seeds)
                if isinstance(layer, nn.Linear):
                    found[path] = matrix_ranks(weight)
                else:
                    found[path] = convolution_ranks(layer, self._input_sizes[path], weight, self.max_entries)
        self._full = {path: ranks.full for path, ranks in found.items()}
        numbers = {
            "rank/effective_share": torch.stack([ranks.effective / ranks.full for ranks in found.values()]).mean(0),
            "rank/column_cosine": torch.stack([ranks.column_cosine for ranks in found.values()]).nanmean(0),
        }
        for path, ranks in found.items():
            numbers[f"rank/{path}/numerical"] = ranks.numerical
            numbers[f"rank/{path}/effective"] = ranks.effective
            numbers[f"rank/{path}/column_cosine"] = ranks.column_cosine
            if path in self._circular:
                numbers[f"rank/{path}/boundary"] = ranks.boundary
        if bad := [path for path, ranks in found.items() if ranks.effective.isnan().any()]:
            rank_zero_warn(
                f"WeightRank: at iteration {gan.iteration} the {self.player}'s weights of {', '.join(bad)} are "
                f"not finite"
            )
        notes = {f"{path}/operator": "circular" if path in self._circular else "exact" for path in self._input_sizes}
        return Observation(numbers, notes=notes)

    def picture(self, gan: GAN) -> Picture:
        """Each layer's two ranks, as shares of its full one, and its column cosine."""
        iterations, series = self.series(gan)
        cosines = {path: series[self.key(f"rank/{path}/column_cosine")] for path in self._full}
        shares = {
            f"{kind} rank / full rank": {
                path: series[self.key(f"rank/{path}/{kind}")] / full for path, full in self._full.items()
            }
            for kind in ("effective", "numerical")
        }
        return partial(plotting.layer_ranks, iterations, shares, cosines, f"weights of the {self.player}")


def _network(gan: GAN, player: str) -> nn.Module:
    """A player's own modules; with seeds their parameters have the seeds axis first."""
    network: nn.Module = getattr(gan, player)
    return network.network if isinstance(network, SeedStack) else network


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d | nn.ConvTranspose2d]]:
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            yield path or "network", module


def _weight(layer: nn.Module, seeds: Sequence[int] | None) -> Tensor:
    """The weight as the layer uses it, with seeds `(S, ...)`, in float32 or more."""
    if seeds is None or not parametrize.is_parametrized(layer, "weight"):
        weight: Tensor = layer.weight  # type: ignore[assignment]
    else:  # a parametrization computes the weight of one copy
        shaping: nn.Module = layer.parametrizations.weight  # type: ignore[union-attr,assignment]
        state = _state(shaping)
        rows = [{name: value[i] for name, value in state.items()} for i in range(len(seeds))]
        weight = torch.stack([functional_call(shaping, row, ()) for row in rows])
    return weight.to(torch.promote_types(weight.dtype, torch.float32))


def _input_sizes(gan: GAN, player: str, layers: Mapping[str, nn.Module]) -> dict[str, tuple[int, int]]:
    """`(H, W)` of what reaches each of the layers that run, by one forward pass of the first copy, in eval mode."""
    network = _network(gan, player)
    latents = torch.zeros(1, gan.latent_dim)
    if player == "generator":
        dtype = next(network.parameters()).dtype
        inputs = latents.to(gan.device, dtype)
    else:
        inputs = gan.generate(latents, averaged=False)
        inputs = inputs if gan.seeds is None else inputs[0]
    # Copies of the state, so that a network that writes into its buffers writes into those.
    state = {name: (value if gan.seeds is None else value[0]).clone() for name, value in _state(network).items()}
    sizes: dict[str, tuple[int, int]] = {}

    def note(path: str, image: Tensor) -> None:
        sizes[path] = (image.shape[-2], image.shape[-1])

    hooks = [
        layer.register_forward_pre_hook(lambda _, args, path=path: note(path, args[0]))
        for path, layer in layers.items()
    ]
    try:
        with torch.no_grad(), evaluating(network):
            functional_call(network, state, (inputs,))
    finally:
        for hook in hooks:
            hook.remove()
    return sizes


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
