"""Judges: whether a generated sample is of the domain at all, and which of its modes it shows."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Judgement(NamedTuple):
    """What a judge says of samples `(..., n, *sample)`."""

    probability: Tensor
    """That each is a sample of the domain, shape `(..., n)`, in [0, 1]."""
    mode: Tensor
    """The index of the mode that each is nearest to, shape `(..., n)`, of int64; -1 of what is not finite."""


class Judge(ABC):
    """The base of judges. A subclass sets `n_modes` and gives `__call__`."""

    n_modes: int
    """m: how many modes the domain has."""

    @abstractmethod
    def __call__(self, samples: Tensor) -> Judgement:
        """Judges samples `(..., n, *sample)`."""


def judged(judge: Judge, samples: Tensor, batch_shape: tuple[int, ...]) -> Judgement:
    """What a judge says of samples `(*batch_shape, *sample)`, once it is sure that it is a judgement.

    Raises:
        TypeError: If it is not a `Judgement`.
        ValueError: If its shapes or numbers are not what they must be.
    """
    name, found = type(judge).__name__, judge(samples)
    if not isinstance(found, Judgement):
        raise TypeError(f"{name}: a judge returns a lit_gans.judges.Judgement, got {type(found).__name__}")
    for what, values in found._asdict().items():
        if values.shape != batch_shape:
            raise ValueError(
                f"{name}: {what} must be one value per sample, of shape {tuple(batch_shape)} (seeds if any, samples), "
                f"got {tuple(values.shape)}"
            )
    probability, mode = found
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            f"{name}: probability must lie in [0, 1], got {probability.min().item():g} to "
            f"{probability.max().item():g}; a logit is none, and what is not finite has probability 0"
        )
    if mode.dtype != torch.int64 or mode.min() < -1 or mode.max() >= judge.n_modes:
        raise ValueError(
            f"{name}: mode must be of int64, from 0 to {judge.n_modes - 1}, or -1 of what is not finite, got "
            f"{mode.dtype} from {mode.min().item():g} to {mode.max().item():g}"
        )
    return found
