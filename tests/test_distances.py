"""Sliced Wasserstein distance and MMD against closed forms and slow definitions, and the callback that logs them."""

import math

import pytest
import pytorch_lightning as pl
import torch

from callbacks import SampleDistance
from datamodules import DigitsDataModule, RingDataModule
from lit_gans import GAN
from lit_gans.metrics import maximum_mean_discrepancy, sliced_wasserstein
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.toys import Notes, ring_gan, train


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_of_a_moved_set_it_is_the_distance_over_root_d(d):
    x, v = normal(50, d, 0), torch.arange(1.0, d + 1, dtype=torch.float64)
    found = sliced_wasserstein(x, x[torch.randperm(50)] + v, n_projections=20_000)
    assert found.item() == pytest.approx(v.norm().item() / math.sqrt(d), rel=0.02)
    assert sliced_wasserstein(x, x).item() == pytest.approx(0.0, abs=1e-9)


def test_in_one_dimension_it_compares_sorted_values():
    x, y = normal(40, 1, 0), 3 * normal(40, 1, 1) + 1
    by_hand = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
    assert sliced_wasserstein(x, y).item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_samples_of_any_shape_and_number_are_compared_as_vectors():
    x, y = normal(60, 12, 0), normal(30, 12, 1)
    as_images = sliced_wasserstein(x.reshape(60, 3, 2, 2), y.reshape(30, 3, 2, 2), 30, seed=4)
    assert as_images.item() == sliced_wasserstein(x, y, 30, seed=4).item()
    assert as_images.item() != sliced_wasserstein(x, y, 30, seed=5).item()
    torch.testing.assert_close(
        maximum_mean_discrepancy(x.reshape(60, 3, 4), y.reshape(30, 3, 4)), maximum_mean_discrepancy(x, y)
    )


@pytest.mark.parametrize("bandwidth", [None, 0.3, 2.0])
def test_the_discrepancy_is_its_definition(bandwidth):
    x, y = normal(9, 2, 0).tolist(), (normal(7, 2, 1) + 1).tolist()

    def squared(u, v):
        return sum((a - b) ** 2 for a, b in zip(u, v, strict=True))

    pairs = [(i, j) for i in range(9) for j in range(9) if i < j]
    distances = sorted(math.sqrt(squared(x[i], x[j])) for i, j in pairs)
    sigma = distances[(len(distances) - 1) // 2] if bandwidth is None else bandwidth

    def k(u, v):
        return math.exp(-squared(u, v) / (2 * sigma**2))

    among = [
        sum(k(u, v) for i, u in enumerate(z) for j, v in enumerate(z) if i != j) / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    between = sum(k(u, v) for u in x for v in y) / (len(x) * len(y))
    found = maximum_mean_discrepancy(torch.tensor(x), torch.tensor(y), bandwidth)
    assert found.item() == pytest.approx(among[0] + among[1] - 2 * between, rel=1e-5)


def test_the_discrepancy_of_gaussians_is_the_closed_form_and_of_equal_ones_zero_on_average():
    """`E k = (σ² / (σ² + 2 s²))^{d/2} exp(-‖μ‖² / 2(σ² + 2 s²))` for standard deviations s = 1."""
    sigma, d, mu = 1.5, 2, 0.8
    scale = sigma**2 / (sigma**2 + 2)
    truth = 2 * scale ** (d / 2) * (1 - math.exp(-(mu**2) / (2 * (sigma**2 + 2))))
    shift = torch.tensor([mu, 0.0])
    apart = [maximum_mean_discrepancy(normal(300, d, s), normal(300, d, s + 50) + shift, sigma) for s in range(40)]
    alike = torch.stack([maximum_mean_discrepancy(normal(300, d, s), normal(300, d, s + 50), sigma) for s in range(40)])
    assert torch.stack(apart).mean().item() == pytest.approx(truth, rel=0.05)
    assert abs(alike.mean()) < 3 * alike.std() / math.sqrt(40)
    assert 8 < (alike < 0).sum() < 36  # without bias: with it, none would be below 0


@pytest.mark.parametrize("seeds", [None, [1, 2]])
def test_a_game_that_has_learned_more_is_nearer(seeds, capsys):
    pl.seed_everything(0, verbose=False)
    probe, notes = SampleDistance(200, n_samples=500), Notes()
    train(ring_gan("Adam", seeds=seeds), 400, RingDataModule(batch_size=128), callbacks=[probe], logger=notes)
    for key in ("distance/sliced_wasserstein", "distance/mmd"):
        seen = notes.of(key)
        assert list(seen) == [0, 200, 400]
        assert 0 < seen[400] < 0.8 * seen[0]
        if seeds:
            each = [notes.of(f"{key}/seed_{seed}")[400] for seed in seeds]
            assert each[0] != each[1]
            assert sum(each) / 2 == pytest.approx(seen[400], rel=1e-5)
    assert "sliced Wasserstein 0." in capsys.readouterr().out


def test_small_images_can_be_compared_too():
    shape, notes = (1, 8, 8), Notes()
    gan = GAN(MLPGenerator(2, shape, hidden=[8], tanh=True), MLPDiscriminator(shape, hidden=[8]), latent_dim=2)
    train(gan, 1, DigitsDataModule(), callbacks=[SampleDistance(n_samples=50)], logger=notes)
    assert notes.of("distance/sliced_wasserstein")[1] > 0.1


@pytest.mark.parametrize("bad", [{"n_samples": 1}, {"n_projections": 0}, {"bandwidth": 0.0}, {"bandwidth": -1.0}])
def test_what_cannot_be_measured_is_refused(bad):
    with pytest.raises(ValueError, match=r"SampleDistance: n_samples must be at least 2.*got"):
        SampleDistance(**bad)
