"""Measures: vector fields with a known direction, coverage of hand-made samples."""

import math

import pytest
import torch

from lit_gans.losses import Minimax, NonSaturating, RelativisticPairing, Wasserstein
from lit_gans.metrics import (
    class_coverage,
    discriminator_gradient,
    field_cosine,
    generator_field,
    grid_points,
    mode_coverage,
    nearest_reals,
    real_field,
)
from lit_gans.networks import MLPDiscriminator


def hill(points):
    """A smooth D on the plane, in closed form."""
    return points[..., 0].sin() + 0.5 * points[..., 1].square()


def slope_of_hill(points):
    return torch.stack([points[..., 0].cos(), points[..., 1]], -1)


@pytest.fixture
def points():
    return torch.randn(3, 40, 2, dtype=torch.float64)


# ---------------------------------------------------------------------------------------------------------- the fields


def test_a_grid_spans_its_square():
    grid = grid_points(5, 2.0)
    assert grid.shape == (25, 2)
    assert {tuple(point) for point in grid.tolist()} == {(x - 2.0, y - 2.0) for x in range(5) for y in range(5)}


def test_gradient_of_d(points):
    torch.testing.assert_close(discriminator_gradient(hill, points), slope_of_hill(points), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "pull"),
    [
        (NonSaturating(), lambda logits: torch.sigmoid(-logits)),
        (Minimax(), torch.sigmoid),
        (Wasserstein(), torch.ones_like),
    ],
)
def test_the_field_of_g_is_uphill_in_d(loss, pull, points):
    expected = pull(hill(points))[..., None] * slope_of_hill(points)
    torch.testing.assert_close(generator_field(hill, loss, points), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_field_of_reals_is_uphill_in_d(weight, points):
    fake_logits = torch.tensor([[0.3]], dtype=torch.float64).expand(3, 1)
    expected = weight * torch.sigmoid(-hill(points))[..., None] * slope_of_hill(points)
    found = real_field(hill, NonSaturating(real_weight=weight), points, fake_logits)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_fields_of_an_objective_that_compares(points):
    reference = torch.tensor([[0.3], [-1.0], [2.0]], dtype=torch.float64)
    slope = slope_of_hill(points)
    expected = torch.sigmoid(reference - hill(points))[..., None] * slope
    loss = RelativisticPairing()
    torch.testing.assert_close(generator_field(hill, loss, points, reference), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(real_field(hill, loss, points, reference), expected, rtol=0, atol=1e-12)


def test_fields_leave_d_and_the_points_alone():
    network = MLPDiscriminator((2,), (8,))
    points = torch.randn(6, 2)
    field = generator_field(lambda v: network(v).squeeze(-1), NonSaturating(), points)
    assert field.shape == points.shape
    assert not points.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    with torch.no_grad():  # a probe may be called where gradients are off
        assert torch.equal(generator_field(lambda v: network(v).squeeze(-1), NonSaturating(), points), field)


# ---------------------------------------------------------------------------------------------------------- the cosine


@pytest.mark.parametrize("degrees", [0, 30, 60, 90, 135, 180])
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_a_field_that_turns_has_the_cosine_of_its_angle(degrees, size):
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    before = torch.randn(2, 400, 2)
    after = before @ turn.T
    lengths = torch.rand(2, 400, 1) + 0.1  # the length does not count
    found = field_cosine(size * before, size * lengths * after)
    assert found.shape == (2,)
    torch.testing.assert_close(found, torch.full((2,), math.cos(angle)), rtol=0, atol=1e-5)


def test_a_point_without_a_field_counts_as_forgotten():
    before = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    after = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert field_cosine(before, after).item() == pytest.approx(0.25)


# -------------------------------------------------------------------------------------------------------- the coverage

CENTERS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


def test_coverage_by_hand():
    samples = torch.tensor([[0.0, 0.1], [0.2, 0.0], [4.0, 0.25], [0.0, 3.0]])  # the last is too far from its mode
    found = mode_coverage(samples, CENTERS, std=0.1)
    assert found.modes == 2
    assert found.high_quality == 0.75
    assert found.reverse_kl.item() == pytest.approx(0.5 * math.log(2) + 2 * 0.25 * math.log(1))
    assert [value.shape for value in found] == [()] * 3


@pytest.mark.parametrize(("distance", "covered"), [(0.2999, 1), (0.3001, 0)])
@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, -1), (0.6, 0.8)])
def test_three_standard_deviations_are_the_limit(distance, covered, direction):
    sample = CENTERS[:1].double() + distance * torch.tensor([direction], dtype=torch.float64)
    found = mode_coverage(sample, CENTERS, std=0.1)
    assert (found.modes, found.high_quality) == (covered, covered)


def test_all_modes_evenly_and_all_samples_in_one():
    even = mode_coverage(CENTERS.repeat(5, 1), CENTERS, 0.1)
    assert (even.modes, even.high_quality, even.reverse_kl) == (4, 1, 0)
    collapsed = mode_coverage(CENTERS[2].expand(7, 2), CENTERS, 0.1)
    assert (collapsed.modes, collapsed.high_quality) == (1, 1)
    assert collapsed.reverse_kl.item() == pytest.approx(math.log(4))


def test_each_seed_is_judged_alone():
    samples = torch.stack([CENTERS, CENTERS[:1].expand(4, 2), CENTERS + 1.5])
    found = mode_coverage(samples, CENTERS, 0.1)
    assert found.modes.tolist() == [4, 1, 0]
    assert found.high_quality.tolist() == [1, 1, 0]
    for i, each in enumerate(samples):
        alone = mode_coverage(each, CENTERS, 0.1)
        assert all(together[i] == one for together, one in zip(found, alone, strict=True))


def test_float32_is_precise_far_from_the_origin():
    """By `|x|² - 2xc + |c|²` the distance would err by more than the boundary is wide."""
    center = torch.tensor([[100.0, 100.0]])
    std = 0.01
    for factor, covered in ((0.97, 1), (1.03, 0)):
        sample = center + torch.tensor([[3 * std * factor, 0.0]])
        assert mode_coverage(sample.repeat(50, 1), center, std).modes == covered


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (2,)])
def test_samples_that_cannot_be_compared_are_refused(shape):
    with pytest.raises(ValueError, match=r"samples must have shape \(\.\.\., n, 2\)"):
        mode_coverage(torch.zeros(shape), CENTERS, 0.1)


def test_a_sample_that_was_not_judged_is_of_no_class_and_out_of_the_confidence():
    nan = float("nan")
    seeds = [[[0.9, 0.1], [0.3, 0.7]], [[0.9, 0.1], [nan, nan]], [[nan, nan], [nan, nan]]]
    found = class_coverage(torch.tensor(seeds))
    assert found.classes.tolist() == [2, 1, 0]
    assert found.confidence.tolist() == pytest.approx([0.8, 0.9, nan], nan_ok=True)
    mostly_unjudged = torch.full((200, 2), nan)
    mostly_unjudged[0] = torch.tensor([1.0, 0.0])
    assert class_coverage(mostly_unjudged).classes == 0  # the share is of all samples


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)])
def test_nearest_reals_counts_each_neighbour_once(shape):
    generator = torch.Generator().manual_seed(0)
    fakes, reals = torch.randn(3, 50, *shape, generator=generator), torch.randn(70, *shape, generator=generator)
    slow = [
        len({min(range(70), key=lambda j, y=y: (y - reals[j]).double().square().sum().item()) for y in each})
        for each in fakes
    ]
    assert nearest_reals(fakes, reals).tolist() == slow
    assert nearest_reals(fakes[1], reals).item() == slow[1]
    assert nearest_reals(reals[:1].expand(9, *shape), reals).item() == 1
    assert nearest_reals(reals, reals).item() == 70
