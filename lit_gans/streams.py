"""Random numbers, one stream per seed, so that a run of ten seeds is ten runs of one."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose numbers depend on `seed` and `purpose` alone.

    Two purposes of one seed must not share numbers: a generator initialised from the numbers that also
    shuffle its data would be correlated with them. Hashing keeps the streams apart.

    Args:
        seed: The seed of one run.
        purpose: What the numbers are for, for example `"latents"`.
        device: Where the numbers are drawn.
    """
    digest = hashlib.sha256(f"{purpose}/{seed}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") % 2**63)


class Draws:
    """Every random number of a game's step: latents, mixing coefficients, noise.

    Objectives, penalties and hooks take their numbers from here and nowhere else. A loss is then a function of the
    parameters and its step, which carries the draws: two evaluations of one step see the same numbers.

    Args:
        generators: One generator per entry of the leading seeds axis; `None` for draws without a seeds axis.
        generator: The one generator of draws without a seeds axis; `None` takes torch's global one.
    """

    def __init__(
        self, generators: Sequence[torch.Generator] | None = None, generator: torch.Generator | None = None
    ) -> None:
        self.generators = None if generators is None else list(generators)
        self.generator = generator

    def uniform(self, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        """Numbers from U(0, 1) of the given shape, on the device and in the dtype of `like`."""
        values = torch.empty(tuple(shape)) if like is None else like.new_empty(tuple(shape))
        return self._fill(values, "uniform_")

    def normal(self, like: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Numbers from N(0, 1) on the device and in the dtype of `like`, in its shape or the given one."""
        return self._fill(like.new_empty(like.shape if shape is None else tuple(shape)), "normal_")

    def recording(self) -> "RecordedDraws":
        """The same streams, for one step: what is drawn there can be drawn again."""
        return RecordedDraws(self.generators, self.generator)

    def rewind(self) -> None:
        """Starts over with what has been drawn, where that is kept."""

    def _fill(self, values: Tensor, fill: str) -> Tensor:
        if self.generators is None:
            getattr(values, fill)(generator=self.generator)
            return values
        if len(values) != len(self.generators):
            raise ValueError(
                f"draws of {len(self.generators)} seeds were asked for shape {tuple(values.shape)}; "
                f"the leading axis must be the seeds axis, of length {len(self.generators)}"
            )
        for row, generator in zip(values, self.generators, strict=True):
            getattr(row, fill)(generator=generator)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The state of every generator, as byte tensors on the CPU."""
        return {"generators": [generator.get_state() for generator in self._all()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        ours, theirs = self._all(), state["generators"]
        if len(ours) != len(theirs):
            raise ValueError(
                f"the checkpoint holds the random streams of {len(theirs)} seeds, this run has {len(ours)}; "
                f"resume with the seeds of the checkpoint"
            )
        if any(generator.get_state().shape != value.shape for generator, value in zip(ours, theirs, strict=True)):
            rank_zero_warn("the checkpoint's random streams are of another kind of device: they start anew")
            return
        for generator, value in zip(ours, theirs, strict=True):
            generator.set_state(value.cpu())

    def _all(self) -> list[torch.Generator]:
        return self.generators if self.generators is not None else [self.generator or torch.default_generator]


class RecordedDraws(Draws):
    """Draws that keep their numbers: after `rewind` the same calls give the same numbers again."""

    def __init__(
        self, generators: Sequence[torch.Generator] | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(generators, generator)
        self._kept: list[Tensor] = []
        self._position = 0

    def rewind(self) -> None:
        """Starts over with what has been drawn."""
        self._position = 0

    def _fill(self, values: Tensor, fill: str) -> Tensor:
        if self._position == len(self._kept):
            self._kept.append(super()._fill(values, fill))
        self._position += 1
        return self._kept[self._position - 1]


def draws_for(seeds: Sequence[int] | None, purpose: str, device: torch.device | str = "cpu") -> Draws:
    """Draws for one purpose: a stream per seed, or without seeds the one stream of torch's initial seed."""
    if seeds is None:
        return Draws(generator=stream(torch.initial_seed(), purpose, device))
    return Draws([stream(seed, purpose, device) for seed in seeds])
