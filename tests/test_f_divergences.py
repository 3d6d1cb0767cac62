"""The f-GAN family: conjugates by their definition, bounds at their optimum against divergences by quadrature."""

import math

import pytest
import torch

from lit_gans.losses import (
    KL,
    Divergence,
    FDivergence,
    JensenShannon,
    Minimax,
    NonSaturating,
    OriginalGAN,
    PearsonChiSquared,
    ReverseKL,
    SquaredHellinger,
)
from lit_gans.penalties import R1
from tests.toys import Notes, ring_gan, state, train

GRID = torch.linspace(-14, 16, 40_001, dtype=torch.float64)


def gaussian(mean, std):
    return torch.exp(-(((GRID - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


P, Q = gaussian(0.0, 1.0), gaussian(0.8, 1.3)
U = P / Q
M = (P + Q) / 2


def integral(values):
    return torch.trapezoid(values, GRID).item()


# kind: f, the optimal logit as a function of u = p/q, the divergence written out
CASES = {
    KL: (lambda u: u * u.log(), lambda u: 1 + u.log(), P * U.log()),
    ReverseKL: (lambda u: -u.log(), lambda u: u.log(), -Q * U.log()),
    PearsonChiSquared: (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), (P - Q) ** 2 / Q),
    SquaredHellinger: (lambda u: (u.sqrt() - 1) ** 2, lambda u: u.log() / 2, (P.sqrt() - Q.sqrt()) ** 2),
    JensenShannon: (
        lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(),
        lambda u: u.log(),
        P * (P / M).log() + Q * (Q / M).log(),
    ),
    OriginalGAN: (
        lambda u: u * u.log() - (u + 1) * (u + 1).log(),
        lambda u: u.log(),
        P * (P / M).log() + Q * (Q / M).log() - (P + Q) * math.log(2),
    ),
}
every_divergence = pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)


def bound(kind, logits):
    """What D maximises, with the densities for weights."""
    game = FDivergence(kind())
    return -integral(P * game.real_term(logits) + Q * game.fake_term(logits))


def test_every_divergence_has_a_case():
    assert set(Divergence.__subclasses__()) == set(CASES)


@every_divergence
def test_the_divergence_is_that_of_its_f(kind):
    f, _, written_out = CASES[kind]
    assert integral(Q * f(U)) == pytest.approx(integral(written_out), abs=1e-9)


@every_divergence
def test_the_bound_is_tight_at_the_optimal_logit_and_below_everywhere_else(kind):
    _, best, written_out = CASES[kind]
    divergence = integral(written_out)
    assert bound(kind, best(U)) == pytest.approx(divergence, abs=1e-8)
    for bump in (0.1, -0.1, 0.1 * GRID.sin(), torch.exp(-(GRID**2)) / 4):
        assert bound(kind, best(U) + bump) < divergence - 1e-5


@every_divergence
def test_conjugates_are_suprema(kind):
    f, divergence = CASES[kind][0], kind()
    u = torch.logspace(-7, 5, 400_001, dtype=torch.float64)
    for v in (-2.0, -0.5, 0.0, 0.3, 1.0, 2.5):
        logit = torch.tensor(v, dtype=torch.float64)
        supremum = (u * divergence.activation(logit) - f(u)).max().item()
        if kind is PearsonChiSquared and v < -2:  # u would have to be negative
            continue
        assert divergence.conjugate(logit).item() == pytest.approx(supremum, abs=1e-6)


@every_divergence
def test_activations_rise_and_the_optimal_d_decides_rightly(kind):
    logits = torch.linspace(-5, 5, 100, dtype=torch.float64)
    assert (kind().activation(logits).diff() > 0).all()
    decision = FDivergence(kind()).decision(CASES[kind][1](U))
    clear = (U.log()).abs() > 1e-6
    assert torch.equal(decision[clear] > 0, U[clear] > 1)


@every_divergence
def test_gs_loss_is_the_bounds_or_the_negative_activation(kind):
    logits = torch.tensor([-3.0, 0.0, 0.4, 2.0], dtype=torch.float64)
    saturating, other = FDivergence(kind(), saturating=True), FDivergence(kind())
    torch.testing.assert_close(saturating.generator(None, logits), -other.fake_term(logits))
    torch.testing.assert_close(other.generator(None, logits), other.real_term(logits))
    assert other.generator(None, logits).shape == (4,)


def test_the_original_game_is_minimax_and_jensen_shannon_but_for_constants():
    a, b = torch.randn(2, 50, dtype=torch.float64) * 5
    original, jensen = FDivergence(OriginalGAN()), FDivergence(JensenShannon())
    torch.testing.assert_close(original.discriminator(a, b), Minimax().discriminator(a, b), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        jensen.discriminator(a, b), Minimax().discriminator(a, b) - math.log(4), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(original.generator(None, b), NonSaturating().generator(None, b), rtol=1e-12, atol=1e-12)
    saturating = FDivergence(OriginalGAN(), saturating=True)
    torch.testing.assert_close(saturating.generator(None, b), Minimax().generator(None, b), rtol=1e-12, atol=1e-12)


@every_divergence
def test_the_real_weight_is_of_the_real_term(kind):
    a, b = torch.randn(2, 20, dtype=torch.float64)
    plain, heavy = FDivergence(kind()), FDivergence(kind(), real_weight=10.0)
    torch.testing.assert_close(
        heavy.discriminator(a, b) - plain.discriminator(a, b), 9 * plain.real_term(a), rtol=1e-10, atol=1e-10
    )


@every_divergence
@pytest.mark.parametrize("seeds", [None, [1, 2]])
def test_a_game_of_each_is_played(kind, seeds):
    notes, gan = Notes(), ring_gan("Adam", loss=FDivergence(kind()), penalties={"r1": R1(1.0)}, seeds=seeds)
    before = state(gan)
    train(gan, 10, logger=notes, log_every_n_steps=1, limit_val_batches=1)
    assert all(math.isfinite(value) for _, row in notes.rows for value in row.values())
    assert all(not torch.equal(value, before[name]) for name, value in state(gan).items())
    assert len(notes.of("d/accuracy_fake")) == 10
