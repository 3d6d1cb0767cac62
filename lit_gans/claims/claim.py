"""What a claim is, and how a number is read from the tables that a run leaves behind."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import plotting

Read = Callable[[Path, list[int]], plotting.Array]
"""From a run's folder and its seeds to a measure, one number per seed."""
Numbers = Mapping[str, Mapping[str, plotting.Array]]
"""By the measure's name and by the run's: one number per seed."""


Relation = Callable[[Numbers], bool]
"""What must be true of the numbers."""


@dataclass(frozen=True)
class Measure:
    """A number that is read from every run."""

    words: str
    """What it is, for tables and pictures."""
    read: Read


@dataclass(frozen=True)
class Claim:
    """One comparison of a paper."""

    statement: str
    """What the paper says happens."""
    source: str
    """Where it says so."""
    base: str
    """The config that every run starts from."""
    runs: dict[str, tuple[str, ...]]
    """By name: the variants of `configs/variants` that a run adds to `base`."""
    measures: dict[str, Measure]
    """By name: what is read from each run."""
    relations: dict[str, Relation]
    """What must be true, in words, and the test of it."""
    full_size: str | None = None
    """The config of the paper's own size, where `base` is smaller."""
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By file: the `lit-gans` command that makes it, which is told its name by `--file`, where it is not there yet."""


def above(measure: str, run: str, threshold: float) -> Relation:
    """The mean over seeds of a run lies above a threshold."""
    return lambda n: bool(n[measure][run].mean() > threshold)


def lower(measure: str, run: str, than: str, by: float = 0.0) -> Relation:
    """The mean over seeds of one run lies lower than another's, by more than a margin."""
    return lambda n: bool(n[measure][run].mean() < n[measure][than].mean() - by)


def column_of(
    table: str, key: str, words: str, over: Callable[[plotting.Array, plotting.Array], plotting.Array]
) -> Measure:
    """Column `key` of a run's `<table>.csv`, summed up over the run.

    Args:
        table: A probe's name, or `metrics`, which is what `CSVLogger` calls its table.
        key: The column's, without `/seed_i`.
        words: What the measure is.
        over: From iterations `(t,)` and values `(t, S)` to one number per seed.
    """

    def read(folder: Path, seeds: list[int]) -> plotting.Array:
        return over(*column(folder / f"{table}.csv", key, seeds))

    return Measure(words, read)


def at_end(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The last value."""
    return values[-1]


def second_half(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The mean over the second half of the run."""
    return np.nanmean(values[iterations > iterations.max() / 2], 0)


MODES_OF_SECOND_HALF = column_of(
    "mode_coverage", "modes/covered", "modes covered of 8, by 2 500 samples, mean over second half", second_half
)


def trained(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The mean over all looks but that at the untrained game."""
    return np.nanmean(values[iterations > 0], 0)


def highest(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The largest value of any look at the trained game."""
    return np.nanmax(values[iterations > 0], 0)


def untrained(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The value of the untrained game."""
    return values[iterations == 0][0]


def between(first: int, last: int) -> Callable[[plotting.Array, plotting.Array], plotting.Array]:
    """The mean over the looks from one iteration to another; of a shorter run, its last value."""

    def mean(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
        within = (iterations >= first) & (iterations <= last)
        return np.nanmean(values[within], 0) if within.any() else values[-1]

    return mean


def at(iteration: int) -> Callable[[plotting.Array, plotting.Array], plotting.Array]:
    """The value at one iteration, or at the end of a run that is shorter."""
    return lambda iterations, values: values[iterations <= iteration][-1]


def end_over_start(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The last value divided by the first."""
    return values[-1] / values[0]


def column(path: Path, key: str, seeds: list[int]) -> tuple[plotting.Array, plotting.Array]:
    """Iterations `(t,)` and one column of a run's table by seed, `(t, S)`.

    Raises:
        ValueError: If the run has ended before the number was first measured.
    """
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get(f"{key}/seed_{seeds[0]}")]
    if not rows:
        raise ValueError(f"{path} holds no {key}: the run ended before it was measured; give more --iterations")
    clock = "iteration" if "iteration" in rows[0] else "step"  # of a probe's table, of the logger's
    iterations = np.array([int(row[clock]) for row in rows])
    return iterations, np.array([[float(row[f"{key}/seed_{seed}"]) for seed in seeds] for row in rows])
