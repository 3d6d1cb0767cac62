"""Refusals that come before anything has moved, each saying what was given, what was expected and what to do."""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .losses import Objective
from .networks import MinibatchDiscrimination
from .penalties import GradientPenalty, Penalty, Roth
from .terms import GeneratorTerm


class DivergenceError(RuntimeError):
    """A run has met a number that is not finite; see `callbacks.DivergenceGuard`."""


def at_least_one(name: str, value: int) -> int:
    """`value`, or a ValueError if it is below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def distinct(seeds: list[int] | None) -> list[int] | None:
    """`seeds`, or a ValueError if they are empty or repeated."""
    if seeds is not None and (not seeds or len(set(seeds)) < len(seeds)):
        raise ValueError(f"seeds must be a list of different integers, got {seeds}; give null to train without seeds")
    return seeds


def free(names: Collection[str], taken: Collection[str]) -> None:
    """A ValueError if a term of a loss takes a name that stands for something else: it would replace that."""
    if clash := sorted(set(names) & set(taken)):
        raise ValueError(
            f"a term of a player's loss cannot be named {', '.join(clash)}: the name is taken; choose another"
        )


def fitting(
    loss: Objective,
    penalties: Mapping[str, Penalty],
    generator_terms: Mapping[str, GeneratorTerm],
    networks: Mapping[str, nn.Module],
    taken: Collection[str],
) -> None:
    """A ValueError if objective, terms and networks do not fit together; a warning where samples mix."""
    loss.check(networks["discriminator"])
    for terms in (penalties, generator_terms):
        free(terms, taken)
        for term in terms.values():
            term.attach(loss, networks)
    no_coupling_under(penalties, networks["discriminator"])
    if "encoder" in networks and not generator_terms:
        raise ValueError(
            "the encoder has nothing to learn from; give generator_terms one that has it, such as ModeRegularizer"
        )


def no_coupling_under(penalties: Mapping[str, nn.Module], discriminator: nn.Module) -> None:
    """A warning where a gradient penalty meets a layer that mixes other samples into a gradient."""
    penalised = [name for name, penalty in penalties.items() if isinstance(penalty, GradientPenalty | Roth)]
    coupling = {
        type(module).__name__
        for module in discriminator.modules()
        if isinstance(module, _BatchNorm | MinibatchDiscrimination)
    }
    if penalised and coupling:
        rank_zero_warn(
            f"{', '.join(penalised)}: the discriminator has {', '.join(sorted(coupling))}, which couples the samples "
            f"of a batch, so its gradient at one sample depends on the others (Gulrajani et al. 2017, section 4). "
            f"Set the discriminator's batch_norm to false, or take another, unless this is what you want to see"
        )


def divides(n: int, parts: int) -> None:
    """A ValueError unless a training batch of `n` samples divides into `parts` = n_critic x seeds batches."""
    if n == 0 or n % parts:
        raise ValueError(
            f"a training batch holds {n} samples, which does not divide by n_critic x seeds = {parts}. Each of these "
            f"needs a batch of its own: let the loader yield a multiple of {parts} samples and drop its last "
            f"incomplete batch (drop_last=True), or use a DataModule of `datamodules`"
        )


def splits(batch_size: int, accumulate: int) -> None:
    """A ValueError unless a real batch splits into `accumulate` equal parts."""
    if batch_size % accumulate:
        raise ValueError(
            f"accumulate is {accumulate}, but a real batch holds {batch_size} samples, which do not split into so many "
            f"equal parts; take a batch_size that is a multiple of {accumulate}"
        )


def monitored(trainer: pl.Trainer) -> None:
    """A warning where a checkpoint or early stopping waits for a number that nobody has logged: it would wait for good.

    Validation's numbers come later than the game's, and are taken on trust.
    """
    logged = trainer.callback_metrics
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        name = getattr(callback, "monitor", None)
        if isinstance(name, str) and name not in logged and not name.startswith("val/"):
            meant = difflib.get_close_matches(name, logged, n=1)
            rank_zero_warn(
                f"{type(callback).__name__} monitors {name!r}, which has not been logged so far."
                f"{f' Did you mean {meant[0]!r}?' if meant else ''} Logged: {', '.join(sorted(logged))}"
            )


def game(
    batches: Sequence[Tensor],
    generator: nn.Module,
    logits: Callable[[Tensor], Tensor],
    latent_dim: int,
    batch_axes: int,
) -> None:
    """A ValueError if the data or the networks cannot play, as the first real batches `(..., B, *sample)` show."""
    for real in batches:
        finite(real)
        same_type(real, generator)
    fake = generator(real.new_zeros(*real.shape[:batch_axes], latent_dim))
    same_shape(real, fake, batch_axes)
    one_logit_each(logits(fake), tuple(real.shape[:batch_axes]))


def finite(real: Tensor) -> None:
    """A ValueError if the first batch of data holds NaN or infinite values."""
    bad = int((~torch.isfinite(real)).sum())
    if bad:
        raise ValueError(f"the first training batch holds {bad} NaN or infinite values; clean the data first")


def same_type(real: Tensor, generator: nn.Module) -> None:
    """A ValueError unless the data are of the networks' type of number."""
    expected = next((parameter.dtype for parameter in generator.parameters()), real.dtype)
    if real.dtype != expected:
        raise ValueError(
            f"the data are {real.dtype}, the generator's parameters {expected}; cast the data in their loader (images "
            f"to floats in [-1, 1]), or train in another precision (--trainer.precision=64-true)"
        )


def same_shape(real: Tensor, fake: Tensor, batch_axes: int) -> None:
    """A ValueError unless G's samples have the data's shape."""
    if fake.shape != real.shape:
        raise ValueError(
            f"the generator makes samples of shape {tuple(fake.shape[batch_axes:])}, the data's are "
            f"{tuple(real.shape[batch_axes:])}; give the generator the data's sample_shape"
        )


def one_logit_each(logits: Tensor, batch_shape: tuple[int, ...]) -> None:
    """A ValueError unless D gives one logit per sample."""
    if logits.shape != batch_shape:
        raise ValueError(
            f"the discriminator must give one logit per sample, shape {batch_shape} or {(*batch_shape, 1)}, "
            f"but gave {tuple(logits.shape)}"
        )
