"""Refusals that come before anything has moved, each saying what was given, what was expected and what to do."""

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


def divides(n: int, parts: int) -> None:
    """A ValueError unless a training batch of `n` samples divides into `parts` = n_critic x seeds batches."""
    if n == 0 or n % parts:
        raise ValueError(
            f"a training batch holds {n} samples, which does not divide by n_critic x seeds = {parts}. Each of these "
            f"needs a batch of its own: let the loader yield a multiple of {parts} samples and drop its last "
            f"incomplete batch (drop_last=True), or use a DataModule of `datamodules`"
        )


def finite(real: Tensor) -> None:
    """A ValueError if the first batch of data holds NaN or infinite values."""
    bad = int((~torch.isfinite(real)).sum())
    if bad:
        raise ValueError(f"the first training batch holds {bad} NaN or infinite values; clean the data first")


def fitting(real: Tensor, fake: Tensor, logits: Tensor, batch_axes: int) -> None:
    """A ValueError unless G's samples have the data's shape and D gives one logit per sample."""
    if fake.shape != real.shape:
        raise ValueError(
            f"the generator makes samples of shape {tuple(fake.shape[batch_axes:])}, the data's are "
            f"{tuple(real.shape[batch_axes:])}; give the generator the data's sample_shape"
        )
    batch_shape = tuple(real.shape[:batch_axes])
    if logits.shape != batch_shape:
        raise ValueError(
            f"the discriminator must give one logit per sample, shape {batch_shape} or {(*batch_shape, 1)}, "
            f"but gave {tuple(logits.shape)}"
        )
