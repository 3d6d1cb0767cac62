"""The two sides of the game, what is dealt to them, and how a loss is put together and reduced."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from . import checks
from .hooks import DiscriminatorStep
from .losses import Objective

Terms = dict[str, Tensor]
"""A player's loss by name: weighted values of shape `(..., n)`."""


class RealBatch(NamedTuple):
    """Real samples of one D update, `(..., B, *sample)`, with their labels `(..., B)` if the data have them."""

    samples: Tensor
    labels: Tensor | None

    def parts(self, n: int, batch_axis: int) -> list["RealBatch"]:
        """The batch in `n` equal parts along its batch axis, in order."""
        if n == 1:
            return [self]
        labels = [None] * n if self.labels is None else self.labels.chunk(n, batch_axis)
        return [RealBatch(x, c) for x, c in zip(self.samples.chunk(n, batch_axis), labels, strict=True)]


def _nothing(step: Any) -> dict[str, Tensor]:  # a lambda could not travel to a process that is spawned
    return {}


@dataclass(frozen=True)
class Player:
    """One side of the game."""

    letter: str
    """The prefix of the player's log keys."""
    network: nn.Module
    optimizer: OptimizerCallable
    """From parameters to what moves them."""
    scheduler: LRSchedulerCallable | None
    """From the optimizer to what moves its learning rate, one step per iteration."""
    terms: Callable[[Any], Terms]
    """The player's loss on a step, term by term."""
    watch: Callable[[Any], dict[str, Tensor]] = _nothing
    """Numbers of shape `(...)` that are logged beside the loss."""
    keeps_time: bool = False
    """Whether this player's optimizer steps are the iterations that `global_step` counts."""

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that this player moves (walking a network anew at every step costs time)."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """What moves a player of whom nothing else is said: DCGAN's Adam (Radford et al. 2016, section 4)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


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


_MAY_CHANGE = ("lr", "initial_lr", "betas", "eps", "weight_decay")
"""Of an optimizer's settings, those on which nothing that it has gathered depends."""


def _is_number(key: str, value: Any) -> bool:
    return not key.startswith("_") and isinstance(value, int | float)


def _elementary(scheduler: LRScheduler | None) -> list[LRScheduler]:
    """The schedulers that one is put together from, such as `SequentialLR` is."""
    if scheduler is None:
        return []
    parts = getattr(scheduler, "_schedulers", None)
    return [scheduler] if parts is None else [each for part in parts for each in _elementary(part)]


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


def deal(batch: Any, n_critic: int, seeds_axis: tuple[int, ...], accumulate: int = 1) -> list[RealBatch]:
    """Splits a flat batch, `x` or `(x, labels)`, into `n_critic` real batches of shape `(..., B, *sample)`.

    Raises:
        ValueError: If the batch does not divide by `n_critic` times the number of seeds, or B not by `accumulate`.
    """
    samples, labels = (*batch, None)[:2] if isinstance(batch, list | tuple) else (batch, None)
    shape = (n_critic, *seeds_axis)
    checks.divides(len(samples), parts=math.prod(shape))
    checks.splits(len(samples) // math.prod(shape), accumulate)
    deals = samples.unflatten(0, (*shape, -1))
    deals_of_labels = [None] * n_critic if labels is None else labels.unflatten(0, (*shape, -1))
    return [RealBatch(x, c) for x, c in zip(deals, deals_of_labels, strict=True)]


def logits_of_both(
    logits: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, batch_axis: int, samplewise: bool
) -> tuple[Tensor, Tensor]:
    """D(x) and D(y): one pass over both where D says that it treats samples one by one, else one each.

    Two passes give batch norm the statistics of reals and of fakes apart, which is the field's custom. Where there are
    none to keep apart, one pass saves a small network a tenth of its step.
    """
    if not samplewise:
        return logits(real), logits(fake)
    real_logits, fake_logits = logits(torch.cat([real, fake], batch_axis)).chunk(2, batch_axis)
    return real_logits, fake_logits


def joined(terms: Terms, additions: Iterable[Terms]) -> Terms:
    """A player's own terms and those that hooks add.

    Raises:
        ValueError: If a hook's term has the name of another.
    """
    for added in additions:
        checks.free(added, taken=terms)
        terms |= added
    return terms


def means(terms: Terms, batch_axes: int) -> Terms:
    """Each term's mean over its samples: `(..., n)` to `(...)`.

    Raises:
        ValueError: If a term does not have `batch_axes` axes: it has been reduced already.
    """
    for name, values in terms.items():
        if values.ndim != batch_axes:
            raise ValueError(
                f"the loss term {name} must be one value per sample, of {batch_axes} axes (seeds, samples), but has "
                f"shape {tuple(values.shape)}; return it before any mean, or with a last axis of length 1"
            )
    # The mean of a single value is that value, without arithmetic forwards or backwards.
    return {name: values.squeeze(-1) if values.shape[-1] == 1 else values.mean(-1) for name, values in terms.items()}


def total(losses: Terms) -> Tensor:
    """The sum of a player's losses over terms and seeds, a scalar: seeds must not share a mean."""
    first, *rest = losses.values()
    for loss in rest:
        first = first + loss
    return first.sum() if first.ndim else first


def averaged(numbers: Sequence[Terms]) -> Terms:
    """The mean over several steps of each of their numbers."""
    if len(numbers) == 1:
        return numbers[0]
    return {name: torch.stack([each[name] for each in numbers]).mean(0) for name in numbers[0]}


def loss_scale(trainer: pl.Trainer) -> float:
    """By what losses, and with them gradients until the optimizer's step, are multiplied under float16; else 1."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def gradient_norm(parameters: Sequence[nn.Parameter], seeds_axis: tuple[int, ...]) -> Tensor:
    """The Euclidean norm of all gradients together, per seed: shape `seeds_axis`, `()` or `(S,)`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [gradient.reshape(*seeds_axis, -1).square().sum(-1) for gradient in gradients]
    return torch.stack(squares).sum(0).sqrt()


def accuracy(loss: Objective, step: DiscriminatorStep) -> dict[str, Tensor]:
    """The share of reals and of fakes that D tells right, or of pairs where only differences count; shape `(...)`."""
    real, fake = loss.decision(step.real_logits), loss.decision(step.fake_logits)
    if real is None or fake is None:
        return {"accuracy_pairs": (step.real_logits > step.fake_logits).float().mean(-1)}
    return {"accuracy_real": (real > 0).float().mean(-1), "accuracy_fake": (fake < 0).float().mean(-1)}
