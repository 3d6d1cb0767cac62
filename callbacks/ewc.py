"""EWC and OnlineEWC: what mattered to old tasks is held fast in D."""

import pytorch_lightning as pl
from torch import Tensor

from lit_gans import GAN
from lit_gans.memory import Quadratic, fisher_diagonal
from lit_gans.modes import evaluating
from lit_gans.schedules import Schedule

from .looking import for_each_seed, training_reals
from .parameter_memory import ParameterMemory


class EWC(ParameterMemory):
    """Elastic weight consolidation: D's loss gains `λ Σ_k Σ_i ω̂_i^k (θ_i - θ_i^k)²` over all tasks k that have ended.

    The importance `ω̂^k` is the diagonal (empirical) Fisher information of D's adversarial loss, without penalties, at
    the end θ^k of task k, on training reals and fakes of the G of then, both as they are (no old fakes, no noise), D in
    eval mode: see `memory.fisher_diagonal`. All anchors count, in the memory of one: the sum of their quadratics is
    again one. It only ever grows; D stiffens with the number of tasks. Logged: `d/ewc`.

    Args:
        weight: λ, a number or a schedule over iterations; there is no hidden ½.
        task_length: τ, in iterations.
        n_samples: How many reals, and as many fakes, the importance is measured on.
        chunk_mib: How many MiB of single gradients may be in memory at a time.

    Raises:
        ValueError: If `n_samples` is below 1, the run has no real samples to look at, or what `ParameterMemory`
            refuses.

    Source: Kirkpatrick et al. 2017, eq. 3; Thanh-Tung & Tran, section V-A.
    """

    term = "ewc"

    def __init__(
        self,
        weight: float | Schedule = 10.0,
        task_length: int = 500,
        n_samples: int = 512,
        chunk_mib: float = 8.0,
    ) -> None:
        super().__init__(weight, task_length)
        if n_samples < 1:
            raise ValueError(f"{type(self).__name__}: n_samples must be at least 1, got {n_samples}")
        if not chunk_mib > 0:
            raise ValueError(f"{type(self).__name__}: chunk_mib must be positive, got {chunk_mib}")
        self.n_samples, self.chunk_mib = n_samples, chunk_mib

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Makes sure that there are reals, before the run needs them."""
        super().on_train_start(trainer, pl_module)
        training_reals(trainer, 1)

    def importance(self, trainer: pl.Trainer, gan: GAN) -> Tensor:
        """`ω̂` of the task that ends now, `(..., P)`: a mean over processes, whose batch norms may differ."""
        real = for_each_seed(gan, training_reals(trainer, self.n_samples))
        fake = gan.sample(real.shape[len(gan.seeds_axis)], seed=gan.global_step, averaged=False)
        with evaluating(gan.discriminator):
            importance = fisher_diagonal(gan.loss, gan.discriminator, real, fake, self.chunk_mib)
        mean: Tensor = trainer.strategy.reduce(importance, reduce_op="mean")
        return mean

    def remember(self, trainer: pl.Trainer, gan: GAN, parameters: Tensor) -> Quadratic:
        """The sum of the tasks' quadratics."""
        task = Quadratic(self.importance(trainer, gan), parameters)
        return task if self.memory is None else self.memory + task


class OnlineEWC(EWC):
    """Online EWC: D's loss gains `λ Σ_i ω_i (θ_i - θ_i^t)²`, with one anchor, the end of the last task.

    The importance decays: `ω^t = α ω̂^t + (1 - α) ω^(t-1)`, `ω^0 = 0`, with `ω̂` as in `EWC`.

    Logged: `d/online_ewc`.

    Args:
        weight: λ, a number or a schedule over iterations; there is no hidden ½.
        task_length: τ, in iterations.
        newest_share: α, the share of the newest task in the importance.
        n_samples: How many reals, and as many fakes, the importance is measured on.
        chunk_mib: How many MiB of single gradients may be in memory at a time.

    Raises:
        ValueError: If `newest_share` lies outside (0, 1], or what `EWC` refuses.

    Source: Thanh-Tung & Tran, section V-A; Schwarz et al. 2018.
    """

    term = "online_ewc"

    def __init__(
        self,
        weight: float | Schedule = 100.0,
        task_length: int = 1000,
        newest_share: float = 0.5,
        n_samples: int = 512,
        chunk_mib: float = 8.0,
    ) -> None:
        super().__init__(weight, task_length, n_samples, chunk_mib)
        if not 0 < newest_share <= 1:
            raise ValueError(f"OnlineEWC: newest_share is a share and must lie in (0, 1], got {newest_share}")
        self.newest_share = newest_share

    def remember(self, trainer: pl.Trainer, gan: GAN, parameters: Tensor) -> Quadratic:
        """One quadratic at the present parameters."""
        importance = self.newest_share * self.importance(trainer, gan)
        if self.memory is not None:
            importance = importance + (1 - self.newest_share) * self.memory.importance
        return Quadratic(importance, parameters)
