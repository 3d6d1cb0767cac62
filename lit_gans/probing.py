"""Looking at checkpoints: a trainer that shows them to its probes, without training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info

from . import checks
from .checkpoints import in_order, read, same_game
from .gan import GAN
from .modes import evaluating


@runtime_checkable
class Prober(Protocol):
    """What `Trainer.probe` asks of a callback; every `callbacks.Probe` has it."""

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes from a checkpoint what it cannot see in the game."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the game as it stands."""

    def finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the last look: draws what is made of all of them."""


class Trainer(pl.Trainer):
    """Lightning's trainer, which can also look at checkpoints: `probe`."""

    has_begun = False
    """Whether training or looking has begun. A ValueError before that is about what was given."""
    _checkpoints: Mapping[int, Path] = {}
    _weights_only: bool | None = None
    _visiting: int | None = None

    def probe(
        self,
        model: GAN,
        datamodule: pl.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Looks at checkpoints with every probe of the callbacks, without training.

        Pictures, films, tables and numbers are those that a run leaves. A visit to a checkpoint is a look, and what a
        probe compares or draws over time are the visits: what it saw in the run itself is left aside, because its
        settings may have been others. So `VectorField` gives its cosine where checkpoints are `every_n_iterations`
        apart. Hooks, which are part of the game, are as the checkpoint has them. The model is left as the last
        checkpoint has it.

        Args:
            model: A game of the networks and seeds that the checkpoints hold.
            datamodule: The data of the run.
            ckpt_path: A checkpoint, or a folder of a run's checkpoints, each of whose iterations is visited once and
                in order. (A run keeps them all with `--checkpoint.save_top_k=-1`.)
            weights_only: See `torch.load`; None is true.

        Raises:
            FileNotFoundError: If there is no such file, or no checkpoint in the folder.
            ValueError: If no path was given, a file is not a whole checkpoint or holds other networks or seeds than
                the model, the data do not fit the networks, or there is no probe among the callbacks.
        """
        if not self._probers:
            raise ValueError(
                "there is no probe among the callbacks, so nothing to look with; add one, "
                "for example --trainer.callbacks+=VectorField"
            )
        checkpoints = in_order(ckpt_path, weights_only)
        for path in checkpoints.values():
            same_game(path, model, weights_only)
        self._checkpoints, self._weights_only = checkpoints, weights_only
        try:
            self.validate(model, datamodule=datamodule, verbose=False)
        finally:
            self._checkpoints, self._visiting = {}, None

    @property
    def global_step(self) -> int:
        """The iterations trained so far; those of the checkpoint while one is looked at."""
        return super().global_step if self._visiting is None else self._visiting

    @property
    def _probers(self) -> list[Prober]:
        callbacks: list[pl.Callback] = self.callbacks  # type: ignore[attr-defined]
        return [callback for callback in callbacks if isinstance(callback, Prober)]

    def _run_stage(self) -> Any:
        """As Lightning's; for `probe`, in place of the pass over held-out data, the visits."""
        gan = self.lightning_module
        if self.evaluating and isinstance(gan, GAN):
            fits(gan, getattr(getattr(self, "datamodule", None), "sample_shape", None))
        self.has_begun = True
        if not self._checkpoints:
            return super()._run_stage()
        assert isinstance(gan, GAN)
        for iteration, path in self._checkpoints.items():
            self._visiting = iteration
            checkpoint = read(path, self._weights_only)
            rank_zero_info(f"iteration {iteration}: {path}")
            self._restore(gan, checkpoint)
            for prober in self._probers:
                prober.on_load_checkpoint(self, gan, checkpoint)
                prober.on_validation_end(self, gan)
        for prober in self._probers:
            prober.finish(self, gan)
        return []

    def _restore(self, gan: GAN, checkpoint: dict[str, Any]) -> None:
        """Puts a game where a checkpoint was taken, but for optimizers and random streams, which no look needs."""
        gan.on_load_checkpoint(checkpoint)
        gan.load_state_dict(checkpoint["state_dict"])
        gan.discriminator_updates = checkpoint["global_step"] * gan.n_critic
        for hook in gan.hooks:
            if state := checkpoint.get("callbacks", {}).get(hook.state_key):
                hook.load_state_dict(state)
            hook.on_load_checkpoint(self, gan, checkpoint)


def fits(gan: GAN, sample_shape: tuple[int, ...] | None) -> None:
    """A ValueError unless the networks play on samples of the data's shape, as far as that is known."""
    if sample_shape is None:
        return
    axes = (2,) if gan.seeds is None else (len(gan.seeds), 2)
    dtype = next((parameter.dtype for parameter in gan.parameters()), None)
    real = torch.zeros(*axes, *sample_shape, dtype=dtype, device=gan.device)
    try:
        with torch.no_grad(), evaluating(gan.generator, gan.discriminator):
            checks.game([real], gan.generator, gan.logits, gan.latent_dim, len(axes))
    except RuntimeError as error:  # of torch, in the midst of a network
        raise ValueError(
            f"the discriminator cannot take samples of the data's shape {tuple(sample_shape)} "
            f"({str(error).splitlines()[0]}); give the networks the data's sample_shape"
        ) from error
