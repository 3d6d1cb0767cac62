"""What probes share: D under observation, real samples, and figures with a panel per seed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from lit_gans import GAN
from lit_gans.modes import evaluating, frozen


@contextmanager
def watched(gan: GAN, who: str) -> Iterator[Callable[[Tensor], Tensor]]:
    """D for a probe: logits in eval mode, without gradients to parameters; what is not a number is reported.

    Args:
        gan: The game.
        who: The probe's name, for the report.

    Yields:
        D, samples `(..., n, *sample)` to logits `(..., n)`, with the seeds axis first if the game has one.
    """
    bad = asked = 0

    def logits(samples: Tensor) -> Tensor:
        nonlocal bad, asked
        values = gan.logits(samples)
        asked += values.numel()
        bad += values.numel() - int(values.isfinite().sum())
        return values

    with evaluating(gan.generator, gan.discriminator), frozen(gan.players["discriminator"].parameters):
        yield logits
    if bad:
        rank_zero_warn(
            f"{who}: at iteration {gan.iteration} D returned NaN or infinite values for {bad} of {asked} probed samples"
        )


def training_reals(trainer: pl.Trainer, n: int) -> Tensor:
    """`n` real samples of the kind that D is trained on, always the same ones, on the CPU.

    Raises:
        ValueError: If the run has no DataModule that can tell (`GANDataModule.reals`) and no held-out samples.
    """
    datamodule = getattr(trainer, "datamodule", None)
    reals = getattr(datamodule, "reals", None)
    samples = reals(n) if reals is not None else held_out_reals(trainer, n)
    if samples is None:
        raise ValueError(
            "real samples are needed to look at, but the run has neither a DataModule with `reals(n)`, as those of "
            "`datamodules` have, nor a val_dataloader; give it one, or take what looks at them out of its callbacks"
        )
    return samples


def held_out_reals(trainer: pl.Trainer, n: int) -> Tensor | None:
    """The first `n` held-out real samples of the trainer's DataModule, on the CPU; None if it has no such loader."""
    datamodule = getattr(trainer, "datamodule", None)
    if datamodule is None or not is_overridden("val_dataloader", datamodule):
        return None
    if trainer.predicting:
        datamodule.setup("validate")  # Lightning has prepared it for `predict` alone
    samples: list[Tensor] = []
    with torch.random.fork_rng(devices=[]):  # torch's own loaders draw from the global state
        for batch in datamodule.val_dataloader():
            samples.append(batch[0] if isinstance(batch, list | tuple) else batch)
            if sum(map(len, samples)) >= n:
                break
    return torch.cat(samples)[:n] if samples else None


def panel_titles(gan: GAN) -> list[str]:
    """One title per panel of a figure: the seeds, or nothing for a game without seeds."""
    return [""] if gan.seeds is None else [f"seed {seed}" for seed in gan.seeds]


def with_seeds_axis(gan: GAN, values: Tensor) -> Tensor:
    """Values of a game with a leading seeds axis, which is of length 1 where the game has none."""
    return values.unsqueeze(0) if gan.seeds is None else values


def for_each_seed(gan: GAN, samples: Tensor) -> Tensor:
    """The same samples `(n, *sample)` for each seed of a game, `(..., n, *sample)`, where and as the game computes."""
    dtype = next((p.dtype for p in gan.discriminator.parameters()), samples.dtype)
    samples = samples.to(gan.device, dtype)
    return samples if gan.seeds is None else samples.expand(len(gan.seeds), *samples.shape)


def array(values: Tensor) -> Any:
    """Values for a picture."""
    return values.detach().float().cpu().numpy()
