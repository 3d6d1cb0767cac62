"""What remembering costs: the default game with each of D's memories, beside the same game without.

Ring, two hidden layers of 64, batch 256, non-saturating, SGD. Each memory takes turns with the plain game in one
process, and each pair gives one ratio, because machines are noisy. Tasks are 500 iterations long, the buffers hold
10 000 fakes. Then the importance pass alone, beside a loop over single samples that gives the same numbers.

    python benchmarks/memory.py
    python benchmarks/memory.py --flat    # 20 000 iterations with everything on: is the process's memory flat?
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from overhead import game

import callbacks
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


def spread(ratios: list[float]) -> str:
    """Median, and from lowest to highest."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} turns)"


def costs(iterations: int, turns: int, seeds: int) -> None:
    """Each memory against the plain game, the two one after the other in every turn."""
    game(200, seeds=seeds)  # warm-up
    plain = []
    for name, build in MEMORIES.items():
        game(600, seeds=seeds, callbacks=[build()])
        ratios = []
        for _ in range(turns):
            before = game(iterations, seeds=seeds)
            with_memory = game(iterations, seeds=seeds, callbacks=[build()])
            after = game(iterations, seeds=seeds)
            ratios.append(2 * with_memory / (before + after))
            plain += [before, after]
        print(f"{name:26} {spread(ratios)} of the game without")
    print(f"the game without: {1e6 * statistics.median(plain):.0f} microseconds per iteration and seed")


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
    parser.add_argument("--flat", action="store_true", help="only: memory of the process with everything on")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    if options.flat:
        everything = ("OnlineEWC", "SynapticIntelligence", "OldFakeReplay, Reservoir", "HistoricalAveraging")
        hooks = [MEMORIES[name]() for name in (*everything, "InstanceNoise")]
        game(20_000, penalty=True, seeds=options.seeds, callbacks=[*hooks, Footprint()])
        return
    costs(options.iterations, options.turns, options.seeds)
    importance(options.samples, options.turns)


if __name__ == "__main__":
    main()
