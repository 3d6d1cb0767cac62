"""Proposition 1 of Thanh-Tung & Tran 2020: a D that is best on the current fake alone only rises or only falls."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from callbacks import WeightClipping
from callbacks.dirac_portrait import DiracPortrait
from datamodules import DiracDataModule
from lit_gans import GAN
from lit_gans.losses import Wasserstein
from lit_gans.networks import DiracDiscriminator, DiracGenerator
from tests.toys import train

Activation = Callable[[Tensor], Tensor]
LINE = torch.arange(-80, 81, dtype=torch.float64) / 20
ACTIVATIONS: dict[str, Activation] = {
    "leaky ReLU 0.1": torch.nn.LeakyReLU(0.1),
    "leaky ReLU 0.2": torch.nn.LeakyReLU(0.2),
    "tanh": torch.tanh,
}


def games(n: int) -> list[tuple[int, float]]:
    """`n` random numbers of units and fakes, the fakes on both sides of 0."""
    numbers = torch.Generator().manual_seed(3)
    units = torch.randint(1, 6, (n,), generator=numbers).tolist()
    fakes = (0.1 + 2.9 * torch.rand(n, generator=numbers)) * torch.tensor([1.0, -1.0]).repeat(n)[:n]
    return list(zip(units, fakes.tolist(), strict=True))


def curve(psi_0: Tensor, psi_1: Tensor, activation: Activation, points: Tensor) -> Tensor:
    """`Ψ₁ᵀσ(Ψ₀x)`: weights `(..., n)`, points `(K,)` to `(..., K)`."""
    return (psi_1.unsqueeze(-1) * activation(psi_0.unsqueeze(-1) * points)).sum(-2)


def margin(psi_0: Tensor, psi_1: Tensor, activation: Activation, fake: float) -> Tensor:
    """`D(0) - D(y)`, what D maximises."""
    at_real, at_fake = curve(psi_0, psi_1, activation, torch.tensor([0.0, fake], dtype=psi_0.dtype)).unbind(-1)
    return at_real - at_fake


def is_monotone(values: Tensor) -> Tensor:
    """Strictly, one way or the other."""
    steps = values.diff(dim=-1)
    return (steps > 0).all(-1) | (steps < 0).all(-1)


def ascent(start: Tensor, activation: Activation, fake: float, iterations: int = 1500) -> tuple[Tensor, Tensor]:
    """Gradient ascent on the margin, projected to the box, from many starts `(rows, 2n)` at once."""
    weights = start.clone().requires_grad_()
    for _ in range(iterations):
        (gradient,) = torch.autograd.grad(margin(*weights.chunk(2, -1), activation, fake).sum(), weights)
        with torch.no_grad():
            weights.add_(gradient, alpha=0.1 / abs(fake)).clamp_(-1, 1)
    return weights.detach().chunk(2, -1)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("units", "fake"), games(6))
def test_the_best_corner_is_monotone_and_nothing_inside_the_box_is_better(units, fake, name):
    """The margin is linear in each Ψ₁ᵢ and monotone in each Ψ₀ᵢ, so that a corner is the maximum."""
    activation = ACTIVATIONS[name]
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=2 * units)), dtype=torch.float64)
    values = margin(*corners.chunk(2, -1), activation, fake)
    best = corners[values >= values.max() - 1e-12]
    assert is_monotone(curve(*best.chunk(2, -1), activation, LINE)).all()
    winner = torch.cat([torch.full((units,), torch.tensor(fake).sign().item()), -torch.ones(units)])
    assert (best == winner).all(-1).any()
    if name != "tanh":  # which is odd: a unit and its mirror image are the same function
        assert len(best) == 1
    inside = 2 * torch.rand(2000, 2 * units, dtype=torch.float64) - 1
    assert margin(*inside.chunk(2, -1), activation, fake).max() < values.max()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("units", "fake"), games(6))
def test_ascent_from_anywhere_ends_in_a_monotone_d(units, fake, name):
    """Also where it ends in a lesser corner, as it does from half of the starts."""
    activation = ACTIVATIONS[name]
    starts = 2 * torch.rand(64, 2 * units, dtype=torch.float64) - 1
    psi_0, psi_1 = ascent(starts, activation, fake)
    curves = curve(psi_0, psi_1, activation, LINE)
    assert is_monotone(curves).all()
    assert torch.equal((curves[:, -1] < curves[:, 0]), torch.full((64,), fake > 0))  # it falls towards the fake
    assert not is_monotone(curve(*starts.chunk(2, -1), activation, LINE)).all() or units == 1


def test_a_d_of_two_units_could_peak_at_the_real_point():
    """Without this the proposition would say nothing."""
    values = curve(torch.tensor([1.0, -1.0]).double(), -torch.ones(2).double(), torch.nn.LeakyReLU(0.2), LINE)
    assert not is_monotone(values)
    assert LINE[values.argmax()] == 0


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize(("old", "current"), [(-1.0, 2.0), (-1.0, 0.3), (-2.0, 1.9), (-0.25, 2.0)])
def test_one_old_fake_on_the_other_side_does_not_make_the_peak_the_best_d(units, old, current):
    """Ours, beyond the paper: all units serve the farther fake, so that D is monotone again but for the tie.

    On fakes -o and y a unit with Ψ₀ > 0 is worth `|y - ao|`, one with Ψ₀ < 0 `|ay - o|`: the first is more if y > o.
    """
    activation = ACTIVATIONS["leaky ReLU 0.2"]
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=2 * units)), dtype=torch.float64).chunk(2, -1)
    values = margin(*corners, activation, old) + margin(*corners, activation, current)
    best = values.argmax()
    assert (values > values.max() - 1e-9).sum() == 1
    assert is_monotone(curve(corners[0][best], corners[1][best], activation, LINE))
    assert (corners[0][best] == (1 if current > -old else -1)).all()
    tied = margin(*corners, activation, old) + margin(*corners, activation, -old)
    peaks = (corners[0].sum(-1).abs() < units) & (corners[1] == -1).all(-1)
    torch.testing.assert_close(tied[peaks], tied.max().expand(int(peaks.sum())))


def test_the_tests_d_is_the_collection_s():
    discriminator = DiracDiscriminator(hidden=3).double()
    here = curve(discriminator.psi_0[:, 0], discriminator.psi_1[:, 0], torch.nn.LeakyReLU(0.2), LINE)
    torch.testing.assert_close(discriminator(LINE.unsqueeze(1))[:, 0], here)


@pytest.mark.parametrize("start", [2.0, -1.5])
def test_a_game_whose_fake_stands_still_ends_in_a_monotone_d(start):
    """What configs/variants/frozen_fake.yaml shows."""
    gan = GAN(
        DiracGenerator(start),
        DiracDiscriminator(hidden=2),
        latent_dim=1,
        loss=Wasserstein(),
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
        discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        seeds=list(range(20)),
    )
    portrait = DiracPortrait(1000)
    train(gan, 60, DiracDataModule(), [WeightClipping(1.0), portrait])
    _, series = portrait.series(gan)
    untrained, trained = series["dirac/monotone"]
    assert 0 < untrained.mean() < 1
    assert trained.all()
    assert series["dirac/theta"] == pytest.approx(start, rel=1e-6)
    assert (series["dirac/slope"][-1] * start < 0).all()
