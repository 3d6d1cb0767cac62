"""DiracPortrait: the path of a one-dimensional game, and D's curve along it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import discriminator_gradient, landscape, landscape_shape

from .looking import array, for_each_seed, panel_titles, training_reals, watched, with_seeds_axis
from .pictures import Picture
from .probe import Observation
from .trend import Trend

_N_OFFSETS = 200  # on the whole of the range, with the real point in the middle
_N_FAKES = 64
_N_REALS = 64


class DiracPortrait(Trend):
    """Follows a game on one-dimensional data in the plane of θ, the mean fake, and `D'(θ)`, D's slope there.

    Of the linear D `ψx` the slope is ψ. Of a D with more parameters it is what the fake feels of them, the direction
    and strength with which D sends it away; of `Ψ₁ᵀσ(Ψ₀x)` with a leaky ReLU it is also `(D(θ) - D(0)) / θ`. The real
    point is the mean of the training reals, 0 in the Dirac game.

    Logged: `dirac/theta`; `dirac/slope`; `dirac/amplitude`, the largest distance of θ from the real point over the last
    `window` looks; and, of D's curve within `extent` of the real point, each 1 or 0: `dirac/monotone`, whether it
    only rises or only falls, and `dirac/maximum_at_real`, whether it is highest at the real point and falls on both
    sides of it. Both up to 1 % of the curve's range; a constant curve is neither, and a maximum must stand out by
    `1e-4 · extent`. See `metrics.landscape_shape`.

    The picture, at the end of the run: the path, and D's curve at `snapshots`, with the real point blue and the fakes
    red.

    Args:
        every_n_iterations: How often to look.
        extent: How far from the real point D is looked at, on both sides.
        window: Over how many looks the amplitude is taken.
        snapshots: At which iterations D's curve is drawn; only those of them at which there is a look.
        name: See `Probe`.

    Raises:
        ValueError: If `every_n_iterations` or `window` is below 1, `extent` is not positive, there are more than 12
            snapshots, or, in `setup`, a sample is not one number.

    Source: Thanh-Tung & Tran, fig. 8 and 12, section IV-B; Mescheder et al. 2018, fig. 1.
    """

    def __init__(
        self,
        every_n_iterations: int = 5,
        extent: float = 2.0,
        window: int = 20,
        snapshots: Sequence[int] = (0, 10, 20, 50, 100, 500),
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if window < 1:
            raise ValueError(f"DiracPortrait: window must be at least 1 look, got {window}")
        if not extent > 0:
            raise ValueError(f"DiracPortrait: extent is a distance and must be positive, got {extent}")
        if len(snapshots) > 12:
            raise ValueError(f"DiracPortrait: more than 12 snapshots cannot be told apart, got {len(snapshots)}")
        self.extent, self.window, self.snapshots = extent, window, tuple(snapshots)
        self.offsets = extent * torch.linspace(-1, 1, _N_OFFSETS + 1)
        self.offsets[_N_OFFSETS // 2] = 0

    def forget(self) -> None:
        """Starts a new path."""
        super().forget()
        self._real: Tensor | None = None
        self._curves: dict[int, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that the data are one-dimensional, where the DataModule says what they are."""
        super().setup(trainer, pl_module, stage)
        shape = getattr(getattr(trainer, "datamodule", None), "sample_shape", None)
        if stage != "predict" and shape is not None:
            _check(tuple(shape))

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """Where the game stands."""
        if self._real is None:
            reals = training_reals(trainer, _N_REALS)
            _check(tuple(reals.shape[1:]))
            self._real = reals.mean(0)
        fake = gan.sample(_N_FAKES, seed=0, averaged=False).mean(-2, keepdim=True)  # (..., 1, 1)
        with watched(gan, "DiracPortrait") as logits:
            slope = discriminator_gradient(logits, fake)
            along = torch.ones(1, 1)
            curve = landscape(logits, for_each_seed(gan, self._real.unsqueeze(0)), along, self.offsets)
        shape = landscape_shape(curve, self.offsets.to(curve), torch.tensor([self.extent]))
        theta = fake[..., 0, 0]
        if gan.iteration in self.snapshots:
            self._curves[gan.iteration] = with_seeds_axis(gan, curve.flatten(-3)).float().cpu()
        numbers = {
            "dirac/theta": theta,
            "dirac/slope": slope[..., 0, 0],
            "dirac/amplitude": self._amplitude(theta, gan.iteration),
            "dirac/monotone": shape.monotone[..., 0],
            "dirac/maximum_at_real": shape.local_maxima[..., 0, 0],
        }
        return Observation(numbers)

    def _amplitude(self, theta: Tensor, iteration: int) -> Tensor:
        """The largest distance of the last looks and this one, `(...)`."""
        assert self._real is not None
        key = self.key("dirac/theta")
        earlier = [numbers[key] for at, numbers in self.history[-self.window :] if at != iteration]
        path = torch.tensor([*earlier, theta.reshape(-1).tolist()][-self.window :])
        return (path - self._real).abs().amax(0).reshape(theta.shape)

    def picture(self, gan: GAN) -> Picture:
        """The path, and D's curve at the snapshots."""
        assert self._real is not None
        iterations, series = self.series(gan)
        return partial(
            plotting.dirac_portraits,
            iterations,
            series[self.key("dirac/theta")],
            series[self.key("dirac/slope")],
            self.offsets.numpy(),
            {iteration: array(curve) for iteration, curve in sorted(self._curves.items())},
            self._real.item(),
            panel_titles(gan),
            "the path of the game, and D's curve at some iterations",
        )

    def state_dict(self) -> dict[str, Any]:
        """The history, and the curves that are to be drawn."""
        return {**super().state_dict(), "curves": self._curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them from a checkpoint."""
        super().load_state_dict(state_dict)
        self._curves = dict(state_dict["curves"])


def _check(shape: tuple[int, ...]) -> None:
    if shape != (1,):
        raise ValueError(
            f"DiracPortrait needs one-dimensional data, of sample shape (1,), as DiracDataModule has, got {shape}; "
            f"take it out of the callbacks of this run"
        )
