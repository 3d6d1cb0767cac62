"""The Dirac GAN's networks: their closed forms, and what proposition 1 of Thanh-Tung & Tran 2020 says of D."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from lit_gans.networks import DiracDiscriminator, DiracGenerator


def hidden_dirac(psi_0: Tensor, psi_1: Tensor, negative_slope: float = 0.2) -> DiracDiscriminator:
    discriminator = DiracDiscriminator(hidden=len(psi_0), negative_slope=negative_slope).to(psi_0.dtype)
    discriminator.load_state_dict({"psi_0": psi_0.reshape(-1, 1), "psi_1": psi_1.reshape(-1, 1)})
    return discriminator


def test_dirac_generator_is_its_parameter() -> None:
    generator = DiracGenerator(start=-0.75)
    samples = generator(torch.randn(4, 7))
    assert samples.tolist() == [[-0.75]] * 4
    (gradient,) = torch.autograd.grad(samples.sum(), generator.theta)
    assert gradient.item() == 4.0  # Each of the four samples is θ.
    with torch.no_grad():
        generator.theta.fill_(3.0)
    generator.reset_parameters()
    assert generator.theta.item() == -0.75


def test_linear_dirac_discriminator_is_psi_times_x() -> None:
    discriminator = DiracDiscriminator()
    with torch.no_grad():
        discriminator.psi.fill_(-0.5)
    assert discriminator(torch.tensor([[2.0], [0.0], [-3.0]])).tolist() == [[-1.0], [0.0], [1.5]]


def test_dirac_game_has_mescheders_vector_field() -> None:
    """Of the value ψ·θ, the players' derivatives are ψ for θ and θ for ψ."""
    generator, discriminator = DiracGenerator(start=0.3), DiracDiscriminator()
    value = discriminator(generator(torch.randn(5, 2))).mean()
    for_theta, for_psi = torch.autograd.grad(value, [generator.theta, discriminator.psi])
    assert for_theta.item() == pytest.approx(discriminator.psi.item(), abs=1e-6)
    assert for_psi.item() == pytest.approx(0.3, abs=1e-6)


def test_hidden_dirac_discriminator_by_hand() -> None:
    """Ψ₀ = (1, -0.5), Ψ₁ = (0.5, -1): each unit is on one side of its kink."""
    discriminator = hidden_dirac(torch.tensor([1.0, -0.5]), torch.tensor([0.5, -1.0]))
    x = torch.tensor([[2.0], [0.0], [-2.0]], requires_grad=True)
    logits = discriminator(x)
    # x = 2: 0.5·σ(2) - σ(-1) = 1 + 0.2; x = -2: 0.5·σ(-2) - σ(1) = -0.2 - 1
    torch.testing.assert_close(logits, torch.tensor([[1.2], [0.0], [-1.2]]))
    (slope,) = torch.autograd.grad(logits.sum(), x)
    # At the kink both units take the left slope: 0.2·(0.5·1 + (-1)·(-0.5)).
    torch.testing.assert_close(slope, torch.tensor([[0.6], [0.2], [0.6]]))


def test_hidden_dirac_discriminator_heeds_its_slope() -> None:
    discriminator = hidden_dirac(torch.ones(1), torch.ones(1), negative_slope=0.01)
    torch.testing.assert_close(discriminator(torch.tensor([[-1.0]])), torch.tensor([[-0.01]]))


def test_dirac_weights_start_uniform_in_their_interval() -> None:
    weights = torch.cat([parameter.flatten() for parameter in DiracDiscriminator(hidden=5000).parameters()])
    assert weights.abs().max() <= 1
    # Standard errors of U(-1, 1) over 10 000 numbers: 0.0058 for the mean, 0.003 for E x² = 1/3.
    assert weights.mean().item() == pytest.approx(0.0, abs=0.029)
    assert weights.square().mean().item() == pytest.approx(1 / 3, abs=0.015)


@pytest.mark.parametrize("hidden", [0, -2])
def test_dirac_discriminator_refuses_no_units(hidden: int) -> None:
    with pytest.raises(ValueError, match=f"hidden={hidden}.*at least 1"):
        DiracDiscriminator(hidden=hidden)


# The points and fakes of proposition 1 of Thanh-Tung & Tran 2020.
LINE = torch.linspace(-3, 3, 121, dtype=torch.float64).unsqueeze(1)
FAKES = (4 * torch.rand(6, generator=torch.Generator().manual_seed(1)) - 2).tolist()


def margins(psi_0: Tensor, psi_1: Tensor, fake: float) -> Tensor:
    """`D(0) - D(y)` for each row of weights, `(rows, n)` -> `(rows,)`."""
    rows, units = psi_0.shape
    discriminator = DiracDiscriminator(hidden=units).double()
    points = torch.tensor([[0.0], [fake]], dtype=torch.float64)
    weights = {"psi_0": psi_0.unsqueeze(2), "psi_1": psi_1.unsqueeze(2)}
    logits = torch.func.vmap(lambda weights: functional_call(discriminator, weights, (points,)))(weights)
    assert logits.shape == (rows, 2, 1)
    return logits[:, 0, 0] - logits[:, 1, 0]


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("units", [1, 2, 5])
def test_best_dirac_discriminator_on_one_fake_is_monotone(units: int, fake: float) -> None:
    """Ψ₀ = sign(y)·1 and Ψ₁ = -1 win against every other corner and against the inside of the box.

    The margin is linear in each Ψ₁ᵢ and monotone in each Ψ₀ᵢ, so that its maximum is at a corner.
    """
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=2 * units)), dtype=torch.float64)
    values = margins(corners[:, :units], corners[:, units:], fake)
    best = corners[values.argmax()]
    assert (values == values.max()).sum() == 1
    assert best.tolist() == [1.0 if fake > 0 else -1.0] * units + [-1.0] * units
    assert values.max().item() == pytest.approx(units * abs(fake), rel=1e-12)  # D*(x) = -nσ(sign(y) x)

    inside = 2 * torch.rand(2000, 2 * units, dtype=torch.float64) - 1
    assert margins(inside[:, :units], inside[:, units:], fake).max() < values.max()

    falls_towards_fake = (1 if fake > 0 else -1) * hidden_dirac(best[:units], best[units:])(LINE)
    assert (falls_towards_fake.diff(dim=0) < 0).all()


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("units", [1, 2, 5])
def test_training_on_one_fake_makes_the_dirac_discriminator_monotone(units: int, fake: float) -> None:
    """Clipped gradient ascent: a unit may end in its other, lesser corner, and D falls all the same."""
    discriminator = DiracDiscriminator(hidden=units).double()
    for _ in range(500):
        margin = discriminator(torch.zeros(1, 1).double()) - discriminator(torch.tensor([[fake]]).double())
        gradients = torch.autograd.grad(margin.sum(), list(discriminator.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(discriminator.parameters(), gradients, strict=True):
                parameter.add_(gradient, alpha=0.1 / abs(fake)).clamp_(-1, 1)

    sign = 1.0 if fake > 0 else -1.0
    winner = (discriminator.psi_0 == sign) & (discriminator.psi_1 == -1)
    other = (discriminator.psi_0 == -sign) & (discriminator.psi_1 == 1)
    assert (winner | other).all()
    assert (sign * discriminator(LINE).diff(dim=0) < 0).all()


def test_a_dirac_discriminator_could_peak_at_the_real_point() -> None:
    """Without this the proposition would say nothing: two units are enough for a maximum at 0 (fig. 8h)."""
    peak = hidden_dirac(torch.tensor([1.0, -1.0]).double(), -torch.ones(2).double())(LINE)
    assert (peak[:61].diff(dim=0) > 0).all()  # LINE[60] is 0.
    assert (peak[60:].diff(dim=0) < 0).all()
