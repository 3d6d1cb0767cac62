"""Looking at a network without touching it."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Puts networks into eval mode and afterwards every one of their modules back into the mode it was in."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Leaves a mixed precision, if the trainer has one: of a step only the passes of the two networks are in it."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()  # a fiftieth of the other's cost, at every step
    return torch.autocast(device.type, enabled=False)


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Keeps trainable parameters out of every graph built inside; gradients still flow through to D's inputs."""
    parameters = list(parameters)
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad = True
