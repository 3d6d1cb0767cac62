"""Seeds as an axis: several independent copies of a player, trained as one."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
            torch.manual_seed(seed)
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
    the names they have in the network.

    Args:
        copies: Networks that differ in their parameters and buffers alone; the first is turned into the stack.
    """

    def __init__(self, copies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.network = copies[0]
        self.batched = True
        _stack_state(self.network, copies)

    def settle(self, inputs: Tensor) -> Tensor:
        """Finds out on one batch whether `vmap` can batch this network; if not, seeds run one by one.

        Args:
            inputs: A batch of shape `(S, B, ...)`. Running statistics are left as they were.

        Returns:
            What the network makes of it, shape `(S, B, ...)`.
        """
        state = copy.deepcopy(self.network.state_dict())
        try:
            with torch.no_grad():
                try:
                    return self(inputs)
                except RuntimeError:  # an operation without a batching rule, such as spectral norm's
                    self.batched = False
                    return self(inputs)
        finally:
            self.network.load_state_dict(state)

    def forward(self, inputs: Tensor) -> Tensor:
        """Each copy on its own batch: `(S, B, ...)` to `(S, B, ...)`."""
        state = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        if self.batched:
            return vmap(self._one)(state, inputs)
        rows = [{name: value[i] for name, value in state.items()} for i in range(len(inputs))]
        return torch.stack([self._one(row, batch) for row, batch in zip(rows, inputs, strict=True)])

    def _one(self, state: dict[str, Tensor], batch: Tensor) -> Tensor:
        return functional_call(self.network, state, (batch,))


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
