"""TurningPoint: an alarm for the moment at which a game begins to fail."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lit_gans import GAN, plotting
from lit_gans.logbook import publish
from lit_gans.metrics import turning_points

from .pictures import Picture
from .probe import Observation, append_row, run_folder
from .sqd_logger import PLAYERS, SQDLogger

Action = Literal["log", "stop", "rollback"]
SCORES = ("quality", "diversity")


class TurningPoint(SQDLogger):
    """An `SQDLogger` that raises the alarm where a player's weights jump while quality or diversity begins to fall.

    What it looks for is `lit_gans.metrics.turning_points`; it can tell `patience - 1` looks later. The first turning
    point of each seed is told: on the screen, as a row of `<run folder>/turning_points.csv` (when it was, how far
    each player jumped, what quality and diversity were and became), as a line in the picture, and as
    `sqd/turning_point`, its iteration, in the logs.

    Args:
        *args: As of `SQDLogger`.
        jump: So many times a player's usual turn is a jump.
        fall: So large a share of the usual quality or diversity is a fall.
        window: How many looks make the usual.
        patience: How many looks, from the jump on, make a fall.
        action: What else to do. `log`: nothing. `stop`: end the run when every seed has turned. `rollback`: put the
            players of that seed, with their optimizers' moments, back to the look before, and go on with other
            batches; later turning points of the seed are told, too. Both of the last keep the checkpoint of the look
            before the first turning point as `<run folder>/last_good.ckpt`, for `--ckpt_path`.
        **kwargs: As of `SQDLogger`.

    Raises:
        ValueError: If `stability_every` is above `every_n_iterations`, `jump` is not above 1, `fall` not between 0 and
            1, `window` below 2, `patience` below 1 or `action` unknown; and where `SQDLogger` does.

    Source: SQD, section 4, where turning points are found by eye.
    """

    def __init__(
        self,
        *args: Any,
        jump: float = 1.5,
        fall: float = 0.1,
        window: int = 10,
        patience: int = 5,
        action: Action = "log",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.stability_every > self.every_n_iterations:
            raise ValueError(
                f"TurningPoint: stability_every must be at most every_n_iterations, or looks have no turn to compare, "
                f"got {self.stability_every} and {self.every_n_iterations}"
            )
        if not jump > 1:
            raise ValueError(f"TurningPoint: jump must be above 1, which is the usual turn, got {jump}")
        if not 0 < fall < 1:
            raise ValueError(f"TurningPoint: fall must be between 0 and 1, a share of the usual score, got {fall}")
        if window < 2 or patience < 1:
            raise ValueError(
                f"TurningPoint: window must be at least 2 looks and patience at least 1, got {window} and {patience}"
            )
        if action not in get_args(Action):
            raise ValueError(f"TurningPoint: action must be one of {', '.join(get_args(Action))}, got {action!r}")
        self.jump, self.fall, self.window, self.patience, self.action = jump, fall, window, patience, action

    def forget(self) -> None:
        """Starts a new history."""
        super().forget()
        self.found: list[dict[str, Any]] = []
        """The rows of `turning_points.csv`."""
        self._checkpoints: dict[int, str] = {}  # of the latest looks, by iteration

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks if it is time, and does what is to be done at a turning point."""
        assert isinstance(pl_module, GAN)
        known = len(self.found)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._last_look == pl_module.iteration and self.action != "log" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            for row in self.found[known:]:
                self._act(trainer, pl_module, row)
            self._keep_checkpoint(trainer, pl_module.iteration)

    def finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the history, and leaves no checkpoint but the last good one."""
        super().finish(trainer, pl_module)
        if trainer.is_global_zero:
            for path in self._checkpoints.values():
                Path(path).unlink(missing_ok=True)
            if not self.found:
                print(f"{type(self).__name__}: no turning point in {trainer.global_step} iterations")

    def picture(self, gan: GAN) -> Picture:
        """All three over the run, with a line at each turning point."""
        drawn: Any = super().picture(gan)
        return partial(drawn, turning_points=[row["iteration"] for row in self.found])

    def state_dict(self) -> dict[str, Any]:
        """The history, and what was found in it."""
        return {**super().state_dict(), "found": self.found, "checkpoints": self._checkpoints}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both from a checkpoint."""
        super().load_state_dict(state_dict)
        self.found, self._checkpoints = list(state_dict["found"]), dict(state_dict["checkpoints"])

    def _record(self, trainer: pl.Trainer, gan: GAN, seen: Observation) -> None:
        super()._record(trainer, gan, seen)
        for row in self._alarms(gan):
            self.found.append(row)
            key = self.key("sqd/turning_point") + (f"/seed_{row['seed']}" if gan.seeds else "")
            publish(trainer, {key: row["iteration"]}, gan.iteration)
            if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
                append_row(run_folder(trainer) / f"{self.name}s.csv", row)
                print(f"{type(self).__name__}: {_sentence(row)}")

    def _alarms(self, gan: GAN) -> list[dict[str, Any]]:
        """The seeds that turned at the one look of which the latest look lets us tell."""
        if gan.iteration % self.every_n_iterations:
            return []
        iterations, series = self.series(gan)
        regular = iterations % self.every_n_iterations == 0  # a run that goes on, or ends, looks in between, too
        iterations = iterations[regular]
        scores = torch.from_numpy(np.stack([series[self.key(f"sqd/{score}")] for score in SCORES], 1)[regular])
        turns = self.largest_turns(iterations.tolist()).reshape(len(iterations), len(PLAYERS), -1)
        how, at = (self.jump, self.fall, self.window, self.patience), self.window
        rows = []
        for place, seed in enumerate(gan.seeds or [""]):
            looks = self._looks_to_compare(iterations, seed)
            if len(looks) == self.window + self.patience:
                seen = turning_points(turns[looks, :, place], scores[looks, :, place], *how)
                if seen.turned[at]:
                    when = {"iteration": looks[at], "last_good": looks[at] - 1, "told_at": looks[-1]}
                    rows.append(
                        {"seed": seed, **{name: int(iterations[look]) for name, look in when.items()}}
                        | {f"jump_{letter}": seen.jumps[at, i].item() for i, letter in enumerate(PLAYERS)}
                        | {f"{score}_before": seen.before[at, i].item() for i, score in enumerate(SCORES)}
                        | {f"{score}_after": seen.after[at, i].item() for i, score in enumerate(SCORES)}
                    )
        return rows

    def _looks_to_compare(self, iterations: plotting.Array, seed: Any) -> list[int]:
        """The latest looks that a rollback of a seed has not undone; none where there is nothing to tell any more."""
        earlier = [row for row in self.found if row["seed"] == seed]
        if earlier and (self.action != "rollback" or (iterations > earlier[-1]["told_at"]).sum() < self.patience):
            return []
        undone = [(iterations >= row["iteration"]) & (iterations <= row["told_at"]) for row in earlier]
        looks: list[int] = np.flatnonzero(~np.any([np.zeros(len(iterations), bool), *undone], 0)).tolist()
        return looks[-(self.window + self.patience) :]

    def _keep_checkpoint(self, trainer: pl.Trainer, iteration: int) -> None:
        """Of the latest looks, back to the one before that of which the next look will tell."""
        path = run_folder(trainer) / self.name / f"{iteration:08d}.ckpt"
        self._checkpoints[iteration] = str(path)
        trainer.save_checkpoint(path, weights_only=False)
        for old in sorted(self._checkpoints)[: -self.patience]:
            old_path = Path(self._checkpoints.pop(old))
            if trainer.is_global_zero:
                old_path.unlink(missing_ok=True)

    def _act(self, trainer: pl.Trainer, gan: GAN, row: dict[str, Any]) -> None:
        last_good = Path(self._checkpoints.get(row["last_good"], ""))
        if not last_good.is_file():
            rank_zero_warn(f"{type(self).__name__}: the checkpoint of iteration {row['last_good']} is gone")
            return
        if row is self.found[0] and trainer.is_global_zero:
            shutil.copyfile(last_good, run_folder(trainer) / "last_good.ckpt")
        if self.action == "rollback":
            checkpoint = torch.load(last_good, map_location=gan.device, weights_only=True)
            put_back(gan, trainer.optimizers, checkpoint, gan.seeds.index(row["seed"]) if gan.seeds else None)
            self._start_from(gan)  # the way back is no turn
        elif len({found["seed"] for found in self.found}) == len(gan.seeds or [None]):
            trainer.should_stop = True


def put_back(gan: GAN, optimizers: Sequence[Optimizer], checkpoint: dict[str, Any], place: int | None) -> None:
    """Gives players, G's average and their optimizers what they had in a checkpoint.

    Args:
        gan: The game.
        optimizers: Those of its players, in the order of `configure_optimizers`.
        checkpoint: One of the same game, as Lightning makes them.
        place: Of the one seed that goes back, on the seeds axis. What the seeds share, such as the count of steps of
            Adam, runs on. None: a game without seeds.
    """
    at = ... if place is None else place
    kept = (*(f"{player}." for player in gan.players), "ema.module.")
    weights = {key: value for key, value in gan.state_dict().items() if key.startswith(kept)}
    now, then = list(weights.values()), [checkpoint["state_dict"][key] for key in weights]
    for optimizer, saved in zip(optimizers, checkpoint["optimizer_states"], strict=True):
        for parameter, moments in optimizer.state_dict()["state"].items():
            own = {key: value for key, value in moments.items() if isinstance(value, Tensor)}
            now += [value for value in own.values() if place is None or value.ndim]
            then += [saved["state"][parameter][key] for key, value in own.items() if place is None or value.ndim]
    with torch.no_grad():
        for value, before in zip(now, then, strict=True):
            value[at].copy_(before[at])


def _sentence(row: dict[str, Any]) -> str:
    """A turning point in words."""
    who = "the game" if row["seed"] == "" else f"seed {row['seed']}"
    jumps = " and ".join(f"{letter.upper()} {row[f'jump_{letter}']:.1f}" for letter in PLAYERS)
    scores = ", ".join(f"{score} from {row[f'{score}_before']:.2f} to {row[f'{score}_after']:.2f}" for score in SCORES)
    return f"{who} turned at iteration {row['iteration']}: {jumps} times the usual turn, {scores}"
