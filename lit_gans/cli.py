"""The command line: `lit-gans fit|validate|test|predict|probe --config FILE [--config FILE …]`.

`probe` looks at checkpoints with the config's probes, without training: `--ckpt_path FILE_OR_FOLDER`. Beside these,
with arguments of their own: `lit-gans claims`, `lit-gans judge`, `lit-gans compare`, `lit-gans dashboard` and
`lit-gans export`.
"""

import contextlib
import difflib
import importlib
import inspect
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

# Importing the packages makes their classes known to the parser, so that configs may use bare class names.
import callbacks
import datamodules
from callbacks import ProgressBar

from . import checkpoints, checks, claims, compare, dashboard, export, judges, networks, probing, wandb_runs
from .gan import GAN
from .losses import Divergence, Objective
from .penalties import Output, Penalty
from .schedules import Schedule
from .terms import GeneratorTerm
from .updates import Update

_NETWORKS = ("generator", "discriminator", "encoder")
_DICTS = {"model.penalties": ("penalty", "R1"), "model.generator_terms": ("term of G", "NagarajanKolter")}
"""Keys below which users give names of their own: what stands there, and an example."""


class GANArgumentParser(LightningArgumentParser):
    """Lightning's parser, whose errors are short and name the classes that could have been meant."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Adds to the message which names are valid."""
        super().error(message + _hint(message), ex)

    def print_usage(self, file: Any = None) -> None:
        """One line; Lightning's is pages long and buries the message."""
        print(
            "usage: lit-gans fit|validate|test|predict|probe --config FILE [--config FILE …] [--KEY VALUE …], "
            "or lit-gans claims|compare|dashboard|export|judge --help",
            file=file,
        )


class RunConfig(SaveConfigCallback):
    """Keeps the run's config in its folder, beside the pictures, and gives it to Weights & Biases."""

    def __init__(self, parser: LightningArgumentParser, config: Any, **settings: Any) -> None:
        super().__init__(parser, config, save_to_log_dir=False, **settings)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Called once, by the first process."""
        folder = callbacks.probe.run_folder(trainer)
        self.parser.save(self.config, folder / self.config_filename, skip_none=False, overwrite=True)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                config = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
                logger.experiment.config.update(config, allow_val_change=True)


class GANCLI(LightningCLI):
    """Lightning's command line for one game: a `GAN`, its data and its callbacks, from composed YAML files."""

    trainer: probing.Trainer

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, and `probe`; each with those of its arguments that do not come from the command line."""
        return {**LightningCLI.subcommands(), "probe": {"model", "datamodule"}}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes the parser, and each command's."""
        kwargs.setdefault("dump_header", [f"lit-gans, torch=={torch.__version__}"])
        parser = GANArgumentParser(**kwargs)
        parser.add_argument("-c", "--config", action="config", help="A YAML file; several compose left to right.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Links what data and networks share, so that no size is written twice."""
        for network in ("generator", "encoder"):
            parser.link_arguments("model.latent_dim", f"model.{network}.init_args.latent_dim")
        for network in _NETWORKS:
            parser.link_arguments(
                "data.sample_shape", f"model.{network}.init_args.sample_shape", apply_on="instantiate"
            )
        parser.add_lightning_class_args(ProgressBar, "progress_bar")
        parser.add_lightning_class_args(callbacks.SampleWriter, "samples")
        parser.add_lightning_class_args(callbacks.Checkpoints, "checkpoint")
        # At every step a bar costs more than the game of a small network, and so do checkpoints of short epochs.
        parser.set_defaults({"progress_bar.refresh_rate": 50})
        parser.set_defaults({"checkpoint.every_n_train_steps": 1000, "checkpoint.save_last": True})
        parser.set_defaults({"checkpoint.filename": "{step}"})

    def _parse_ckpt_path(self) -> None:
        """Leaves the settings to the configs: Lightning would put the checkpoint's over those that are given."""

    def _dump_config(self) -> None:
        """As Lightning's, which cannot link a size to a network that is not there or has no arguments at all."""
        super()._dump_config()
        model = self.config_dump["model"]
        for network in _NETWORKS:
            model[network] = {"init_args": {}, **(model[network] or {})}

    def _add_instantiators(self) -> None:
        """As Lightning's, which are for the game and its data; `_made` is for all other classes."""
        super()._add_instantiators()
        self.parser.add_instantiator(_made, object)

    def instantiate_classes(self) -> None:
        """Builds everything; what a class refuses is told as an error of the command, without a traceback."""
        try:
            super().instantiate_classes()
        except (TypeError, ValueError, MisconfigurationException) as error:
            self.parser.error(str(error), error)
        self.model.config = self.parser.dump(self.config, skip_none=False)
        for network in _NETWORKS:
            self.model.hparams[network] = _without_what_is_not_taken(self.model.hparams[network])

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command; missing data, divergence, and what was refused at first, are told without a traceback."""
        given = self.config_init[subcommand]
        if given.get("weights_only", True) is None:  # which Lightning takes for false
            given.weights_only = True
        try:
            if subcommand != "probe" and given.ckpt_path == "last":
                given.ckpt_path = str(checkpoints.newest(self.trainer))
                rank_zero_info(f"going on from {given.ckpt_path}")
            if subcommand != "probe" and given.ckpt_path and (path := Path(given.ckpt_path)).exists():
                checkpoints.same_game(path, self.model, given.weights_only)
                if subcommand == "fit":
                    wandb_runs.go_on(self.trainer, checkpoints.read(path, given.weights_only))
            super()._run_subcommand(subcommand)
        except (OSError, ValueError, checks.DivergenceError, MisconfigurationException) as error:
            if isinstance(error, OSError | ValueError) and self.trainer.has_begun and not _is_refusal(error):
                raise
            if self.trainer.loggers:  # whose folder is the run's own
                with contextlib.suppress(OSError):  # where the run has left something
                    callbacks.probe.run_folder(self.trainer).rmdir()
            self.parser.error(str(error), error)
        except SIGTERMException:
            sys.exit(128 + signal.SIGTERM)  # what a shell tells of a command that a signal has ended; Lightning's is 0

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        """Takes the strategy for players in turns, and no bar and checkpoints where it is told to do without."""
        switches = {ProgressBar: "enable_progress_bar", ModelCheckpoint: "enable_checkpointing"}
        off = tuple(kind for kind, switch in switches.items() if config.get(switch) is False)
        callbacks = [each for each in callbacks if not isinstance(each, off)]
        with _told(Trainer, config):
            trainer: Trainer = super()._instantiate_trainer(config, callbacks)
        if config["strategy"] == "auto" and isinstance(trainer.strategy, DDPStrategy):  # there are several devices
            logging.disable(logging.INFO)  # which has all been said
            try:
                trainer = probing.Trainer(**{**config, "strategy": "gan"})
            finally:
                logging.disable(logging.NOTSET)
        return trainer

    def after_fit(self) -> None:
        """Keeps the end of the run, and says where the pictures are."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if isinstance(kept := self.trainer.checkpoint_callback, callbacks.Checkpoints):
            kept.keep(self.trainer)
            if self.trainer.ckpt_path and not kept.has_played and self.trainer.is_global_zero:
                print(
                    f"nothing was left to do: the checkpoint is of iteration {self.trainer.global_step}; give a larger "
                    f"--trainer.max_steps, or more --trainer.max_time, which counts what earlier runs took"
                )
        self.after_probe()

    def after_probe(self) -> None:
        """Says where the pictures are."""
        if self.trainer.is_global_zero:
            print(f"pictures and tables: {callbacks.probe.run_folder(self.trainer)}")


def main(args: list[str] | None = None) -> None:
    """Runs the command line; returns None, because a console script exits with what it returns."""
    given = sys.argv[1:] if args is None else args
    apart: dict[str, Callable[[list[str]], None]] = {
        "claims": claims.main,
        "compare": compare.main,
        "dashboard": dashboard.main,
        "export": export.main,
        "judge": partial(judges.main, datamodules.GANDataModule),
    }
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does: a user's own classes live in the folder they work in
    if given[:1] and given[0] in apart:
        return apart[given[0]](given[1:])
    _quieten()
    GANCLI(
        GAN,
        datamodules.GANDataModule,
        trainer_class=probing.Trainer,
        subclass_mode_data=True,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_callback=RunConfig,
        parser_kwargs={
            "description": "Train GANs and see why they fail. `lit-gans claims` runs what papers compare; `lit-gans "
            "compare` puts runs side by side on a page; `lit-gans dashboard` makes one in Weights & Biases; `lit-gans "
            "export` writes G for other programs; `lit-gans judge` trains a judge of images for `SQDLogger`."
        },
        args=args,
    )


def _made(kind: type[Any], *args: Any, **kwargs: Any) -> Any:
    """An object of a config."""
    with _told(kind, kwargs):
        return kind(*args, **kwargs)


@contextlib.contextmanager
def _told(kind: type[Any], given: dict[str, Any]) -> Iterator[None]:
    """What a class stumbles over without a word of its own is told with what it was given, defaults aside."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if re.search(rf"\b{kind.__name__}\b", str(error)):
            raise ValueError(str(error)) from error
        defaults = {name: repr(each.default) for name, each in inspect.signature(kind).parameters.items()}
        settings = {name: repr(value) for name, value in given.items() if _is_plain(value)}
        own = ", ".join(f"{name}={value}" for name, value in settings.items() if value != defaults.get(name))
        raise ValueError(f"{kind.__name__} cannot be made with {own or 'its defaults'}: {error}") from error


def _is_plain(value: Any) -> bool:
    """Whether a setting is short to print: no network, and no callback."""
    if isinstance(value, list | tuple | dict):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, bool | int | float | str | torch.Tensor)


def _is_refusal(error: Exception) -> bool:
    """Whether our own checks, checkpoints or data say what is wrong, at first or later: a traceback would bury it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module: str = frames[-1].f_globals.get("__name__", "") if frames else ""
    return module in (checks.__name__, checkpoints.__name__) or module.startswith("datamodules.")


def _without_what_is_not_taken(config: dict[str, Any]) -> dict[str, Any] | None:
    """A network's config less a linked size that its class has no argument for: it could not be loaded again."""
    if "class_path" not in config:
        return None  # there is no such network
    module, _, name = config["class_path"].rpartition(".")
    taken = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    if any(argument.kind is argument.VAR_KEYWORD for argument in taken):
        return config
    names = {argument.name for argument in taken}
    return {**config, "init_args": {key: value for key, value in config["init_args"].items() if key in names}}


def _quieten() -> None:
    """Keeps what a user can do nothing about off the screen."""
    for message in (
        "Using ModelCheckpoint with manual optimization",  # it saves what the optimizers have made, as it should
        "isinstance\\(treespec, LeafSpec\\)",
        "Couldn't infer the batch indices",
        "The dirpath has changed",
        "is smaller than the logging interval",  # ours counts iterations, not the batches of an epoch
    ):
        warnings.filterwarnings("ignore", message=f".*{message}")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )


def _hint(message: str) -> str:
    """What a person needs of a long message: the class's own refusal, or the names that are valid where one is not."""
    if refusal := re.search(r"^[\s-]*((?!\w*(?:Error|Warning):)[A-Z]\w+: [a-z].+)$", message, re.MULTILINE):
        return "" if refusal[1] == message.strip() else f"\n\n  {refusal[1]}"
    if "Cannot instantiate typing.Union" in message:
        return (
            "\n\n  A scheduler (model.generator_scheduler and its like) was given without a class; name one, for "
            "example torch.optim.lr_scheduler.LinearLR, or give null for none."
        )
    base = re.search(r"but (?:(\w+) )?is abstract[\s\S]*? value: (\S+)", message)
    unknown = re.search(r"Expected a dot import path string: (\S+)|has no attribute [\s\S]*? value: (\S+)", message)
    key = re.search(r'Parser key "([\w.]+)"', message)
    if (absent := re.search(r"NestedArg\(key='(\w+)\.", message)) and key and (terms := _DICTS.get(key[1])):
        what, example = terms
        return (
            f"\n\n  This config has no {what} {absent[1]}; add it first, for example --{key[1]}.{absent[1]}={example}."
        )
    found = base or unknown
    if found is None or key is None:
        return ""
    name = found[1] or found[2]
    valid = next((names for place, names in _names().items() if f"{key[1]}.".startswith(f"{place}.")), [])
    by_last_part = {each.rpartition(".")[2]: each for each in valid}
    close = difflib.get_close_matches(name.rpartition(".")[2], by_last_part, n=1)
    meant = f" Did you mean {by_last_part[close[0]]}?" if close else ""
    known = f"\n  Known here: {', '.join(sorted(set(valid)))}." if valid else ""
    wrong = f"{name} is only the base of others." if base else f"There is no class {name}.{meant}"
    return f"\n\n  {wrong}{known}\n  A class of your own is given as module.Class."


def _names() -> dict[str, list[str]]:
    """Where a config expects a class: the names it may use there."""
    optimizers = [f"torch.optim.{name}" for name in torch.optim.__all__ if name[0].isupper()]
    return {
        "data": _subclasses(datamodules.GANDataModule),
        "model.generator": [name for name in networks.__all__ if name.endswith("Generator")],
        "model.discriminator": [name for name in networks.__all__ if name.endswith("Discriminator")],
        "model.loss": [*_subclasses(Objective), *_subclasses(Divergence)],
        "model.encoder": [name for name in networks.__all__ if name.endswith("Encoder")],
        "model.penalties": [name for base in (Penalty, Output, Schedule) for name in _subclasses(base)],
        "model.generator_terms": [name for base in (GeneratorTerm, Schedule) for name in _subclasses(base)],
        "model.update": _subclasses(Update),
        "model.generator_optimizer": optimizers,
        "model.discriminator_optimizer": optimizers,
        "model.encoder_optimizer": optimizers,
        "trainer.callbacks": _subclasses(Callback),
    }


def _subclasses(base: type[Any]) -> list[str]:
    """The public classes below a base that a config may name; other bases are none."""
    below: list[str] = []
    for direct in base.__subclasses__():
        below += [direct.__name__] * (not inspect.isabstract(direct)) + _subclasses(direct)
    return [name for name in below if not name.startswith("_")]
