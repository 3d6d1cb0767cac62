"""Roth et al.'s regulariser against loops, and against the noise that it stands for, at the optimal D."""

import math

import pytest
import torch

from lit_gans.losses import FDivergence, JensenShannon, LeastSquares, Minimax, NonSaturating, OriginalGAN, Wasserstein
from lit_gans.penalties import Roth
from lit_gans.streams import Draws, stream
from tests.test_f_divergences import CASES, GRID, every_divergence
from tests.test_penalties import CurvedCritic, close, step_of, tensor
from tests.toys import Notes, ring_gan, train

MEANS, STDS = (0.0, 0.8), (1.0, 1.3)
ORIGINAL = (JensenShannon, OriginalGAN)


def density(i, noise=0.0):
    std = math.sqrt(STDS[i] ** 2 + noise)
    return torch.exp(-(((GRID - MEANS[i]) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def log_ratio(v):
    """log p/q of the two Gaussians at v."""
    squares = [((v - mean) / std) ** 2 / 2 for mean, std in zip(MEANS, STDS, strict=True)]
    return squares[1] - squares[0] + math.log(STDS[1] / STDS[0])


def integral(values):
    return torch.trapezoid(values, GRID).item()


def fitted(objective):
    penalty = Roth(1.0)
    penalty.attach(objective, {})
    return penalty


def omega(penalty, critic):
    """Ω as an integral: the penalty's values on the grid, weighted by the densities."""
    points = GRID[:, None]
    still = torch.full_like(points, 0.3)

    def values(x, y):
        step = step_of(lambda v: critic(v[..., 0]), x, y)
        return penalty(step).detach()

    of_reals, of_fakes, both = values(points, still), values(still, points), values(still, still)
    fakes_alone = torch.equal(of_reals, both)
    if fakes_alone:
        return integral(density(1) * of_fakes)
    return integral(density(0) * (of_reals - both) + density(1) * of_fakes)


@every_divergence
def test_it_is_what_small_noise_does_to_the_bound_at_the_optimal_d(kind):
    _, best, _ = CASES[kind]
    objective = FDivergence(kind())
    logits = best(log_ratio(GRID).exp())

    def bound(noise):
        p, q = density(0, noise), density(1, noise)
        return -integral(p * objective.real_term(logits) + q * objective.fake_term(logits))

    penalty = fitted(objective)
    critic = lambda v: best(log_ratio(v).exp())  # noqa: E731
    variance = 1e-4
    change = (bound(variance) - bound(-variance)) / (2 * variance)  # the slope in the variance, at none
    assert change < -1e-3
    assert change == pytest.approx(-omega(penalty, critic) / 2, rel=1e-4)


def test_the_forms_agree_at_the_optimal_d_and_nowhere_else():
    two_sided = fitted(FDivergence(JensenShannon()))
    one_sided = Roth(1.0)
    one_sided.divergence = JensenShannon()
    optimal, other = log_ratio, lambda v: 2 * log_ratio(v) + 0.5
    assert omega(two_sided, optimal) == pytest.approx(omega(one_sided, optimal), rel=1e-6)
    assert abs(omega(two_sided, other) / omega(one_sided, other) - 1) > 0.05


@every_divergence
def test_curvature_is_the_conjugates_second_derivative_in_its_activation(kind):
    divergence = kind()
    v = torch.linspace(-3, 3, 25, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(divergence.activation(v).sum(), v, create_graph=True)
    first = torch.autograd.grad(divergence.conjugate(v).sum(), v, create_graph=True)[0] / slope  # f*'(g)
    second = torch.autograd.grad(first.sum(), v)[0] / slope  # f*''(g)
    torch.testing.assert_close(divergence.curvature(v), second * slope.square(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sample", [(2,), (3, 4, 4)])
@pytest.mark.parametrize("objective", [Minimax(), NonSaturating(), FDivergence(OriginalGAN())], ids=str)
def test_original_game_by_loops(objective, sample):
    critic = CurvedCritic(tensor(*sample), sample)
    x, y = tensor(6, *sample, seed=1), tensor(6, *sample, seed=2)
    found = fitted(objective)(step_of(critic, x, y))
    expected = []
    for xi, yi in zip(x, y, strict=True):
        value = 0.0
        for point, sign in ((xi, -1), (yi, 1)):
            point = point.clone().requires_grad_()
            logit = critic(point[None])[0]
            (gradient,) = torch.autograd.grad(logit, point)
            value += 1 / (1 + math.exp(-sign * logit.item())) ** 2 * sum(g**2 for g in gradient.flatten().tolist())
        expected.append(value)
    close(found, expected)


@every_divergence
def test_seeds_stand_apart_and_the_gradient_reaches_d_alone(kind):
    w, x, y = tensor(2, 1, 2, seed=3), tensor(2, 5, 2, seed=1), tensor(2, 5, 2, seed=2).requires_grad_()
    penalty, critic = fitted(FDivergence(kind())), CurvedCritic(w, (2,))
    values = penalty(step_of(critic, x, y.detach(), Draws([stream(0, "a"), stream(1, "a")])))
    assert values.shape == (2, 5)
    for i in range(2):
        lone = CurvedCritic(w[i, 0], (2,))
        close(values[i], penalty(step_of(lone, x[i], y[i].detach())).detach())
    penalty(step_of(critic, x, y)).mean().backward()
    assert critic.w.grad.abs().sum() > 0


def test_an_objective_without_f_is_refused_by_name():
    for loss in (Wasserstein(), LeastSquares()):
        with pytest.raises(ValueError, match=rf"^Roth: .*f-divergence, and {type(loss).__name__} minimises none"):
            ring_gan(loss=loss, penalties={"roth": Roth(0.1)})


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_it_trains_with_the_form_of_its_objective(seeds):
    for loss, form in ((None, type(None)), (FDivergence(next(iter(CASES))()), next(iter(CASES)))):
        notes, gan = Notes(), ring_gan(loss=loss, penalties={"roth": Roth(0.1)}, seeds=seeds)
        assert isinstance(gan.penalties["roth"].divergence, form)
        train(gan, 10, logger=notes, log_every_n_steps=5)
        assert notes.rows[-1][1]["d/roth"] > 0


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"^Roth: weight must be at least 0, got -1"):
        Roth(-1.0)
