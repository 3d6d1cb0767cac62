"""FixedFakes: does D remember the fakes of long ago?"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import realness, set_scores
from lit_gans.metrics.fields import Discriminator

from .looking import for_each_seed, panel_titles, training_reals, watched
from .pictures import Picture
from .probe import Observation
from .trend import Trend


class FixedFakes(Trend):
    """Keeps fakes of chosen iterations, and shows them to D for the rest of the run.

    A D that remembers scores them below ½ for good; one that forgets scores them as real now and then. Every set is
    made from the same latents. Old fakes are those made before the iteration of the look. Logged:

    - `fakes/scored_real`: the share of all old fakes that D takes for real;
    - `fakes/score`: their mean score `σ(D)`;
    - `fakes/scored_real_from_<iteration>`, `fakes/score_from_<iteration>`: the same of one set, from when it is made.

    D takes for real what the objective's `decision` puts above 0, and the score is σ of that decision: `σ(D)` where D
    ends in a logit, ½ at the middle between the two targets of least squares. `Wasserstein` and `RelativisticPairing`
    have no decision. There it is D above the middle between its means on current reals and current fakes: an old
    fake is scored real where D finds it nearer to the reals than to what G makes now (see `metrics.realness`).

    The sets live in memory and in every checkpoint: as many numbers as `len(freeze_at)` x seeds x `n_samples` x the
    size of a sample.

    Args:
        every_n_iterations: How often to look.
        freeze_at: At which iterations fakes are kept; None: at 1/10, 2/10, … 9/10 of the run's `max_steps`.
        n_samples: How many fakes to keep each time.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `n_samples` is below 1, `freeze_at` is empty or has a negative or repeated iteration, or, in
            `setup`, one beyond the run's `max_steps`, or it is None and the run has no `max_steps`.

    Source: Thanh-Tung & Tran, section III-B1 and fig. 11.
    """

    def __init__(
        self,
        every_n_iterations: int = 500,
        freeze_at: Sequence[int] | None = None,
        n_samples: int = 64,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"FixedFakes: n_samples must be at least 1, got {n_samples}")
        if freeze_at is not None and (not freeze_at or min(freeze_at) < 0 or len(set(freeze_at)) < len(freeze_at)):
            raise ValueError(
                f"FixedFakes: freeze_at must be a list of different iterations, none below 0, got {list(freeze_at)}"
            )
        self.freeze_at = freeze_at
        self.n_samples = n_samples
        self.seed = seed

    def forget(self) -> None:
        """Starts without old fakes."""
        super().forget()
        self.fakes: dict[int, Tensor] = {}
        self._due: frozenset[int] = frozenset()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Settles when fakes are kept."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._due = frozenset(self._schedule(trainer))

    def _schedule(self, trainer: pl.Trainer) -> Sequence[int]:
        last = trainer.max_steps
        if self.freeze_at is None:
            if last < 0:
                raise ValueError("FixedFakes: the run has no max_steps; set it, or say by freeze_at when to keep fakes")
            return [last * tenth // 10 for tenth in range(1, 10)]
        if 0 <= last < max(self.freeze_at) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise ValueError(
                f"FixedFakes: freeze_at asks for iteration {max(self.freeze_at)}, but the run ends at "
                f"max_steps={last}; leave it out or train for longer"
            )
        return self.freeze_at

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the fakes of the untrained G if asked to, and looks."""
        if missed := sorted(t for t in self._due if t < trainer.global_step and t not in self.fakes):
            rank_zero_warn(
                f"FixedFakes: the run goes on at iteration {trainer.global_step} from a checkpoint that holds no fakes "
                f"of {missed}; these sets will be missing"
            )
        self._freeze(trainer, pl_module)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps fakes, and looks, if it is time."""
        iteration = trainer.global_step
        if iteration in self._due:
            self._freeze(trainer, pl_module)
        if iteration % self.every_n_iterations == 0:
            self._look(trainer, pl_module)

    def _freeze(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step in self._due:
            assert isinstance(pl_module, GAN)
            self.fakes.setdefault(
                trainer.global_step, pl_module.sample(self.n_samples, self.seed, averaged=False).cpu()
            )

    @torch.no_grad()
    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """What D says of each set, and of all old fakes."""
        if not self.fakes:
            return Observation()
        made_at, sets = zip(*sorted(self.fakes.items()), strict=True)
        fakes = torch.cat(sets, 0 if gan.seeds is None else 1).to(gan.device)
        with watched(gan, "FixedFakes") as logits:
            side = realness(gan.loss, logits(fakes), *self._compared_with(trainer, gan, logits))
        found = set_scores(side.unflatten(-1, (len(sets), -1)))
        numbers = {}
        for name, values in (("scored_real", found.scored_real), ("score", found.score)):
            if old := [i for i, made in enumerate(made_at) if made < gan.iteration]:
                numbers[f"fakes/{name}"] = values[..., old].mean(-1)
            numbers |= {f"fakes/{name}_from_{made}": values[..., i] for i, made in enumerate(made_at)}
        return Observation(numbers)

    def _compared_with(
        self, trainer: pl.Trainer, gan: GAN, logits: Discriminator
    ) -> tuple[Tensor | None, Tensor | None]:
        """D of current reals and fakes, for an objective that only compares."""
        if gan.loss.decision(torch.zeros(1)) is not None:
            return None, None
        real = for_each_seed(gan, training_reals(trainer, self.n_samples))
        return logits(real), logits(gan.sample(self.n_samples, self.seed, averaged=False))

    def picture(self, gan: GAN) -> Picture:
        """The score of each set over the run."""
        iterations, series = self.series(gan)
        unknown = np.full((len(iterations), len(panel_titles(gan))), np.nan)
        made_at = np.array(sorted(self.fakes))
        return partial(
            plotting.fixed_fakes,
            iterations,
            made_at,
            np.stack([unknown, *(series.get(self.key(f"fakes/score_from_{made}"), unknown) for made in made_at)])[1:],
            series.get(self.key("fakes/score"), unknown),
            panel_titles(gan),
            "how real D finds fakes of earlier iterations",
        )

    def state_dict(self) -> dict[str, Any]:
        """The history, and the fakes that were kept."""
        return {**super().state_dict(), "fakes": self.fakes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both from a checkpoint."""
        super().load_state_dict(state_dict)
        self.fakes = {made: fakes.cpu() for made, fakes in state_dict["fakes"].items()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes the old fakes where `lit-gans probe` looks, too: they cannot be made again."""
        if state := checkpoint.get("callbacks", {}).get(self.state_key):
            self.fakes = dict(state["fakes"])
