"""`lit-gans claims`: runs what a paper compares, and says whether the claim holds.

A claim is a set of composed configs, numbers read from the tables that each run leaves behind, and relations between
those numbers.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import plotting
from .catalogue import CLAIMS
from .claim import Claim


def main(args: Sequence[str] | None = None) -> None:
    """Runs the claims that are named, or all, and prints a table for each."""
    options, overrides = _parser().parse_known_args(args)
    keys = _named(options.claims)
    if not Path("configs/variants").is_dir():
        sys.exit("error: there is no configs/variants here; run this in a checkout of lit-gans")
    overrides += [f"--model.seeds={options.seeds}"]
    if options.iterations is not None:
        overrides += [f"--trainer.max_steps={options.iterations}"]
    claims = {key: _sized(key, options.full_size) for key in keys}
    for file, making in {file: making for claim in claims.values() for file, making in claim.needs.items()}.items():
        _make(Path(file), making)
    runs = {(claim.base, variants) for claim in claims.values() for variants in claim.runs.values()}
    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda run: _fit(options.folder, run[0], run[1], overrides), sorted(runs)))
    rows = []
    for key, claim in claims.items():
        try:
            rows.append(_report(key, claim, options.folder, options.seeds))
        except ValueError as error:
            sys.exit(f"error: {key} cannot be judged: {error}")
    if len(rows) > 1:
        _summarise(rows, options.folder)


def _named(given: Sequence[str]) -> list[str]:
    """The claims of these keys, or of all whose keys begin like this and a dash: `SV` is every claim of the survey."""
    keys = [key for name in given for key in CLAIMS if key == name or key.startswith(f"{name}-")] or list(CLAIMS)
    unknown = [name for name in given if not any(key == name or key.startswith(f"{name}-") for key in CLAIMS)]
    if unknown:
        sys.exit(f"error: no claim is called {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    return list(dict.fromkeys(keys))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lit-gans claims", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "claims", nargs="*", help=f"of {', '.join(CLAIMS)}, or the first part of several; none means all"
    )
    parser.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, help="the configs' own if not given")
    parser.add_argument("--folder", type=Path, default=Path("runs/claims"))
    parser.add_argument(
        "--full-size",
        action="store_true",
        help="the paper's networks and data, where ours are smaller; see --iterations",
    )
    parser.add_argument("--processes", type=int, default=1, help="how many runs at a time")
    parser.epilog = (
        "Further arguments go to every `lit-gans fit`. Runs that the folder holds with the same configs and "
        "arguments are not repeated; others are replaced."
    )
    return parser


def _sized(key: str, full_size: bool) -> Claim:
    claim = CLAIMS[key]
    if not full_size:
        return claim
    if claim.full_size is None:
        sys.exit(f"error: {key} has no other size than its own; leave out --full-size")
    return replace(claim, base=claim.full_size)


def _make(file: Path, making: tuple[str, ...]) -> None:
    """Makes a file that runs need, if it is not there."""
    if file.exists():
        return
    command = [sys.executable, "-m", "lit_gans", *making, f"--file={file}"]
    print("+", *command[1:], flush=True)
    if subprocess.run(command).returncode:
        sys.exit(f"error: {file}, which the runs need, could not be made; see above")


def _folder(folder: Path, base: str, variants: tuple[str, ...]) -> Path:
    return folder / "-".join((base, *variants))


def _fit(folder: Path, base: str, variants: tuple[str, ...], overrides: list[str]) -> None:
    """Trains one run in a process of its own, unless it is there already, of the same configs and overrides."""
    target = _folder(folder, base, variants)
    files = [f"configs/{base}.yaml", *(f"configs/variants/{variant}.yaml" for variant in variants)]
    configs = hashlib.sha256("".join(Path(file).read_text() for file in files).encode()).hexdigest()
    done, run = target / "finished", repr((configs, overrides))
    if done.exists() and done.read_text() == run:
        return
    place = ["--trainer.logger.init_args", f"{{save_dir: {target.parent}, name: {target.name}, version: ''}}"]
    command = [sys.executable, "-m", "lit_gans", "fit", *(f"--config={file}" for file in files), *place, *overrides]
    print("+", *command[1:], flush=True)
    shutil.rmtree(target, ignore_errors=True)  # tables grow at their end: what a broken run left must go
    target.mkdir(parents=True)
    with (target / "log.txt").open("w") as log:
        failed = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
    if failed:
        sys.exit(f"error: the run {target.name} failed; see {target / 'log.txt'}")
    done.write_text(run)


def _report(key: str, claim: Claim, folder: Path, seeds: list[int]) -> str:
    """Prints a claim's tables and verdict, and draws its numbers; returns its row of a table of several claims."""
    folders = {name: _folder(folder, claim.base, variants) for name, variants in claim.runs.items()}
    numbers = {
        name: {run: measure.read(path, seeds) for run, path in folders.items()}
        for name, measure in claim.measures.items()
    }
    print(f"\n{key}. {claim.statement}\n({claim.source}; configs/{claim.base}.yaml)")
    words = {name: measure.words for name, measure in claim.measures.items()}
    for measure, of_runs in numbers.items():
        print(f"\n| {words[measure]} | mean | {' | '.join(f'seed {seed}' for seed in seeds)} |")
        print(f"|---|{'---|' * (len(seeds) + 1)}")
        for name, values in of_runs.items():
            print(f"| {name} | {values.mean():.2f} | {' | '.join(f'{value:.2f}' for value in values)} |")
    print()
    verdicts = {relation: holds(numbers) for relation, holds in claim.relations.items()}
    for relation, holds in verdicts.items():
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {relation}")
    if any(np.isnan(values).any() for of_runs in numbers.values() for values in of_runs.values()):
        print("(nan: a seed without a number; what is said of it does not hold for want of one)")
    path = folder / f"{key}.png"
    plotting.comparisons({words[name]: of_runs for name, of_runs in numbers.items()}, key).savefig(path, dpi=120)
    print(f"picture: {path}")
    (measure, of_runs), *_ = numbers.items()
    base, *others = (f"{name}: {values.mean():.2f}" for name, values in of_runs.items())
    failed = [relation for relation, holds in verdicts.items() if not holds]
    verdict = "holds" if not failed else f"does not hold: {'; '.join(failed)}"
    return f"| {key} | {claim.statement} | {words[measure]} | {base} | {'; '.join(others)} | {verdict} |"


def _summarise(rows: Sequence[str], folder: Path) -> None:
    """Prints and keeps a table with a row for each claim, of its first measure and its runs, the first run apart."""
    table = "\n".join(
        ["| claim | what it says | measure | without | with | verdict |", "|---|---|---|---|---|---|", *rows]
    )
    path = folder / "summary.md"
    path.write_text(f"{table}\n")
    print(f"\n{table}\n\ntable: {path}")
