"""What sharing a game between processes costs, by strategy: `gan` beside Lightning's search for unused parameters.

    python benchmarks/processes.py

Two processes on this machine train an MLP game on 64-dimensional points, by both strategies in turns; each pair of
turns gives one ratio of their times, because machines are noisy.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import DataLoader, TensorDataset

from lit_gans import GAN, GANStrategy
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1

ACROSS: dict[str, Any] = {"start_method": "fork", "process_group_backend": "gloo"}
STRATEGIES = {
    "gan": lambda: GANStrategy(**ACROSS),
    "ddp_find_unused_parameters_true": lambda: DDPStrategy(find_unused_parameters=True, **ACROSS),
}


class Clock(pl.Callback):
    """Notes when the first process has done some iterations; the first ones are warm-up."""

    def __init__(self, file: str, warm_up: int) -> None:
        self.file, self.warm_up, self.began = file, warm_up, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Starts the clock after the warm-up."""
        if trainer.global_step == self.warm_up:
            self.began = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Writes down seconds per iteration."""
        if trainer.is_global_zero:
            seconds = (time.perf_counter() - self.began) / (trainer.global_step - self.warm_up)
            torch.save(seconds, self.file)


def seconds(strategy: str, width: int, iterations: int, penalty: bool) -> float:
    """Per iteration of a run."""
    file = str(Path(tempfile.gettempdir()) / f"lit_gans_processes_{os.getpid()}.pt")
    gan = GAN(
        MLPGenerator(64, (64,), (width, width)),
        MLPDiscriminator((64,), (width, width)),
        latent_dim=64,
        penalties={"r1": R1(1.0)} if penalty else {},
    )
    trainer = pl.Trainer(
        max_steps=iterations,
        accelerator="cpu",
        devices=2,
        strategy=STRATEGIES[strategy](),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock(file, iterations // 10)],
        use_distributed_sampler=False,
    )
    reals = DataLoader(TensorDataset(torch.randn(64 * iterations, 64)), batch_size=64)
    trainer.fit(gan, train_dataloaders=reals)
    return float(torch.load(file))


def main() -> None:
    """Prints a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=300)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    plain, other = STRATEGIES
    print(f"| game | ms per iteration, {plain} | {other} | ratio, median of {given.turns} |\n|---|---|---|---|")
    for width, penalty in ((64, False), (64, True), (512, False), (512, True)):
        times = [[seconds(name, width, given.iterations, penalty) for name in STRATEGIES] for _ in range(given.turns)]
        ratio = statistics.median(theirs / ours for ours, theirs in times)
        ours, theirs = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {width} units{', R1' * penalty} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
