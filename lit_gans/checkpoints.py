"""Checkpoints as files: always whole, read without running anything in them, found again after an interruption."""

import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_warn

if TYPE_CHECKING:
    from .gan import GAN


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are whole or not there: written beside their place, made to last, then put there at once.

    Lightning writes to the system's temporary folder first. Where that is on another disk the last step is a copy, and
    a run that is killed, or a disk that is full, leaves a part of one in the place of the checkpoint before.

    Raises:
        OSError: If a checkpoint cannot be written; those that are there are left as they are.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes one; on other storage than this machine's files as Lightning does."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        except (OSError, RuntimeError) as error:  # torch makes a RuntimeError of a full disk
            reason = str(error).splitlines()[0]
            raise OSError(
                f"the checkpoint {place} could not be written ({reason}); those before it are as they were: mend the "
                f"cause (is the disk full?) and go on with --ckpt_path last"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, loc: storage, weights_only: Any = None
    ) -> Any:
        """Reads one; what is more than tensors and numbers, only where that is asked for by `weights_only=False`."""
        return super().load_checkpoint(path, map_location, weights_only is not False)


def newest(trainer: pl.Trainer) -> Path:
    """The checkpoint that was last written by a run of the same logger name, or into the same folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    places = {Path(trainer.default_root_dir)}
    if trainer.logger is not None and trainer.logger.save_dir is not None:
        places = {Path(trainer.logger.save_dir, trainer.logger.name or "")}
    places |= {Path(given) for each in trainer.checkpoint_callbacks if (given := getattr(each, "dirpath", None))}
    found = [file for place in places for file in place.rglob("*.ckpt") if file.is_file() and zipfile.is_zipfile(file)]
    if not found:
        raise FileNotFoundError(
            f"there is no checkpoint below {' or '.join(sorted(map(str, places)))} to go on from; give --ckpt_path a "
            f"file, or leave it out to begin"
        )
    return max(found, key=lambda file: (file.stat().st_mtime_ns, file.name == "last.ckpt"))


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
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole checkpoint of a run.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}; give --ckpt_path {_another(path)}")
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder; give --ckpt_path one of the checkpoints in it (`probe` takes folders too)"
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a checkpoint, or was cut short; give --ckpt_path {_another(path)}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=weights_only is not False, mmap=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and numbers; if you trust where it comes from, give --weights_only=false"
        ) from error
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a checkpoint ({reason}); give --ckpt_path {_another(path)}") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "global_step"} <= checkpoint.keys():
        raise ValueError(
            f"{path} is not a checkpoint of a run: it has no `state_dict` and `global_step`; "
            f"give --ckpt_path one that a run has left"
        )
    return checkpoint


def _another(path: Path) -> str:
    """What could be given in place of a checkpoint that is none."""
    others = [file for file in path.parent.glob("*.ckpt") if file != path and zipfile.is_zipfile(file)]
    if not others:
        return "one that a run has left"
    return f"{max(others, key=lambda file: file.stat().st_mtime_ns)}, which is whole"


def same_game(path: Path, gan: "GAN", weights_only: bool | None = None) -> None:
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
