"""Seeds as an axis: several independent copies of a player, trained as one."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm


def stack_by_seed(players: Mapping[str, nn.Module], seeds: Sequence[int]) -> dict[str, "SeedStack"]:
    """Copies all players once per seed, draws the copies' parameters from that seed, and stacks them.

    The players of seed s start as those of a script that calls `torch.manual_seed(s)` and then builds them in this
    order. The global random state is left as it was.

    Args:
        players: The networks by name; the names appear in error messages.
        seeds: One seed per copy.

    Raises:
        TypeError: If a network drops units at random, or has a module that owns parameters but has no
            `reset_parameters`, or a parametrization other than spectral norm.
    """
    copies: dict[str, list[nn.Module]] = {name: [] for name in players}
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # the CPU's alone: fork_rng brings that one back
            for name, player in players.items():
                _refuse_dropout(player, name)
                network = copy.deepcopy(player)
                reinitialise(network, name)
                copies[name].append(network)
    return {name: SeedStack(networks) for name, networks in copies.items()}


class SeedStack(nn.Module):
    """S copies of one network, with parameters of shape `(S, ...)`.

    Only the forward pass is batched over seeds (`torch.func.vmap`); gradients are taken outside, of losses summed
    over seeds, so any elementwise optimizer treats each copy as if it were alone. Parameters and buffers keep
    the names they have in the network. A network may write into its buffers, but not put new tensors in their place.

    Args:
        copies: Networks that differ in their parameters and buffers alone; the first is turned into the stack.
    """

    def __init__(self, copies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.network = copies[0]
        self.batched: bool | None = None
        """Whether the copies run as one; if not, one by one. Found out at the first forward pass."""
        self.taps: list[tuple[str, list[Tensor]]] = []
        """Inner layers whose outputs are asked for, and where they go: see `tapping`."""
        _stack_state(self.network, copies)

    def forward(self, inputs: Tensor) -> Tensor:
        """Each copy on its own batch: `(S, B, ...)` to `(S, B, ...)`."""
        if self.batched is None:
            self.batched = _vmap_can_batch(self.network, inputs)
        run = _all_at_once if self.batched else _one_by_one
        outputs, *inner = run(self.network, inputs, [layer for layer, _ in self.taps])
        for (_, seen), values in zip(self.taps, inner, strict=True):
            seen.append(values)
        return outputs


class Copies(NamedTuple):
    """The copies of a network, one by one."""

    network: nn.Module
    """What all have in common, to be called by `torch.func.functional_call` with a state."""
    states: list[dict[str, Tensor]]
    """Parameters and buffers of each copy by name."""
    seeds_axis: tuple[int, ...]
    """`(S,)`, or `()` for a network without seeds, which is its only copy."""


def copies(network: nn.Module) -> Copies:
    """A network taken apart into its copies by seed."""
    if not isinstance(network, SeedStack):
        return Copies(network, [_state(network)], ())
    rows = _rows(_state(network.network))
    return Copies(network.network, rows, (len(rows),))


def unstacked(network: nn.Module) -> nn.Module:
    """The network itself, whose layers have the names that it was built with."""
    return network.network if isinstance(network, SeedStack) else network


def one_copy(network: nn.Module, index: int = 0) -> nn.Module:
    """A network of its own that is one copy of another one with seeds; of one without, the only one."""
    common, states, _ = copies(network)
    alone = copy.deepcopy(common)
    for name, value in states[index].items():
        place, _, leaf = name.rpartition(".")
        module = alone.get_submodule(place)
        kept = value.detach().clone()
        if leaf in module._parameters:
            module._parameters[leaf] = nn.Parameter(kept)
        else:
            module._buffers[leaf] = kept
    return alone


@contextmanager
def tapping(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """The outputs of an inner layer in the passes inside, one per pass, `(..., n, *feature)`.

    Args:
        network: With or without seeds.
        layer: The layer's name, as `named_modules` of the network without seeds gives it.
    """
    seen: list[Tensor] = []
    if isinstance(network, SeedStack):  # what a hook sees inside of vmap must come out with vmap's result
        network.taps.append((layer, seen))
        try:
            yield seen
        finally:
            network.taps.pop()
        return
    handle = network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


def _call(network: nn.Module, state: dict[str, Tensor], inputs: Tensor, layers: Sequence[str]) -> tuple[Tensor, ...]:
    """One copy's outputs, and those of some of its layers."""
    with ExitStack() as taps:
        inner = [taps.enter_context(tapping(network, layer)) for layer in layers]
        outputs = functional_call(network, state, (inputs,))
    return outputs, *(seen[-1] for seen in inner)


def _all_at_once(network: nn.Module, inputs: Tensor, layers: Sequence[str] = ()) -> tuple[Tensor, ...]:
    outputs: tuple[Tensor, ...] = vmap(lambda state, batch: _call(network, state, batch, layers))(
        _state(network), inputs
    )
    return outputs


def _one_by_one(network: nn.Module, inputs: Tensor, layers: Sequence[str]) -> tuple[Tensor, ...]:
    states = _rows(_state(network))
    rows = [_call(network, state, batch, layers) for state, batch in zip(states, inputs, strict=True)]
    return tuple(torch.stack(values) for values in zip(*rows, strict=True))


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _rows(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """A stacked state, copy by copy."""
    n_seeds = len(next(iter(state.values())))
    return [{name: value[i] for name, value in state.items()} for i in range(n_seeds)]


def _vmap_can_batch(network: nn.Module, inputs: Tensor) -> bool:
    """Whether `vmap` has a rule for all that a network does in training (for spectral norm it has none)."""
    try:
        with torch.no_grad():
            _all_at_once(copy.deepcopy(network).train(), inputs)  # a copy: running statistics stay as they are
    except RuntimeError as error:
        if "random" in str(error):
            raise TypeError(
                f"seeds: a {type(network).__name__} draws random numbers in its forward pass, which cannot be kept "
                f"apart per seed. Let it draw none, or train without seeds"
            ) from error
        return False
    return True


def reinitialise(network: nn.Module, name: str) -> None:
    """Draws every parameter of a network anew, as `reset_parameters` of its modules does, in the order they stand.

    Modules come after those they hold, so that a network may adjust its layers in a `reset_parameters` of its own.
    """
    for path, module in _inside_out(network, ""):
        if parametrize.is_parametrized(module):
            _reinitialise_spectral_norm(module, path, name)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(
                f"seeds: the {name}'s {type(module).__name__} ({path or 'the network itself'}) owns parameters "
                f"but has no reset_parameters(), so it cannot be initialised from a seed. Give it that method, "
                f"or train without seeds"
            )


def _inside_out(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module below, before the one that holds it."""
    for name, child in module.named_children():
        if child is not getattr(module, "parametrizations", None):  # those are reset with the layer they shape
            yield from _inside_out(child, f"{path}.{name}".lstrip("."))
    yield path, module


def _reinitialise_spectral_norm(module: nn.Module, path: str, name: str) -> None:
    """Resets the weights below spectral norm, and its singular vectors.

    Spectral norm cannot be taken off and put on again: copies of a layer share the class that carries it.
    """
    normed: dict[str, nn.ModuleList] = dict(module.parametrizations.items())  # type: ignore[union-attr,operator]
    for norms in normed.values():
        if [type(norm) for norm in norms] != [_SpectralNorm]:
            raise TypeError(
                f"seeds: the {name}'s {path or 'network'} carries a parametrization that is not spectral_norm; "
                f"its parameters cannot be initialised from a seed. Train without seeds"
            )
    with parametrize.cached():  # inside, the normed tensor is one object, which reset_parameters may fill
        module.reset_parameters()  # type: ignore[operator]
        fresh = {tensor: getattr(module, tensor).detach().clone() for tensor in normed}
    for tensor, norms in normed.items():
        setattr(module, tensor, fresh[tensor])  # goes to the weights below the norm
        old: Any = norms[0]
        norms[0] = _SpectralNorm(fresh[tensor], old.n_power_iterations, old.dim, old.eps)  # draws its vectors


def _refuse_dropout(network: nn.Module, name: str) -> None:
    for path, module in network.named_modules():
        if isinstance(module, _DropoutNd) and module.p > 0:
            raise TypeError(
                f"seeds: the {name} has {type(module).__name__} ({path}), whose random numbers cannot be kept apart "
                f"per seed. Remove it, or train without seeds"
            )


def _stack_state(network: nn.Module, copies: Sequence[nn.Module]) -> None:
    """Replaces each parameter and buffer of `network` by those of all copies, stacked on a leading axis."""
    stacked: dict[int, Tensor] = {}  # by identity, so that tied parameters stay tied
    modules = [list(each.modules()) for each in copies]
    for row in zip(*modules, strict=True):
        for kind in ("_parameters", "_buffers"):
            for key, value in list(getattr(row[0], kind).items()):
                if value is None:
                    continue
                if id(value) not in stacked:
                    together = torch.stack([getattr(each, kind)[key].detach() for each in row])
                    is_parameter = isinstance(value, nn.Parameter)
                    stacked[id(value)] = nn.Parameter(together, value.requires_grad) if is_parameter else together
                getattr(row[0], kind)[key] = stacked[id(value)]
