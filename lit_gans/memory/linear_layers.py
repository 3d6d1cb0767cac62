"""Squares of single gradients of linear layers, without the gradients themselves."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..losses import Examples


@torch.enable_grad()
def squares_of_linear_layers(network: nn.Module, state: Mapping[str, Tensor], examples: Examples) -> dict[str, Tensor]:
    """`Σ_n (∂ℓ_n/∂θ)²` by name, for the parameters of those `nn.Linear` whose gradient is an outer product.

    Sample n enters a layer as a row a and its loss asks δ of the row that leaves. Its gradient is `δ aᵀ`, so that
    `Σ_n (δ aᵀ)² = (δ²)ᵀ (a²)`: one product of matrices in place of n gradients as large as the layer. An example of
    several samples k sums their outer products: `Σ_kl (δ_k δ_l)ᵀ (a_k a_l)`.

    Left out are layers that see a sample more or less than once, or rows of more than one axis, and those for which
    the sum `δᵀ a` is not what autograd says: their parameters have a part in the loss elsewhere.

    Args:
        network: D, in eval mode, which must treat samples one by one.
        state: Its parameters and buffers.
        examples: The loss, and samples `(n, *sample)`.

    Returns:
        Tensors shaped like the parameters; a parameter that is not among them needs another way.
    """
    calls: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def noting(path: str) -> Callable[..., Tensor]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            change = torch.zeros_like(output, requires_grad=True)
            rows = inputs[0].detach() if inputs else output.new_empty(0)  # given by keyword: not seen
            calls[path].append((rows, change))
            return output + change

        return hook

    layers = {path: module for path, module in network.named_modules() if type(module) is nn.Linear}
    own = {f"{path}.{name}".lstrip(".") for path, layer in layers.items() for name, _ in layer.named_parameters()}
    leaves = {name: state[name].detach().requires_grad_() for name in own if name in state}
    handles = [layer.register_forward_hook(noting(path)) for path, layer in layers.items()]
    try:
        logits = functional_call(network, {**state, **leaves}, (torch.cat(examples.samples),)).reshape(-1)
    finally:
        for handle in handles:
            handle.remove()
    total = examples.loss(*logits.chunk(len(examples.samples)), *examples.samples).sum()
    once = {
        path: called[0]
        for path, called in calls.items()
        if len(called) == 1 and called[0][0].ndim == 2 and len(called[0][0]) == len(logits)
    }
    asked = [*(change for _, change in once.values()), *leaves.values()]
    gradients = list(torch.autograd.grad(total, asked, materialize_grads=True)) if asked else []
    by_leaf = dict(zip(leaves, gradients[len(once) :], strict=True))
    found: dict[str, Tensor] = {}
    for (path, (rows, _)), deltas in zip(once.items(), gradients, strict=False):
        a, d = (each.detach().chunk(len(examples.samples)) for each in (rows, deltas))
        found |= _of_layer(path, a, d, by_leaf)
    return found


def _of_layer(path: str, a: Any, d: Any, by_leaf: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Both parameters of a layer, as far as autograd agrees on what their gradients sum up to."""
    pairs = [(k, j) for k in range(len(a)) for j in range(len(a))]
    weight, bias = (f"{path}.{name}".lstrip(".") for name in ("weight", "bias"))
    sums = {weight: sum(dk.T @ ak for dk, ak in zip(d, a, strict=True)), bias: sum(dk.sum(0) for dk in d)}
    squares = {weight: sum((d[k] * d[j]).T @ (a[k] * a[j]) for k, j in pairs), bias: sum(d).square().sum(0)}
    return {name: squares[name] for name in squares if name in by_leaf and _alike(sums[name], by_leaf[name])}


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    scale = max(ours.abs().max().item(), theirs.abs().max().item(), torch.finfo(ours.dtype).tiny)
    return bool((ours - theirs).abs().max().item() <= 1e-3 * scale)
