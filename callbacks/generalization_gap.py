"""GeneralizationGap: what D says of the reals it has seen, and of those it has not."""

import pytorch_lightning as pl
import torch

from lit_gans import GAN
from lit_gans.metrics import as_probability, epsilon_optimality, generalization_gap

from .fixed_fake_set import fixed_fakes
from .looking import for_each_seed, held_out_reals, training_reals, watched
from .probe import Observation
from .trend import Trend


class GeneralizationGap(Trend):
    """Compares D on training reals with D on held-out reals, and counts what it tells apart by a margin.

    Logged: `gap/logit`, the mean logit of training reals minus that of held-out reals: above 0 where D knows its
    training set by heart. Where D's output is a probability (`Minimax`, `NonSaturating`, `LeastSquares`), too:
    `gap/probability`, the same of the probability; `gap/reals_told`, the share of training reals with
    `D(x) ≥ ½ + ε/2`; `gap/fakes_told`, the share of fakes with `D(y) ≤ ½ - ε/2`; `gap/epsilon_optimal`, 1 where both
    are 1. Other objectives have no ½ to be above or below. A critic's logit has a scale of its own: compare its gap
    within a run, not between runs.

    The fakes are those that D is trained on: of the fixed set, where a `FixedFakeSet` plays, else new ones of G.

    Args:
        every_n_iterations: How often to look.
        epsilon: ε, from 0 to 1.
        n_samples: At most so many samples of each kind.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If ε is outside [0, 1], `n_samples` below 1, or the run has no held-out reals.

    Source: Li et al., eq. 4 and section III-A.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        epsilon: float = 0.5,
        n_samples: int = 1000,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"GeneralizationGap: epsilon must lie in [0, 1], got {epsilon}")
        if n_samples < 1:
            raise ValueError(f"GeneralizationGap: n_samples must be at least 1, got {n_samples}")
        self.epsilon, self.n_samples, self.seed = epsilon, n_samples, seed

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The gap, the shares, the verdict."""
        held_out = held_out_reals(trainer, self.n_samples)
        if held_out is None:
            raise ValueError(
                f"GeneralizationGap needs held-out reals, from a DataModule with a val_dataloader, got "
                f"{type(getattr(trainer, 'datamodule', None)).__name__}; take it out of the callbacks of this run"
            )
        if not hasattr(trainer.datamodule, "reals"):  # type: ignore[attr-defined]
            raise ValueError(
                f"GeneralizationGap needs to know what D trains on, from a DataModule with `reals(n)`, got "
                f"{type(trainer.datamodule).__name__}; take it out of the callbacks of this run"  # type: ignore[attr-defined]
            )
        fixed = fixed_fakes(trainer)
        fake = (
            gan.sample(self.n_samples, self.seed, averaged=False)
            if fixed is None
            else for_each_seed(gan, fixed[: self.n_samples])
        )
        with watched(gan, "GeneralizationGap") as logits, torch.no_grad():
            seen = logits(for_each_seed(gan, training_reals(trainer, self.n_samples)))
            unseen = logits(for_each_seed(gan, held_out))
            of_fakes = logits(fake)
        numbers = {"logit": generalization_gap(seen, unseen)}
        seen_p, unseen_p, fake_p = (as_probability(gan.loss, values) for values in (seen, unseen, of_fakes))
        if seen_p is not None and unseen_p is not None and fake_p is not None:
            told = epsilon_optimality(seen_p, fake_p, self.epsilon)
            numbers |= {"probability": generalization_gap(seen_p, unseen_p)}
            numbers |= {"reals_told": told.real, "fakes_told": told.fake, "epsilon_optimal": told.optimal}
        return Observation({f"gap/{name}": value for name, value in numbers.items()})
