"""What remembering costs: the default game with each of D's memories, beside the same game without.

Ring, two hidden layers of 64, batch 256, non-saturating, SGD. Each memory takes turns with the plain game in one
process, and each pair gives one ratio, because machines are noisy. Tasks are 500 iterations long, the buffers hold
10 000 fakes. Then the importance pass alone, beside a loop over single samples that gives the same numbers.

The game is timed bare, with no logger, picture or progress bar; with `--command` it is the default run as
`lit-gans fit` plays it, with what configs/ring.yaml logs and draws, and each memory as its variant has it.

    python benchmarks/memory.py
    python benchmarks/memory.py --command
    python benchmarks/memory.py --flat    # 20 000 iterations with everything on: is the process's memory flat?
"""

import argparse
import contextlib
import logging
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from overhead import Clock, game

import callbacks
from lit_gans import cli
from lit_gans.losses import NonSaturating
from lit_gans.memory import FIFO, ImagePool, Reservoir, fisher_diagonal
from lit_gans.networks import MLPDiscriminator

MEMORIES: dict[str, Callable[[], pl.Callback]] = {
    "OnlineEWC": lambda: callbacks.OnlineEWC(10.0, task_length=500),
    "EWC": lambda: callbacks.EWC(10.0, task_length=500),
    "SynapticIntelligence": lambda: callbacks.SynapticIntelligence(1.0, task_length=500),
    "OldFakeReplay, Reservoir": lambda: callbacks.OldFakeReplay(0.5, Reservoir(10_000)),
    "OldFakeReplay, FIFO": lambda: callbacks.OldFakeReplay(0.5, FIFO(10_000)),
    "OldFakeReplay, ImagePool": lambda: callbacks.OldFakeReplay(0.5, ImagePool(10_000)),
    "HistoricalAveraging": lambda: callbacks.HistoricalAveraging(),
    "InstanceNoise": lambda: callbacks.InstanceNoise(0.1),
}


VARIANTS = ("online_ewc", "ewc", "synaptic_intelligence", "replay", "replay_recent")


def spread(ratios: list[float]) -> str:
    """Median, and from lowest to highest."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} turns)"


def costs(plain: Callable[[], float], memories: Mapping[str, Callable[[], float]], turns: int) -> None:
    """Each memory against the plain game, the two one after the other in every turn; each gives seconds."""
    plain()  # warm-up
    seconds = []
    for name, with_memory in memories.items():
        with_memory()
        ratios = []
        for _ in range(turns):
            before, between, after = plain(), with_memory(), plain()
            ratios.append(2 * between / (before + after))
            seconds += [before, after]
        print(f"{name:32} {spread(ratios)} of the game without", flush=True)
    print(f"the game without: {1e6 * statistics.median(seconds):.0f} microseconds per iteration and seed")


class Timed(Clock):
    """A clock that can be read when the command has forgotten it."""

    last = math.nan

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        Timed.last = self.seconds


def command(iterations: int, *variants: str) -> float:
    """Seconds per iteration of `lit-gans fit` on configs/ring.yaml with variants, what it prints thrown away."""
    configs = ["configs/ring.yaml", *(f"configs/variants/{name}.yaml" for name in variants)]
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        arguments = [f"--trainer.max_steps={iterations}", f"--trainer.logger.init_args.save_dir={folder}"]
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            clock = f"--trainer.callbacks+={__name__}.Timed"
            cli.main(["fit", *(f"--config={path}" for path in configs), *arguments, clock])
    return Timed.last / iterations


def importance_by_a_loop(loss: NonSaturating, discriminator: torch.nn.Module, real: Any, fake: Any) -> torch.Tensor:
    """As `fisher_diagonal`, one sample after the other, as it is usually written."""
    parameters = list(discriminator.parameters())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for term, samples in ((loss.real_term, real), (loss.fake_term, fake)):
        for sample in samples:
            discriminator.zero_grad()
            term(discriminator(sample.unsqueeze(0))).sum().backward()
            for total, parameter in zip(totals, parameters, strict=True):
                total += parameter.grad.square()
    return torch.cat([total.flatten() for total in totals]) / (len(real) + len(fake))


def importance(n_samples: int, turns: int) -> None:
    """The pass at the end of a task against the loop, with as many reals as fakes."""
    loss = NonSaturating()
    for name, shape, hidden in (("ring, 2x64", (2,), (64, 64)), ("digits, 3x128", (1, 8, 8), (128, 128, 128))):
        discriminator = MLPDiscriminator(shape, hidden)
        real, fake = torch.randn(2, n_samples, *shape)
        ratios, seconds, found = [], [], {}
        for _ in range(turns + 1):
            for method in (importance_by_a_loop, fisher_diagonal):
                start = time.perf_counter()
                found[method] = method(loss, discriminator, real, fake)
                seconds.append(time.perf_counter() - start)
            ratios.append(seconds[-2] / seconds[-1])
        torch.testing.assert_close(*found.values())
        milliseconds = 1e3 * statistics.median(seconds[3::2])
        print(f"{name:14} importance of {n_samples} + {n_samples}: {milliseconds:.1f} ms; a loop takes", end=" ")
        print(f"{spread(ratios[1:])} times that")


class Footprint(pl.Callback):
    """The resident memory of the process, in MiB, every thousand iterations."""

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        if trainer.global_step % 1000 == 0:
            mebibytes = psutil.Process().memory_info().rss / 2**20
            print(f"iteration {trainer.global_step:6}: {mebibytes:.1f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=2000, help="per turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0, help="seeds trained at once; 0: no seeds axis")
    parser.add_argument("--samples", type=int, default=512, help="of the importance pass")
    parser.add_argument("--command", action="store_true", help="only: the default run as `lit-gans fit` plays it")
    parser.add_argument("--flat", action="store_true", help="only: memory of the process with everything on")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    if options.flat:
        everything = ("OnlineEWC", "SynapticIntelligence", "OldFakeReplay, Reservoir", "HistoricalAveraging")
        hooks = [MEMORIES[name]() for name in (*everything, "InstanceNoise")]
        game(20_000, penalty=True, seeds=options.seeds, callbacks=[*hooks, Footprint()])
        return
    if options.command:
        runs = {name: partial(command, options.iterations, name) for name in VARIANTS}
        costs(partial(command, options.iterations), runs, options.turns)
        return
    bare = partial(game, options.iterations, seeds=options.seeds)

    def remembering(build: Callable[[], pl.Callback]) -> Callable[[], float]:
        return lambda: bare(callbacks=[build()])

    costs(bare, {name: remembering(build) for name, build in MEMORIES.items()}, options.turns)
    importance(options.samples, options.turns)


if __name__ == "__main__":
    main()
