"""What each process of a run must find again when the run goes on."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric.utilities.apply_func import move_data_to_device
from pytorch_lightning.utilities import rank_zero_warn

if TYPE_CHECKING:
    from .gan import GAN


def keep(gan: "GAN", checkpoint: dict[str, Any]) -> None:
    """Adds to a checkpoint, under `processes`, what each process has for itself; all processes must call it.

    These are the game's random streams, its last numbers (a lazy penalty's stay in the log until it is due again),
    Python's, NumPy's and torch's own random numbers, and the state of those hooks of which each process has another
    (`DiscriminatorHook.differs_by_process`).
    """
    hooks = {hook.state_key: hook for hook in gan.hooks if hook.differs_by_process}
    kept = checkpoint.get("callbacks", {})
    mine = {
        "draws": gan.draws.state_dict(),
        "latest": dict(gan.latest),
        "random": _random_state(),
        "callbacks": {key: kept[key] for key in hooks if key in kept} if dist.is_initialized() else {},
    }
    checkpoint["processes"] = _gathered(mine)


def find(gan: "GAN", checkpoint: dict[str, Any]) -> Mapping[str, Any] | None:
    """What `keep` has added for this process; the state of its hooks goes where Lightning looks for it.

    A process that the checkpoint does not know begins anew with its streams and such hooks.
    """
    processes = checkpoint.get("processes", [])
    here, now = (0, 1) if gan._trainer is None else (gan.trainer.global_rank, gan.trainer.world_size)
    if gan._trainer is not None and gan.trainer.training and processes and len(processes) != now:
        rank_zero_warn(
            f"the checkpoint is of a run of {len(processes)} processes, this one has {now}: the run goes on, but not "
            f"with the same random numbers as if it had not been interrupted"
        )
    if here >= len(processes):
        for hook in gan.hooks if here else []:
            if hook.differs_by_process:
                checkpoint.get("callbacks", {}).pop(hook.state_key, None)
        return None
    mine: Mapping[str, Any] = processes[here]
    checkpoint.setdefault("callbacks", {}).update(mine["callbacks"])
    return mine


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Puts Python's, NumPy's and torch's own random numbers where `keep` found them."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _random_state() -> dict[str, Any]:
    """In types that `torch.load(weights_only=True)` takes."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def _gathered(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """What every process gives, in order; the first one has it, and writes it down."""
    if not dist.is_initialized():
        return [mine]
    mine = move_data_to_device(mine, torch.device("cpu"))  # nobody else has this one's device
    everyone: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(mine, everyone)
    return everyone or [mine]
