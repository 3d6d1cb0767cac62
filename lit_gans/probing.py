"""Looking at checkpoints: a trainer that shows them to its probes, without training."""

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from . import checks
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


def in_order(ckpt_path: str | Path | None, weights_only: bool | None = None) -> dict[int, Path]:
    """The checkpoints at a path by iteration, in order; of two of one iteration one.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If no path was given, or a file is not a whole checkpoint.
    """
    if ckpt_path is None:
        raise ValueError("no checkpoint was given to look at; give --ckpt_path a checkpoint, or a folder of them")
    path = Path(ckpt_path)
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}; give --ckpt_path a checkpoint, or a folder of them")
    # What is called last comes first: it gives way to a file that is named after its iteration.
    files = sorted(path.glob("*.ckpt"), key=lambda file: (not file.name.startswith("last"), file.name))
    if path.is_dir() and not files:
        raise FileNotFoundError(
            f"there is no file *.ckpt in the folder {path}; those of a run are in its own folder `checkpoints`"
        )
    found: dict[int, Path] = {}
    for file in files if path.is_dir() else [path]:
        iteration = read(file, weights_only)["global_step"]
        if iteration in found and not found[iteration].name.startswith("last"):
            rank_zero_warn(f"{found[iteration]} is passed over: {file} is of iteration {iteration} too")
        found[iteration] = file
    return dict(sorted(found.items()))


def read(path: Path, weights_only: bool | None = None) -> dict[str, Any]:
    """What a checkpoint holds. Tensors are read from the disk when they are used, and no sooner.

    Raises:
        ValueError: If the file is not a whole checkpoint of a run.
    """
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder; give --ckpt_path one of the checkpoints in it (`probe` takes folders too)"
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a checkpoint, or was cut short; give --ckpt_path one that a run has left")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=weights_only is not False, mmap=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and numbers; if you trust where it comes from, give --weights_only=false"
        ) from error
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a checkpoint ({reason}); give --ckpt_path one that a run has left") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise ValueError(
            f"{path} is not a checkpoint of a run: it has no `state_dict` and `global_step`; "
            f"give --ckpt_path one that a run has left"
        )
    return checkpoint


def same_game(path: Path, gan: GAN, weights_only: bool | None = None) -> None:
    """A ValueError unless a checkpoint holds the networks and seeds of a game."""
    checkpoint = read(path, weights_only)
    cure = "use the config.yaml of the run that it comes from"
    settings = checkpoint.get("hyper_parameters", {})  # built in Python a game has none, but a stream per seed
    n_ours = 1 if gan.seeds is None else len(gan.seeds)
    n_theirs = len(checkpoint["processes"][0]["draws"]["generators"]) if "processes" in checkpoint else n_ours
    if settings.get("seeds", gan.seeds) != gan.seeds or n_theirs != n_ours:
        theirs = _seeds(settings["seeds"]) if "seeds" in settings else f"{n_theirs} seed(s)"
        raise ValueError(f"{path} was trained with {theirs}, this game has {_seeds(gan.seeds)}; {cure}")
    if difference := _difference(checkpoint["state_dict"], gan.state_dict()):
        raise ValueError(f"{path} holds other networks than this game's: {difference}; {cure}")


def _seeds(seeds: list[int] | None) -> str:
    return "no seeds" if seeds is None else f"seeds {seeds}"


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """How the parameters of a checkpoint first differ from a game's, in words; empty if they fit."""
    for name in filter(ours.__contains__, theirs):
        there, here = (tuple(getattr(state[name], "shape", ())) for state in (theirs, ours))
        if there != here:
            return f"{name} is of shape {there} there, {here} here"
    missing = [name for name in ours if name not in theirs]
    unexpected = [name for name in theirs if name not in ours]
    parts = [f"it has no {_first(missing)}"] if missing else []
    return " and ".join(parts + ([f"it has {_first(unexpected)}, unknown here"] if unexpected else []))


def _first(names: Collection[str]) -> str:
    more = len(names) - 1
    return next(iter(names)) + (f" (nor {more} more)" if more else "")


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
