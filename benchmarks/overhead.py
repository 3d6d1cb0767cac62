"""What the game costs beside a bare PyTorch loop that does the same arithmetic.

The default run (ring, two hidden layers of 64, batch 256, non-saturating, SGD) with nothing else on: no logger, no
callbacks, no progress bar. Both sides take turns in one process, and each pair gives one ratio, because machines are
noisy. With `--penalty` both add R1; with `--seeds 10` the game trains ten seeds at once and is timed per seed.

    python benchmarks/overhead.py
"""

import argparse
import logging
import statistics
import time
import warnings

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from datamodules import RingDataModule
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1

BATCH, RATE, WEIGHT = 256, 3e-3, 10.0


def bare(iterations: int, penalty: bool) -> float:
    """Seconds per iteration of a loop without any library, data drawn on the spot."""
    generator, discriminator = MLPGenerator(2, (2,)), MLPDiscriminator((2,))
    generator_optimizer = torch.optim.SGD(generator.parameters(), lr=RATE)
    discriminator_optimizer = torch.optim.SGD(discriminator.parameters(), lr=RATE)
    ring = RingDataModule()
    start = time.perf_counter()
    for _ in range(iterations):
        real = ring.centers[torch.randint(8, (BATCH,))] + ring.std * torch.randn(BATCH, 2)
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 2))
        loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
        if penalty:
            real.requires_grad_()
            (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
            loss = loss + WEIGHT * gradient.square().sum(1).mean()
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(False)
        loss = F.softplus(-discriminator(generator(torch.randn(BATCH, 2)))).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
    return (time.perf_counter() - start) / iterations


class Clock(pl.Callback):
    """Seconds from the first iteration to the last."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self.start


def game(iterations: int, penalty: bool, seeds: int) -> float:
    """Seconds per iteration, and per seed, of the same game played by `lit_gans.GAN`."""

    def sgd(parameters: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=RATE)

    gan = GAN(
        MLPGenerator(2, (2,)),
        MLPDiscriminator((2,)),
        latent_dim=2,
        penalties={"r1": R1(WEIGHT)} if penalty else None,
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        seeds=list(range(seeds)) if seeds else None,
    )
    clock = Clock()
    trainer = pl.Trainer(
        max_steps=iterations,
        accelerator="cpu",
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )
    trainer.fit(gan, datamodule=RingDataModule(batch_size=BATCH))
    return clock.seconds / iterations / max(seeds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000, help="per turn")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--penalty", action="store_true", help="R1 on both sides")
    parser.add_argument("--seeds", type=int, default=0, help="seeds trained at once by the game; 0: no seeds axis")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    bare(200, options.penalty), game(200, options.penalty, options.seeds)  # warm-up
    pairs = [
        (bare(options.iterations, options.penalty), game(options.iterations, options.penalty, options.seeds))
        for _ in range(options.turns)
    ]
    for name, times in zip(("bare loop", "lit_gans"), zip(*pairs, strict=True), strict=True):
        print(f"{name:10} {1e6 * statistics.median(times):7.0f} microseconds per iteration and seed (median)")
    ratios = sorted(ours / theirs for theirs, ours in pairs)
    print(f"ratio      {statistics.median(ratios):7.2f} (median of {len(ratios)}; {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
