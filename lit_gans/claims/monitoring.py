"""The claims of *Measuring GAN training in real time* (ICLR 2021 submission): tables 2 and 3, figures 3 to 5 and 7.

Thresholds stand here, in the code, before the runs that they judge.
"""

import csv
from pathlib import Path

import numpy as np

from .. import plotting
from .claim import Claim, Measure, Numbers, Relation, column_of, highest, lower

OBJECTIVES = {
    "non-saturating": (),
    "least squares": ("least_squares",),
    "hinge": ("hinge",),
    "Wasserstein": ("wasserstein",),
}
SMOOTH = 2.0
"""A turn per iteration of so many times the usual one is a jump."""
STRETCHES = 20


def largest_jump(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The largest of a series against the median of the 20 values before it, `(t, S)` to `(S,)`; NaN if too short."""
    if len(values) <= STRETCHES:
        return np.full(values.shape[1], np.nan)
    usual = np.median(np.lib.stride_tricks.sliding_window_view(values, STRETCHES, 0)[:-1], -1)
    return np.asarray((values[STRETCHES:] / usual).max(0))


def last_sixth(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The mean over the last sixth of the run, as the paper's over the last 50 of 300 epochs."""
    return np.nanmean(values[iterations > iterations.max() * 5 / 6], 0)


def last_quarter(iterations: plotting.Array, values: plotting.Array) -> plotting.Array:
    """The mean over the last quarter of the run."""
    return np.asarray(values[iterations > iterations.max() * 3 / 4].mean(0))


MEASURES = {
    "quality": column_of("sqd_logger", "sqd/quality", "quality, mean over the last sixth of the run", last_sixth),
    "diversity": column_of(
        "sqd_logger", "sqd/diversity", "diversity in nats (at most 2.30), mean over the last sixth", last_sixth
    ),
    **{
        player: column_of(
            "metrics",
            f"sqd/stability_peak/{player}",
            f"largest turn of {player.upper()} in 50 iterations, over the median of the 20 such before it",
            largest_jump,
        )
        for player in "gd"
    },
}


def _only(*names: str) -> dict[str, Measure]:
    return {name: MEASURES[name] for name in names}


def _jumps(run: str) -> Relation:
    return lambda n: bool(max(n["g"][run].mean(), n["d"][run].mean()) > SMOOTH)


def _smooth(run: str) -> Relation:
    return lambda n: bool(max(n["g"][run].mean(), n["d"][run].mean()) <= SMOOTH)


def has_turned(folder: Path, seeds: list[int]) -> plotting.Array:
    """1 for a seed of which `TurningPoint` has told, 0 for others."""
    path = folder / "turning_points.csv"
    rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    return np.array([float(any(int(row["seed"]) == seed for row in rows)) for seed in seeds])


def collapsed(numbers: Numbers, run: str) -> plotting.Array:
    """The seeds that made at least six modes of eight at some look, and at most two in the last quarter of the run."""
    return np.asarray((numbers["most"][run] >= 6) & (numbers["last"][run] <= 2))


def kept_modes(numbers: Numbers, run: str) -> plotting.Array:
    """The seeds that make at least seven modes of eight in the last quarter."""
    return np.asarray(numbers["last"][run] >= 7)


def alarmed(numbers: Numbers, run: str, among: plotting.Array) -> float:
    """The share of some seeds that raised the alarm; NaN, of which nothing holds, if there are none."""
    return float(numbers["turned"][run][among].mean()) if among.any() else np.nan


ALARMS: dict[str, Relation] = {
    "no penalty: nine seeds of ten collapse": lambda n: bool(collapsed(n, "no penalty").mean() >= 0.9),
    "no penalty: at least nine of ten that collapse are found": lambda n: bool(
        alarmed(n, "no penalty", collapsed(n, "no penalty")) >= 0.9
    ),
    "R1: nine seeds of ten keep their modes": lambda n: bool(kept_modes(n, "R1").mean() >= 0.9),
    "R1: at most one of ten that keep their modes raises the alarm": lambda n: bool(
        alarmed(n, "R1", kept_modes(n, "R1")) <= 0.1
    ),
}

JUDGE: dict[str, tuple[str, ...]] = {"judges/digits.pt": ("judge", "--data=DigitsDataModule")}
BOTH = {
    **OBJECTIVES,
    **{f"{objective}, 1-GP": (*variants, "one_gp") for objective, variants in OBJECTIVES.items()},
}

MONITORING = {
    "S4": Claim(
        statement="Where a game collapses there is a turning point, at which weights jump and quality or diversity "
        "begins to fall; TurningPoint finds it while the game runs.",
        source="SQD, section 4",
        base="ring",
        runs={
            "no penalty": ("sgd_unstable", "turning_point"),
            "R1": ("sgd_unstable", "r1_weak", "turning_point"),
        },
        measures={
            "most": column_of("modes_often", "modes_often/covered", "most modes covered at a look, of 8", highest),
            "last": column_of(
                "modes_often", "modes_often/covered", "modes covered, last quarter of the run", last_quarter
            ),
            "turned": Measure("1: TurningPoint has raised the alarm", has_turned),
        },
        relations=ALARMS,
    ),
    "SQD-1": Claim(
        statement="Without a gradient penalty the weights of every objective's players jump at a turning point; with a "
        "1-centred one they turn smoothly (the Wasserstein game's still jump now and then).",
        source="SQD, section 4 and fig. 3",
        base="digits_sqd",
        needs=JUDGE,
        runs=BOTH,
        measures=_only("g", "d"),
        relations={
            **{f"{objective}: jumps, to more than twice the usual turn": _jumps(objective) for objective in OBJECTIVES},
            **{
                f"{objective}, 1-GP: does not": _smooth(f"{objective}, 1-GP")
                for objective in OBJECTIVES
                if objective != "Wasserstein"
            },
        },
    ),
    "SQD-2": Claim(
        statement="For each of four objectives a 1-centred gradient penalty brings higher quality and diversity.",
        source="SQD, table 2",
        base="digits_sqd",
        needs=JUDGE,
        runs=BOTH,
        measures=_only("quality", "diversity"),
        relations={
            f"{objective}: {measure} higher with 1-GP": lower(measure, objective, f"{objective}, 1-GP")
            for measure in ("quality", "diversity")
            for objective in OBJECTIVES
        },
    ),
    "SQD-3": Claim(
        statement="DRAGAN, the one-sided penalty and a strong 1-centred one stabilise the non-saturating game; the "
        "zero-centred one destabilises it.",
        source="SQD, section 5, table 3 and fig. 7; CF and RC say the opposite of the zero-centred penalty",
        base="digits_sqd",
        needs=JUDGE,
        runs={
            "no penalty": (),
            "1-GP, weight 10": ("one_gp",),
            "1-GP, weight 100": ("one_gp_strong",),
            "DRAGAN": ("dragan",),
            "one-sided": ("one_sided_gp",),
            "0-GP": ("zero_gp",),
        },
        measures=MEASURES,
        relations={
            **{
                f"{run}: does not jump": _smooth(run)
                for run in ("1-GP, weight 10", "1-GP, weight 100", "DRAGAN", "one-sided")
            },
            **{
                f"{run}: more diverse than without": lower("diversity", "no penalty", run)
                for run in ("1-GP, weight 10", "1-GP, weight 100", "DRAGAN", "one-sided")
            },
            "0-GP: jumps": _jumps("0-GP"),
            "0-GP: less diverse than without": lower("diversity", "0-GP", "no penalty"),
        },
    ),
}
