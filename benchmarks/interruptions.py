"""Runs that are killed at random moments and go on: do they end with the bits of one that was never stopped?

    python benchmarks/interruptions.py --kills 20

One run with everything on (memory, replay, noise, schedules, an average of G, three D updates per G update, two seeds,
workers, SQD, validation) is never stopped. Others of the same settings are ended by SIGKILL, SIGTERM, SIGINT or an
exception at a moment drawn at random, and go on by `--ckpt_path last` until they are through. Every tensor and number
of the last checkpoints must be the same, and every number that both have logged.
"""

import argparse
import contextlib
import csv
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from datamodules import DigitsDataModule
from lit_gans import cli
from lit_gans.judges import ClassifierJudge

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EVERYTHING = """
data:
  class_path: DigitsDataModule
  init_args: {batch_size: 16, num_workers: 2}
model:
  latent_dim: 8
  generator: {class_path: MLPGenerator, init_args: {hidden: [32], batch_norm: true, tanh: true}}
  discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [32]}}
  seeds: [0, 1]
  n_critic: 3
  ema: 0.9
  penalties:
    gp:
      class_path: WGANGP
      init_args: {weight: {class_path: Linear, init_args: {start: 5.0, end: 0.0, iterations: 200}}}
    r1: {class_path: R1, init_args: {weight: 0.5, interval: 4}}
  generator_scheduler: {class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 300}}
  discriminator_scheduler: {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.999}}
trainer:
  max_epochs: -1
  accelerator: cpu
  log_every_n_steps: 5
  check_val_every_n_epoch: 2
  enable_progress_bar: false
  enable_model_summary: false
  logger: {class_path: CSVLogger, init_args: {save_dir: runs, name: everything}}
  callbacks:
    - class_path: OldFakeReplay
      init_args: {buffer: {class_path: Reservoir, init_args: {capacity: 200}}}
    - {class_path: OnlineEWC, init_args: {task_length: 40, n_samples: 64}}
    - {class_path: SynapticIntelligence, init_args: {task_length: 30}}
    - {class_path: HistoricalAveraging, init_args: {discriminator_weight: 0.01, generator_weight: 0.01}}
    - class_path: InstanceNoise
      init_args: {std: {class_path: Linear, init_args: {start: 0.2, end: 0.0, iterations: 200}}}
    - class_path: SQDLogger
      init_args:
        every_n_iterations: 25
        n_samples: 100
        judge: {class_path: lit_gans.judges.ClassifierJudge, init_args: {file: judge.pt}}
    - {class_path: DivergenceGuard}
    - {class_path: Movement, init_args: {every_n_iterations: 20}}
    - {class_path: NumbersOnly}
checkpoint:
  every_n_train_steps: 25
"""
PATHS = {"dirpath", "best_model_path", "last_model_path", "kth_best_model_path", "best_k_models", "config"}
"""What names files, in checkpoints, and may differ."""
ENDS = {
    "SIGKILL": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "exception": signal.SIGUSR1,
}


def play(folder: Path, iterations: int, *arguments: str) -> None:
    """One run of the command line in a folder, from its last checkpoint if that is asked for."""
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, stumble)
    cli.main(["fit", "--config", "../everything.yaml", f"--trainer.max_steps={iterations}", *arguments])


def stumble(number: int, frame: Any) -> None:
    """Raises, wherever the run is."""
    raise RuntimeError("something has gone wrong in the midst of the run")


def start(folder: Path, iterations: int, *arguments: str) -> Any:
    """The same in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=play, args=(folder, iterations, *arguments))
    process.start()
    return process


def interrupted(folder: Path, iterations: int, seconds: float, how: str) -> str:
    """Plays until a moment, ends the run, and plays on until it is through; tells at which checkpoints it went on."""
    process = start(folder, iterations)
    process.join(seconds)
    ended = process.is_alive()
    if ended:
        os.kill(process.pid, ENDS[how])
        process.join()
    went_on = []
    for _ in range(3):
        if process.exitcode == 0:
            return f"{how if ended else 'was through'} after {seconds:.1f} s, went on at {went_on or 'nothing'}"
        last = sorted(folder.rglob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
        if last:
            went_on.append(torch.load(last[-1], weights_only=True)["global_step"])
        process = start(folder, iterations, *(["--ckpt_path=last"] if last else []))
        process.join()
    raise RuntimeError(f"{folder} cannot go on: {(folder / 'output.txt').read_text()[-2000:]}")


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two checkpoints differ, to the bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other} - PATHS, key=str):
            if (key in one) != (key in other):
                yield f"{where}/{key} is in one alone"
            else:
                yield from differences(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{where}/{place}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)):
            yield where
    elif one != other and not (one != one and other != other):
        yield f"{where}: {one!s:.40} and {other!s:.40}"


def logged(folder: Path) -> dict[tuple[str, str], str]:
    """By iteration and key: what all runs in a folder have logged, the later ones last."""
    numbers = {}
    for path in sorted(folder.rglob("metrics.csv"), key=lambda file: file.stat().st_mtime_ns):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                numbers |= {(row["step"], key): value for key, value in row.items() if value and key != "epoch"}
    return numbers


def last(folder: Path) -> dict[str, Any]:
    """The checkpoint that a run has ended with."""
    newest = max(folder.rglob("last.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    checkpoint: dict[str, Any] = torch.load(newest, weights_only=True)
    return checkpoint


def main() -> None:
    """Kills, goes on, compares, and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    parser.add_argument("--folder", type=Path, default=Path("runs/interruptions"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.folder.resolve()
    folder.mkdir(parents=True)
    (folder / "everything.yaml").write_text(EVERYTHING)
    data = DigitsDataModule()
    ClassifierJudge.train(folder / "judge.pt", data.labelled("train"), data.labelled("test"), 100, seed=0)

    def room(name: str) -> Path:
        (folder / name).mkdir()
        (folder / name / "judge.pt").symlink_to(folder / "judge.pt")
        return folder / name

    whole, began = room("whole"), time.perf_counter()
    process = start(whole, given.iterations)
    process.join()
    if process.exitcode:
        sys.exit((whole / "output.txt").read_text())
    duration = time.perf_counter() - began
    end, told = last(whole), logged(whole)
    print(f"a run of {given.iterations} iterations, never stopped, takes {duration:.1f} s")
    moments, failed = random.Random(given.seed), 0
    for kill in range(given.kills):
        place = room(f"kill_{kill}")
        story = interrupted(place, given.iterations, moments.uniform(0, 0.9 * duration), list(ENDS)[kill % len(ENDS)])
        different = [*differences(end, last(place))]
        again = logged(place)
        different += [
            f"logged {key} at {step}" for (step, key), value in told.items() if again.get((step, key)) != value
        ]
        failed += bool(different)
        print(f"{kill + 1:3d}. {story}: {'the same bits' if not different else different[:5]}", flush=True)
    print(f"{given.kills - failed} of {given.kills} end with the bits of the run that was never stopped")
    with contextlib.suppress(BrokenPipeError):
        sys.exit(failed)


if __name__ == "__main__":
    main()
