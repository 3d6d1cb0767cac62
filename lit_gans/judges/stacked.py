"""StackedJudge: a judge of one channel for images that have several, each with a mode of its own."""

import torch
from torch import Tensor

from .judge import Judge, Judgement, judged


class StackedJudge(Judge):
    """Judges each channel of an image by itself, as Stacked MNIST's three digits.

    With m modes of a channel, channel c of C showing mode `j_c` with probability `p_c`, the image shows mode
    `Σ_c j_c m^(C - 1 - c)` of `m^C`, and is of the domain with probability `Π_c p_c`.

    Args:
        judge: Of images of one channel, such as the `ClassifierJudge` of MNIST.
        channels: C.

    Raises:
        ValueError: If `channels` is below 1, or the judge tells no number of modes.

    Source: Metz et al. 2017; Lin et al. 2018 (PacGAN), where a classifier of MNIST reads each channel.
    """

    def __init__(self, judge: Judge, channels: int = 3) -> None:
        if channels < 1:
            raise ValueError(f"StackedJudge: channels must be at least 1, got {channels}")
        if not isinstance(getattr(judge, "n_modes", None), int):
            raise ValueError(f"StackedJudge: {type(judge).__name__} must have n_modes, the number of modes it can tell")
        self.judge, self.channels, self.n_modes = judge, channels, judge.n_modes**channels

    def __call__(self, samples: Tensor) -> Judgement:
        """Judges images `(..., n, C, H, W)`.

        Raises:
            ValueError: If they have another number of channels.
        """
        if samples.ndim < 4 or samples.shape[-3] != self.channels:
            raise ValueError(
                f"StackedJudge: judges images (..., n, {self.channels}, H, W), got samples of shape "
                f"{tuple(samples.shape)}"
            )
        found = judged(self.judge, samples.unsqueeze(-3), samples.shape[:-2])
        places = self.judge.n_modes ** torch.arange(self.channels, device=found.mode.device).flip(0)
        mode = (found.mode * places).sum(-1)
        return Judgement(found.probability.prod(-1), mode.where((found.mode >= 0).all(-1), -1))
