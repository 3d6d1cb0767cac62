"""SynapticIntelligence: what lowered D's loss in old tasks is held fast, found out along the way."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, DiscriminatorStep
from lit_gans.memory import PathIntegral, Quadratic, flattened
from lit_gans.schedules import Schedule

from .parameter_memory import ParameterMemory


class SynapticIntelligence(ParameterMemory):
    """D's loss gains `c Σ_i Ω_i (θ_i - θ_i^k)²`, θ^k the end of the last task, `Ω += w / (Δ² + ξ)` at each end.

    `w = -Σ_t g·Δθ` is the path integral of the task: what each parameter has done, over D's updates, to lower D's loss
    without this term; Δ is how far it came. No pass over samples is needed, and nothing leaves the
    device. Noise can make a w negative; Ω is kept from falling below 0, where the term would push parameters
    away without bound. Logged: `d/synaptic_intelligence`.

    Args:
        weight: c, a number or a schedule over iterations; there is no hidden ½.
        task_length: τ, in iterations.
        damping: ξ, in squared units of a parameter: what hardly moved has no say.

    Raises:
        ValueError: If `damping` is not positive, what `ParameterMemory` refuses, or, when training starts, a fused
            optimizer is to scale 16-bit gradients, or one with Nesterov momentum is not told `foreach: false`: they
            hide the gradients that the integral is made of, or write over them.

    Source: Zenke et al. 2017, eq. 3 to 5; Thanh-Tung et al. 2018, section 5.2.
    """

    term = "synaptic_intelligence"

    def __init__(self, weight: float | Schedule = 0.1, task_length: int = 500, damping: float = 1e-3) -> None:
        super().__init__(weight, task_length)
        if not 0 < damping < math.inf:
            raise ValueError(f"SynapticIntelligence: damping must be positive and finite, got {damping}")
        self.damping = damping

    def forget(self) -> None:
        """Starts without memory and without a path."""
        super().forget()
        self.path: PathIntegral | None = None
        self._before: Tensor | None = None
        self._of_term: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins the first path, or goes on with that of a checkpoint."""
        optimizer = trainer.optimizers[0]
        if any(group.get("nesterov") and group.get("foreach") is not False for group in optimizer.param_groups):
            raise ValueError(
                f"SynapticIntelligence: a {type(optimizer).__name__} with Nesterov momentum may write over the "
                f"gradients that the integral is made of; set foreach: false on the discriminator's optimizer"
            )
        scales = getattr(trainer.precision_plugin, "scaler", None) is not None
        if scales and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ValueError(
                f"SynapticIntelligence: a fused {type(optimizer).__name__} unscales 16-bit gradients out of sight; set "
                f"fused: false on the discriminator's optimizer, or train in bf16-mixed"
            )
        super().on_train_start(trainer, pl_module)
        if self.path is None:
            self.path = PathIntegral.at(self.vector().detach())

    def discriminator_terms(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """`c Σ Ω (θ - θ^k)²`, shape `(..., 1)`; and notes where this update starts."""
        assert self._gan is not None
        parameters = self.vector()
        self._before, self._of_term = parameters.detach(), None
        weight = self.weight(self._gan.global_step)
        if self.memory is None or weight == 0:
            return {}
        self._of_term = weight * self.memory.gradient(self._before)
        return {self.term: weight * self.memory(parameters)}

    @torch.no_grad()
    def discriminator_updated(self) -> None:
        """Adds the update to the path."""
        assert self._gan is not None
        assert self.path is not None
        assert self._before is not None
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        gradient = flattened(gradients, self._gan.seeds_axis)
        if self._of_term is not None:  # what the term itself asks for is no achievement
            gradient -= self._of_term
        self.path.add(gradient, self._before, self.vector())

    def remember(self, trainer: pl.Trainer, gan: GAN, parameters: Tensor) -> Quadratic:
        """Adds the importance of the task that ends, and begins a new path."""
        assert self.path is not None
        importance = self.path.importance(parameters, self.damping)
        if self.memory is not None:
            importance = self.memory.importance + importance
        self.path = PathIntegral.at(parameters)
        return Quadratic(importance.clamp_min(0.0), parameters)

    def task_state(self) -> dict[str, Tensor]:
        """The path so far."""
        return {} if self.path is None else {"path_start": self.path.start, "path_value": self.path.value}

    def load_task_state(self, state: dict[str, Tensor]) -> None:
        """Goes on with it."""
        self.path = PathIntegral(state["path_start"], state["path_value"])
