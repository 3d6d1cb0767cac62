"""What the game costs beside a bare PyTorch loop that does the same arithmetic.

The default run (ring, two hidden layers of 64, batch 256, non-saturating, SGD) with nothing else on: no logger, no
callbacks, no progress bar. Both sides take turns in one process, and each pair gives one ratio, because machines are
noisy. The bare loop is written twice: with one pass of D over reals and one over fakes, as such loops usually are, and
with one pass over both, as the game does it where D has no batch norm. With `--penalty` all add R1; with `--seeds 10`
the game trains ten seeds at once and is timed per seed.

    python benchmarks/overhead.py
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from datamodules import RingDataModule
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1

BATCH, RATE, WEIGHT = 256, 3e-3, 10.0


def bare(iterations: int, penalty: bool, one_pass: bool = False) -> float:
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
        if one_pass:
            real_logits, fake_logits = discriminator(torch.cat([real, fake])).chunk(2)
        else:
            real_logits, fake_logits = discriminator(real), discriminator(fake)
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
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


def game(iterations: int, penalty: bool = False, seeds: int = 0, callbacks: Sequence[pl.Callback] = ()) -> float:
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
        callbacks=[*callbacks, clock],
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
    sides = {
        "bare loop, two passes": lambda n: bare(n, options.penalty),
        "bare loop, one pass": lambda n: bare(n, options.penalty, one_pass=True),
        "lit_gans": lambda n: game(n, options.penalty, options.seeds),
    }
    for side in sides.values():
        side(200)  # warm-up
    turns = [{name: side(options.iterations) for name, side in sides.items()} for _ in range(options.turns)]
    for name in sides:
        microseconds = 1e6 * statistics.median(turn[name] for turn in turns)
        ratios = sorted(turn["lit_gans"] / turn[name] for turn in turns)
        print(
            f"{name:22} {microseconds:6.0f} microseconds per iteration and seed; lit_gans takes "
            f"{statistics.median(ratios):.2f} times that ({ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} turns)"
        )


if __name__ == "__main__":
    main()
