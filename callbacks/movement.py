"""Movement: does G come to rest?"""

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN

from .probe import Observation
from .trend import Trend


class Movement(Trend):
    """How far the fakes of fixed latents have moved since the last look.

    Logged: `fakes/moved`, `√(E_z ‖G_t(z) - G_{t-Δ}(z)‖²)` in the units of the data, Δ the time between two looks. It
    falls to 0 as the game settles; a game that oscillates keeps it up, whatever its samples look like.

    Args:
        every_n_iterations: Δ, how often to look. A look that is not Δ after the last one compares with none.
        n_samples: How many latents.
        seed: Of the latents.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `n_samples` is below 1.

    Source: Thanh-Tung et al. 2018, fig. 7, in a number.
    """

    def __init__(
        self, every_n_iterations: int = 500, n_samples: int = 256, seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(every_n_iterations, name)
        if n_samples < 1:
            raise ValueError(f"Movement: n_samples must be at least 1, got {n_samples}")
        self.n_samples, self.seed = n_samples, seed

    def forget(self) -> None:
        """Starts with no fakes to compare with."""
        super().forget()
        self._before: tuple[int, Tensor] | None = None

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """How far they have come."""
        now = gan.sample(self.n_samples, self.seed, averaged=False).clone()  # G may give out a view of its parameters
        if gan.iteration % self.every_n_iterations:  # the end of a run between two looks
            return Observation()
        before, self._before = self._before, (gan.iteration, now)
        if before is None or gan.iteration - before[0] != self.every_n_iterations:
            return Observation()
        apart = (now - before[1].to(now)).flatten(len(gan.seeds_axis) + 1)
        return Observation({"fakes/moved": apart.square().sum(-1).mean(-1).sqrt()})

    def state_dict(self) -> dict[str, object]:
        """The history, and the fakes of the last look."""
        iteration, fakes = (-1, torch.empty(0)) if self._before is None else self._before
        return {**super().state_dict(), "before": fakes, "iteration": iteration}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Takes both from a checkpoint."""
        super().load_state_dict(state_dict)
        iteration, fakes = state_dict["iteration"], state_dict["before"]
        assert isinstance(iteration, int)
        assert isinstance(fakes, Tensor)
        self._before = None if iteration < 0 else (iteration, fakes)
