"""The Dirac GAN: real data is the one point 0, the generator is the one point θ."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DiracGenerator(nn.Module):
    """The Dirac distribution at θ: every sample is the parameter itself.

    `G(z) = θ`

    Source: Mescheder et al. 2018, sec. 2; Thanh-Tung & Tran 2020, sec. IV-B.

    Args:
        start: θ at the beginning, the same for every seed. The equilibrium is 0, so start elsewhere.
    """

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start
        self.theta = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Puts θ back to where it started."""
        nn.init.constant_(self.theta, self.start)

    def forward(self, z: Tensor) -> Tensor:
        """Maps latents `(B, latent_dim)`, of which only the number counts, to B copies of θ, `(B, 1)`."""
        return self.theta.repeat(z.shape[0], 1)  # a copy: an expanded view would move when θ is updated in place


class DiracDiscriminator(nn.Module):
    """The discriminator of the Dirac GAN: linear, or with one hidden layer of leaky ReLUs. No bias in either.

    `D(x) = ψ x` without `hidden`, and `D(x) = Ψ₁ᵀ σ(Ψ₀ x)` with Ψ₀, Ψ₁ of shape `(hidden, 1)`.

    The theory keeps all weights in [-1, 1]. They start there, from U(-1, 1), and nothing here keeps them in
    it during training: add the `WeightClipping` callback for that.

    The real sample 0 lies on the kink of σ. Autograd takes the left slope there, so that a gradient penalty
    at the real sample sees `D'(0) = negative_slope · Ψ₁ᵀΨ₀`.

    Source: Thanh-Tung & Tran 2020, sec. IV-B, fig. 8 and 12 (`hidden=2`), prop. 1; the paper gives no slope.

    Args:
        hidden: Number of hidden units; `None` for the linear discriminator.
        negative_slope: Slope of σ below 0; the linear discriminator has no use for it.

    Raises:
        ValueError: If `hidden` is less than 1.
    """

    samplewise = True
    """A sample's logit does not depend on the rest of its batch: the game may send reals and fakes together."""

    def __init__(self, hidden: int | None = None, negative_slope: float = 0.2) -> None:
        super().__init__()
        if hidden is not None and hidden < 1:
            raise ValueError(
                f"DiracDiscriminator was given hidden={hidden}; give at least 1 unit, or null for the linear D(x) = ψx"
            )
        self.hidden = hidden
        self.negative_slope = negative_slope
        if hidden is None:
            self.psi = nn.Parameter(torch.empty(1))
        else:
            self.psi_0 = nn.Parameter(torch.empty(hidden, 1))
            self.psi_1 = nn.Parameter(torch.empty(hidden, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every weight from U(-1, 1)."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Maps samples `(B, 1)` to logits `(B, 1)`."""
        if self.hidden is None:
            return self.psi * x
        return functional.leaky_relu(x @ self.psi_0.T, self.negative_slope) @ self.psi_1
