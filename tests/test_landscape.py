"""The output landscape: curves where they belong, and numbers that a hand can check."""

import numpy as np
import pytest
import torch
from torch import Tensor

from callbacks import LandscapeProbe
from lit_gans import plotting
from lit_gans.losses import NonSaturating, Wasserstein
from lit_gans.metrics import landscape, landscape_shape, unit_directions
from lit_gans.penalties import Logit, Probability
from lit_gans.streams import stream
from tests.toys import assert_same, ring_gan, state, table, train

OFFSETS = torch.arange(-50, 51, dtype=torch.float64) * 2
WINDOWS = torch.tensor([10.0, 50.0, 100.0], dtype=torch.float64)


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def directions(n: int, *shape: int) -> Tensor:
    return unit_directions(n, shape, torch.Generator().manual_seed(0))


def of_curve(f, **settings):
    """The shape of one curve through one point along one direction, as plain numbers."""
    values = f(OFFSETS) if callable(f) else f
    found = landscape_shape(values.reshape(1, 1, -1), OFFSETS, WINDOWS, **settings)
    return {name: value.squeeze().tolist() for name, value in found._asdict().items()}


# ---------------------------------------------------------------------------------------------------------- the curves


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 8, 8), (3, 4, 5)])
def test_directions_have_length_one_in_every_shape_and_point_everywhere(shape):
    found = directions(4000, *shape)
    assert found.shape == (4000, *shape)
    torch.testing.assert_close(torch.linalg.vector_norm(found.flatten(1), dim=1), torch.ones(4000))
    assert found.mean(0).abs().max() < 0.06


@pytest.mark.parametrize("at_once", [1, 7, 64, 10_000])
@pytest.mark.parametrize(("leading", "shape"), [((), (2,)), ((3,), (1, 4, 4)), ((2, 2), (5,))])
def test_a_landscape_is_d_along_each_line(at_once, leading, shape):
    generator = torch.Generator().manual_seed(1)
    points, lines, offsets = torch.randn(*leading, 3, *shape, generator=generator), directions(2, *shape), OFFSETS[::20]
    seen = []

    def critic(samples):
        seen.append(samples.numel() // len(points[(0,) * len(leading)][0].flatten()))
        return samples.flatten(len(leading) + 1).square().sum(-1).sin()

    found = landscape(critic, points, lines, offsets, at_once)
    assert found.shape == (*leading, 2, 3, 6)
    assert max(seen) <= max(at_once, points[..., 0, :].flatten().numel())  # never more, but one sample per game
    for j, line in enumerate(lines):
        for i in range(3):
            for m, k in enumerate(offsets):
                one = points[(..., i, *(slice(None),) * len(shape))] + k * line
                expected = one.flatten(len(leading)).square().sum(-1).sin()
                torch.testing.assert_close(found[..., j, i, m], expected, atol=1e-12, rtol=0)


def test_a_landscape_builds_no_graph_and_refuses_an_empty_bound():
    weight = torch.ones(2, requires_grad=True)
    assert not landscape(lambda x: x @ weight, torch.zeros(3, 2), directions(1, 2), OFFSETS).requires_grad
    with pytest.raises(ValueError, match="at_once must be at least 1 sample, got 0"):
        landscape(lambda x: x @ weight, torch.zeros(3, 2), directions(1, 2), OFFSETS, 0)


# --------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_minus_the_squared_distance_has_a_maximum_at_every_point(shape):
    points = torch.randn(6, *shape)

    def nearest(samples):
        return -(samples - points[0]).flatten(1).square().sum(-1)

    own = landscape(nearest, points[:1], directions(5, *shape), OFFSETS)
    found = landscape_shape(own, OFFSETS, WINDOWS)
    assert (found.local_maxima == 1).all()
    assert found.local_maxima.shape == (5, 3)
    assert (found.monotone == 0).all()
    # f(k) = -k² falls to half of -100² at 100/√2; linear between the k = 70 and 72 of the grid.
    exact = 70 + 2 * (5000 - 70**2) / (72**2 - 70**2)
    torch.testing.assert_close(found.half_width, torch.full((5,), exact), atol=1e-9, rtol=0)
    assert exact == pytest.approx(100 / 2**0.5, abs=0.01)


def test_a_linear_critic_is_monotone_everywhere_and_has_no_maximum():
    weight, lines = torch.randn(2), directions(50, 2)
    found = landscape_shape(landscape(lambda x: x @ weight, torch.randn(6, 2), lines, OFFSETS), OFFSETS, WINDOWS)
    assert (found.local_maxima == 0).all()
    assert (found.monotone == 1).all()
    assert torch.equal(found.slope_sign, (lines @ weight).sign())  # all points agree along one direction
    assert found.half_width.isnan().all()


@pytest.mark.parametrize(
    ("name", "f", "expected"),
    [
        ("peak", lambda k: -k.abs(), {"local_maxima": [1, 1, 1], "monotone": 0, "slope_sign": 0, "half_width": 50}),
        ("valley", lambda k: k.abs(), {"local_maxima": [0, 0, 0], "monotone": 0}),
        ("rise", lambda k: k.tanh(), {"local_maxima": [0, 0, 0], "monotone": 1, "slope_sign": 1}),
        ("fall", lambda k: -(k**3), {"local_maxima": [0, 0, 0], "monotone": 1, "slope_sign": -1}),
        ("constant", lambda k: 0 * k + 3, {"local_maxima": [0, 0, 0], "monotone": 0, "slope_sign": 0, "flat": 1}),
        # The nearer top is the sample's, the higher one lies outside the two smaller windows.
        ("foothill", lambda k: -k.abs() + 300 * (k > 60), {"local_maxima": [1, 1, 0], "monotone": 0}),
        ("edge", lambda k: -k.clamp(min=0), {"local_maxima": [0, 0, 0], "monotone": 1, "flat": 0.5}),
        # A plateau as wide as the smallest window: nothing falls inside it.
        ("plateau", lambda k: -(k.abs() - 20).clamp(min=0), {"local_maxima": [0, 1, 1], "flat": 0.2, "half_width": 60}),
        ("lopsided", lambda k: torch.where(k > 0, -k, k / 2), {"local_maxima": [1, 1, 1], "half_width": 75}),
    ],
)
def test_hand_drawn_curves(name, f, expected):
    found = of_curve(f)
    for number, value in expected.items():
        assert found[number] == pytest.approx(value, abs=1e-9), (name, number)


def test_tolerance_is_a_share_of_the_curve_s_range_and_works_both_ways():
    bump = -OFFSETS.abs() + 3.0 * (OFFSETS == 4)  # range 100; the bump stands 3 - 4 = -1 against f(0): lower
    assert of_curve(bump)["local_maxima"] == [1, 1, 1]
    bump = -OFFSETS.abs() + 6.0 * (OFFSETS == 4)  # 2 above f(0), of a range of 102
    assert of_curve(bump, tolerance=0.01)["local_maxima"] == [0, 0, 0]
    assert of_curve(bump, tolerance=0.03)["local_maxima"] == [0, 0, 1]  # of 12, 52 and 102
    dent = OFFSETS - 5.0 * (OFFSETS == 20)  # rises, but for 3 back at one step, of a range of 200
    assert of_curve(dent, tolerance=0.01)["monotone"] == 0
    assert of_curve(dent, tolerance=0.02)["monotone"] == 1
    for scale in (1e-6, 1e6):
        assert of_curve(scale * bump, flat_slope=0.0)["local_maxima"] == [0, 0, 0]
        assert of_curve(scale * bump, flat_slope=0.0, tolerance=0.2)["local_maxima"] == [1, 1, 1]
        assert of_curve(scale * dent, tolerance=0.02)["monotone"] == 1


def test_a_window_that_is_flat_holds_no_maximum():
    assert of_curve(-1e-5 * OFFSETS.abs())["local_maxima"] == [0, 0, 0]
    assert of_curve(-1e-5 * OFFSETS.abs(), flat_slope=0.9e-5)["local_maxima"] == [1, 1, 1]


def test_flat_is_where_the_slope_is_below_an_absolute_one():
    step = torch.sigmoid(4 * OFFSETS)  # one, and then the other, of the two steps beside 0 are steep
    assert of_curve(step)["flat"] == pytest.approx((100 - 2 * 2) / 100, abs=1e-9)
    assert of_curve(1e-3 * OFFSETS, flat_slope=2e-3)["flat"] == 1
    assert of_curve(1e-3 * OFFSETS, flat_slope=5e-4)["flat"] == 0


def test_shares_are_over_points_and_keep_seeds_and_directions_apart():
    curves = torch.stack([-OFFSETS.abs(), OFFSETS, -OFFSETS, -OFFSETS.abs(), -OFFSETS.abs()])
    stacked = torch.stack([curves, curves.roll(1, 0)[[0, 0, 0, 0, 1]]])[:, None].expand(2, 3, 5, -1)
    found = landscape_shape(stacked, OFFSETS, WINDOWS)
    assert found.local_maxima.shape == (2, 3, 3)
    torch.testing.assert_close(found.local_maxima[:, 0, 2], torch.tensor([0.6, 1.0]))
    torch.testing.assert_close(found.monotone[:, 1], torch.tensor([0.4, 0.0]))
    torch.testing.assert_close(found.slope_sign[:, 2], torch.tensor([0.0, 0.0]))
    one_by_one = [landscape_shape(each, OFFSETS, WINDOWS) for each in stacked]
    for name, value in found._asdict().items():
        torch.testing.assert_close(value, torch.stack([getattr(one, name) for one in one_by_one]), equal_nan=True)


@pytest.mark.parametrize("reach", [28.6, 0.7, 1.3, 100.0])
def test_the_widest_window_reaches_the_ends(reach, single):
    probe = LandscapeProbe(reach=reach)
    curve = -probe.offsets.abs()
    curve[0] = reach  # higher than the sample, at the very end
    found = landscape_shape(curve[None, None], probe.offsets, probe.windows)
    assert found.local_maxima.tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_curve_that_is_not_finite_is_nothing_and_leaves_the_others_alone(bad):
    broken = -OFFSETS.abs()
    broken[3] = bad
    found = landscape_shape(torch.stack([broken, -OFFSETS.abs()])[None], OFFSETS, WINDOWS)
    assert found.local_maxima.tolist() == [[0.5, 0.5, 0.5]]
    assert (found.monotone.item(), found.flat.item()) == (0, 0)
    assert found.half_width.item() == 50


@pytest.mark.parametrize(
    ("offsets", "windows", "message"),
    [
        ([], [1.0], "offsets must rise in even steps"),
        ([0.0], [1.0], "offsets must rise in even steps"),
        ([1.0, 2.0, 3.0], [1.0], "offsets must rise in even steps"),
        ([0.0, 1.0, 2.0], [1.0], "offsets must rise in even steps"),
        ([-1.0, 0.0, 1.0, 2.0], [1.0], "an odd number of them"),
        ([-1.0, 0.0, 2.0], [1.0], "offsets must rise in even steps"),
        ([-2.0, -0.5, 0.0, 0.5, 2.0], [1.0], "offsets must rise in even steps"),
        ([1.0, 0.0, -1.0], [1.0], "offsets must rise in even steps"),
        ([-1.0, 0.0, 1.0], [0.5], "windows must reach at least the neighbours of 0, here 1 away"),
        ([-1.0, 0.0, 1.0], [], "windows must reach"),
    ],
)
def test_offsets_and_windows_that_make_no_sense_are_refused(offsets, windows, message):
    offsets = torch.tensor(offsets)
    with pytest.raises(ValueError, match=message):
        landscape_shape(torch.zeros(1, 1, len(offsets)), offsets, torch.tensor(windows))


# ---------------------------------------------------------------------------------------------------------- the probe


@pytest.fixture
def single():
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_the_probe_leaves_a_table_and_pictures_and_changes_nothing(seeds, single, tmp_path):
    def run(callbacks):
        torch.manual_seed(5)
        gan = ring_gan(seeds=seeds)
        trainer = train(gan, 4, callbacks=callbacks)
        return state(gan), trainer, gan

    alone, _, _ = run([])
    probe = LandscapeProbe(2, n_samples=5, n_directions=3, reach=2.0, n_offsets=10, output=Probability())
    watched, trainer, gan = run([probe])
    assert_same(alone, watched)
    rows = table(tmp_path / "landscape_probe.csv")
    assert [row["iteration"] for row in rows] == ["0", "2", "4"]
    assert {row["output"] for row in rows} == {"probability"}
    assert len(list((tmp_path / "landscape_probe").iterdir())) == 3
    assert (tmp_path / "landscape_probe.gif").exists()
    # The last row once more, from the definition.
    lines = unit_directions(3, (2,), stream(0, "landscape directions"))
    real = trainer.datamodule.reals(5)
    real = real if seeds is None else real.expand(2, 5, 2)
    curves = landscape(gan.logits, real, lines, probe.offsets).sigmoid().detach()
    found = landscape_shape(curves, probe.offsets, torch.tensor([0.2, 1.0, 2.0]))
    expected = {"landscape/monotone": found.monotone, "landscape/local_maxima": found.local_maxima[..., 2]}
    expected |= {"landscape/local_maxima_within_0.2": found.local_maxima[..., 0], "landscape/flat": found.flat}
    expected |= {"landscape/slope_sign": found.slope_sign, "landscape/slope_alike": found.slope_sign.abs()}
    for key, value in expected.items():
        assert float(rows[-1][key]) == pytest.approx(value.mean().item(), abs=1e-5), key
        for i, seed in enumerate(seeds or []):
            assert float(rows[-1][f"{key}/seed_{seed}"]) == pytest.approx(value[i].mean().item(), abs=1e-5)
    spread = found.flat.std(-1, correction=0).mean().item()
    assert float(rows[-1]["landscape/flat_std"]) == pytest.approx(spread, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "output", "named"),
    [
        (NonSaturating(), None, "probability"),
        (Wasserstein(), None, "logit"),
        (NonSaturating(), Logit(), "logit"),
        (Wasserstein(), Probability(), "probability"),
    ],
)
def test_the_output_that_is_probed_is_named(loss, output, named, single, tmp_path):
    train(ring_gan(loss=loss), 1, callbacks=[LandscapeProbe(1, n_samples=2, n_directions=1, output=output)])
    assert {row["output"] for row in table(tmp_path / "landscape_probe.csv")} == {named}


def test_slopes_that_turn_are_counted_against_the_look_that_differs_most(single):
    probe = LandscapeProbe(1)
    slopes = [[1, 1, 1, 1], [1, 1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, 1]]
    shares = []
    for iteration, signs in enumerate(slopes):
        flipped = probe._flipped(torch.tensor([signs], dtype=torch.int8), iteration)
        shares.append(flipped["slope_flipped"].item() if flipped else None)
    assert shares == [None, None, 0.75, 0.5]  # the untrained D, at 0, is no witness
    again = LandscapeProbe(1)
    again.load_state_dict(probe.state_dict())
    assert again._flipped(torch.tensor([slopes[0]], dtype=torch.int8), 4)["slope_flipped"] == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_samples": 0}, "n_samples must be at least 1, got 0"),
        ({"n_directions": 0}, "n_directions must be at least 1, got 0"),
        ({"n_offsets": 0}, "n_offsets must be at least 1, got 0"),
        ({"at_once": 0}, "at_once must be at least 1, got 0"),
        ({"reach": 0.0}, "reach must be above 0, got 0.0"),
        ({"windows": []}, "windows must lie between one step of k, 2, and reach, 100"),
        ({"windows": [1.0]}, "windows must lie between one step of k, 2"),
        ({"windows": [101.0]}, r"got \[101.0\]"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"LandscapeProbe: .*{message}"):
        LandscapeProbe(**settings)


def test_a_discriminator_that_returns_nan_is_reported_with_where_and_when(single):
    gan = ring_gan(seeds=[0, 1])
    with torch.no_grad():
        next(gan.discriminator.parameters())[1].fill_(float("nan"))
    probe = LandscapeProbe(1, n_samples=2, n_directions=1, n_offsets=2)
    trainer = train(ring_gan(seeds=[0, 1]), 1)
    gan.trainer = trainer
    with pytest.warns(UserWarning, match="LandscapeProbe: at iteration 1 D returned NaN .* for 10 of 20 probed"):
        numbers = probe.observe(trainer, gan).numbers
    assert numbers["landscape/local_maxima"][1] == 0


# --------------------------------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("sample", [(1, 4, 4), (3, 4, 4), (2,), (1,)])
def test_curves_stand_in_the_cells_of_their_samples(sample):
    rng = np.random.default_rng(0)
    offsets = np.linspace(-4, 4, 9)
    curves = np.zeros((2, 5, 9))
    curves[1, 4] = [0, 0, 0, 0, 1, 0, 0, 0, 0]  # the last sample of the second seed: a peak at k = 0
    figure = plotting.landscapes(
        rng.uniform(-1, 1, (5, *sample)), offsets, curves, rng.uniform(-1, 1, (2, 5, *sample)), ["a", "b"], "logit"
    )
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["a", "b"]
    assert figure.axes[4].get_title() == "D's logit, from 0 to 1\nk from -4 to 4"
    lines = figure.axes[4].collections[0].get_segments()
    assert len(lines) == 5
    x, y = lines[4][lines[4][:, 1].argmax()]
    assert (x, y) == pytest.approx((1.5, 0.92))  # five samples in rows of three: the second column of the lower row
    assert lines[0][:, 1] == pytest.approx([1.08] * 9)


def test_a_probability_has_the_scale_of_one_and_a_broken_curve_is_drawn_as_a_gap():
    curves = np.full((1, 2, 3), np.nan)
    curves[0, 0] = 0.25
    figure = plotting.landscapes(np.zeros((2, 2)), np.arange(-1, 2.0), curves, np.zeros((1, 2, 2)), [""], "probability")
    assert figure.axes[1].get_title().startswith("D's probability, from 0 to 1")
    first, second = figure.axes[1].collections[0].get_segments()
    assert first[:, 1] == pytest.approx([0.08 + 0.84 * 0.25] * 3)
    assert not len(second)
