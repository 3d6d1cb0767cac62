"""Judges: whether a generated sample is of the domain at all, and which of its modes it shows."""

from typing import NamedTuple

from torch import Tensor


class Judgement(NamedTuple):
    """What a judge says of samples `(..., n, *sample)`."""

    probability: Tensor
    """That each is a sample of the domain, shape `(..., n)`, in [0, 1]."""
    mode: Tensor
    """The index of the mode that each is nearest to, shape `(..., n)`, of int64; -1 of what is not finite."""


class Judge:
    """The base of judges. A subclass sets `n_modes` and gives `__call__`."""

    n_modes: int
    """m: how many modes the domain has."""

    def __call__(self, samples: Tensor) -> Judgement:
        """Judges samples `(..., n, *sample)`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(samples)")
