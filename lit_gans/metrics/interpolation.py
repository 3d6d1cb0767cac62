"""Paths between latents, and how evenly samples change along them."""

import torch
from torch import Tensor


def spherical_interpolation(start: Tensor, end: Tensor, n: int) -> Tensor:
    """Latents from `start` to `end` along a great circle, whose lengths stay those of draws from N(0, I).

    `z_t = (sin((1 - t) Ω) z_0 + sin(t Ω) z_1) / sin Ω`, Ω the angle between them, t evenly from 0 to 1. A straight
    line leads through lengths that G has hardly been trained on. Where the ends lie on one line through 0, and no
    great circle is singled out, it is the straight one.

    Args:
        start: Shape `(..., latent_dim)`.
        end: The same.
        n: How many points, both ends included; at least 2.

    Returns:
        Shape `(..., n, latent_dim)`.

    Source: White 2016, *Sampling generative networks*; beyond the papers of this collection.
    """
    start, end = start.unsqueeze(-2), end.unsqueeze(-2)
    t = torch.linspace(0, 1, n, dtype=start.dtype, device=start.device).unsqueeze(-1)
    cosine = torch.cosine_similarity(start, end, dim=-1).unsqueeze(-1)
    angle = cosine.clamp(-1, 1).acos()
    along_circle = (((1 - t) * angle).sin() * start + (t * angle).sin() * end) / angle.sin()
    return torch.where(1 - cosine.abs() > 1e-6, along_circle, torch.lerp(start, end, t))


def largest_step(samples: Tensor, sample_axes: int) -> Tensor:
    """The largest step along a path over the mean one: 1 where samples change evenly, n - 1 where they jump once.

    A generator that has learned a few samples by heart goes from one to the next in jumps; so does one whose modes
    lie apart, at least once where the path leads from mode to mode.

    Args:
        samples: Shape `(..., n, *sample)`, along the path.
        sample_axes: How many axes a sample has.

    Returns:
        Shape `(...)`; NaN where nothing changes at all.
    """
    flat = samples.flatten(-sample_axes).double()
    steps = torch.linalg.vector_norm(flat.diff(dim=-2), dim=-1)
    return steps.amax(-1) / steps.mean(-1)
