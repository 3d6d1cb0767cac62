"""A class-conditional GAN on scikit-learn's digits: both players are told which digit it is to be.

    python examples/conditional_digits.py

`GAN` has a place for either player: `fakes` makes G's samples for a batch of reals, `logits_for` is D as that batch's
step sees it. Here G gets the class as the last ten latents, D as ten planes beside the image, which are 0 where no
class is given: probes, and whoever else knows no labels, see D of an image alone. Seeds, penalties, accumulation, EMA
and memory of weights work as ever; a replayed fake would get the class of another, so leave `OldFakeReplay` out.

The class is read by a perceptron that was trained on real digits; a picture with a row per class lands in `runs/`.
"""

import argparse
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.nn.functional import one_hot, pad

from datamodules import DigitsDataModule
from lit_gans import GAN, plotting
from lit_gans.judges import ClassifierJudge
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1

CLASSES, NOISE, SHAPE = 10, 32, (1, 8, 8)


class ClassKnowingDiscriminator(MLPDiscriminator):
    """D(x, c) on an image with ten planes for its class; on an image alone, D(x) of no class."""

    def forward(self, x):
        planes = SHAPE[0] + CLASSES - x.shape[1]
        return super().forward(pad(x, (0, 0, 0, 0, 0, planes)))


class ConditionalGAN(GAN):
    """A game in which a batch's labels reach both players."""

    def fakes(self, batch):
        noise = self.draws.normal(batch.samples, (*batch.labels.shape, NOISE))
        return self.generator(torch.cat([noise, one_hot(batch.labels, CLASSES)], -1))

    def logits_for(self, batch):
        planes = one_hot(batch.labels, CLASSES)[..., None, None].expand(*batch.labels.shape, CLASSES, *SHAPE[1:])
        return lambda x: self.logits(torch.cat([x, planes.to(x)], -3))


def build(**settings):
    """The game; see `GAN` for the settings."""
    generator = MLPGenerator(NOISE + CLASSES, SHAPE, hidden=[256, 256], tanh=True)
    discriminator = ClassKnowingDiscriminator((SHAPE[0] + CLASSES, *SHAPE[1:]), hidden=[256, 256])
    discriminator.samplewise = False  # the planes are of one batch, not of reals and fakes together
    return ConditionalGAN(generator, discriminator, NOISE + CLASSES, penalties={"r1": R1(0.1)}, **settings)


def latents_of_each_class(n):
    """`n` latents of each class, `(10 n, 42)`, always the same."""
    noise = torch.randn(CLASSES * n, NOISE, generator=torch.Generator().manual_seed(0))
    return torch.cat([noise, torch.eye(CLASSES).repeat_interleave(n, 0)], -1)


def main():
    """Trains, says how often the class is the one that was asked for, and draws a row per class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/conditional_digits"))
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)

    data = DigitsDataModule(batch_size=64)
    gan = build(seeds=chosen.seeds)
    settings = {"max_epochs": -1, "default_root_dir": chosen.folder, "enable_checkpointing": False, "logger": False}
    pl.Trainer(max_steps=chosen.iterations, accelerator="cpu", limit_val_batches=0, **settings).fit(gan, data)

    splits = data.labelled("train"), data.labelled("test")
    judge = ClassifierJudge.train(chosen.folder / "judge.pt", *splits, n_train=len(splits[0][0]), seed=0)
    asked = torch.arange(CLASSES).repeat_interleave(100)
    for seed, samples in zip(chosen.seeds, gan.generate(latents_of_each_class(100)), strict=True):
        right = (judge(samples).mode == asked).float().mean()
        print(f"seed {seed}: {right:.1%} of samples are taken for the digit that was asked for")
    rows = gan.generate(latents_of_each_class(10)).unflatten(1, (CLASSES, 10)).numpy()
    picture = plotting.interpolations(rows, [f"seed {seed}" for seed in chosen.seeds], caption="a row per class")
    picture.savefig(chosen.folder / "classes.png", dpi=100)
    print(f"picture: {chosen.folder / 'classes.png'}")


if __name__ == "__main__":
    main()
