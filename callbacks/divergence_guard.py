"""DivergenceGuard: a run ends at its first NaN or infinity, and says where it stands."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lit_gans import GAN
from lit_gans.checks import DivergenceError
from lit_gans.hooks import QuietCallback

from .checkpoints import newest_of


class DivergenceGuard(QuietCallback):
    """Ends a run at the first NaN or infinity in a term of a loss, a gradient, a parameter or a buffer.

    The error names the iteration, the terms, the layers and, with seeds, the seeds. Several processes end together. No
    checkpoint is written from then on, so that the last one is good: a look comes before each, however seldom the
    others are. Under float16 an infinite gradient is no error: the scale is lowered, and the step left out.

    Args:
        every_n_iterations: How often to look. On a GPU each look waits for the device.

    Raises:
        DivergenceError: After the iteration, or before the checkpoint, in which something is not finite.
    """

    def __init__(self, every_n_iterations: int = 1) -> None:
        if every_n_iterations < 1:
            raise ValueError(f"DivergenceGuard: every_n_iterations must be at least 1, got {every_n_iterations}")
        self.every_n_iterations = every_n_iterations
        self._buffers: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes which buffers are to stay finite: a mask of a network's, say, never is."""
        floats = {name: buffer for name, buffer in pl_module.named_buffers() if buffer.is_floating_point()}
        self._buffers = {name for name, buffer in floats.items() if buffer.isfinite().all()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks, where it is time."""
        if trainer.global_step % self.every_n_iterations == 0:
            self.look(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Looks, so that nothing that is not finite takes the place of a good checkpoint."""
        self.look(trainer, pl_module)

    def look(self, trainer: pl.Trainer, gan: pl.LightningModule) -> None:
        """A DivergenceError if something is not finite."""
        assert isinstance(gan, GAN)
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        held = [*gan.parameters(), *(buffer for name, buffer in gan.named_buffers() if name in self._buffers)]
        gradients = [] if scaled else [p.grad for p in gan.parameters() if p.grad is not None]
        logged = [value for key, value in gan.latest.items() if not (scaled and key.endswith("/gradient_norm"))]
        if trainer.strategy.reduce_boolean_decision(_finite([*logged, *held, *gradients])):
            return
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if isinstance(callback, ModelCheckpoint):
                callback.save_on_exception = False
        where = _where(gan, scaled, self._buffers) or "another process of this run has met a NaN or infinity"
        raise DivergenceError(f"iteration {trainer.global_step}: {where}. {_cure(trainer)}")


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all values are, in one answer of the device: a NaN or infinite value makes such a largest one."""
    by_place: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.numel():
            by_place.setdefault((tensor.device, tensor.dtype), []).append(tensor.detach())
    largest = [torch.stack(torch._foreach_norm(alike, float("inf"))).double().sum() for alike in by_place.values()]
    return all(value.isfinite().item() for value in largest)


def _where(gan: GAN, scaled: bool, buffers: Collection[str]) -> str:
    """What is not finite, in words, in the order in which players move: what comes later follows from it."""
    found = []
    for player in gan.players.values():
        own = {name: value for name, value in gan.latest.items() if name.startswith(f"{player.letter}/")}
        own.pop(f"{player.letter}/gradient_norm", None)
        found.append(_in_words("the loss term", own, gan.seeds))
        found.append("" if scaled else _in_words("the gradient of", _gradients(gan, player.parameters), gan.seeds))
    held = dict(gan.named_parameters()) | {name: value for name, value in gan.named_buffers() if name in buffers}
    found.append(_in_words("the value of", held, gan.seeds))
    return "; ".join(filter(None, found))


def _gradients(gan: GAN, parameters: Iterable[nn.Parameter]) -> dict[str, Tensor]:
    """By the names that the game's parameters have."""
    names = {id(parameter): name for name, parameter in gan.named_parameters()}
    return {names[id(parameter)]: parameter.grad for parameter in parameters if parameter.grad is not None}


def _in_words(kind: str, values: Mapping[str, Tensor], seeds: list[int] | None) -> str:
    """The first of some tensors that are not finite, and how many more there are; empty if there is none."""
    bad = {name: value for name, value in values.items() if not value.isfinite().all()}
    if not bad:
        return ""
    name, value = next(iter(bad.items()))
    worst = "NaN" if value.isnan().any() else "infinite"
    whose = ""
    if seeds is not None and value.ndim and len(value) == len(seeds):
        finite = value.isfinite().reshape(len(seeds), -1).all(1).tolist()
        whose = f" (seed {', '.join(str(seed) for seed, good in zip(seeds, finite, strict=True) if not good)})"
    return f"{kind} {name} is {worst}{whose}" + (f", and {len(bad) - 1} more" if len(bad) > 1 else "")


def _cure(trainer: pl.Trainer) -> str:
    """What to do, and from where to go on."""
    written = [newest_of(each) for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    last = next(filter(None, [*written, trainer.ckpt_path]), None)
    cure = "Lower the learning rates, clip gradients (GradientClipping), or give D a penalty"
    return f"{cure}; the last finite checkpoint is {last}" if last else f"{cure}; no checkpoint had been written"
