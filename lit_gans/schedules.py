"""Weights that change over a run: a schedule maps the iteration to a number.

An iteration is one update of the generator. A schedule may stand wherever a weight may:
`weight: 10.0` or `weight: {class_path: ExponentialDecay, init_args: {start: 10.0, half_life: 2000}}`.
"""

from abc import ABC, abstractmethod


class Schedule(ABC):
    """A weight as a function of the iteration. A subclass gives `__call__`."""

    @abstractmethod
    def __call__(self, iteration: int) -> float:
        """The weight at `iteration`, counted from 0."""

    def _check(self, **weights: float) -> None:
        for name, value in weights.items():
            if not value >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 0, got {value}")

    def _check_positive(self, **lengths: float) -> None:
        for name, value in lengths.items():
            if not value > 0:
                raise ValueError(f"{type(self).__name__}: {name} must be positive, got {value}")


class Constant(Schedule):
    """The same weight for the whole run: `w(t) = value`."""

    def __init__(self, value: float) -> None:
        self._check(value=value)
        self.value = value

    def __call__(self, iteration: int) -> float:
        """`value`."""
        return self.value


class Linear(Schedule):
    """A straight line, then flat: `w(t) = start + (end - start) · min(t / iterations, 1)`.

    With `end` below `start` it is a linear decay, which damps the oscillation that a constant gradient penalty
    keeps up (Thanh-Tung et al. 2018, section 2.1 and fig. 7); with `start` at 0 it is a warm-up.
    """

    def __init__(self, start: float, end: float, iterations: int) -> None:
        self._check(start=start, end=end)
        self._check_positive(iterations=iterations)
        self.start, self.end, self.iterations = start, end, iterations

    def __call__(self, iteration: int) -> float:
        """`start + (end - start) · min(iteration / iterations, 1)`."""
        return self.start + (self.end - self.start) * min(iteration / self.iterations, 1.0)


class ExponentialDecay(Schedule):
    """`w(t) = start · 2^(-t / half_life)`."""

    def __init__(self, start: float, half_life: float) -> None:
        self._check(start=start)
        self._check_positive(half_life=half_life)
        self.start, self.half_life = start, half_life

    def __call__(self, iteration: int) -> float:
        """`start · 2^(-iteration / half_life)`."""
        return self.start * 2.0 ** (-iteration / self.half_life)


class WarmUp(Linear):
    """From 0 to `end` along a straight line, then flat: `w(t) = end · min(t / iterations, 1)`."""

    def __init__(self, end: float, iterations: int) -> None:
        super().__init__(0.0, end, iterations)


def as_schedule(weight: float | Schedule) -> Schedule:
    """A number as a constant schedule; a schedule as it is."""
    return weight if isinstance(weight, Schedule) else Constant(weight)
