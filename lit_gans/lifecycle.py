"""What Lightning asks of a game around its steps: optimizers, hooks, and random streams that outlive a checkpoint."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from . import processes, strategy, wandb_runs
from .hooks import DiscriminatorHook, GeneratorHook
from .optimizers import check_settings, optimizer_settings, schedulers, take_new_settings
from .players import Player
from .streams import Draws, draws_for
from .updates import Update

if TYPE_CHECKING:
    from .gan import GAN


class Lifecycle(pl.LightningModule):
    """The side of a `GAN` that Lightning calls before, between and after its steps."""

    players: Mapping[str, Player]
    update: Update
    seeds: list[int] | None
    n_critic: int
    draws: Draws
    latest: dict[str, Tensor]
    config: str | None = None
    """The whole config of the run, as text, where it comes from the command line."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.draws = Draws()
        self.hooks: list[DiscriminatorHook] = []
        self.generator_hooks: list[GeneratorHook] = []
        self.discriminator_updates = 0
        self._restored: Mapping[str, Any] | None = None
        self._restored_iteration = 0
        self._optimizer_settings: dict[str, dict[str, Any]] = {}
        self._restored_settings: Mapping[str, dict[str, Any]] = {}
        self._optimizers: dict[str, LightningOptimizer] = {}
        self._schedulers: list[LRScheduler] = []

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **settings: Any) -> Any:
        """As Lightning's, but of tensors and numbers alone, unless `weights_only=False` says that a file is trusted.

        Raises:
            TypeError: If the checkpoint is of a game that was built in Python, and what it was built of is not given.
        """
        try:
            return super().load_from_checkpoint(checkpoint_path, *args, **{"weights_only": True, **settings})
        except TypeError as error:
            error.add_note(
                "a checkpoint of a game that was built in Python does not know its networks; give what the game was "
                "built of: GAN.load_from_checkpoint(path, generator=…, discriminator=…, latent_dim=…)"
            )
            raise

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        """One optimizer per player, in the order of `players`, and the schedulers of those that have one."""
        optimizers = {name: self._optimizer(name, player) for name, player in self.players.items()}
        made = schedulers(self.players.values(), optimizers.values())
        of = {scheduler.optimizer: scheduler for scheduler in made}
        for name, optimizer in optimizers.items():
            self._optimizer_settings[name] = optimizer_settings(optimizer, of.get(optimizer))
            if name in self._restored_settings:
                check_settings(name, self._optimizer_settings[name], self._restored_settings[name])
        return list(optimizers.values()), made

    def setup(self, stage: str) -> None:
        """Collects the callbacks that take part in the game; what a checkpoint holds comes after."""
        self._restored, self._restored_settings = None, {}
        callbacks: list[pl.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        self.hooks = [callback for callback in callbacks if isinstance(callback, DiscriminatorHook)]
        self.generator_hooks = [callback for callback in callbacks if isinstance(callback, GeneratorHook)]
        if stage == "fit":
            strategy.check(self.trainer.strategy)
            self.update.check(cast("GAN", self))

    def on_train_start(self) -> None:
        """Looks up what a step needs: a random stream per seed, new or from a checkpoint, and the optimizers."""
        self.draws = draws_for(self.seeds, f"game on process {self.trainer.global_rank}", self.device)
        if self._restored is not None:
            self.draws.load_state_dict(self._restored["draws"])
            self.latest = {name: value.to(self.device) for name, value in self._restored["latest"].items()}
        self.discriminator_updates = self.global_step * self.n_critic
        optimizers: Any = self.optimizers()
        self._optimizers = dict(zip(self.players, optimizers, strict=True))
        self._schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        self._take_new_settings()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Goes on with the random numbers of a checkpoint, now that all is set up and nothing else draws any."""
        if self._restored is not None:
            processes.restore_random_state(self._restored["random"])
            self._restored = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the random streams of every process, which Lightning leaves out, the config, and what the run ran on."""
        processes.keep(cast("GAN", self), checkpoint)
        if self._trainer is not None:
            wandb_runs.keep(self.trainer, checkpoint)
        checkpoint["optimizer_settings"] = self._optimizer_settings
        checkpoint["config"] = self.config
        checkpoint["versions"] = {name: version(name) for name in ("lit-gans", "pytorch-lightning", "torch")}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps this process's random streams for when training starts, and when the checkpoint was made."""
        if (
            not self.hparams and "hyper_parameters" in checkpoint
        ):  # `load_from_checkpoint` builds by them, and drops them
            self.save_hyperparameters(dict(checkpoint["hyper_parameters"]), logger=False)
        self._restored = processes.find(cast("GAN", self), checkpoint)
        self._restored_iteration = checkpoint["global_step"]
        self._restored_settings = checkpoint.get("optimizer_settings", {})

    def optimizer_of(self, name: str) -> Optimizer:
        """A player's own optimizer, without Lightning's wrapper."""
        return self._optimizers[name].optimizer

    def share_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Means of gradients over all processes; Lightning's own strategies take them in the backward pass."""
        if isinstance(self.trainer.strategy, strategy.GANStrategy):
            self.trainer.strategy.average_gradients(parameters)

    def step_optimizer(self, name: str) -> None:
        """Steps a player's optimizer, through the strategy, and with it the precision plugin."""
        if self.players[name].keeps_time:  # Lightning's wrapper advances `global_step`; others go past it
            self._optimizers[name].step()
        else:
            self.trainer.strategy.optimizer_step(self.optimizer_of(name), lambda: None)

    def _optimizer(self, name: str, player: Player) -> Optimizer:
        try:
            return player.optimizer(player.parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}_optimizer: {error}; correct its arguments") from error

    def _take_new_settings(self) -> None:
        """What optimizers are given now holds, where the run that a checkpoint is of was given something else."""
        of = {scheduler.optimizer: scheduler for scheduler in self._schedulers}
        for name in self.players if self._restored_settings else ():
            optimizer, now = self.optimizer_of(name), self._optimizer_settings[name]
            if told := take_new_settings(optimizer, now, self._restored_settings[name], of.get(optimizer)):
                rank_zero_info(f"{name}_optimizer goes on with {', '.join(told)}")

    def __setattr__(self, name: str, value: Any) -> None:
        """As in `nn.Module`, whose search for parameters a name that Lightning writes forty times a step must skip."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
