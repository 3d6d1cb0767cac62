"""What a run has left in its folder: settings, numbers and pictures."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from ..plotting import Array

_PLACES = {"step", "iteration", "epoch"}
"""Columns that say when a row was measured."""


class Series(NamedTuple):
    """A number over a run."""

    iterations: Array
    """Shape `(t,)`, rising."""
    values: Array
    """Shape `(t, S)`: a column per seed, or one without seeds."""

    def at_the_end(self) -> Array:
        """Each seed's mean over the last tenth of the iterations, `(S,)`."""
        late = self.iterations >= 0.9 * self.iterations[-1]
        return np.asarray(self.values[late].mean(0))


@dataclass(frozen=True)
class Run:
    """A run, as its folder tells of it."""

    name: str
    folder: Path
    settings: dict[str, str]
    """By key, `model.penalties.r1.weight`; of a class the key alone, `model.loss`."""
    series: dict[str, Series]
    """By log key."""
    pictures: dict[str, dict[int, Path]]
    """By the probe's name, then by iteration."""


def find_run(path: Path) -> Path:
    """The folder of the one run at or below a path.

    Raises:
        ValueError: If there is none, or more than one.
    """
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}; name the folder of a run, such as runs/ring/version_0")
    if _is_run(path):
        return path
    below = sorted({file.parent for file in path.rglob("config.yaml") if _is_run(file.parent)})
    below = [folder for folder in below if (folder / "checkpoints").is_dir()] or below  # not what `test` has left
    if not below:
        raise ValueError(
            f"{path} holds no run: neither it nor a folder below has a config.yaml or a table; name a folder that "
            f"`lit-gans fit` has written, such as runs/ring/version_0"
        )
    if len(below) > 1:
        raise ValueError(f"{path} holds {len(below)} runs; name those that you mean: {', '.join(map(str, below))}")
    return below[0]


def read_run(folder: Path, name: str) -> Run:
    """Reads all that a run has left so far; it may still be going on.

    Args:
        folder: See `find_run`.
        name: What the run shall be called.
    """
    config = folder / "config.yaml"
    try:
        content = yaml.safe_load(config.read_text()) if config.exists() else {}
    except yaml.YAMLError as error:
        raise ValueError(f"{config} cannot be read ({error}); leave this run out, or mend the file") from error
    # The loggers' table first: it is the same everywhere, and a probe's own may have been begun anew.
    tables = sorted(folder.glob("*.csv"), key=lambda path: (path.name != "metrics.csv", path.name))
    series: dict[str, Series] = {}
    for table in tables:
        series = {**_series(_rows(table)), **series}
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    pictures = {path.name: found for path in folders if (found := _pictures(path))}
    return Run(name, folder, dict(_flat(content, "")), series, pictures)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() or any(folder.glob("*.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table; of a run that is going on the last line may be half written, and is left out."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    whole = lines if not lines or lines[-1].endswith("\n") else lines[:-1]
    return list(csv.DictReader(whole))


def _series(rows: list[dict[str, str]]) -> dict[str, Series]:
    """Each number of a table by log key, its seeds together."""
    measured: dict[str, dict[int, float]] = {}
    for row in rows:
        place = row.get("iteration") or row.get("step")
        for column, text in row.items():
            if place and place.isdigit() and column not in _PLACES and (number := _number(text)) is not None:
                measured.setdefault(column, {})[int(place)] = number
    keys = [column for column in measured if "/seed_" not in column]
    return {key: _of_all_seeds(key, measured) for key in keys}


def _of_all_seeds(key: str, measured: dict[str, dict[int, float]]) -> Series:
    columns = sorted((each for each in measured if re.fullmatch(rf"{re.escape(key)}/seed_-?\d+", each)), key=_seed)
    columns = columns or [key]
    iterations = sorted(set.intersection(*(set(measured[column]) for column in columns)))
    values = [[measured[column][i] for column in columns] for i in iterations]
    return Series(np.array(iterations, float), np.array(values, float).reshape(len(iterations), len(columns)))


def _seed(column: str) -> int:
    return int(column.rpartition("_")[2])


def _number(text: str | None) -> float | None:
    """A number; None of what is empty, of a word, and of NaN, which no mean can take."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return None if np.isnan(number) else number


def _pictures(folder: Path) -> dict[int, Path]:
    """The pictures `<iteration>.png` of a probe."""
    found = {int(path.stem): path for path in sorted(folder.glob("*.png")) if path.stem.isdigit()}
    if found and not _is_whole(found[max(found)]):  # of a run that is going on
        del found[max(found)]
    return found


def _is_whole(picture: Path) -> bool:
    try:
        with Image.open(picture) as image:
            image.load()
    except OSError:
        return False
    return True


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Settings by dotted key: of a class its bare name, and its arguments below it."""
    if isinstance(value, dict) and "class_path" in value:
        yield key, value["class_path"].rpartition(".")[2]
        value = value.get("init_args") or {}
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(each, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for each in value:
            kind = each.get("class_path", "") if isinstance(each, dict) else str(each)
            yield from _flat(each, f"{key}.{kind.rpartition('.')[2]}")
    else:
        yield key, "" if value is None else str(value)
