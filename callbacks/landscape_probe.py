"""LandscapeProbe: D's output along lines through real samples, the picture of what it knows about them."""

from collections.abc import Sequence
from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_gans import GAN, plotting
from lit_gans.metrics import landscape, landscape_shape, unit_directions
from lit_gans.penalties import Logit, Output, Probability
from lit_gans.streams import stream

from .looking import array, for_each_seed, panel_titles, training_reals, watched, with_seeds_axis
from .probe import Observation, Probe


class LandscapeProbe(Probe):
    """Draws `f(k) = D(x + k û)` for real x along one shared random unit û, and counts what shapes the curves have.

    A D that knows its data has a wide maximum at each real sample; one that forgets has curves that only rise or fall.
    Logged, each the mean over `n_directions`: `landscape/local_maxima`, the share of real samples that are local
    maxima within the widest window, and `landscape/local_maxima_within_<w>` for each; `landscape/monotone`;
    `landscape/slope_sign` (1: all curves rise along û, -1: all fall) and `landscape/slope_alike`, the mean over
    directions of its size; `landscape/half_width` (in units of k); `landscape/flat`; `landscape/slope_flipped`, the
    largest share of curves whose mean slope has the other sign than at any one look before (the untrained D aside).
    The samples along one û are not independent, directions are: `landscape/<number>_std` is the standard deviation
    over them. See `metrics.landscape_shape` for the definitions. The row of iteration 0 is the untrained D's: what
    any D shows by chance.

    The picture: real samples, their curves along the first û on the given output's scale, G's samples.

    Args:
        every_n_iterations: How often to look.
        n_samples: Real samples in the picture and in the numbers.
        n_directions: How many û the numbers are over; the picture shows the first.
        reach: k runs from -reach to reach.
        n_offsets: How many k on either side of 0.
        windows: Within which distances of 0 a maximum is sought; None is a tenth, a half and all of `reach`.
        output: `Logit()` or `Probability()`; None is the probability, as in the paper, or the logit where the objective
            only compares (`Wasserstein`, `RelativisticPairing`).
        tolerance: See `metrics.landscape_shape`.
        flat_slope: See `metrics.landscape_shape`.
        at_once: At most so many samples go through D together.
        seed: Of the directions and of G's latents.
        name: See `Probe`.

    Raises:
        ValueError: If a count is below 1, `reach` or a window is not above 0, or a window is outside `reach`.

    Source: Thanh-Tung & Tran, eq. 2, fig. 2 to 7.
    """

    def __init__(
        self,
        every_n_iterations: int = 1000,
        n_samples: int = 16,
        n_directions: int = 10,
        reach: float = 100.0,
        n_offsets: int = 50,
        windows: Sequence[float] | None = None,
        output: Output | None = None,
        tolerance: float = 0.01,
        flat_slope: float = 1e-4,
        at_once: int = 8192,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        counts = {"n_samples": n_samples, "n_directions": n_directions, "n_offsets": n_offsets, "at_once": at_once}
        for argument, count in counts.items():
            if count < 1:
                raise ValueError(f"LandscapeProbe: {argument} must be at least 1, got {count}")
        if not reach > 0:
            raise ValueError(f"LandscapeProbe: k runs from -reach to reach; reach must be above 0, got {reach}")
        step = reach / n_offsets
        windows = (max(reach / 10, step), max(reach / 2, step), reach) if windows is None else windows
        if not windows or not all(step <= window <= reach for window in windows):
            raise ValueError(
                f"LandscapeProbe: windows must lie between one step of k, {step:g}, and reach, {reach:g}; "
                f"got {list(windows)}"
            )
        self.offsets = torch.arange(-n_offsets, n_offsets + 1) * step  # a linspace may miss 0 by rounding
        self.windows = torch.tensor(sorted(windows))
        self.n_samples, self.n_directions = n_samples, n_directions
        self.output = output
        self.tolerance, self.flat_slope, self.at_once, self.seed = tolerance, flat_slope, at_once, seed

    def forget(self) -> None:
        """Starts with no slopes to compare with."""
        super().forget()
        self._slopes: list[tuple[int, Tensor]] = []

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """The landscape as a figure and in numbers."""
        real = training_reals(trainer, self.n_samples)
        directions = unit_directions(self.n_directions, real.shape[1:], stream(self.seed, "landscape directions"))
        with watched(gan, "LandscapeProbe") as logits:
            curves = landscape(logits, for_each_seed(gan, real), directions, self.offsets, self.at_once)
        output = self.output or (Logit() if gan.loss.decision(curves) is None else Probability())
        curves, output_name = output(curves).detach().cpu(), type(output).__name__.lower()
        drawn = with_seeds_axis(gan, curves)[:, 0]
        picture = partial(
            plotting.landscapes,
            array(real),
            self.offsets.numpy(),
            array(drawn),
            array(with_seeds_axis(gan, gan.sample(self.n_samples, self.seed, averaged=False))),
            panel_titles(gan),
            output_name,
            f"D along one line through each real sample, iteration {gan.iteration}",
        )
        return Observation(self._numbers(curves, gan.iteration), picture, {"output": output_name})

    def _numbers(self, curves: Tensor, iteration: int) -> dict[str, Tensor]:
        shape = landscape_shape(curves, self.offsets, self.windows, self.tolerance, self.flat_slope)
        maxima = shape.local_maxima.unbind(-1)
        by_direction = {"local_maxima": maxima[-1], "monotone": shape.monotone, "slope_sign": shape.slope_sign}
        by_direction |= {"half_width": shape.half_width, "flat": shape.flat}
        numbers = {name: values.nanmean(-1) for name, values in by_direction.items()}
        numbers |= {f"{name}_std": _spread(values) for name, values in by_direction.items()}
        numbers |= {f"local_maxima_within_{w:g}": m.mean(-1) for w, m in zip(self.windows, maxima, strict=True)}
        numbers["slope_alike"] = shape.slope_sign.abs().mean(-1)
        numbers |= self._flipped((curves[..., -1] - curves[..., 0]).sign().nan_to_num(0).to(torch.int8), iteration)
        return {f"landscape/{name}": value for name, value in numbers.items()}

    def _flipped(self, slopes: Tensor, iteration: int) -> dict[str, Tensor]:
        self._slopes = [(t, before) for t, before in self._slopes if t < iteration]
        shares = [((before * slopes) < 0).float().mean((-1, -2)) for t, before in self._slopes if t > 0]
        self._slopes.append((iteration, slopes))
        return {"slope_flipped": torch.stack(shares).amax(0)} if shares else {}

    def state_dict(self) -> dict[str, list[tuple[int, Tensor]]]:
        """The signs of all slopes at every look: a byte each."""
        return {"slopes": self._slopes}

    def load_state_dict(self, state_dict: dict[str, list[tuple[int, Tensor]]]) -> None:
        """Takes the signs from a checkpoint."""
        self._slopes = [(iteration, slopes) for iteration, slopes in state_dict["slopes"]]


def _spread(values: Tensor) -> Tensor:
    """The standard deviation over the last axis, of what is a number."""
    mean = values.nanmean(-1, keepdim=True)
    return (values - mean).square().nanmean(-1).sqrt()
