"""A long run with everything on: do its memory and its file handles stay what they are?

    python benchmarks/steadiness.py --minutes 30

The game is that of `interruptions.py`, with probes, pictures and films beside. Memory is the resident set of the
process and of those that it has started; handles are open files, pipes and sockets of the process itself.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytorch_lightning as pl
import torch
from interruptions import EVERYTHING

from datamodules import DigitsDataModule
from lit_gans import cli
from lit_gans.judges import ClassifierJudge

PROBES = ("SampleGrid", "LossCurves", "LandscapeProbe", "NoisyReals", "WeightRank", "Recurrence")
FOOTPRINTS: list[tuple[float, int, float, int]] = []
"""Seconds, iterations, MiB, handles."""


class Footprint(pl.Callback):
    """Notes every few seconds how much memory and how many handles the run has."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Once in five seconds."""
        now = time.monotonic()
        if FOOTPRINTS and now - FOOTPRINTS[-1][0] < 5:
            return
        here = psutil.Process()
        memory = 0
        for process in (here, *here.children(recursive=True)):
            try:
                memory += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        FOOTPRINTS.append((now, trainer.global_step, memory / 2**20, here.num_fds()))


def main() -> None:
    """Runs, and prints what the run had in each tenth of its time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=Path("runs/steadiness"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True)
    os.chdir(given.folder)
    Path("everything.yaml").write_text(EVERYTHING.replace("    - {class_path: NumbersOnly}\n", ""))
    data = DigitsDataModule()
    ClassifierJudge.train(Path("judge.pt"), data.labelled("train"), data.labelled("test"), 100, seed=0)
    arguments = [f"--trainer.callbacks+={probe}" for probe in (*PROBES, f"{__name__}.Footprint")]
    cli.main(["fit", "--config=everything.yaml", f"--trainer.max_time=00:00:{given.minutes:02d}:00", *arguments])
    rows = np.array(FOOTPRINTS)
    share = (rows[:, 0] - rows[0, 0]) / (rows[-1, 0] - rows[0, 0])
    print("| minutes | iterations | memory, MiB | handles |\n|---|---|---|---|")
    for tenth in range(10):
        part = rows[(share >= tenth / 10) & (share <= (tenth + 1) / 10)]
        minutes = f"{(part[0, 0] - rows[0, 0]) / 60:.0f} to {(part[-1, 0] - rows[0, 0]) / 60:.0f}"
        print(f"| {minutes} | {part[-1, 1]:.0f} | {part[:, 2].mean():.0f} | {part[:, 3].mean():.0f} |")


if __name__ == "__main__":
    main()
