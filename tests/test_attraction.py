"""Attraction: fields whose directions are known, and the probe that shows them."""

import math

import pytest
import torch

from callbacks.attraction import Attraction
from lit_gans import GAN
from lit_gans.metrics import attraction, discriminator_gradient
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.plotting.fields import cosines
from tests.toys import Batches, assert_same, ring_gan, state, table, train


def at_angles(*degrees):
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], -1)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ((17, 17, 17), 1),
        ((30, 210), 0),
        ((0, 90), math.sqrt(1 / 2)),
        ((0, 60), math.cos(math.radians(30))),
        ((0, 0, 180), 1 / 3),
        (tuple(range(0, 360, 10)), 0),
    ],
)
@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200])
def test_attraction_by_hand(degrees, expected, size):
    directions = at_angles(*degrees)
    lengths = torch.arange(1, len(degrees) + 1, dtype=torch.float64).unsqueeze(-1)  # the length does not count
    assert attraction(size * lengths * directions).item() == pytest.approx(expected, abs=1e-12)


def test_a_vector_without_a_direction_counts_as_zero():
    field = at_angles(0, 0, 0, 0)
    field[1] = 0
    assert attraction(field).item() == pytest.approx(3 / 4)
    field[2, 1] = float("nan")
    assert attraction(field).item() == pytest.approx(2 / 4)
    field[3, 0] = float("inf")
    assert attraction(field).item() == pytest.approx(1 / 4)
    assert attraction(torch.zeros(5, 2)) == 0


@pytest.mark.parametrize("dimension", [1, 2, 50])
def test_independent_directions_have_a_mean_square_of_one_over_n(dimension):
    field = torch.randn(4000, 25, dimension, dtype=torch.float64)
    assert attraction(field).square().mean().item() == pytest.approx(1 / 25, rel=0.1)


def test_each_seed_has_its_own_attraction():
    field = torch.stack([at_angles(0, 90), at_angles(40, 40), at_angles(0, 180)])
    found = attraction(field)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([attraction(each).item() for each in field], abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize("seeds", [None, [3, 5]])
def test_the_probe_measures_d_at_gs_samples(seeds, tmp_path):
    gan = ring_gan(seeds=seeds)
    train(gan, 4, callbacks=[Attraction(2, n_samples=40, seed=7)])
    rows = table(tmp_path / "attraction.csv")
    assert [row["iteration"] for row in rows] == ["0", "2", "4"]
    assert len(list((tmp_path / "attraction").iterdir())) == 3
    found = attraction(discriminator_gradient(gan.logits, gan.sample(40, seed=7)))
    assert float(rows[-1]["fakes/attraction"]) == pytest.approx(found.mean().item(), abs=1e-6)
    for seed, value in zip(seeds or [], found.reshape(-1).tolist(), strict=bool(seeds)):
        assert float(rows[-1][f"fakes/attraction/seed_{seed}"]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 8, 8)])
@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_any_data_will_do(shape, seeds, unwritten):
    gan = GAN(MLPGenerator(2, shape, (4,)), MLPDiscriminator(shape, (4,)), 2, seeds=seeds)
    probe = Attraction(1, n_samples=9)
    gan.trainer = train(gan, 2, Batches(torch.rand(6, *shape)), [probe])
    gradients = discriminator_gradient(gan.logits, gan.sample(9, 0)).reshape(*([] if seeds is None else [2]), 9, -1)
    found = probe.observe(gan.trainer, gan)
    torch.testing.assert_close(found.numbers["fakes/attraction"], attraction(gradients))
    assert len(found.picture().axes) == len(seeds or [0])


def test_the_histogram_is_of_cosines_with_the_mean_direction():
    bars = cosines(at_angles(0, 90, 45, 45 + 180)[None].numpy(), [""]).axes[0].patches
    counts = {round(bar.get_x(), 2): bar.get_height() for bar in bars if bar.get_height()}
    assert counts == {-1.0: 1, 0.7: 2, 0.95: 1}


def test_looking_changes_no_bit(unwritten):
    def run(*callbacks):
        torch.manual_seed(5)
        gan = ring_gan("Adam", batch_norm=True, seeds=[0, 1])
        train(gan, 5, callbacks=callbacks)
        return state(gan)

    assert_same(run(Attraction(2, 9)), run())


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="Attraction: n_samples must be at least 1, got 0"):
        Attraction(n_samples=0)
