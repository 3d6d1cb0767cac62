"""GANStrategy: several processes, each with a share of every batch, and players that move in turns."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy, ParallelStrategy, StrategyRegistry
from torch import Tensor, nn


class GANStrategy(DDPStrategy):
    """Distributed data parallel for two players or more: `Trainer(strategy="gan")`, and what `lit-gans fit` takes.

    All processes start with the parameters of the first. Each takes its share of the reals and makes its own fakes. A
    player's gradient is averaged over the processes by one collective call per update, after its whole backward pass
    (penalties and accumulated parts in it). Buffers, such as a batch norm's statistics, are those of the first process
    after every iteration. So the parameters of all processes stay the same to the bit.

    Lightning's `ddp` wraps the whole module and waits for gradients of all of its parameters, of which an update of one
    player has a part; `ddp_find_unused_parameters_true` searches the graph for them, at a price.

    Names for `Trainer(strategy=…)`: `gan`, and `gan_spawn`, `gan_fork` and `gan_notebook` for another way to start the
    processes.

    Args:
        settings: As for Lightning's `DDPStrategy`: `process_group_backend`, `timeout`, `start_method`.

    Raises:
        ValueError: If a setting is of the wrapper that is not there, such as `find_unused_parameters`.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        of_the_wrapper = ("ddp_comm_state", "ddp_comm_hook", "ddp_comm_wrapper", "model_averaging_period")
        unknown = [*self._ddp_kwargs, *(name for name in of_the_wrapper if settings.get(name) is not None)]
        if unknown:
            raise ValueError(
                f"GANStrategy does not wrap the players in DistributedDataParallel, so that it cannot take "
                f"{', '.join(unknown)}; leave it out, or take Lightning's DDPStrategy(find_unused_parameters=True)"
            )

    def configure_ddp(self) -> None:
        """Gives all processes the first one's parameters and buffers; nothing is wrapped."""
        assert self.model is not None
        _share([*self.model.parameters(), *self.model.buffers()])

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One iteration; then all have the first process's buffers."""
        output = super().training_step(*args, **kwargs)
        assert self.model is not None
        _share(self.model.buffers())
        return output

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Means over all processes of the gradients that the parameters have."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for alike in _by_type(gradients):
            flat = _flat(alike)
            dist.all_reduce(flat)
            _unflat(flat.div_(dist.get_world_size()), alike)

    def on_exception(self, exception: BaseException) -> None:
        """Says what a broken connection means."""
        if any(sign in str(exception) for sign in ("Connection closed by peer", "Connection reset", "NCCL error")):
            exception.add_note(
                "another process of this run has ended, and this one cannot go on alone: see what that one told last, "
                "and go on from the last checkpoint with --ckpt_path last"
            )

    @classmethod
    def register_strategies(cls, strategy_registry: Any) -> None:
        """Makes the names known to `Trainer`."""
        ways = {"gan": "popen", "gan_spawn": "spawn", "gan_fork": "fork", "gan_notebook": "fork"}
        for name, way in ways.items():
            strategy_registry.register(name, cls, f"Players in turns, processes by {way}", start_method=way)


def check(strategy: Any) -> None:
    """A ValueError unless players can move in turns under a strategy of several processes."""
    if not isinstance(strategy, ParallelStrategy) or isinstance(strategy, GANStrategy):
        return
    wraps = type(strategy) is DDPStrategy
    if isinstance(strategy, DDPStrategy) and wraps and strategy._ddp_kwargs.get("find_unused_parameters"):
        return
    why = (
        "waits for gradients of all parameters, but players move in turns"
        if wraps
        else "shards parameters, through which no gradient of a gradient passes, as penalties need it"
    )
    raise ValueError(f'{type(strategy).__name__} {why}; train with Trainer(strategy="gan"), after `import lit_gans`')


def _share(tensors: Iterable[Tensor]) -> None:
    """Gives every process what the first one has."""
    for alike in _by_type([tensor.detach() for tensor in tensors]):
        flat = _flat(alike)
        dist.broadcast(flat, 0)
        _unflat(flat, alike)


def _by_type(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    return [list(alike) for _, alike in groupby(sorted(tensors, key=_type), _type)]


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _unflat(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    parts = flat.split([tensor.numel() for tensor in tensors])
    with torch.no_grad():
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


GANStrategy.register_strategies(StrategyRegistry)
