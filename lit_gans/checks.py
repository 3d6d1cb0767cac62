"""Refusals that come before anything has moved, each saying what was given, what was expected and what to do."""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor


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
    """A ValueError if a term of D's loss takes a name that stands for something else: it would replace that."""
    if clash := sorted(set(names) & set(taken)):
        raise ValueError(
            f"a term of the discriminator's loss cannot be named {', '.join(clash)}: the name is taken; choose another"
        )


def divides(n: int, parts: int) -> None:
    """A ValueError unless a training batch of `n` samples divides into `parts` = n_critic x seeds batches."""
    if n == 0 or n % parts:
        raise ValueError(
            f"a training batch holds {n} samples, which does not divide by n_critic x seeds = {parts}. Each of these "
            f"needs a batch of its own: let the loader yield a multiple of {parts} samples and drop its last "
            f"incomplete batch (drop_last=True), or use a DataModule of `datamodules`"
        )


def game(
    batches: Sequence[Tensor],
    generator: Callable[[Tensor], Tensor],
    logits: Callable[[Tensor], Tensor],
    latent_dim: int,
    batch_axes: int,
) -> None:
    """A ValueError if the data or the networks cannot play, as the first real batches `(..., B, *sample)` show."""
    for real in batches:
        finite(real)
    fake = generator(real.new_zeros(*real.shape[:batch_axes], latent_dim))
    same_shape(real, fake, batch_axes)
    one_logit_each(logits(fake), tuple(real.shape[:batch_axes]))


def finite(real: Tensor) -> None:
    """A ValueError if the first batch of data holds NaN or infinite values."""
    bad = int((~torch.isfinite(real)).sum())
    if bad:
        raise ValueError(f"the first training batch holds {bad} NaN or infinite values; clean the data first")


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
