"""GAN: the one LightningModule, which plays the game for every objective, penalty and hook."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn

from . import checks
from .averaging import moving_average
from .evaluation import Evaluation
from .hooks import DiscriminatorStep, GeneratorStep, Step
from .lifecycle import Lifecycle
from .logbook import by_seed, is_tick, publish
from .losses import NonSaturating, Objective
from .modes import evaluating, full_precision
from .networks.mixture import Mixtures
from .penalties import Penalty
from .players import (
    Player,
    RealBatch,
    Terms,
    accuracy,
    adam,
    averaged,
    deal,
    gradient_norm,
    joined,
    logits_of_both,
    loss_scale,
    means,
    total,
)
from .seeds import stack_by_seed
from .terms import GeneratorTerm, due
from .updates import Alternating, Update

_LOGGED_BESIDE_TERMS = ("adversarial", "mixing", "gradient_norm", "accuracy_real", "accuracy_fake", "accuracy_pairs")


class GAN(Lifecycle, Evaluation):
    """A generator and a discriminator, trained against each other.

    One training batch is one iteration: `n_critic` D updates and one G update. `trainer.global_step`, `max_steps`,
    checkpoints and loggers count iterations, whatever `n_critic` is. The flow of one iteration is
    `Update.__call__`; the losses are `discriminator_terms` and `generator_terms`, functions of a step alone.

    Args:
        generator: G, maps latents `(B, latent_dim)` to samples shaped like the data.
        discriminator: D, maps samples to logits `(B,)` or `(B, 1)` that rise with realness.
        latent_dim: The dimension of the latent `z ~ N(0, I)`.
        loss: The adversarial objective; None is `NonSaturating()`.
        penalties: Terms of D's loss by name; the names are log keys.
        generator_terms: Terms of G's loss beside the objective, likewise.
        update: How the players move; None is `Alternating()`.
        encoder: E, a third player, maps samples to latents; it descends on G's loss, where a term has it (see
            `ModeRegularizer`).
        generator_optimizer: From parameters to G's optimizer; None is Adam, of rate 2e-4 and betas (0.5, 0.999).
        discriminator_optimizer: From parameters to D's optimizer; None likewise.
        encoder_optimizer: From parameters to E's optimizer; None likewise.
        generator_scheduler: From G's optimizer to its learning-rate scheduler, which steps once per iteration.
        discriminator_scheduler: Likewise for D, once per iteration whatever `n_critic` is.
        encoder_scheduler: Likewise for E.
        n_critic: D updates per G update, each on a fresh batch.
        accumulate: Split each batch into so many equal parts, whose gradients add up to the batch's: what a step needs
            in memory is that of one part. (Batch norm then has the statistics of a part.)
        ema: The decay of a moving average of G's weights, kept beside G; None keeps none. `sample` and `generate` then
            give the average's samples, and so do all that judge them.
        seeds: Train one independent run per seed, in one process, on a leading axis; both networks are then
            initialised anew from each seed. None trains the networks as they are. The optimizer must treat
            parameters element by element, as SGD, Adam and RMSprop do, or it couples the seeds.

    Raises:
        ValueError: If `n_critic`, `accumulate` or `latent_dim` is below 1, seeds are empty or repeated, or a penalty
            has the name of another number that is logged.
        TypeError: If seeds are given and a network cannot be initialised from one (see `stack_by_seed`).

    Logged: `d/adversarial`, `d/<penalty>`, `g/adversarial`, `d/gradient_norm`, `g/gradient_norm`,
    `d/accuracy_real`, `d/accuracy_fake` (`d/accuracy_pairs` where an objective only compares), `g/<term>` and, where
    there is an encoder, `e/gradient_norm`; with seeds each is the mean, and `/seed_i` stands beside it.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent_dim: int,
        loss: Objective | None = None,
        penalties: dict[str, Penalty] | None = None,
        generator_terms: dict[str, GeneratorTerm] | None = None,
        update: Update | None = None,
        encoder: nn.Module | None = None,
        generator_optimizer: OptimizerCallable | None = None,
        discriminator_optimizer: OptimizerCallable | None = None,
        encoder_optimizer: OptimizerCallable | None = None,
        generator_scheduler: LRSchedulerCallable | None = None,
        discriminator_scheduler: LRSchedulerCallable | None = None,
        encoder_scheduler: LRSchedulerCallable | None = None,
        n_critic: int = 1,
        accumulate: int = 1,
        ema: float | None = None,
        seeds: list[int] | None = None,
    ) -> None:
        super().__init__()
        # Built from a config, the config itself is kept in checkpoints, and `load_from_checkpoint` needs nothing
        # else. Built in Python the arguments are live objects, which do not belong in a file.
        if _given_hyperparameters.get() is not None:
            self.save_hyperparameters()
        self.latent_dim = checks.at_least_one("latent_dim", latent_dim)
        self.n_critic = checks.at_least_one("n_critic", n_critic)
        self.accumulate = checks.at_least_one("accumulate", accumulate)
        self.seeds = checks.distinct(seeds)
        self.loss = loss if loss is not None else NonSaturating()
        self.update = update if update is not None else Alternating()
        self.penalties = nn.ModuleDict(penalties or {})
        self.further_terms = nn.ModuleDict(generator_terms or {})
        networks = {"generator": generator, "discriminator": discriminator}
        if encoder is not None:
            networks["encoder"] = encoder
        checks.fitting(self.loss, penalties or {}, generator_terms or {}, networks, taken=_LOGGED_BESIDE_TERMS)
        self.networks = dict(networks if self.seeds is None else stack_by_seed(networks, self.seeds))
        for name, network in self.networks.items():
            self.add_module(name, network)
        self.ema = None if ema is None else moving_average(self.generator, ema)
        self.players = {
            "discriminator": Player(
                "d",
                self.discriminator,
                discriminator_optimizer or adam,
                discriminator_scheduler,
                self.discriminator_terms,
                watch=partial(accuracy, self.loss),
            ),
            "generator": Player(
                "g",
                self.generator,
                generator_optimizer or adam,
                generator_scheduler,
                self.generator_terms,
                keeps_time=True,
            ),
        }
        if encoder is not None:
            self.players["encoder"] = Player(
                "e",
                self.networks["encoder"],
                encoder_optimizer or adam,
                encoder_scheduler,
                self.generator_terms,
            )
        self.sides = {"discriminator": ["discriminator"], "generator": [*self.players][1:]}
        self._mixtures = Mixtures(self.networks)
        self._samplewise = getattr(discriminator, "samplewise", False)
        self.latest: dict[str, Tensor] = {}
        self._log_is_due = False
        self._checked = False

    # ------------------------------------------------------------------------------------------------ the game

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One iteration of the game on one batch of `n_critic · S · B` real samples."""
        batches = deal(batch, self.n_critic, self.seeds_axis, self.accumulate)
        if not self._checked:
            with torch.no_grad(), evaluating(self.generator, self.discriminator):
                real = [batch.samples for batch in batches]
                checks.game(real, self.generator, self.logits, self.latent_dim, len(self.seeds_axis) + 1)
            self._checked = True
        self._log_is_due = is_tick(self.trainer, self.global_step + 1)
        self.update(self, batches)
        for scheduler in self._schedulers:
            scheduler.step()
        if self._log_is_due:
            numbers = by_seed(self.latest, self.seeds)
            publish(self.trainer, numbers, self.iteration, bar=("d/adversarial", "g/adversarial"))
            checks.monitored(self.trainer)

    def discriminator_steps(self, batch: RealBatch) -> Iterator[DiscriminatorStep]:
        """What D sees in one update, part by part of the batch, each made when the one before is done with."""
        return map(self.discriminator_step, batch.parts(self.accumulate, len(self.seeds_axis)))

    def generator_steps(self, batch: RealBatch) -> Iterator[GeneratorStep]:
        """What G sees in one update, likewise."""
        return map(self.generator_step, batch.parts(self.accumulate, len(self.seeds_axis)))

    def discriminator_step(self, batch: RealBatch, fake: Tensor | None = None) -> DiscriminatorStep:
        """What D sees in one update: reals, and fakes without a gradient to G, or given ones as they are."""
        if fake is None:
            with torch.no_grad():
                fake = self.fakes(batch)
            for hook in self.hooks:
                fake = hook.mix_fakes(fake)
        real, fake = self._perturbed(batch.samples), self._perturbed(fake)
        logits = self.logits_for(batch)
        real_logits, fake_logits = logits_of_both(logits, real, fake, len(self.seeds_axis), self._samplewise)
        draws = self.draws.recording()
        return DiscriminatorStep(logits, real, fake, real_logits, fake_logits, batch.labels, draws)

    def generator_step(self, batch: RealBatch, fake: Tensor | None = None) -> GeneratorStep:
        """What G sees in one update: its fakes, fresh or given, and D(x) if the objective compares."""
        fake = self._perturbed(self.fakes(batch) if fake is None else fake)
        real = self._perturbed(batch.samples)
        logits = self.logits_for(batch)
        real_logits = logits(real) if self.loss.needs_real else None
        draws = self.draws.recording()
        return GeneratorStep(logits, real, fake, real_logits, logits(fake), batch.labels, draws, self.networks)

    def discriminator_terms(self, step: DiscriminatorStep) -> Terms:
        """D's loss, term by term: the objective, the penalties that are due, and what hooks add."""
        step.draws.rewind()
        losses = self.loss.discriminator(step.real_logits, step.fake_logits, step.real, step.fake)
        terms = self._mixtures.terms("discriminator", losses)
        terms |= due(self.penalties, step, self.discriminator_updates, self.global_step)
        return joined(terms, (hook.discriminator_terms(step) for hook in self.hooks))

    def generator_terms(self, step: GeneratorStep) -> Terms:
        """G's loss, term by term: the objective, the further terms that are due, and what hooks add."""
        step.draws.rewind()
        losses = self.loss.generator(step.real_logits, step.fake_logits, step.real, step.fake)
        terms = self._mixtures.terms("generator", losses)
        terms |= due(self.further_terms, step, self.global_step, self.global_step)
        return joined(terms, (hook.generator_terms(step) for hook in self.generator_hooks))

    def discriminator_loss(
        self, step: DiscriminatorStep, discriminator: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """D's scalar loss on a step, as this D or another one sees it."""
        step = step if discriminator is None else step.under(discriminator)
        return total(means(self.discriminator_terms(step), len(self.seeds_axis) + 1))

    def generator_loss(self, step: GeneratorStep) -> Tensor:
        """G's scalar loss on a step."""
        return total(means(self.generator_terms(step), len(self.seeds_axis) + 1))

    def descend(self, name: str, steps: Iterable[Step]) -> None:
        """One step of a player on the sum of its terms, a mean over the steps: one per part of its batch."""
        self.differentiate(name, steps)
        self.move(name)

    def differentiate(self, name: str, steps: Iterable[Step]) -> None:
        """Gives a player, and who is on its side, their gradients, means over the steps."""
        parameters = self.parameters_of(name)
        for parameter in parameters:  # zero_grad's bookkeeping is felt beside a small network
            parameter.grad = None
        seen = []
        for step in steps:
            loss, numbers = self.measure(name, step)
            self.manual_backward(loss if self.accumulate == 1 else loss / self.accumulate)
            seen.append(numbers)
        self.share_gradients(parameters)
        self.note(name, averaged(seen))

    def measure(self, name: str, step: Step) -> tuple[Tensor, Terms]:
        """A player's scalar loss on a step, and what is to be logged of it, of shape `(...)`; in full precision."""
        player = self.players[name]
        with full_precision(self.device):
            losses = means(player.terms(step), len(self.seeds_axis) + 1)
            watched = player.watch(step) if self._log_is_due else {}
            return total(losses), {**{term: value.detach() for term, value in losses.items()}, **watched}

    def note(self, name: str, numbers: Terms) -> None:
        """Keeps a player's numbers for the log, and how long the gradients are, its own and those on its side."""
        self.latest.update({f"{self.players[name].letter}/{key}": value for key, value in numbers.items()})
        if self._log_is_due:
            for player in (self.players[each] for each in self.sides[name]):
                norm = gradient_norm(player.parameters, self.seeds_axis)
                self.latest[f"{player.letter}/gradient_norm"] = norm / loss_scale(self.trainer)

    def move(self, name: str) -> None:
        """Steps the optimizers of a player and of who is on its side."""
        for each in self.sides[name]:
            self.step_optimizer(each)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """What a player and who is on its side move."""
        return [parameter for each in self.sides[name] for parameter in self.players[each].parameters]

    def discriminator_updated(self) -> None:
        """Counts a D update and tells the hooks."""
        self.discriminator_updates += 1
        with full_precision(self.device):
            for hook in self.hooks:
                hook.discriminator_updated()

    def generator_updated(self) -> None:
        """Takes G into its average, and tells the hooks that it has moved."""
        if self.ema is not None:
            self.ema.update_parameters(self.generator)
        with full_precision(self.device):
            for hook in self.generator_hooks:
                hook.generator_updated()

    # --------------------------------------------------------------------------------------------- the players

    def forward(self, latents: Tensor) -> Tensor:
        """G(z), in the mode that G is in; `(..., n, latent_dim)` to `(..., n, *sample)`."""
        return self.generator(latents)

    def logits(self, samples: Tensor) -> Tensor:
        """D(v): samples `(..., n, *sample)` to logits `(..., n)`, in the samples' precision."""
        logits = self.discriminator(samples).to(samples.dtype)
        return logits.squeeze(-1) if logits.ndim > len(self.seeds_axis) + 1 else logits

    def logits_for(self, batch: RealBatch) -> Callable[[Tensor], Tensor]:
        """D of the samples that belong to a batch; a class-conditional game overrides it, to let D know the labels."""
        return self.logits

    def fakes(self, batch: RealBatch) -> Tensor:
        """G(z), as many as there are reals, of fresh latents, in the reals' precision; `(..., B, *sample)`.

        A class-conditional game overrides it, to let G know the labels.
        """
        batch_shape = batch.samples.shape[: len(self.seeds_axis) + 1]
        latents = self.draws.normal(batch.samples, (*batch_shape, self.latent_dim))
        fake: Tensor = self.generator(latents).to(batch.samples.dtype)
        return fake

    # ------------------------------------------------------------------------------------------------- details

    def _perturbed(self, samples: Tensor) -> Tensor:
        for hook in self.hooks:
            samples = hook.perturb(samples)
        return samples
