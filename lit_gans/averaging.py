"""EMA: a copy of G whose weights are a moving average of G's."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(generator: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a generator, `θ̄ ← β θ̄ + (1 - β) θ` after each of its updates.

    It begins as the first updated G. Buffers, such as batch norm's statistics, are G's own.

    Args:
        generator: G; it is copied.
        decay: β, from 0 to 1; half of what an update brings is forgotten after `ln 2 / (1 - β)` further ones.

    Raises:
        ValueError: If the decay is not between 0 and 1.

    Source: Yazıcı et al. 2019; beyond the papers of this collection.
    """
    if not 0 < decay < 1:
        raise ValueError(f"ema must be between 0 and 1, the share of the average that an update keeps, got {decay}")
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay))
    return average.requires_grad_(False)
