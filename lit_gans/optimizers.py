"""What moves the players: their optimizers and schedulers, and how these go on from a checkpoint."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .players import Player

_MAY_CHANGE = ("lr", "initial_lr", "betas", "eps", "weight_decay")
"""Of an optimizer's settings, those on which nothing that it has gathered depends."""


def schedulers(players: Iterable[Player], optimizers: Iterable[Optimizer]) -> list[LRScheduler]:
    """The learning-rate schedulers of the players that have one.

    Raises:
        TypeError: If one waits for a metric: a game steps by iterations.
    """
    made = [p.scheduler(optimizer) for p, optimizer in zip(players, optimizers, strict=True) if p.scheduler is not None]
    for scheduler in made:
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise TypeError(
                f"{type(scheduler).__name__} waits for a metric to stop falling, but learning rates here follow "
                f"the iterations alone; take one such as LinearLR, CosineAnnealingLR or StepLR"
            )
    return made


def optimizer_settings(optimizer: Optimizer, scheduler: LRScheduler | None) -> dict[str, Any]:
    """What an optimizer and its scheduler were given, for a checkpoint: classes and settings, by group and by part."""
    groups = [
        {key: deepcopy(value) for key, value in group.items() if key != "params"} for group in optimizer.param_groups
    ]
    parts = [
        {"class": type(part).__name__, **{key: value for key, value in vars(part).items() if _is_number(key, value)}}
        for part in _elementary(scheduler)
    ]
    return {"class": type(optimizer).__name__, "groups": groups, "scheduler": parts}


def check_settings(name: str, given: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """A ValueError unless an optimizer, and its scheduler, can go on from what a checkpoint holds of them.

    Args:
        name: The player's.
        given: `optimizer_settings` of this run.
        before: The same, of the run that the checkpoint is of.
    """
    cure = "resume with that of the checkpoint"
    if given["class"] != before["class"]:
        raise ValueError(
            f"{name}_optimizer: the checkpoint's is {before['class']}, this run's is {given['class']}, which cannot go "
            f"on with what that one has gathered; {cure}"
        )
    here, there = (" and ".join(part["class"] for part in each["scheduler"]) or "none" for each in (given, before))
    if here != there:
        raise ValueError(f"{name}_scheduler: the checkpoint's is {there}, this run's is {here}; {cure}")
    fixed = [("scheduler", *parts) for parts in zip(given["scheduler"], before["scheduler"], strict=True)]
    fixed += [("optimizer", *groups) for groups in zip(given["groups"], before["groups"], strict=False)]
    for kind, now, then in fixed:
        changed = [key for key in now if key in then and key not in _MAY_CHANGE and now[key] != then[key]]
        if changed:
            told = ", ".join(f"{key}={now[key]}, there {key}={then[key]}" for key in changed)
            raise ValueError(f"{name}_{kind}: {told}, with which the run has to go on; {cure}")


def take_new_settings(
    optimizer: Optimizer, given: Mapping[str, Any], before: Mapping[str, Any], scheduler: LRScheduler | None
) -> list[str]:
    """Gives an optimizer that goes on from a checkpoint those settings that have been changed since, and tells which.

    A learning rate that a scheduler moves is changed by the factor by which its first value was.

    Args:
        optimizer: With the settings of the checkpoint.
        given: `optimizer_settings` of this run, of which `check_settings` has nothing to say.
        before: The same, of the run that the checkpoint is of.
        scheduler: What moves its learning rate, if anything does.
    """
    told = []
    for place, (group, now, then) in enumerate(
        zip(optimizer.param_groups, given["groups"], before["groups"], strict=True)
    ):
        changed = {key: now[key] for key in _MAY_CHANGE if key in now and key in then and now[key] != then[key]}
        if scheduler is not None:
            changed.pop("lr", None)  # its value at the start
        told += [f"{key.removeprefix('initial_')} {value} (there {then[key]})" for key, value in changed.items()]
        if "initial_lr" in changed:
            changed["lr"] = group["lr"] * (now["initial_lr"] / then["initial_lr"]) if then["initial_lr"] else now["lr"]
            for part in _elementary(scheduler):
                part.base_lrs[place] = now["initial_lr"]
        group |= changed
    return told


def _is_number(key: str, value: Any) -> bool:
    return not key.startswith("_") and isinstance(value, int | float)


def _elementary(scheduler: LRScheduler | None) -> list[LRScheduler]:
    """The schedulers that one is put together from, such as `SequentialLR` is."""
    if scheduler is None:
        return []
    parts = getattr(scheduler, "_schedulers", None)
    return [scheduler] if parts is None else [each for part in parts for each in _elementary(part)]
