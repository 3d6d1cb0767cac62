"""Every objective against values and gradient fields worked out by hand, in float64."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import pytest
import torch
from torch.nn import functional

from lit_gans import losses
from lit_gans.losses import (
    EnergyBased,
    FDivergence,
    Hinge,
    LeastSquares,
    LossSensitive,
    Minimax,
    NonSaturating,
    Objective,
    RelativisticPairing,
    SeparableObjective,
    Unopposed,
    Wasserstein,
)
from lit_gans.networks import DiracDiscriminator, DiracGenerator

EXACT = {"rtol": 1e-12, "atol": 1e-12}
ABSTRACT = {Objective, SeparableObjective}
ELSEWHERE = {FDivergence, LossSensitive, Unopposed}  # tests/test_f_divergences.py, test_energy.py, test_terms.py
CONCRETE = {
    item
    for name, item in vars(losses).items()
    if inspect.isclass(item)
    and issubclass(item, Objective)
    and not name.startswith("_")
    and item not in ABSTRACT | ELSEWHERE
}
LOGITS = [-30.0, -4.5, -1.5, -0.5, 0.0, 0.25, 0.5, 2.0, 7.0, 25.0]


def sigma(t):
    return 1 / (1 + math.exp(-t))


@cache
def log_1_exp(t):
    """log(1 + eᵗ) with 400 digits: enough to tell 1 + eᵗ from 1 wherever the logarithm is not 0 in float64."""
    with localcontext(prec=400):
        return float((1 + Decimal(t).exp()).ln())


def relu(t):
    return t if t > 0 else 0.0


@dataclass(frozen=True)
class Oracle:
    """What one objective must give; `a` is D(x), `b` is D(y)."""

    discriminator: Callable[[float, float], float]
    generator: Callable[[float, float], float]
    undecided: float | None  # the logit at which D has no opinion, None where it never has one
    field: Callable[[float, float, float], tuple[float, float]]
    """(-dL_D/dψ, -dL_G/dθ) for D(v) = ψv, a real sample at r and a fake one at θ.

    By the chain rule -dL_D/dψ = -r ∂L_D/∂a - θ ∂L_D/∂b and -dL_G/dθ = -ψ ∂L_G/∂b, at a = ψr and b = ψθ,
    with (log(1 + eᵗ))' = σ(t).
    """


def cross_entropy(weight, target):
    """D of the minimax and the non-saturating game: γ (-t log σ(a) - (1-t) log(1-σ(a))) - log(1-σ(b))."""
    return lambda a, b: weight * (target * log_1_exp(-a) + (1 - target) * log_1_exp(a)) + log_1_exp(b)


def minimax(weight=1.0, target=1.0):
    return Oracle(
        cross_entropy(weight, target),
        lambda a, b: -log_1_exp(b),
        undecided=0.0,
        # ∂L_D/∂a = γ (-t σ(-a) + (1-t) σ(a)) = γ (σ(a) - t);  ∂L_D/∂b = σ(b);  ∂L_G/∂b = -σ(b)
        field=lambda p, q, r: (weight * r * (target - sigma(p * r)) - q * sigma(p * q), p * sigma(p * q)),
    )


def non_saturating(weight=1.0, target=1.0):
    return Oracle(
        cross_entropy(weight, target),
        lambda a, b: log_1_exp(-b),
        undecided=0.0,
        # D as above;  ∂L_G/∂b = -σ(-b)
        field=lambda p, q, r: (weight * r * (target - sigma(p * r)) - q * sigma(p * q), p * sigma(-p * q)),
    )


def least_squares(weight=1.0, fake=0.0, real=1.0, wanted=1.0):
    return Oracle(
        lambda a, b: weight * (a - real) ** 2 + (b - fake) ** 2,
        lambda a, b: (b - wanted) ** 2,
        undecided=(fake + real) / 2,
        # ∂L_D/∂a = 2γ (a - real);  ∂L_D/∂b = 2 (b - fake);  ∂L_G/∂b = 2 (b - wanted)
        field=lambda p, q, r: (
            -2 * weight * r * (p * r - real) - 2 * q * (p * q - fake),
            -2 * p * (p * q - wanted),
        ),
    )


def hinge(weight=1.0):
    return Oracle(
        lambda a, b: weight * relu(1 - a) + relu(1 + b),
        lambda a, b: -b,
        undecided=0.0,
        # ∂L_D/∂a = -γ [a < 1];  ∂L_D/∂b = [b > -1];  ∂L_G/∂b = -1
        field=lambda p, q, r: (weight * r * (p * r < 1) - q * (p * q > -1), p),
    )


def energy_based(weight=1.0, margin=1.0):
    return Oracle(
        lambda a, b: -weight * a + relu(margin + b),
        lambda a, b: -b,
        undecided=-margin / 2,
        # ∂L_D/∂a = -γ;  ∂L_D/∂b = [b > -m];  ∂L_G/∂b = -1
        field=lambda p, q, r: (weight * r - q * (p * q > -margin), p),
    )


CASES = [
    (Minimax(), minimax()),
    (Minimax(real_weight=10.0, real_target=0.9), minimax(10.0, 0.9)),
    (NonSaturating(), non_saturating()),
    (NonSaturating(real_weight=2.5, real_target=0.7), non_saturating(2.5, 0.7)),
    (LeastSquares(), least_squares()),
    (LeastSquares(3.0, fake_target=-0.5, real_target=2.0, generator_target=0.25), least_squares(3.0, -0.5, 2.0, 0.25)),
    (Hinge(), hinge()),
    (Hinge(real_weight=10.0), hinge(10.0)),
    (EnergyBased(), energy_based()),
    (EnergyBased(margin=3.0, real_weight=2.0), energy_based(2.0, 3.0)),
    (
        Wasserstein(),
        # ∂L_D/∂a = -1;  ∂L_D/∂b = 1;  ∂L_G/∂b = -1
        Oracle(lambda a, b: b - a, lambda a, b: -b, undecided=None, field=lambda p, q, r: (r - q, p)),
    ),
    (
        RelativisticPairing(),
        Oracle(
            lambda a, b: log_1_exp(b - a),
            lambda a, b: log_1_exp(a - b),
            undecided=None,
            # ∂L_D/∂a = -σ(b-a) = -∂L_D/∂b;  ∂L_G/∂b = -σ(a-b)
            field=lambda p, q, r: ((r - q) * sigma(p * (q - r)), p * sigma(p * (r - q))),
        ),
    ),
]
every_objective = pytest.mark.parametrize(
    ("objective", "oracle"), CASES, ids=[f"{type(o).__name__}-{i}" for i, (o, _) in enumerate(CASES)]
)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def pairs(logits=LOGITS):
    """Every pair of the given logits, as two vectors."""
    grid = torch.cartesian_prod(vector(*logits), vector(*logits))
    return grid[:, 0], grid[:, 1]


def close(found, expected):
    torch.testing.assert_close(found, vector(*expected).reshape(found.shape), **EXACT)


def test_every_public_objective_has_an_oracle():
    assert {type(objective) for objective, _ in CASES} == CONCRETE


@every_objective
def test_values_of_both_players(objective, oracle):
    a, b = pairs()
    rows = list(zip(a.tolist(), b.tolist(), strict=True))
    close(objective.discriminator(a, b), [oracle.discriminator(*row) for row in rows])
    close(objective.generator(a, b), [oracle.generator(*row) for row in rows])


def test_values_at_round_probabilities():
    # σ(log 3) = 3/4 and σ(-log 4) = 1/5, so that no objective of ours stands between a logit and its probability.
    a, b = vector(math.log(3)), vector(-math.log(4))
    for game in (Minimax(), NonSaturating()):
        close(game.discriminator(a, b), [-math.log(3 / 4) - math.log(4 / 5)])
    close(Minimax().generator(None, b), [math.log(4 / 5)])
    close(NonSaturating().generator(None, b), [-math.log(1 / 5)])
    # D(x) - D(y) = log 12, and σ(log 12) = 12/13.
    close(RelativisticPairing().discriminator(a, b), [-math.log(12 / 13)])
    close(RelativisticPairing().generator(a, b), [-math.log(1 / 13)])
    close(LeastSquares().discriminator(vector(0.5), vector(3.0)), [9.25])
    close(Hinge().discriminator(vector(0.5), vector(3.0)), [4.5])


@every_objective
def test_extreme_logits_stay_finite_and_exact(objective, oracle):
    a, b = (logits.requires_grad_() for logits in pairs([-1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4]))
    rows = list(zip(a.tolist(), b.tolist(), strict=True))
    for found, expected in (
        (objective.discriminator(a, b), [oracle.discriminator(*row) for row in rows]),
        (objective.generator(a, b), [oracle.generator(*row) for row in rows]),
    ):
        assert found.isfinite().all()
        # Relative: a loss of 4e-18 must not come out as 0.
        torch.testing.assert_close(found, vector(*expected), rtol=1e-14, atol=1e-30)
        gradients = torch.autograd.grad(found.sum(), (a, b), allow_unused=True)
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


def test_softplus_has_no_threshold():
    t = [-700.0, -50.0, -1.0, 0.0, 19.0, 20.5, 25.0, 35.0, 1e4]
    torch.testing.assert_close(losses.softplus(vector(*t)), vector(*map(log_1_exp, t)), rtol=4e-16, atol=0.0)


@every_objective
def test_dirac_field(objective, oracle):
    for real in (0.0, 0.8):
        for psi, theta in [(0.5, 1.0), (-0.7, 2.0), (1.5, -1.2), (0.0, 0.8), (2.0, 0.0), (-2.5, -0.9)]:
            p, q = vector(psi).requires_grad_(), vector(theta).requires_grad_()
            d_loss = objective.discriminator(p * real, p * q.detach()).sum()
            g_loss = objective.generator(p.detach() * real, p.detach() * q).sum()
            field = torch.cat([-torch.autograd.grad(d_loss, p)[0], -torch.autograd.grad(g_loss, q)[0]])
            close(field, oracle.field(psi, theta, real))


@every_objective
def test_dirac_field_of_the_networks(objective, oracle):
    psi, theta, batch = 0.625, -1.25, 4  # exact in the float32 they start in
    d, g = DiracDiscriminator().double(), DiracGenerator(start=theta).double()
    torch.nn.init.constant_(d.psi, psi)
    x, z = torch.zeros(batch, 1, dtype=torch.float64), torch.randn(batch, 3, dtype=torch.float64)
    objective.discriminator(d(x).squeeze(1), d(g(z).detach()).squeeze(1)).mean().backward()
    found = [-d.psi.grad]
    objective.generator(d(x).squeeze(1), d(g(z)).squeeze(1)).mean().backward()
    close(torch.cat([*found, -g.theta.grad]), oracle.field(psi, theta, 0.0))


@every_objective
def test_value_i_depends_on_logits_i_alone(objective, oracle):
    a, b = vector(0.3, -0.4, 1.7, -0.2), vector(-0.1, 0.6, 0.9, -2.4)
    for player in (objective.discriminator, objective.generator):
        for jacobian in torch.autograd.functional.jacobian(player, (a, b)):
            assert jacobian.shape == (4, 4)
            assert (jacobian - jacobian.diag().diag()).count_nonzero() == 0
        assert player(a, b).shape == (4,)
        stacked = player(torch.stack([a, b, -a]), torch.stack([b, -b, a]))
        assert torch.equal(stacked, torch.stack([player(a, b), player(b, -b), player(-a, a)]))


@every_objective
def test_needs_real_says_whether_the_generator_reads_real_logits(objective, oracle):
    b = vector(0.4, -2.0)
    if objective.needs_real:
        assert not torch.equal(objective.generator(vector(1.0, 2.0), b), objective.generator(vector(2.0, 1.0), b))
        with pytest.raises(ValueError, match=rf"{type(objective).__name__}.*give real_logits"):
            objective.generator(None, b)
    else:
        close(objective.generator(None, b), [oracle.generator(math.nan, float(logit)) for logit in b])


@every_objective
def test_decision(objective, oracle):
    logits = vector(-3.0, 0.0, 0.1, 2.0)
    if oracle.undecided is None:
        assert objective.decision(logits) is None
    else:
        close(objective.decision(logits), [logit - oracle.undecided for logit in logits.tolist()])


@pytest.mark.parametrize("kind", sorted(CONCRETE, key=lambda kind: kind.__name__))
def test_real_weight_multiplies_the_real_term_only(kind):
    if kind is Wasserstein:
        with pytest.raises(ValueError, match=r"Wasserstein: real_weight must be 1, got 10\.0"):
            kind(real_weight=10.0)
    elif issubclass(kind, SeparableObjective):
        a, b = pairs()
        plain, heavy = kind(), kind(real_weight=10.0)
        torch.testing.assert_close(plain.discriminator(a, b), plain.real_term(a) + plain.fake_term(b), **EXACT)
        torch.testing.assert_close(
            heavy.discriminator(a, b) - plain.discriminator(a, b), 9 * plain.real_term(a), rtol=1e-12, atol=1e-11
        )
        assert torch.equal(heavy.generator(a, b), plain.generator(a, b))
    else:
        with pytest.raises(TypeError, match="real_weight"):
            kind(real_weight=10.0)


@pytest.mark.parametrize("kind", [Minimax, NonSaturating])
def test_label_smoothing_is_cross_entropy_with_a_soft_target(kind):
    a, b = pairs()
    bce = functional.binary_cross_entropy_with_logits
    expected = bce(a, torch.full_like(a, 0.9), reduction="none") + bce(b, torch.zeros_like(b), reduction="none")
    torch.testing.assert_close(kind(real_target=0.9).discriminator(a, b), expected, **EXACT)
    assert torch.equal(kind(real_target=0.9).generator(a, b), kind().generator(a, b))


def test_least_squares_with_codes_minus_one_one_zero_is_pearson():
    # Mao et al. 2017, theorem 1: with b - c = 1 and b - a = 2, G minimises χ²(p + q ‖ 2q) = Σ (p - q)² / (p + q).
    game = LeastSquares(fake_target=-1.0, real_target=1.0, generator_target=0.0)
    p, q = vector(0.5, 0.3, 0.15, 0.05), vector(0.1, 0.2, 0.3, 0.4)
    best = ((p - q) / (p + q)).requires_grad_()
    # Separate weights p and q on the two terms make the sum over states an expectation under each law.
    (slope,) = torch.autograd.grad((p * game.real_term(best) + q * game.fake_term(best)).sum(), best)
    torch.testing.assert_close(slope, torch.zeros(4, dtype=torch.float64), **EXACT)
    # Mao et al. add E_p (D - c)², which G cannot change.
    divergence = ((p + q) * game.generator(None, best)).sum()
    states = list(zip(p.tolist(), q.tolist(), strict=True))
    close(divergence, [sum((s - t) ** 2 / (s + t) for s, t in states)])


def test_relativistic_pairing_pairs_by_index():
    a, b = vector(1.0, -2.0, 0.5), vector(0.0, 3.0, -1.0)
    game, order = RelativisticPairing(), [1, 2, 0]
    for player in (game.discriminator, game.generator):
        assert (player(a, b[order]).mean() - player(a, b).mean()).abs() > 0.1
        torch.testing.assert_close(player(a[order], b[order]), player(a, b)[order], **EXACT)
        torch.testing.assert_close(player(a + 5, b + 5), player(a, b), **EXACT)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        *[
            (lambda kind=kind, value=value: kind(real_weight=value), rf"{kind.__name__}: real_weight .* got {value}")
            for kind in (Minimax, NonSaturating, LeastSquares, Hinge, Wasserstein, EnergyBased)
            for value in (0.0, -1.0, math.nan)
        ],
        (lambda: NonSaturating(real_target=0.5), r"NonSaturating: real_target must lie in \(0\.5, 1\], got 0\.5"),
        (lambda: Minimax(real_target=1.1), r"Minimax: real_target must lie in \(0\.5, 1\], got 1\.1"),
        (lambda: LeastSquares(fake_target=1.0), "LeastSquares: fake_target must be below.*got 1.0 and 1.0"),
        (lambda: EnergyBased(margin=0.0), "EnergyBased: margin must be above 0, got 0.0"),
        (lambda: LossSensitive(weight=0.0), "LossSensitive: weight must be above 0, got 0.0"),
        (lambda: LeastSquares(fake_target=0.0, real_target=-1.0), "LeastSquares.*got 0.0 and -1.0"),
    ],
)
def test_bad_settings_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_unfinished_subclass_says_what_it_lacks():
    class Half(SeparableObjective):
        def fake_term(self, logits):
            return logits

    with pytest.raises(TypeError, match=r"abstract class Half .*generator.*real_term"):
        Half()
    with pytest.raises(TypeError, match=r"abstract class Objective .*discriminator.*generator"):
        Objective()


def test_settings_are_printed():
    assert repr(Minimax(10.0, real_target=0.9)) == "Minimax(real_weight=10.0, real_target=0.9)"
    assert repr(RelativisticPairing()) == "RelativisticPairing()"
