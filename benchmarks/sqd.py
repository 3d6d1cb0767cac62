"""What SQDLogger costs: the game of the MNIST perceptrons with it, beside the same game without.

Three hidden layers of 512, batch 64, 28 x 28 pixels (noise: the arithmetic is the same), Adam. Stability at every
iteration and at every tenth, with samples judged at the first and last alone; then quality and diversity of 2 000
samples every 500 iterations, with stability hardly ever. Each takes turns with the game without, and each pair gives
one ratio, because machines are noisy.

    python benchmarks/sqd.py
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from memory import costs
from overhead import Clock
from torch.utils.data import DataLoader

from callbacks import NumbersOnly, SQDLogger
from lit_gans import GAN
from lit_gans.judges import Judge, Judgement
from lit_gans.networks import MLPDiscriminator, MLPGenerator

SHAPE, HIDDEN, RARELY = (1, 28, 28), (512, 512, 512), 10**6


class Perceptron(Judge):
    """A judge of the usual size, whose verdicts do not matter here."""

    n_modes = 10

    def __init__(self) -> None:
        self.network = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 11))

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor) -> Judgement:
        probabilities = self.network(samples.flatten(-3)).softmax(-1)
        return Judgement(1 - probabilities[..., -1], probabilities[..., :-1].argmax(-1))


def run(iterations: int, *watching: pl.Callback) -> float:
    """Seconds per iteration."""

    def adam(parameters: object) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=3e-4, betas=(0.5, 0.99))

    images = torch.rand(64 * 50, *SHAPE) * 2 - 1
    gan = GAN(
        MLPGenerator(50, SHAPE, HIDDEN),
        MLPDiscriminator(SHAPE, HIDDEN),
        latent_dim=50,
        generator_optimizer=adam,
        discriminator_optimizer=adam,
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=iterations,
            accelerator="cpu",
            logger=False,
            callbacks=[*watching, clock, NumbersOnly()],
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(gan, train_dataloaders=DataLoader(images, batch_size=64))
    return clock.seconds / iterations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=500, help="per turn, a multiple of 500")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    kinds = {
        "stability at every iteration": {"stability_every": 1, "every_n_iterations": RARELY},
        "stability at every tenth": {"stability_every": 10, "every_n_iterations": RARELY},
        "quality and diversity every 500": {"stability_every": RARELY, "every_n_iterations": 500},
    }

    def watching(settings: dict[str, int]) -> Callable[[], float]:
        return lambda: run(options.iterations, SQDLogger(judge=Perceptron(), **settings))

    costs(lambda: run(options.iterations), {name: watching(each) for name, each in kinds.items()}, options.turns)


if __name__ == "__main__":
    main()
