"""The page: settings, numbers, curves, pictures and films of several runs in one file."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import plotting
from .film import film, shared_iterations
from .runs import Run, Series

_OF_FIXED_LATENTS = ("sample_grid", "latent_interpolation")
_DRAWN_ANEW = "loss_curves"


def write_page(runs: Sequence[Run], file: Path) -> None:
    """Writes one HTML file that holds all it shows: no script, nothing from elsewhere.

    Args:
        runs: In the order in which they are to stand; their names differ.
        file: Where to.
    """
    environment = Environment(
        loader=PackageLoader("lit_gans.compare", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html").render(
        runs=runs,
        settings=different_settings(runs),
        numbers=final_numbers(runs),
        charts=_charts(runs),
        pictures=_last_pictures(runs),
        films=_films(runs),
    )
    file.write_text(page, encoding="utf-8")


def different_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The settings in which runs differ: by key, one value per run; empty where a run has none."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = {key: [run.settings.get(key, "") for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def final_numbers(runs: Sequence[Run]) -> dict[str, list[str]]:
    """By log key, a number per run: the mean over the last tenth of its iterations, over seeds ± their deviation."""
    return {key: [_words(run.series.get(key)) for run in runs] for key in _keys(runs)}


def _words(series: Series | None) -> str:
    if series is None or len(series.iterations) == 0:
        return ""
    by_seed = series.at_the_end()
    spread = f" ± {by_seed.std(ddof=1):.2g}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():.4g}{spread}"


def _keys(runs: Sequence[Run]) -> list[str]:
    """All log keys, those of the two losses first."""
    keys = dict.fromkeys(key for run in runs for key in run.series)
    return sorted(keys, key=lambda key: (_group(key) not in ("d", "g"), key))


def _group(key: str) -> str:
    return key.rpartition("/")[0].split("/")[0] or key


def _charts(runs: Sequence[Run]) -> dict[str, str]:
    """A chart per group of log keys: what stands before the first slash."""
    charts = {}
    for group, keys in groupby(_keys(runs), _group):
        series = {key: {run.name: run.series[key] for run in runs if key in run.series} for key in keys}
        measured = {key: of for key, of in series.items() if any(len(each.iterations) for each in of.values())}
        if measured:
            file = io.BytesIO()
            plotting.runs({key: _as_pairs(of) for key, of in measured.items()}).savefig(file, dpi=100)
            charts[group] = _embedded(file.getvalue(), "png")
    return charts


def _as_pairs(of_runs: Mapping[str, Series]) -> dict[str, Any]:
    return {name: (series.iterations, series.values) for name, series in of_runs.items() if len(series.iterations)}


def _shared_probes(runs: Sequence[Run]) -> list[str]:
    """The probes of which at least two runs have pictures, or the only run has; samples first."""
    names = dict.fromkeys(name for run in runs for name in run.pictures if name != _DRAWN_ANEW)
    shared = [name for name in names if sum(name in run.pictures for run in runs) >= min(2, len(runs))]
    return sorted(shared, key=lambda name: (name not in _OF_FIXED_LATENTS, name))


def _last_pictures(runs: Sequence[Run]) -> dict[str, list[tuple[str, int, str]]]:
    """By probe, of each run that has it: name, iteration and picture."""
    pictures = {}
    for probe in _shared_probes(runs):
        last = [(run.name, max(run.pictures[probe]), run) for run in runs if probe in run.pictures]
        pictures[probe] = [(n, i, _embedded(run.pictures[probe][i].read_bytes(), "png")) for n, i, run in last]
    return pictures


def _films(runs: Sequence[Run]) -> dict[str, str]:
    """By probe, a film of the samples of all runs that have it, where they share two iterations or more."""
    films = {}
    for probe in [name for name in _shared_probes(runs) if name in _OF_FIXED_LATENTS]:
        pictures = {run.name: run.pictures[probe] for run in runs if probe in run.pictures}
        if len(shared_iterations(list(pictures.values()))) > 1:
            films[probe] = _embedded(film(pictures), "gif")
    return films


def _embedded(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
