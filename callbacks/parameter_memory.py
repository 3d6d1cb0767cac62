"""ParameterMemory: the base of what keeps D's parameters near where they once were good."""

import math
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from lit_gans import GAN, DiscriminatorHook, DiscriminatorStep, checks
from lit_gans.memory import Quadratic, flattened
from lit_gans.schedules import Schedule, as_schedule


class ParameterMemory(DiscriminatorHook, ABC):
    """Adds `λ q(θ)` to D's loss, where the quadratic `q` is what D's tasks so far have left.

    A task ends every `task_length` iterations: a chunk of G's distributions is one task to D. A subclass says by
    `remember` what it leaves. Before the first task has ended the run is the plain one. Memory, and all that a subclass
    keeps by `task_state`, is part of checkpoints.

    Args:
        weight: λ, a number or a schedule over iterations.
        task_length: τ, in iterations.

    Raises:
        ValueError: If `weight` is negative or `task_length` is below 1; in `setup` if no task would end before the
            run does, or a penalty has the term's name; when training starts, if a checkpoint's memory is of another
            network.
    """

    term: str
    """The name of the term in D's loss: it is logged as `d/<term>`."""

    def __init__(self, weight: float | Schedule, task_length: int) -> None:
        name = type(self).__name__
        if not isinstance(weight, Schedule) and not 0 <= weight < math.inf:
            raise ValueError(f"{name}: weight must be at least 0 and finite, got {weight}")
        if task_length < 1:
            raise ValueError(f"{name}: task_length must be at least 1 iteration, got {task_length}")
        self.weight = as_schedule(weight)
        self.task_length = task_length
        self.forget()

    def forget(self) -> None:
        """Starts without memory, as every run does; a checkpoint's state comes after."""
        self.memory: Quadratic | None = None
        self._gan: GAN | None = None
        self._parameters: list[nn.Parameter] = []
        self._restored: dict[str, Any] | None = None

    @abstractmethod
    def remember(self, trainer: pl.Trainer, gan: GAN, parameters: Tensor) -> Quadratic:
        """What all tasks leave, now that one has ended with D's parameters at `(..., P)`."""

    def task_state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of the task that is under way, each of shape `(..., P)`."""
        return {}

    def load_task_state(self, state: dict[str, Tensor]) -> None:
        """Takes it up again."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Starts without memory, and makes sure that a task ends within the run."""
        if stage != "fit":
            return
        self.forget()
        assert isinstance(pl_module, GAN)
        checks.free([self.term], taken=list(pl_module.penalties))
        last, rehearsal = trainer.max_steps, trainer.fast_dev_run  # type: ignore[attr-defined]
        if 0 <= last <= self.task_length and not rehearsal:
            raise ValueError(
                f"{type(self).__name__}: a task takes task_length={self.task_length} iterations, but the run ends at "
                f"max_steps={last}, so that nothing would ever be remembered; lower task_length or train for longer"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks up D's parameters, and takes up the memory of a checkpoint."""
        assert isinstance(pl_module, GAN)
        self._gan = pl_module
        self._parameters = pl_module.players["discriminator"].parameters
        if self._restored is None:
            return
        here, restored, self._restored = self.vector().detach(), self._restored, None
        vectors = {name: value.to(here) for name, value in restored.items()}
        for name, value in vectors.items():
            if name != "constant" and value.shape != here.shape:
                raise ValueError(
                    f"{type(self).__name__}: the checkpoint holds a memory of parameters of shape {tuple(value.shape)} "
                    f"(seeds if any, numbers), this discriminator's are {tuple(here.shape)}; resume with the network "
                    f"and seeds of the checkpoint"
                )
        if "anchor" in vectors:
            self.memory = Quadratic(vectors.pop("importance"), vectors.pop("anchor"), vectors.pop("constant", None))
        self.load_task_state(vectors)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers, if a task has ended."""
        if trainer.global_step % self.task_length == 0:
            assert isinstance(pl_module, GAN)
            self.memory = self.remember(trainer, pl_module, self.vector().detach())

    def vector(self) -> Tensor:
        """D's trainable parameters, `(..., P)`."""
        assert self._gan is not None
        return flattened(self._parameters, self._gan.seeds_axis)

    def discriminator_terms(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """`λ q(θ)`, shape `(..., 1)`."""
        assert self._gan is not None
        weight = self.weight(self._gan.global_step)
        return {} if self.memory is None or weight == 0 else {self.term: weight * self.memory(self.vector())}

    def state_dict(self) -> dict[str, Any]:
        """Memory, and the task that is under way."""
        if self._restored is not None:
            return self._restored
        memory = {} if self.memory is None else vars(self.memory)
        return {name: value for name, value in {**memory, **self.task_state()}.items() if value is not None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps them for `on_train_start`."""
        self._restored = state_dict
