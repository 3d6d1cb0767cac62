"""The diagonal Fisher information of D's loss: which parameters D's present knowledge depends on."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ..losses import Examples, Objective
from ..seeds import copies
from .linear_layers import squares_of_linear_layers
from .quadratic import flattened


@torch.no_grad()
def fisher_diagonal(
    loss: Objective, discriminator: nn.Module, real: Tensor, fake: Tensor, chunk_mib: float = 8.0
) -> Tensor:
    """`ω̂ = E[(∂ℓ/∂θ)²]`: the mean over examples of the squared gradient of one example's loss ℓ.

    One sample with its side, real or fake, is one example; of an objective that compares, a pair is (see
    `Objective.examples`). The square is of each example's gradient, never of their mean, whose expectation is 0 at an
    optimum. The gradients of examples are taken at once, chunk by chunk, by `torch.func.vmap`; those of linear layers
    are not needed for their squares (see `squares_of_linear_layers`). Put D into eval mode before: batch normalisation
    would make the gradient of one example depend on the others.

    Args:
        loss: Whose D loss ℓ is.
        discriminator: D, or the stack of D's copies by seed.
        real: x, shape `(..., n, *sample)`.
        fake: y, likewise.
        chunk_mib: How many MiB of single gradients may be in memory at a time; at least one example's are.

    Returns:
        `ω̂`, shape `(..., P)`, in the order of `flattened` trainable parameters.

    Source: Thanh-Tung & Tran, section V-A; Kirkpatrick et al. 2017.
    """
    found = copies(discriminator)
    network = copy.deepcopy(found.network)  # functional_call leaves a module that stands in two places damaged
    if found.seeds_axis:
        rows = zip(found.states, real, fake, strict=True)
        return torch.stack([_of_one(loss, network, state, x, y, chunk_mib) for state, x, y in rows])
    return _of_one(loss, network, found.states[0], real, fake, chunk_mib)


def _of_one(
    loss: Objective, network: nn.Module, state: dict[str, Tensor], real: Tensor, fake: Tensor, chunk_mib: float
) -> Tensor:
    trainable = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    sides = loss.examples(real, fake)
    squares = [_summed_squares(network, state, trainable, examples, chunk_mib) for examples in sides]
    total = torch.stack([flattened([of_side[name] for name in trainable]) for of_side in squares]).sum(0)
    return total / sum(len(examples.samples[0]) for examples in sides)


def _summed_squares(
    network: nn.Module, state: dict[str, Tensor], names: list[str], examples: Examples, chunk_mib: float
) -> dict[str, Tensor]:
    """`Σ_n g_n²` by name: of linear layers in closed form, of whatever else is left from the gradients themselves."""
    found = squares_of_linear_layers(network, state, examples)
    left = {name: state[name] for name in names if name not in found}
    if not left:
        return found
    fixed = {name: value for name, value in state.items() if name not in left}

    def loss_of_one(parameters: dict[str, Tensor], *samples: Tensor) -> Tensor:
        logits = [functional_call(network, {**fixed, **parameters}, (x.unsqueeze(0),)).reshape(()) for x in samples]
        return examples.loss(*logits, *samples)

    gradients = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(examples.samples)))
    bytes_per_example = sum(value.numel() * value.element_size() for value in left.values())
    chunk = max(1, int(chunk_mib * 2**20) // bytes_per_example)
    chunks = zip(*(samples.split(chunk) for samples in examples.samples), strict=True)
    for samples in chunks:
        for name, each in gradients(left, *samples).items():
            found[name] = found.get(name, 0.0) + each.square().sum(0)
    return found
