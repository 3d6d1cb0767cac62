"""WeightClipping: keeps every parameter of D in a box."""

import pytorch_lightning as pl
import torch
from torch import nn

from lit_gans import GAN, DiscriminatorHook


class WeightClipping(DiscriminatorHook):
    """Clamps D's parameters to `[-bound, bound]` after each D update, and once before the first.

    With `Wasserstein` it is the original WGAN constraint; with a bound of 1 it keeps the Dirac discriminators in
    their box.

    Args:
        bound: c, in the units of the parameters; WGAN uses 0.01.

    Raises:
        ValueError: If `bound` is not positive.

    Source: Arjovsky et al. 2017, algorithm 1; Thanh-Tung & Tran, section IV-B.
    """

    def __init__(self, bound: float) -> None:
        if not bound > 0:
            raise ValueError(f"WeightClipping: bound must be positive, got {bound}")
        self.bound = bound
        self._parameters: list[nn.Parameter] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts D into the box."""
        assert isinstance(pl_module, GAN)
        self._parameters = pl_module.players["discriminator"].parameters
        self.discriminator_updated()

    @torch.no_grad()
    def discriminator_updated(self) -> None:
        """`θ ← min(max(θ, -c), c)`."""
        for parameter in self._parameters:
            parameter.clamp_(-self.bound, self.bound)
