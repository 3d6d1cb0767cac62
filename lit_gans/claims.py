"""`lit-gans claims`: runs what a paper compares, and says whether the claim holds.

A claim is a set of composed configs, a number read from the tables that each run leaves behind, and relations
between those numbers. Thresholds stand here, in the code, before the runs that they judge.
"""

import argparse
import csv
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import plotting

Numbers = Mapping[str, plotting.Array]
"""A measure of each run by its name, one number per seed."""


@dataclass(frozen=True)
class Claim:
    """One comparison of a paper."""

    statement: str
    """What the paper says happens."""
    source: str
    """Where it says so."""
    runs: dict[str, tuple[str, ...]]
    """By name: the variants of `configs/variants` that a run adds to `base`."""
    measure: str
    """What is read from each run, in words."""
    read: Callable[[Path, list[int]], plotting.Array]
    """From a run's folder and its seeds to the measure, one number per seed."""
    relations: dict[str, Callable[[Numbers], bool]]
    """What must be true, in words, and the test of it."""
    base: str = "ring"
    """The config that every run starts from."""


def settled_cosine(folder: Path, seeds: list[int]) -> plotting.Array:
    """`field/cosine`, averaged over the second half of the run."""
    iterations, values = column(folder / "vector_field.csv", "field/cosine", seeds)
    return values[iterations > iterations.max() / 2].mean(0)


def final_modes(folder: Path, seeds: list[int]) -> plotting.Array:
    """`modes/covered` at the end of the run."""
    _, values = column(folder / "mode_coverage.csv", "modes/covered", seeds)
    return values[-1]


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
    iterations = np.array([int(row["iteration"]) for row in rows])
    return iterations, np.array([[float(row[f"{key}/seed_{seed}"]) for seed in seeds] for row in rows])


CLAIMS = {
    "CF-1": Claim(
        statement="D's gradient field turns with the fakes under plain SGD, and stands still with a zero-centred "
        "gradient penalty, with WGAN-GP, with Adam, or with an imbalanced loss.",
        source="Thanh-Tung & Tran, fig. 1 (the imbalanced loss on the ring is ours)",
        runs={
            "non-saturating, SGD": (),
            "R1": ("r1",),
            "0-GP": ("zero_gp",),
            "imbalanced": ("imbalanced",),
            "Adam": ("adam",),
            "WGAN-GP": ("wgan_gp",),
            "WGAN-GP, n_critic 5": ("wgan_gp", "n_critic_5"),
            "WGAN-GP, Adam": ("wgan_gp", "adam"),
        },
        measure="mean cosine of D's field over 500 iterations, second half of the run",
        read=settled_cosine,
        relations={
            "non-saturating, SGD: below 0.3": lambda n: n["non-saturating, SGD"].mean() < 0.3,
            "R1: above 0.9": lambda n: n["R1"].mean() > 0.9,
            "0-GP: above 0.9": lambda n: n["0-GP"].mean() > 0.9,
            "imbalanced: above 0.9": lambda n: n["imbalanced"].mean() > 0.9,
            "Adam: above 0.9": lambda n: n["Adam"].mean() > 0.9,
            "WGAN-GP: above 0.9": lambda n: n["WGAN-GP"].mean() > 0.9,
            "WGAN-GP, n_critic 5: above 0.9": lambda n: n["WGAN-GP, n_critic 5"].mean() > 0.9,
            "WGAN-GP, Adam: above 0.9": lambda n: n["WGAN-GP, Adam"].mean() > 0.9,
        },
    ),
    "CF-2": Claim(
        statement="An imbalanced loss covers more modes than the plain one, and R1 with Adam covers all.",
        source="after Thanh-Tung & Tran, section V-B (the paper shows the imbalanced loss on CIFAR-10)",
        runs={"non-saturating, SGD": (), "imbalanced": ("imbalanced",), "R1, Adam": ("r1", "adam")},
        measure="modes covered of 8, by 2 500 samples, at the end of the run",
        read=final_modes,
        relations={
            "imbalanced: at least twice the plain loss": lambda n: (
                n["imbalanced"].mean() >= 2 * n["non-saturating, SGD"].mean()
            ),
            "R1, Adam: 8 for every seed": lambda n: bool((n["R1, Adam"] == 8).all()),
        },
    ),
}


def main(args: Sequence[str] | None = None) -> None:
    """Runs the claims that are named, or all, and prints a table for each."""
    options, overrides = _parser().parse_known_args(args)
    keys = options.claims or list(CLAIMS)
    unknown = [key for key in keys if key not in CLAIMS]
    if unknown:
        sys.exit(f"error: no claim is called {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    if not Path("configs/variants").is_dir():
        sys.exit("error: there is no configs/variants here; run this in a checkout of lit-gans")
    overrides += [f"--model.seeds={options.seeds}"]
    if options.iterations is not None:
        overrides += [f"--trainer.max_steps={options.iterations}"]
    runs = {(claim.base, variants) for claim in (CLAIMS[key] for key in keys) for variants in claim.runs.values()}
    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda run: _fit(options.folder, run[0], run[1], overrides), sorted(runs)))
    for key in keys:
        try:
            _report(key, CLAIMS[key], options.folder, options.seeds)
        except ValueError as error:
            sys.exit(f"error: {key} cannot be judged: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lit-gans claims", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("claims", nargs="*", help=f"of {', '.join(CLAIMS)}; none means all")
    parser.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, help="the configs' own if not given")
    parser.add_argument("--folder", type=Path, default=Path("runs/claims"))
    parser.add_argument("--processes", type=int, default=1, help="how many runs at a time")
    parser.epilog = (
        "Further arguments go to every `lit-gans fit`. Runs that the folder holds with the same configs and "
        "arguments are not repeated; others are replaced."
    )
    return parser


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


def _report(key: str, claim: Claim, folder: Path, seeds: list[int]) -> None:
    """Prints a claim's table and verdict, and draws its numbers."""
    numbers = {name: claim.read(_folder(folder, claim.base, v), seeds) for name, v in claim.runs.items()}
    print(f"\n{key}. {claim.statement}\n({claim.source}; {claim.measure})\n")
    print(f"| run | mean | {' | '.join(f'seed {seed}' for seed in seeds)} |\n|---|{'---|' * (len(seeds) + 1)}")
    for name, values in numbers.items():
        print(f"| {name} | {values.mean():.2f} | {' | '.join(f'{value:.2f}' for value in values)} |")
    for relation, holds in claim.relations.items():
        print(f"{'holds' if holds(numbers) else 'DOES NOT HOLD'}: {relation}")
    path = folder / f"{key}.png"
    plotting.comparison(numbers, claim.measure, key).savefig(path, dpi=120)
    print(f"picture: {path}")
