"""SQDLogger: how stable training is, and how good and how diverse its samples are, while it runs."""

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lit_gans import GAN, plotting
from lit_gans.judges import Judge, MixtureJudge, judged
from lit_gans.logbook import by_seed, is_tick, publish
from lit_gans.metrics import (
    angle_of,
    counted_coverage,
    james_stein_entropy,
    miller_madow_entropy,
    mode_counts,
    plugin_entropy,
    step_turns,
)
from lit_gans.seeds import SeedStack

from .pictures import Picture
from .probe import Observation
from .trend import Trend

PLAYERS = {"g": "generator", "d": "discriminator"}


class SQDLogger(Trend):
    """Follows stability S, quality Q and diversity D.

    - S: the angle in radians by which the vector of all weights of a player turns in one iteration. Logged whenever
      the trainer logs: `sqd/stability/g` and `/d`, of the last iteration measured; `sqd/stability_peak/g` and `/d`, the
      largest since the last log, so that no jump is lost; and `sqd/stability/g/<layer>`, by the layer's path in the
      player. The picture has degrees.
    - Q, `sqd/quality`: the mean probability, as a judge sees it, that a sample is of the domain.
    - D, `sqd/diversity`: the entropy in nats of the modes that the judge sees, by the James-Stein estimator. Beside it
      `sqd/diversity_plugin` and `sqd/diversity_miller_madow`, because each misleads in its own way (see
      `lit_gans.metrics.entropy`), and `sqd/diversity_max`, `ln m` of the judge's m modes.
    - `sqd/modes`, how many modes have a sample, and `sqd/reverse_kl`, `KL(modes ‖ uniform)` in nats: the field's
      measures of Stacked MNIST.

    Without a failure S falls smoothly and Q and D rise. A jump of S with Q or D falling is a turning point. The
    picture, at the end of the run, has all three; the table, at each look, too.

    Args:
        every_n_iterations: How often samples are judged.
        judge: Tells quality and modes; None: the exact one of data with `centers` and `std`, such as the ring's.
        stability_every: How often S is measured, always over a single iteration. It costs a few passes over all
            weights each time.
        n_samples: How many samples are judged.
        seed: Of their latents.
        name: See `Probe`.

    Raises:
        ValueError: If `stability_every` is below 1, `n_samples` is below 2, or, in `setup`, there is no judge.

    Source: SQD, eq. 4 to 9 and algorithm 1.
    """

    def __init__(
        self,
        every_n_iterations: int = 500,
        judge: Judge | None = None,
        stability_every: int = 1,
        n_samples: int = 2000,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(every_n_iterations, name)
        if stability_every < 1:
            raise ValueError(
                f"{type(self).__name__}: stability_every must be at least 1 iteration, got {stability_every}"
            )
        if n_samples < 2:
            raise ValueError(
                f"{type(self).__name__}: n_samples must be at least 2, an entropy of one is none, got {n_samples}"
            )
        self.judge, self.stability_every, self.n_samples, self.seed = judge, stability_every, n_samples, seed

    def forget(self) -> None:
        """Starts a new history."""
        super().forget()
        self._before: dict[str, list[Tensor]] = {}  # each player's weights an iteration ago, one vector per parameter
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._layers: dict[str, dict[str, int]] = {}
        self._turns: list[tuple[int, Tensor]] = []  # on the device, until somebody asks
        self._measured: list[tuple[Tensor, Tensor]] = []  # iterations (t,) and angles (t, 2, ...)
        self._unpublished: list[Tensor] = []
        self._latest: dict[str, Tensor] = {}  # the last turn of each of a player's parameters

    def key(self, key: str) -> str:
        """The log key of a number: a name that was given stands for `sqd`."""
        return key if self._given_name is None else f"{self._given_name}/{key.removeprefix('sqd/')}"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes sure that there is a judge."""
        super().setup(trainer, pl_module, stage)
        data: Any = getattr(trainer, "datamodule", None)
        self._judge: Any = self.judge
        if self._judge is None and hasattr(data, "centers") and hasattr(data, "std"):
            self._judge = MixtureJudge(data.centers, data.std)
        if self._judge is None and stage != "predict":
            raise ValueError(
                f"{type(self).__name__} needs a judge, which tells how good samples are and which mode they show: data "
                f"with `centers` and `std` (as RingDataModule has) bring their own, {type(data).__name__} does not; "
                f"give it one by its argument `judge` (for images, one that `lit-gans judge` has trained, or a "
                f"lit_gans.judges.Judge of your own), or take it out of the callbacks of this run"
            )
        if self._judge is not None and not isinstance(getattr(self._judge, "n_modes", None), int):
            raise ValueError(f"{type(self._judge).__name__}: a judge needs n_modes, the number of modes it can tell")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes where the weights are, and looks."""
        assert isinstance(pl_module, GAN)
        for letter, player in PLAYERS.items():
            layers = _by_layer(getattr(pl_module, player))
            self._parameters[letter] = [parameter for of_layer in layers.values() for parameter in of_layer]
            self._layers[letter] = {path: len(of_layer) for path, of_layer in layers.items()}
            self._before[letter] = [
                torch.empty_like(weights, dtype=torch.promote_types(weights.dtype, torch.float32))
                for weights in self._weights(pl_module, letter)
            ]
        self._start_from(pl_module)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures how far the weights have turned, and looks if it is time."""
        assert isinstance(pl_module, GAN)
        iteration = trainer.global_step
        measured = iteration % self.stability_every == 0
        tick = is_tick(trainer, iteration)
        if measured:
            self._latest = {
                letter: step_turns(before, self._weights(pl_module, letter)) for letter, before in self._before.items()
            }
            self._turns.append((iteration, torch.stack([turns.sum(0) for turns in self._latest.values()])))
        elif (iteration + 1) % self.stability_every == 0:
            self._start_from(pl_module)
        if tick and (news := self._news()):
            publish(trainer, by_seed(news, pl_module.seeds), iteration)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """What the judge says of the samples; with it, how far the weights last turned."""
        samples = gan.sample(self.n_samples, self.seed)
        verdict = judged(self._judge, samples, (*gan.seeds_axis, self.n_samples))
        counts = mode_counts(verdict.mode, self._judge.n_modes)
        quality, coverage = verdict.probability.mean(-1), counted_coverage(counts)
        numbers = {
            "sqd/quality": quality,
            "sqd/diversity": james_stein_entropy(counts),
            "sqd/diversity_plugin": plugin_entropy(counts),
            "sqd/diversity_miller_madow": miller_madow_entropy(counts),
            "sqd/diversity_max": torch.full_like(quality, math.log(self._judge.n_modes)),
            "sqd/modes": coverage.modes,
            "sqd/reverse_kl": coverage.reverse_kl,
        }
        self._collect()
        if self._measured:
            angles = self._measured[-1][1][-1]
            numbers |= {f"sqd/stability/{letter}": angles[i] for i, letter in enumerate(PLAYERS)}
        return Observation({key: value.reshape(gan.seeds_axis) for key, value in numbers.items()})

    def largest_turns(self, iterations: Sequence[int]) -> Tensor:
        """The largest turn of each player from one of some iterations to the next, `(k, 2, ...)`.

        It is NaN where none was measured, as before the first of them, and infinite where weights became NaN.
        """
        moments, angles = self._stabilities()
        until = torch.bucketize(moments, torch.tensor(iterations))  # which of them is the next
        known = (until > 0) & (until < len(iterations))
        measured = angles[known].nan_to_num(nan=math.inf)
        largest = torch.full((len(iterations), *angles.shape[1:]), -math.inf)
        until = until[known].reshape(-1, *[1] * (measured.ndim - 1)).expand_as(measured)
        largest.scatter_reduce_(0, until, measured, "amax")
        return largest.masked_fill(largest == -math.inf, math.nan)

    def picture(self, gan: GAN) -> Picture:
        """All three over the run."""
        iterations, series = self.series(gan)
        moments, angles = self._stabilities()
        by_player = angles.reshape(len(moments), len(PLAYERS), len(gan.seeds or [None])).numpy()
        return partial(
            plotting.sqd,
            moments.numpy(),
            {player: by_player[:, i] for i, player in enumerate(PLAYERS.values())},
            iterations,
            series[self.key("sqd/quality")],
            series[self.key("sqd/diversity")],
            math.log(self._judge.n_modes),
            f"stability, quality and diversity of {self.n_samples} samples",
        )

    def state_dict(self) -> dict[str, Any]:
        """The history, of stability, too. The weights it compares with are the checkpoint's."""
        moments, angles = self._stabilities()
        unpublished = sum(map(len, self._unpublished))
        return {**super().state_dict(), "moments": moments, "angles": angles, "unpublished": unpublished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the history from a checkpoint."""
        super().load_state_dict(state_dict)
        moments, angles = state_dict["moments"], state_dict["angles"]
        self._measured = [(moments, angles)] if len(moments) else []
        self._unpublished = [angles[len(angles) - state_dict["unpublished"] :]] if state_dict["unpublished"] else []

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes stability from where `lit-gans probe` looks, too: what was passed cannot be measured again."""
        if state := checkpoint.get("callbacks", {}).get(self.state_key):
            self.load_state_dict({**state, **super().state_dict()})

    def _weights(self, gan: GAN, letter: str) -> list[Tensor]:
        return [parameter.detach().reshape(*gan.seeds_axis, -1) for parameter in self._parameters[letter]]

    def _start_from(self, gan: GAN) -> None:
        """Takes the weights as they are for those that the next iteration moves."""
        for letter, before in self._before.items():
            for vector, now in zip(before, self._weights(gan, letter), strict=True):
                vector.copy_(now)

    def _collect(self) -> None:
        """Brings what was measured from the device."""
        if self._turns:
            moments, turns = zip(*self._turns, strict=True)
            angles = angle_of(torch.stack(turns)).float().cpu()
            self._measured.append((torch.tensor(moments), angles))
            self._unpublished.append(angles)
            self._turns = []

    def _stabilities(self) -> tuple[Tensor, Tensor]:
        """When S was measured, `(t,)`, and what it was, `(t, 2, ...)`."""
        self._collect()
        if not self._measured:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, len(PLAYERS))
        moments, angles = (torch.cat(parts) for parts in zip(*self._measured, strict=True))
        self._measured = [(moments, angles)]
        return moments, angles

    def _news(self) -> dict[str, Tensor]:
        """What the trainer's log is told, by key."""
        self._collect()
        numbers = {
            f"sqd/stability/{letter}/{path}": angle_of(of_layer.sum(0))
            for letter, turns in self._latest.items()
            for path, of_layer in zip(
                self._layers[letter], turns.split(list(self._layers[letter].values())), strict=True
            )
        }
        if self._unpublished:
            recent = torch.cat(self._unpublished)
            numbers |= {f"sqd/stability/{letter}": recent[-1, i] for i, letter in enumerate(PLAYERS)}
            numbers |= {f"sqd/stability_peak/{letter}": recent[:, i].amax(0) for i, letter in enumerate(PLAYERS)}
        self._unpublished, self._latest = [], {}
        return {self.key(key): value for key, value in numbers.items()}


def _by_layer(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """What a player moves, by the path of the layer that it belongs to."""
    network = network.network if isinstance(network, SeedStack) else network
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            path = re.sub(r"(^|\.)parametrizations\..*|(^|\.)[^.]*$", "", name) or "network"
            layers.setdefault(path, []).append(parameter)
    return layers
