"""GradientClipping: no step of a player on a gradient longer than a limit."""

from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer

from lit_gans import GAN
from lit_gans.hooks import QuietCallback
from lit_gans.players import gradient_norm


class GradientClipping(QuietCallback):
    """Before each step of a player, `g ← g · min(1, limit / ‖g‖)`, g all its gradients together, each seed alone.

    Under mixed precision g is the true gradient, not the scaled one. The trainer's own `gradient_clip_val` does not
    reach a game, whose players step by themselves. The `gradient_norm` that is logged is that before.

    Args:
        limit: The largest Euclidean norm of a gradient.

    Raises:
        ValueError: If the limit is not above 0.

    Source: Pascanu et al. 2013, algorithm 1.
    """

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise ValueError(f"GradientClipping: limit must be above 0, got {limit}")
        self.limit = limit

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Clips the gradients of the player that is about to move."""
        assert isinstance(pl_module, GAN)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        scale = (self.limit / gradient_norm(parameters, pl_module.seeds_axis)).clamp_max(1.0)
        for parameter in parameters:
            axes_of_its_own = parameter.grad.ndim - scale.ndim
            parameter.grad.mul_(scale.reshape(*scale.shape, *[1] * axes_of_its_own))
