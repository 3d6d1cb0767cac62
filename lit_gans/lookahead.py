"""Steps of an optimizer that are only thought of, and that can be differentiated through."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer


class Lookahead:
    """What an optimizer would do next, on copies: neither its parameters nor its state are touched.

    Args:
        optimizer: SGD or Adam, as it stands: momentum and moments go on from where they are.
        parameters: Some or all of its parameters; `step` takes and returns values in their order.

    Raises:
        TypeError: If it is another optimizer, whose rule is not known here.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        check_known(optimizer)
        groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
        self.settings: list[dict[str, Any]] = [groups[id(parameter)] for parameter in parameters]
        self.state = [
            {key: _copied(v) for key, v in optimizer.state.get(parameter, {}).items()} for parameter in parameters
        ]
        self.rule = _sgd if type(optimizer) is SGD else _adam

    def step(self, values: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """The values after one more step, as functions of the values and gradients before."""
        steps = zip(values, gradients, self.settings, self.state, strict=True)
        return [self.rule(value, gradient, settings, state) for value, gradient, settings, state in steps]


def check_known(optimizer: Optimizer) -> None:
    """A TypeError unless it is an optimizer that can be looked ahead of."""
    if type(optimizer) not in (SGD, Adam) or any(group.get("amsgrad") for group in optimizer.param_groups):
        raise TypeError(
            f"looking ahead needs D's optimizer to be torch's SGD or Adam (without amsgrad), whose steps can be "
            f"differentiated through, and it is {type(optimizer).__name__}; set discriminator_optimizer to one of them"
        )


def _sgd(value: Tensor, gradient: Tensor, settings: Mapping[str, Any], state: dict[str, Any]) -> Tensor:
    gradient = _whole_gradient(value, gradient, settings)
    if momentum := settings["momentum"]:
        before = state.get("momentum_buffer")
        gathered = gradient if before is None else momentum * before + (1 - settings["dampening"]) * gradient
        state["momentum_buffer"] = gathered
        gradient = gradient + momentum * gathered if settings["nesterov"] else gathered
    return value - settings["lr"] * gradient


def _adam(value: Tensor, gradient: Tensor, settings: Mapping[str, Any], state: dict[str, Any]) -> Tensor:
    gradient = _whole_gradient(value, gradient, settings)
    first, second = settings["betas"]
    state["step"] = state.get("step", 0) + 1
    state["exp_avg"] = first * state.get("exp_avg", 0.0) + (1 - first) * gradient
    state["exp_avg_sq"] = second * state.get("exp_avg_sq", 0.0) + (1 - second) * gradient.square()
    # Where a gradient has always been 0, as a dead unit's, the root has no slope, and 0 times infinity is no number.
    size = state["exp_avg_sq"].clamp_min(torch.finfo(value.dtype).tiny).sqrt()
    scaled = size / (1 - second ** state["step"]) ** 0.5 + settings["eps"]
    return value - settings["lr"] / (1 - first ** state["step"]) * state["exp_avg"] / scaled


def _whole_gradient(value: Tensor, gradient: Tensor, settings: Mapping[str, Any]) -> Tensor:
    gradient = -gradient if settings["maximize"] else gradient
    return gradient + settings["weight_decay"] * value if settings["weight_decay"] else gradient


def _copied(value: Any) -> Any:
    """State as it stands; Adam's count of steps as a number."""
    if not isinstance(value, Tensor):
        return value
    return value.item() if value.ndim == 0 else value.detach().clone()


@contextmanager
def holding(network: nn.Module, values: Mapping[nn.Parameter, Tensor]) -> Iterator[None]:
    """A network with other tensors in place of its parameters, wherever they stand; afterwards it has its own."""
    by_identity = {id(parameter): value for parameter, value in values.items()}
    places = [
        (module, name, parameter)
        for module in network.modules()
        for name, parameter in module._parameters.items()
        if id(parameter) in by_identity
    ]
    try:
        for module, name, parameter in places:
            module._parameters[name] = by_identity[id(parameter)]  # type: ignore[assignment]
        yield
    finally:
        for module, name, parameter in places:
            module._parameters[name] = parameter


@contextmanager
def keeping_buffers(network: nn.Module) -> Iterator[None]:
    """Puts running statistics, and whatever else passes leave in buffers, back to what they were."""
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
