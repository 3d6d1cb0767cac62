"""What watching costs: the default run on the ring with every probe on, beside the same run with none.

Twenty looks of each probe in 20 000 iterations of the default game (ring, two hidden layers of 64, batch 256,
non-saturating, SGD). The runs take turns in one process, each timed from the call of `fit` to its return: without
probes, with every probe and `NumbersOnly`, and with their pictures and films, for which the run waits at its end.
`--seeds 5` trains five seeds at once. The time that each probe takes of the game is printed, too. `LossCurves`, which
draws what the game logs, keeps its own pace; `SQDLogger`, which measures at every iteration, has sqd.py.

    python benchmarks/probes.py
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections import defaultdict

import pytorch_lightning as pl
import torch

import callbacks
from datamodules import RingDataModule
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator


def every_probe(every: int) -> list[callbacks.Probe]:
    """Every probe that fits data in the plane."""
    kinds = [getattr(callbacks, name) for name in callbacks.__all__]
    abstract = (callbacks.Probe, callbacks.Trend, callbacks.Verdict)
    # For the line, for labelled images, and one that measures at every iteration: see sqd.py.
    elsewhere = (callbacks.DiracPortrait, callbacks.ClassCoverage, callbacks.SQDLogger)
    probes = [kind for kind in kinds if issubclass(kind, callbacks.Probe) and kind not in (*abstract, *elsewhere)]
    settings = {callbacks.LandscapeProbe: {"reach": 2.0}, callbacks.LossCurves: {"every_n_iterations": 5000}}
    return [kind(**{"every_n_iterations": every, **settings.get(kind, {})}) for kind in probes]


def run(iterations: int, seeds: int, watching: list[pl.Callback]) -> float:
    """Seconds of a run."""

    def sgd(parameters: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=3e-3)

    gan = GAN(
        MLPGenerator(2, (2,)),
        MLPDiscriminator((2,)),
        latent_dim=2,
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        seeds=list(range(seeds)) if seeds else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=iterations,
            accelerator="cpu",
            logger=False,
            callbacks=watching,
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        start = time.perf_counter()
        trainer.fit(gan, datamodule=RingDataModule(batch_size=256))
        return time.perf_counter() - start


def timed(probe: callbacks.Probe, seconds: dict[str, float]) -> callbacks.Probe:
    """The probe, whose looks are timed."""
    look = probe._look

    def clocked(*arguments: object) -> None:
        start = time.perf_counter()
        look(*arguments)
        seconds[type(probe).__name__] += time.perf_counter() - start

    probe._look = clocked
    return probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20_000)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0, help="seeds trained at once; 0: no seeds axis")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    every = options.iterations // options.looks
    run(200, options.seeds, every_probe(200))  # warm-up, and the start of the process that draws
    seconds: dict[str, float] = defaultdict(float)
    turns = []
    for _ in range(options.turns):
        probes = [timed(probe, seconds) for probe in every_probe(every)]
        kinds = ([], [*probes, callbacks.NumbersOnly()], every_probe(every))
        turns.append([run(options.iterations, options.seeds, kind) for kind in kinds])
    plain = statistics.median(turn[0] for turn in turns)
    print(f"{len(seconds)} probes, {options.looks} looks each, in a run of {plain:.1f} s")
    for which, what in enumerate(("numbers only", "with pictures"), start=1):
        ratios = sorted(turn[which] / turn[0] for turn in turns)
        print(
            f"{what:14} {statistics.median(ratios):.3f} times the run without "
            f"({ratios[0]:.3f} to {ratios[-1]:.3f} in {len(ratios)} turns)"
        )
    for name, total in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{name:20} {1e3 * total / options.turns / (options.looks + 1):6.1f} ms per look")


if __name__ == "__main__":
    main()
