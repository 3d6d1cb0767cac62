"""The diagonal Fisher information of D's loss: which parameters D's present knowledge depends on."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ..losses import Examples, Objective
from ..seeds import copies
from .quadratic import flattened


@torch.no_grad()
def fisher_diagonal(
    loss: Objective, discriminator: nn.Module, real: Tensor, fake: Tensor, chunk_mib: float = 64.0
) -> Tensor:
    """`ω̂ = E[(∂ℓ/∂θ)²]`: the mean over examples of the squared gradient of one example's loss ℓ.

    One sample with its side, real or fake, is one example; of an objective that compares, a pair is (see
    `Objective.examples`). The square is of each example's gradient, never of their mean, whose expectation is 0 at an
    optimum. The examples' gradients are taken at once by `torch.func.vmap`. Put D into eval mode before: batch
    normalisation would make the gradient of one example depend on the others.

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
    if found.seeds_axis:
        rows = zip(found.states, real, fake, strict=True)
        return torch.stack([_of_one(loss, found.network, state, x, y, chunk_mib) for state, x, y in rows])
    return _of_one(loss, found.network, found.states[0], real, fake, chunk_mib)


def _of_one(
    loss: Objective, network: nn.Module, state: dict[str, Tensor], real: Tensor, fake: Tensor, chunk_mib: float
) -> Tensor:
    trainable = {name: state[name] for name, parameter in network.named_parameters() if parameter.requires_grad}
    fixed = {name: value for name, value in state.items() if name not in trainable}
    bytes_per_example = sum(value.numel() * value.element_size() for value in trainable.values())
    chunk = max(1, int(chunk_mib * 2**20) // bytes_per_example)

    def summed_squares(examples: Examples) -> Tensor:
        def loss_of_one(parameters: dict[str, Tensor], *samples: Tensor) -> Tensor:
            logits = [functional_call(network, {**fixed, **parameters}, (x.unsqueeze(0),)).reshape(()) for x in samples]
            return examples.loss(*logits, *samples)

        gradients = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(examples.samples)))
        chunks = zip(*(samples.split(chunk) for samples in examples.samples), strict=True)
        squares = ([g.square().sum(0) for g in gradients(trainable, *samples).values()] for samples in chunks)
        return torch.stack([flattened(each) for each in squares]).sum(0)

    by_side = loss.examples(real, fake)
    total = torch.stack([summed_squares(examples) for examples in by_side]).sum(0)
    return total / sum(len(examples.samples[0]) for examples in by_side)
