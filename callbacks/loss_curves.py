"""LossCurves: losses, gradient norms and accuracies over the run."""

from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl

from lit_gans import GAN, plotting
from lit_gans.logbook import is_tick

from .probe import Observation, Probe
from .thinned import Thinned


class LossCurves(Probe):
    """Draws every number that the game logs (`d/…`, `g/…`), a panel each, with a faint line per seed.

    Values are noted whenever the trainer logs. File: `loss_curves/<iteration>.png` in the run's folder; the numbers
    themselves are in the logger's table. Curves are of at most `most` moments; when there are more, every second one
    is dropped, over the whole run alike.

    Args:
        every_n_iterations: How often to draw; the end of the run is drawn in any case.
        most: How many moments are kept, in memory and in checkpoints.
        name: See `Probe`.

    Raises:
        ValueError: If `most` is below 2; see also `Probe`.
    """

    def __init__(self, every_n_iterations: int = 5000, most: int = 1000, name: str | None = None) -> None:
        if most < 2:
            raise ValueError(f"LossCurves: most must be at least 2 moments, to draw a curve, got {most}")
        self.most = most
        super().__init__(every_n_iterations, name)

    def forget(self) -> None:
        """Starts a new history."""
        super().forget()
        self.history: Thinned[dict[str, list[float]]] = Thinned(self.most)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the numbers that have just been logged; draws if it is time."""
        if is_tick(trainer, trainer.global_step):
            self._note(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _note(self, trainer: pl.Trainer, gan: Any) -> None:
        numbers = trainer.callback_metrics
        names = [name for name in numbers if name.startswith(("d/", "g/")) and "/seed_" not in name]
        keys = {name: [f"{name}/seed_{seed}" for seed in gan.seeds or []] or [name] for name in names}
        seen = {name: [numbers[key].item() for key in keys[name]] for name in names}
        self.history.add(trainer.global_step, seen)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> Observation:
        """A figure of everything noted so far; nothing before the first note."""
        rows = self.history.seen
        if not rows:
            return Observation()
        unknown = [float("nan")] * len(gan.seeds or [None])
        names = sorted({name for numbers in rows for name in numbers})
        series = {name: np.array([numbers.get(name, unknown) for numbers in rows]) for name in names}
        iterations = np.array(self.history.iterations)
        caption = "losses, gradient norms and D's accuracy"
        return Observation(picture=partial(plotting.curves, iterations, series, caption))

    def state_dict(self) -> dict[str, Any]:
        """The history, so that a resumed run draws the whole of it."""
        return {"history": self.history.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the history from a checkpoint."""
        self.history.load_state_dict(state_dict["history"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes the history where `lit-gans probe` looks, too: what was logged cannot be measured again."""
        if state := checkpoint.get("callbacks", {}).get(self.state_key):
            self.load_state_dict(state)
