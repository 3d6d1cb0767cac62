"""Value surfaces and generalisation: the optimal D by other means, surfaces of known shape, a fixed set of fakes."""

import csv
import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.collections import PathCollection
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from callbacks.fixed_fake_set import FixedFakeSet
from callbacks.generalization_gap import GeneralizationGap
from callbacks.value_surface import ValueSurface
from datamodules import DigitsDataModule, GaussianPairDataModule, GridDataModule, RingDataModule
from lit_gans import GAN
from lit_gans.losses import Hinge, LeastSquares, Minimax, NonSaturating, RelativisticPairing, Wasserstein
from lit_gans.metrics import (
    as_probability,
    epsilon_optimality,
    generalization_gap,
    grid_points,
    monotone_distance,
    optimal_logit,
    optimum,
    rank_correlation,
    roughness,
    surface_distance,
)
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.plotting.surfaces import value_surfaces
from tests.toys import Watcher, assert_same, ring_gan, state, train

PAIR = GaussianPairDataModule(real_mean=(0.5, -1.0), fake_mean=(-0.7, 0.2), real_std=0.7, fake_std=1.2)


def log_densities(data, points):
    return data.real_log_density(points), data.fake_log_density(points)


@pytest.fixture
def grid():
    return grid_points(40, 4.0).double()


@pytest.fixture
def optimal(grid):
    return optimal_logit(*log_densities(PAIR, grid)).sigmoid()


# ------------------------------------------------------------------------------------------------------- the densities


@pytest.mark.parametrize("data", [RingDataModule(std=0.2), GridDataModule(n_side=3, std=0.4), PAIR])
def test_densities_integrate_to_one(data):
    points = grid_points(601, 8.0).double()
    cell = (16 / 600) ** 2
    assert (data.real_log_density(points).exp().sum() * cell).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("data", [RingDataModule(), RingDataModule(n_modes=3, std=0.5), GridDataModule()])
def test_the_density_of_a_mixture(data):
    centers = data.centers.double()
    modes = Independent(Normal(centers, torch.full_like(centers, data.std)), 1)
    oracle = MixtureSameFamily(Categorical(torch.ones(len(centers), dtype=torch.float64)), modes)
    near = centers[:1] + data.std * torch.randn(50, 2, dtype=torch.float64)
    for points in (near, torch.randn(5, 7, 2, dtype=torch.float64), torch.full((1, 2), 1e3, dtype=torch.float64)):
        found = data.real_log_density(points)
        assert found.isfinite().all()
        torch.testing.assert_close(found, oracle.log_prob(points), rtol=1e-12, atol=1e-12)


def test_a_pair_of_fixed_sets_shows_the_reals_it_trains_on():
    data = GaussianPairDataModule(n_samples=20)
    assert torch.equal(data.reals(5), data.real_set[:5])
    assert torch.equal(data.reals(100), data.real_set)
    assert GaussianPairDataModule().reals(100).shape == (100, 2)


# ---------------------------------------------------------------------------------------------------------- the optimum


def test_the_optimal_d_minimises_the_cross_entropy_point_by_point(grid):
    """By brute force over D, without the formula: bisection on the slope of p_r · -log D - p_g · log(1 - D)."""
    p_real, p_fake = (each.exp() for each in log_densities(PAIR, grid))
    low, high = torch.zeros(len(grid), dtype=torch.float64), torch.ones(len(grid), dtype=torch.float64)
    for _ in range(60):
        middle = (low + high) / 2
        falls = -p_real / middle + p_fake / (1 - middle) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    found = optimal_logit(*log_densities(PAIR, grid)).sigmoid()
    torch.testing.assert_close(found, low, rtol=0, atol=1e-12)


def test_the_optimal_d_is_the_share_of_reals_in_each_cell():
    """Bayes by counting: of many draws of both, the share of reals that fall into a cell is D* averaged there."""
    n, cells, reach = 400_000, 6, 2.0
    generator = torch.Generator().manual_seed(0)
    edges = torch.linspace(-reach, reach, cells + 1)
    counts = [
        np.histogram2d(*points.T.numpy(), bins=[edges.numpy()] * 2)[0]
        for points in (PAIR.draw(n, generator), PAIR.draw_fake(n, generator))
    ]
    total = counts[0] + counts[1]
    fine = torch.linspace(-reach, reach, 60 * cells + 1, dtype=torch.float64)
    points = torch.cartesian_prod(*[(fine[1:] + fine[:-1]) / 2] * 2)
    weights = torch.stack(log_densities(PAIR, points)).exp().sum(0)
    mass = weights * optimal_logit(*log_densities(PAIR, points)).sigmoid()
    mass, weights = (each.reshape(cells, 60, cells, 60).sum((1, 3)).numpy() for each in (mass, weights))
    expected = mass / weights
    error = np.sqrt(expected * (1 - expected) / total)
    assert np.abs((counts[0] / total - expected) / error).max() < 5


def test_the_optimal_logit_of_equal_gaussians_is_linear(grid):
    data = GaussianPairDataModule()
    torch.testing.assert_close(optimal_logit(*log_densities(data, grid)), 2 * grid[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating(), LeastSquares(), LeastSquares(1.0, -1.0, 1.0, 0.0)])
def test_the_probability_is_the_optimal_d_where_the_loss_is_least(loss):
    p_real, p_fake = torch.tensor([0.1, 0.3, 2.0], dtype=torch.float64), torch.tensor([0.4, 0.3, 0.1]).double()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [logits], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure():
        search.zero_grad()
        value = (p_real * loss.real_term(logits) + p_fake * loss.fake_term(logits)).sum()
        value.backward()
        return value

    search.step(closure)
    torch.testing.assert_close(as_probability(loss, logits.detach()), p_real / (p_real + p_fake), rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", [Hinge(), Wasserstein(), RelativisticPairing()])
def test_a_score_is_no_probability(loss):
    assert as_probability(loss, torch.zeros(3)) is None


# -------------------------------------------------------------------------------------------------------- the distances


def test_distances_by_hand():
    optimal = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    surface = torch.tensor([[0.3, 0.5, 0.6], [1.0, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(
        surface_distance(surface, optimal), torch.tensor([0.25 / 3, 2 / 3], dtype=torch.float64).sqrt()
    )
    weights = torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
    expected = torch.tensor([(0.09 + 2 * 0.16) / 8, 3 / 8], dtype=torch.float64).sqrt()
    torch.testing.assert_close(surface_distance(surface, optimal, weights), expected)
    # The first ranks as D* does; to the second, upside down, the best rising f is the weighted mean of D*.
    mean = 4.5 / 8
    spread = math.sqrt((mean**2 + 5 * (0.5 - mean) ** 2 + 2 * (1 - mean) ** 2) / 8)
    found = monotone_distance(surface, optimal, weights)
    torch.testing.assert_close(found, torch.tensor([0.0, spread], dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_squared_distance_is_the_excess_brier_score(grid, optimal):
    p_real, p_fake = (each.exp() for each in log_densities(PAIR, grid))

    def brier(d):
        return (p_real * (1 - d).square() + p_fake * d.square()).sum() / (p_real + p_fake).sum()

    surface = torch.rand(len(grid), dtype=torch.float64)
    found = surface_distance(surface, optimal, (p_real + p_fake) / 2).square()
    torch.testing.assert_close(found, brier(surface) - brier(optimal), rtol=1e-9, atol=0)


RISING = [lambda t: 3 * t - 7, torch.exp, lambda t: 1e-30 * t.pow(3), lambda t: t.sigmoid()]


@pytest.mark.parametrize("rising", RISING)
@pytest.mark.parametrize("weighted", [False, True])
def test_what_ranks_as_the_optimal_d_is_no_distance_away(rising, weighted, grid, optimal):
    weights = torch.rand(len(grid), dtype=torch.float64) if weighted else None
    logit = optimal_logit(*log_densities(PAIR, grid))
    assert rank_correlation(rising(logit), optimal).item() == pytest.approx(1, abs=1e-6)
    assert monotone_distance(rising(logit), optimal, weights).item() == pytest.approx(0, abs=1e-7)
    mean = (optimal * weights).sum() / weights.sum() if weighted else optimal.mean()
    spread = surface_distance(mean, optimal, weights)
    assert rank_correlation(rising(-logit), optimal).item() == pytest.approx(-1, abs=1e-6)
    assert monotone_distance(rising(-logit), optimal, weights).item() == pytest.approx(spread.item(), abs=1e-9)


def test_the_best_monotone_fit_is_found_by_brute_force():
    """The isotonic regression is max over i ≤ k of min over j ≥ k of the mean of D*_i..j (points in D's order)."""
    generator = torch.Generator().manual_seed(3)
    surface, optimal, weights = torch.rand(3, 12, dtype=torch.float64, generator=generator)
    order = surface.argsort()
    y, w = optimal[order], weights[order]
    fit = torch.stack(
        [
            max(
                min((w[i : j + 1] * y[i : j + 1]).sum() / w[i : j + 1].sum() for j in range(k, 12))
                for i in range(k + 1)
            )
            for k in range(12)
        ]
    )
    expected = ((w * (fit - y).square()).sum() / w.sum()).sqrt()
    assert expected > 0.05
    torch.testing.assert_close(monotone_distance(surface, optimal, weights), expected, rtol=1e-9, atol=0)


def test_a_monotone_fit_is_never_farther_than_the_surface_itself(grid, optimal):
    surfaces = torch.rand(5, len(grid), dtype=torch.float64) * 0.3 + 0.7 * optimal
    near, far = monotone_distance(surfaces, optimal), surface_distance(surfaces, optimal)
    assert (near < far).all()
    assert (near > 0).all()


def test_a_rank_correlation_by_hand():
    """With ties: the Pearson correlation of (1.5, 1.5, 3, 4) and (2, 1, 3, 4)."""
    found = rank_correlation(torch.tensor([5.0, 5.0, 6.0, 9.0]), torch.tensor([0.2, 0.1, 0.3, 0.4]))
    assert found.item() == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=1e-6)


def test_a_constant_d_knows_nothing(grid, optimal):
    flat = torch.zeros(2, len(grid), dtype=torch.float64)
    assert rank_correlation(flat, optimal).tolist() == [0, 0]
    spread = optimal.std(correction=0)
    torch.testing.assert_close(monotone_distance(flat, optimal), spread.expand(2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("measure", [monotone_distance, rank_correlation])
def test_each_seed_is_measured_alone_and_one_that_diverged_is_nan(measure, grid, optimal):
    surfaces = torch.rand(2, 3, len(grid), dtype=torch.float64)
    found = measure(surfaces, optimal)
    assert found.shape == (2, 3)
    assert torch.equal(found[1, 2], measure(surfaces[1, 2], optimal))
    for bad in (float("nan"), float("inf")):
        broken = surfaces.clone()
        broken[0, 1, 5] = bad
        again = measure(broken, optimal)
        assert again.isnan().nonzero().tolist() == [[0, 1]]
        assert torch.equal(again[1], found[1])


def test_where_no_sample_falls_d_does_not_count(grid, optimal):
    inside = (grid.abs() < 2).all(-1).double()
    surface = torch.where(inside > 0, optimal, 1 - optimal)
    assert surface_distance(surface, optimal, inside) == 0
    assert monotone_distance(surface, optimal, inside).item() == pytest.approx(0, abs=1e-9)
    assert surface_distance(surface, optimal) > 0.1


# -------------------------------------------------------------------------------------------------------- the roughness


def on_grid(function, side=31, extent=1.5):
    axis = torch.linspace(-extent, extent, side, dtype=torch.float64)
    return function(*torch.meshgrid(axis, axis, indexing="ij")), 2 * extent / (side - 1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, y: 3 * x - 2 * y + 1, 0.0),
        (lambda x, y: x**2 + 3 * y**2, 8.0),
        (lambda x, y: x * y, 0.0),
        (lambda x, y: x**2 - 3 * y**2, 4.0),
    ],
)
def test_roughness_of_polynomials(function, expected):
    surface, spacing = on_grid(function)
    assert roughness(surface, spacing).item() == pytest.approx(expected, abs=1e-9)


def test_roughness_of_a_wave_grows_with_the_square_of_its_frequency():
    for frequency in (1, 2, 4):
        surface, spacing = on_grid(lambda x, y, k=frequency: (2 * math.pi * k * x).sin(), side=202, extent=1.005)
        expected = (2 - 2 * math.cos(2 * math.pi * frequency * spacing)) / spacing**2 / math.sqrt(2)
        assert roughness(surface, spacing).item() == pytest.approx(expected, rel=1e-9)
        assert expected == pytest.approx((2 * math.pi * frequency) ** 2 / math.sqrt(2), rel=0.01)


def test_roughness_keeps_the_seeds_and_scales_with_the_surface():
    surface, spacing = on_grid(lambda x, y: (3 * x).sin() * y)
    both = roughness(torch.stack([surface, -5 * surface]), spacing)
    assert both.shape == (2,)
    assert both[1].item() == pytest.approx(5 * both[0].item())
    with pytest.raises(ValueError, match=r"at least 3 x 3, got shape \(2, 9\)"):
        roughness(torch.zeros(2, 9), 1.0)


# --------------------------------------------------------------------------------------------------- the generalisation


def test_a_gap_by_hand():
    training = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    held_out = torch.tensor([[1.0, 0.0, 2.0], [1.0, 1.0, 4.0]])
    assert generalization_gap(training, held_out).tolist() == [1.0, -2.0]


def test_epsilon_optimality_by_hand():
    real = torch.tensor([[0.75, 0.9, 1.0, 0.8], [0.75, 0.7499, 0.1, 1.0]], dtype=torch.float64)
    fake = torch.tensor([[0.25, 0.0], [0.25, 0.2501]], dtype=torch.float64)
    found = epsilon_optimality(real, fake, 0.5)
    assert [value.tolist() for value in found] == [[1.0, 0.5], [1.0, 0.5], [1.0, 0.0]]
    assert epsilon_optimality(real[0], fake[1], 0.5).optimal == 0
    assert epsilon_optimality(real, fake, 1.0).real.tolist() == [0.25, 0.25]
    assert epsilon_optimality(torch.full((3,), 0.5), torch.full((3,), 0.5), 0.0).optimal == 1


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_epsilon_is_a_margin(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must lie in \[0, 1\]"):
        epsilon_optimality(torch.ones(2), torch.zeros(2), epsilon)
    with pytest.raises(ValueError, match=r"GeneralizationGap: epsilon must lie in \[0, 1\]"):
        GeneralizationGap(epsilon=epsilon)


# ----------------------------------------------------------------------------------------------------------- the figure


@pytest.mark.parametrize("output", ["probability", "critic"])
def test_a_surface_stands_where_it_belongs(output):
    side, extent = 9, 2.0
    x, y = grid_points(side, extent).numpy().T
    surface = (x + 10 * y).reshape(1, side, side)
    real, fake = np.array([[1.0, 0.5]]), np.array([[[-1.0, 1.5]]])
    boundary = 0.5 if output == "probability" else None
    figure = value_surfaces(surface, extent, real, fake, ["seed 3"], output, boundary, surface[0] / 40 + 0.5)
    ours, best = [axes for axes in figure.axes if axes.get_title()]
    assert (ours.get_title(), best.get_title()) == ("seed 3", "optimal D*")
    (picture,) = ours.images
    drawn = picture.get_array()
    assert (drawn[0, 0], drawn[0, -1], drawn[-1, 0]) == (-22, -18, 18)  # rows are heights
    assert picture.origin == "lower"
    assert list(picture.get_extent()) == [-2, 2, -2, 2]
    assert (picture.norm.vmin, picture.norm.vmax) == ((0, 1) if output == "probability" else (-22, 22))
    clouds = [each for each in ours.collections if type(each) is PathCollection]
    assert [cloud.get_offsets().tolist() for cloud in clouds] == [real.tolist(), fake[0].tolist()]
    (line,) = [each for each in best.collections if type(each) is not PathCollection]
    (path,) = line.get_paths()
    np.testing.assert_allclose(path.vertices @ [1, 10], 0, atol=1e-6)
    assert ours.get_xlabel()
    assert ours.get_ylabel()


# ------------------------------------------------------------------------------------------------------- the callbacks


def pair_gan(loss=None, seeds=None, **settings):
    return GAN(
        MLPGenerator(2, (2,), (4,)),
        MLPDiscriminator((2,), (16, 16)),
        2,
        loss,
        seeds=seeds,
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
        discriminator_optimizer=lambda p: torch.optim.Adam(p, lr=1e-2),
        **settings,
    )


def pair(n_samples=30, **settings):
    return GaussianPairDataModule(**{"n_samples": n_samples, "batch_size": 16, "n_validation": 200, **settings})


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class ExactD(nn.Module):
    """The optimal D of the default pair, `D*(v) = σ(2 v_1)`, whatever is done to it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.weight * x[..., 0]


def test_the_optimal_d_is_seen_to_be_optimal(tmp_path, unwritten):
    still = {name: lambda p: torch.optim.SGD(p, lr=0.0) for name in ("generator_optimizer", "discriminator_optimizer")}
    gan = GAN(nn.Linear(2, 2), ExactD(), 2, **still)
    train(gan, 1, pair(200), [FixedFakeSet(), ValueSurface(1, extent=4.0), GeneralizationGap(1)])
    row = rows_of(tmp_path / "value_surface.csv")[-1]
    assert row["output"] == "probability"
    assert float(row["surface/distance"]) == pytest.approx(0, abs=1e-6)
    assert float(row["surface/distance_monotone"]) == pytest.approx(0, abs=1e-6)
    assert float(row["surface/rank_correlation"]) == pytest.approx(1, abs=1e-5)
    gap = rows_of(tmp_path / "generalization_gap.csv")[-1]
    data = pair(200)
    held_out = torch.cat(list(data.val_dataloader()))
    expected = 2 * (data.real_set[:, 0].mean() - held_out[:, 0].mean()).item()
    assert float(gap["gap/logit"]) == pytest.approx(expected, abs=1e-5)
    told = ((2 * data.fake_set[:, 0]).sigmoid() <= 0.25).float().mean().item()
    assert float(gap["gap/fakes_told"]) == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "output", "distance"),
    [(NonSaturating(), "probability", True), (Hinge(), "score", False), (Wasserstein(), "critic", False)],
)
@pytest.mark.parametrize("seeds", [None, [0, 4]])
def test_a_short_run_leaves_tables_and_pictures(loss, output, distance, seeds, tmp_path, unwritten):
    probes = [FixedFakeSet(), ValueSurface(4, extent=4.0, side=20), GeneralizationGap(2)]
    train(pair_gan(loss, seeds), 4, pair(), probes)
    rows = rows_of(tmp_path / "value_surface.csv")
    assert [row["iteration"] for row in rows] == ["0", "4"]
    assert rows[-1]["output"] == output
    keys = {"roughness", "relative_roughness", "distance_monotone", "rank_correlation"} | (
        {"distance"} if distance else set()
    )
    assert {f"surface/{key}" for key in keys} == {key for key in rows[0] if key.count("/") == 1}
    assert len(list((tmp_path / "value_surface").iterdir())) == 2
    gaps = rows_of(tmp_path / "generalization_gap.csv")
    assert [row["iteration"] for row in gaps] == ["0", "2", "4"]
    assert ("gap/epsilon_optimal" in gaps[0]) == distance
    assert (tmp_path / "generalization_gap" / "00000004.png").is_file()
    if seeds is not None:
        assert float(rows[-1]["surface/roughness/seed_4"]) != float(rows[-1]["surface/roughness/seed_0"])


def test_where_g_plays_there_is_no_optimal_d_to_compare_with(tmp_path, unwritten):
    train(ring_gan(), 2, callbacks=[ValueSurface(2, side=20), GeneralizationGap(2)])
    assert {key for key in rows_of(tmp_path / "value_surface.csv")[0] if "/" in key} == {
        "surface/roughness", "surface/relative_roughness",
    }  # fmt: skip
    for data in (pair(), pair(n_samples=None)):  # its fake density is not that of G
        (tmp_path / "value_surface.csv").unlink()
        train(pair_gan(), 2, data, [ValueSurface(2, side=20)])
        assert "surface/distance" not in rows_of(tmp_path / "value_surface.csv")[0]


def test_a_surface_is_of_points_of_the_plane():
    data = DigitsDataModule(batch_size=8)
    gan = GAN(MLPGenerator(2, data.sample_shape, (4,)), MLPDiscriminator(data.sample_shape, (4,)), 2)
    with pytest.raises(ValueError, match=r"ValueSurface needs two-dimensional data.*got \(1, 8, 8\)"):
        train(gan, 1, data, [ValueSurface()])
    for settings in ({"side": 2}, {"extent": 0.0}, {"n_samples": 0}):
        with pytest.raises(ValueError, match=f"ValueSurface: {next(iter(settings))} must be"):
            ValueSurface(**settings)
    with pytest.raises(ValueError, match="GeneralizationGap: n_samples must be"):
        GeneralizationGap(n_samples=0)


def test_a_gap_needs_held_out_reals():
    class Foreign(pl.LightningDataModule):
        def train_dataloader(self):
            return [torch.zeros(4, 2)]

    with pytest.raises(ValueError, match=r"GeneralizationGap needs held-out reals.*Foreign"):
        train(ring_gan(), 1, Foreign(), [GeneralizationGap()])


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_looking_changes_no_bit(seeds, unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = pair_gan(seeds=seeds)
        train(gan, 6, pair(), [FixedFakeSet(), *callbacks])
        return state(gan)

    assert_same(run(ValueSurface(2, side=10), GeneralizationGap(2)), run())


# -------------------------------------------------------------------------------------------------------- the fixed set


def fakes_seen(seeds=None, iterations=40, data=None, **settings):
    watcher = Watcher()
    train(pair_gan(seeds=seeds), iterations, data or pair(), [FixedFakeSet(), watcher], **settings)
    return torch.stack(watcher.seen["mix_fakes"])


def test_d_sees_all_of_the_fixed_set_evenly_and_nothing_else():
    data = pair(n_samples=10, batch_size=100)
    pl.seed_everything(0, verbose=False)
    seen = fakes_seen(iterations=50, data=data)
    matches = (seen.reshape(-1, 1, 2) == data.fake_set).all(-1)
    assert (matches.sum(1) == 1).all()
    counts = matches.sum(0).double()
    assert (counts - 500).abs().max() < 5 * math.sqrt(500)


def test_each_seed_has_fakes_of_its_own():
    together = fakes_seen([3, 8], 5)
    assert together.shape == (5, 2, 16, 2)
    assert not torch.equal(together[:, 0], together[:, 1])
    assert torch.equal(together[:, 1], fakes_seen([8], 5)[:, 0])


def test_a_coarse_game_still_sees_all_of_the_fixed_set_evenly():
    """In bfloat16 there are 256 numbers from 0 to 1, too few to draw 300 rows by."""
    data, hook = pair(n_samples=300), FixedFakeSet()
    data.fake_set = torch.cartesian_prod(torch.arange(20.0), torch.arange(15.0))
    train(pair_gan(), 1, data, [hook])
    seen = hook.mix_fakes(torch.zeros(30_000, 2, dtype=torch.bfloat16))
    assert seen.dtype == torch.bfloat16
    counts = torch.bincount((seen.float() @ torch.tensor([15.0, 1.0])).long(), minlength=300)
    assert len(counts) == 300
    assert (counts - 100).abs().max() < 5 * 10


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_a_resumed_run_goes_on_with_the_same_fakes(seeds, tmp_path):
    def run(iterations, **settings):
        pl.seed_everything(1, verbose=False)
        gan = pair_gan(seeds=seeds)
        return train(gan, iterations, pair(), [FixedFakeSet()], **settings), state(gan)

    _, whole = run(6)
    half, _ = run(3)
    half.save_checkpoint(tmp_path / "half.ckpt")
    assert torch.load(tmp_path / "half.ckpt", weights_only=True)
    _, resumed = run(6, ckpt_path=tmp_path / "half.ckpt")
    assert_same(resumed, whole)


@pytest.mark.parametrize("data", [pair(n_samples=None), RingDataModule(batch_size=8)])
def test_without_a_set_of_fakes_there_is_nothing_to_fix(data):
    with pytest.raises(ValueError, match=f"FixedFakeSet needs data with a `fake_set`.*{type(data).__name__} has none"):
        train(pair_gan(), 1, data, [FixedFakeSet()])


@pytest.mark.parametrize("weight", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("loss", [NonSaturating, Minimax, LeastSquares])
def test_the_optimum_is_what_minimises_the_objective(loss, weight):
    """On a cell that holds a share r of the reals and f of the fakes, by brute force over D."""
    objectives = [loss(real_weight=weight)]
    if loss is not LeastSquares:
        objectives.append(loss(real_weight=weight, real_target=0.9))
    grid = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    for objective in objectives:
        for r, f in ((0.2, 0.1), (0.05, 0.4), (0.3, 0.3)):
            real, fake = torch.tensor(r, dtype=torch.float64), torch.tensor(f, dtype=torch.float64)
            real_term = objective.discriminator(grid, torch.zeros_like(grid))
            fake_term = objective.discriminator(torch.zeros_like(grid), grid)
            best = grid[(r * real_term + f * fake_term).argmin()]
            # Each call adds the other term at 0, a constant, in the same proportion at every D.
            found = as_probability(objective, best)
            assert optimum(objective, real.log() - fake.log()).item() == pytest.approx(found.item(), abs=2e-4)
