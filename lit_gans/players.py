"""The two sides of the game, what is dealt to them, and how a loss is put together and reduced."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

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
