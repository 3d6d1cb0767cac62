"""What a game is asked for beside its training: samples, and losses on held-out data."""

from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from . import checks
from .hooks import DiscriminatorStep
from .logbook import by_seed, publish
from .modes import evaluating
from .players import accuracy
from .seeds import one_copy
from .streams import draws_for, stream

if TYPE_CHECKING:
    from .gan import GAN


class Evaluation(pl.LightningModule):
    """The side of a `GAN` that does not train: samples, and losses and accuracy on held-out data."""

    generator: nn.Module
    discriminator: nn.Module
    ema: AveragedModel | None
    latent_dim: int
    seeds: list[int] | None
    _restored_iteration: int

    @property
    def iteration(self) -> int:
        """How many G updates this game has seen; outside `fit`, how many its checkpoint has."""
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        return self.global_step if fitting else self.global_step or self._restored_iteration

    @property
    def seeds_axis(self) -> tuple[int, ...]:
        """The shape of the leading axis of parameters, batches and losses: `(S,)`, or `()` without seeds."""
        return () if self.seeds is None else (len(self.seeds),)

    @torch.no_grad()
    def generate(self, latents: Tensor, averaged: bool = True) -> Tensor:
        """G(z) in eval mode, without a gradient.

        Args:
            latents: Shape `(n, latent_dim)`; with seeds every copy of G gets the same ones.
            averaged: Whether by the average of G, where there is one, or by G as it plays.

        Returns:
            Samples, shape `(n, *sample)`, or `(S, n, *sample)` with seeds.
        """
        dtype = next((p.dtype for p in self.generator.parameters()), latents.dtype)
        latents = latents.to(self.device, dtype).expand(*self.seeds_axis, *latents.shape)
        generator = self.generator if self.ema is None or not averaged else self.ema
        with evaluating(generator):
            samples: Tensor = generator(latents)
        return samples

    def sample(self, n: int, seed: int | None = None, averaged: bool = True) -> Tensor:
        """`n` fakes in eval mode, without a gradient; `(n, *sample)`, or `(S, n, *sample)` with seeds.

        Args:
            n: How many.
            seed: Draws the same latents at each call; None draws new ones from torch's global generator.
            averaged: As in `generate`.
        """
        generator = None if seed is None else stream(seed, "samples")
        latents = torch.randn(checks.at_least_one("n", n), self.latent_dim, generator=generator)
        return self.generate(latents, averaged)

    def plain_generator(self, seed: int | None = None, averaged: bool = True) -> nn.Module:
        """G as a module of its own, in eval mode and on the CPU: latents `(n, latent_dim)` to samples `(n, *sample)`.

        Args:
            seed: Of a game with several seeds, whose G.
            averaged: Whether the average of G, where there is one, or G as it plays.

        Raises:
            ValueError: If the game has several seeds and none is given, or one that it does not have.
        """
        seeds: list[int | None] = [None] if self.seeds is None else [*self.seeds]
        if seed is None and len(seeds) == 1:
            seed = seeds[0]
        if seed not in seeds:
            raise ValueError(f"this game has the seeds {self.seeds}, and seed={seed} is none of them; give one of them")
        network = self.generator if self.ema is None or not averaged else self.ema.module
        return one_copy(network, seeds.index(seed)).cpu().eval().requires_grad_(False)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Logs both losses and D's accuracy on held-out reals and fresh fakes, in eval mode, as `val/…`."""
        evaluate(cast("GAN", self), batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """As `validation_step`, as `test/…`."""
        evaluate(cast("GAN", self), batch, batch_idx, "test")

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """G(z) for a batch of latents `(n, latent_dim)`."""
        return self.generate(batch)

    def on_validation_end(self) -> None:
        """Sends what was measured on held-out data to the loggers."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            numbers = {name: value.item() for name, value in self.trainer.callback_metrics.items() if "val/" in name}
            publish(self.trainer, numbers, self.iteration)


def evaluate(gan: "GAN", batch: Any, batch_idx: int, stage: str) -> None:
    """Logs `<stage>/d/…` and `<stage>/g/…` of a batch of held-out reals and as many fresh fakes of G as it plays."""
    samples = batch[0] if isinstance(batch, list | tuple) else batch
    real = samples.expand(*gan.seeds_axis, *samples.shape)
    # Draws of its own: watching a game must not change it.
    draws = draws_for(gan.seeds, f"{stage} batch {batch_idx} on process {gan.trainer.global_rank}", gan.device)
    latents = draws.normal(real, (*real.shape[: len(gan.seeds_axis) + 1], gan.latent_dim))
    fake = gan.generator(latents).to(real.dtype)
    real_logits, fake_logits = gan.logits(real), gan.logits(fake)
    step = DiscriminatorStep(gan.logits, real, fake, real_logits, fake_logits, draws=draws)
    numbers = {f"{stage}/d/{name}": value for name, value in accuracy(gan.loss, step).items()}
    numbers[f"{stage}/d/adversarial"] = gan.loss.discriminator(real_logits, fake_logits, real, fake).mean(-1)
    numbers[f"{stage}/g/adversarial"] = gan.loss.generator(real_logits, fake_logits, real, fake).mean(-1)
    # During fit the loggers get them from on_validation_end, at the iteration; Lightning's own axis lags by one.
    alone = gan.trainer.state.fn != "fit"
    gan.log_dict(by_seed(numbers, gan.seeds), batch_size=len(samples), logger=alone, sync_dist=True)
