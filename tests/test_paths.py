"""Paths: D's gradient on straight lines, in closed form, and how it grows as the lines get shorter."""

import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from callbacks.gradient_path import GradientPath
from lit_gans.metrics import growth, log_mean, nearest, path_gradients
from lit_gans.networks import MLPDiscriminator
from lit_gans.penalties import Logit, Probability
from tests.toys import assert_same, ring_gan, state, table, train


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


# --------------------------------------------------------------------------------------------------------- along a path


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 2, 4)])
@pytest.mark.parametrize("leading", [(), (2,)])
@pytest.mark.parametrize("output", [None, Logit(), Probability()])
def test_gradients_on_a_path_in_closed_form(shape, leading, output):
    def bowl(v):
        return 0.1 * v.square().flatten(len(leading) + 1).sum(-1)

    fake, real = normal(*leading, 5, *shape), normal(*leading, 5, *shape)
    found = path_gradients(bowl, fake, real, 4, output)
    assert found.norms.shape == (*leading, 5, 4)
    assert found.distance.shape == (*leading, 5)
    for i, t in enumerate((0, 1 / 3, 2 / 3, 1)):
        at = fake + t * (real - fake)
        expected = 0.2 * at.flatten(len(leading) + 1).norm(dim=-1)
        if isinstance(output, Probability):
            expected = expected * torch.sigmoid(bowl(at)) * torch.sigmoid(-bowl(at))
        torch.testing.assert_close(found.norms[..., i], expected, rtol=1e-12, atol=1e-14)
    length = (real - fake).flatten(len(leading) + 1).norm(dim=-1)
    torch.testing.assert_close(found.distance, length, rtol=1e-12, atol=0)


@pytest.mark.parametrize("output", [Logit(), Probability()])
def test_no_path_is_flatter_than_what_d_tells_apart(output):
    """Eq. 7: the largest gradient is at least |D(x) - D(y)| / ‖x - y‖."""
    network = MLPDiscriminator((2,), (16, 16)).double()

    def logits(v):
        return network(3 * v).squeeze(-1)

    fake, real = normal(50, 2), normal(50, 2)
    found = path_gradients(logits, fake, real, 2000, output)
    apart = (output(logits(real)) - output(logits(fake))).abs().detach()
    assert (found.norms.amax(-1) * found.distance >= apart * (1 - 1e-3)).all()
    assert (found.norms.amin(-1) * found.distance <= apart * (1 + 1e-3)).any()  # and none is needlessly steep


def test_a_path_without_length_is_flat_or_not_but_finite():
    samples = normal(3, 2)
    found = path_gradients(lambda v: v.square().sum(-1), samples, samples, 3)
    assert found.distance.tolist() == [0, 0, 0]
    torch.testing.assert_close(found.norms, 2 * samples.norm(dim=-1, keepdim=True).expand(3, 3))


@pytest.mark.parametrize("shape", [(1,), (2,), (2, 3, 3)])
@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_the_nearest_is_found_among_others(shape, leading):
    samples, others = normal(*leading, 4, *shape), normal(7, *shape)
    found = nearest(samples, others)
    assert found.shape == samples.shape
    for sample, near in zip(samples.reshape(-1, *shape), found.reshape(-1, *shape), strict=True):
        distances = [(sample - other).norm().item() for other in others]
        assert torch.equal(near, others[distances.index(min(distances))])


def test_the_nearest_is_right_far_from_the_origin():
    others = torch.tensor([[1000.0, 0.0], [1000.01, 0.0]])
    assert torch.equal(nearest(others + torch.tensor([0.0, 0.001]), others), others)


# ------------------------------------------------------------------------------------------------------------ growth


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 0.5])
def test_growth_is_the_exponent(exponent):
    distances = torch.rand(3, 40, dtype=torch.float64) + 0.01
    scale = torch.tensor([[1e-20], [1.0], [1e20]], dtype=torch.float64)
    found = growth(scale * distances**exponent, distances)
    torch.testing.assert_close(found, torch.full((3,), exponent, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_d_that_explodes_grows_at_the_rate_of_eq_7():
    """`D = log ‖v‖` tells `y = u` from `x = 2u` by log 2, however short u."""
    fake = normal(60, 2) * torch.logspace(-3, 1, 60, dtype=torch.float64).unsqueeze(-1)
    found = path_gradients(lambda v: v.norm(dim=-1).log(), fake, 2 * fake)
    assert growth(found.norms.amax(-1), found.distance).item() == pytest.approx(-1)
    flat = path_gradients(lambda v: 3 * v[..., 0], fake, 2 * fake)
    assert growth(flat.norms.amax(-1), flat.distance).item() == pytest.approx(0, abs=1e-12)


def test_growth_is_that_of_a_fit():
    distances, gradients = torch.rand(2, 30, dtype=torch.float64) + 0.1, torch.rand(2, 30, dtype=torch.float64) + 0.1
    expected = [
        np.polyfit(np.log(d), np.log(g), 1)[0] for d, g in zip(distances.numpy(), gradients.numpy(), strict=True)
    ]
    assert growth(gradients, distances).tolist() == pytest.approx(expected)


def test_what_has_no_logarithm_stays_out_of_growth():
    nan, inf = math.nan, math.inf
    distances = torch.tensor([1.0, 2.0, 4.0, 0.0, 3.0, nan, 2.0, 5.0], dtype=torch.float64)
    gradients = torch.tensor([8.0, 4.0, 2.0, 9.0, 0.0, 7.0, inf, nan], dtype=torch.float64)
    assert growth(gradients, distances).item() == pytest.approx(-1)
    assert growth(gradients[:1], distances[:1]).isnan()
    assert growth(gradients[3:], distances[3:]).isnan()
    assert growth(torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.7)).isnan()  # of one distance there is no slope


def test_the_geometric_mean_by_hand():
    values = torch.tensor([[1.0, 4.0, 16.0], [2.0, 8.0, 0.0], [3.0, math.inf, math.nan], [0.0, -1.0, 0.0]])
    assert log_mean(values).exp().tolist() == pytest.approx([4, 4, 3, math.nan], nan_ok=True)


# ---------------------------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize("seeds", [None, [3, 5]])
@pytest.mark.parametrize("output", [None, Probability()])
def test_the_probe_follows_paths_to_the_nearest_reals(seeds, output, tmp_path, unwritten):
    gan, probe = ring_gan(seeds=seeds), GradientPath(2, n_samples=12, steps=5, output=output, seed=4)
    trainer = train(gan, 7, callbacks=[probe])
    rows = table(tmp_path / "gradient_path.csv")
    assert [row["iteration"] for row in rows] == ["0", "2", "4", "6", "7"]
    assert {row["output"] for row in rows} == {"logit" if output is None else "probability"}
    fake = gan.sample(12, 4)
    found = path_gradients(gan.logits, fake, nearest(fake, trainer.datamodule.reals(12)), 5, output)
    steepest = found.norms.amax(-1)
    expected = {
        "path/gradient_max": steepest.log().mean(-1).exp(),
        "path/distance": found.distance.log().mean(-1).exp(),
        "path/growth_over_pairs": growth(steepest, found.distance),
    }
    for key, values in expected.items():
        for seed, value in zip(seeds or [None], values.reshape(-1).tolist(), strict=True):
            column = key if seed is None else f"{key}/seed_{seed}"
            assert float(rows[-1][column]) == pytest.approx(value, rel=1e-4)
    for last in range(5):  # the growth at each look is that of the looks so far, without the untrained D
        for ending in [""] if seeds is None else [f"/seed_{seed}" for seed in seeds]:
            way = [
                [float(row[f"path/{name}{ending}"]) for row in rows[1 : last + 1]]
                for name in ("gradient_max", "distance")
            ]
            if last < 2:
                assert not rows[last][f"path/growth{ending}"]
            else:
                slope = growth(*torch.tensor(way, dtype=torch.float64)).item()
                assert float(rows[last][f"path/growth{ending}"]) == pytest.approx(slope, rel=1e-2)


def test_growth_is_the_same_in_a_resumed_run(tmp_path, unwritten):
    def run(iterations, probe, **settings):
        pl.seed_everything(1, verbose=False)
        return train(ring_gan(seeds=[0, 1]), iterations, callbacks=[probe], **settings)

    probes = [GradientPath(2, 9) for _ in range(3)]
    whole = run(9, probes[0]).callback_metrics
    run(5, probes[1]).save_checkpoint(tmp_path / "half.ckpt")  # looks at 5 as well, off the beat
    second = run(9, probes[2], ckpt_path=tmp_path / "half.ckpt").callback_metrics
    assert [iteration for iteration, _ in probes[2].state_dict()["means"]] == [2, 4, 6, 8]
    assert {key: value.item() for key, value in second.items()} == {key: value.item() for key, value in whole.items()}
    torch.save(probes[2].state_dict(), tmp_path / "state.pt")
    assert set(torch.load(tmp_path / "state.pt", weights_only=True)) == {"means"}


def test_the_picture_shows_pairs_the_run_and_the_path(tmp_path):
    gan, probe = ring_gan(seeds=[0, 1]), GradientPath(2, 12, 5, Probability(), name="steep")
    train(gan, 6, callbacks=[probe])
    assert len(list((tmp_path / "steep").iterdir())) == 4
    figure = probe.observe(gan.trainer, gan).picture()
    assert len(figure.axes) == 4
    above, below = figure.axes[0], figure.axes[2]
    assert above.get_ylabel() == "largest ‖∇‖ of D's probability"
    assert len(above.collections[0].get_offsets()) == 12
    way, now, rate = above.lines
    assert len(way.get_xdata()) == 3
    assert (now.get_xdata()[0], now.get_ydata()[0]) == (way.get_xdata()[-1], way.get_ydata()[-1])
    x, y = (np.log(values) for values in rate.get_data())
    assert np.diff(y) / np.diff(x) == pytest.approx(-1)
    assert y[0] + x[0] == pytest.approx(np.log(way.get_xdata()[0] * way.get_ydata()[0]))
    assert below.lines[0].get_xdata().tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_looking_changes_no_bit(unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = ring_gan("Adam", batch_norm=True, seeds=[0, 1])
        train(gan, 7, callbacks=callbacks)
        return state(gan)

    assert_same(run(GradientPath(2, 9)), run())


@pytest.mark.parametrize(("argument", "value", "least"), [("n_samples", 0, 1), ("steps", 1, 2)])
def test_what_makes_no_path_is_refused(argument, value, least):
    with pytest.raises(ValueError, match=f"GradientPath: {argument} must be at least {least}.*, got {value}"):
        GradientPath(**{argument: value})
