"""Recurrence: states that come back are told from states that stand still, and turns are counted."""

import csv
import math

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from callbacks.recurrence import Recurrence
from datamodules import DigitsDataModule
from lit_gans import GAN
from lit_gans.metrics import agreements, correlations, returns, winding
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.plotting import recurrences
from tests.toys import assert_same, ring_gan, state, train


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def waves(angles):
    """A D that is a wave around the circle, turned by an angle: `(t,)` to states `(t, 60)`."""
    return torch.cos(torch.as_tensor(angles, dtype=torch.float64).unsqueeze(-1) - torch.arange(60) * 2 * math.pi / 60)


# -------------------------------------------------------------------------------------------------- likeness of states


def test_the_correlation_of_two_states_by_hand():
    """Centred they are (-1, 0, 1) and (-1, -1, 2): 3 / √(2 · 6)."""
    found = correlations(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 3.0]]).double())
    torch.testing.assert_close(found, torch.tensor([[1, 0.75**0.5], [0.75**0.5, 1]]).double())


def test_correlations_are_pearsons_for_each_seed():
    states = random(6, 3, 20)
    slow = torch.stack([torch.corrcoef(states[:, seed]) for seed in range(3)])
    torch.testing.assert_close(correlations(states), slow)
    torch.testing.assert_close(correlations(states)[1], correlations(states[:, 1]))


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_a_shift_and_a_scale_of_d_are_no_change_and_its_sign_is(scale):
    states = random(1, 20).float()
    found = correlations(torch.cat([states, 3 * states + 7, -states]) * scale)
    torch.testing.assert_close(found[0], torch.tensor([1.0, 1.0, -1.0]), rtol=0, atol=1e-5)


def test_a_d_that_is_the_same_everywhere_is_like_no_other():
    assert correlations(torch.stack([torch.full((5,), 2.0), torch.arange(5.0)])).tolist() == [[0, 0], [0, 1]]


def test_agreement_by_hand():
    """2⟨a, b⟩ / (‖a‖² + ‖b‖²): of (1, 0) and (2, 0) 4/5, of (1, 0) and (0, 1) 0."""
    found = agreements(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(found[0], torch.tensor([1, 0.8, 0, -1, 0]))
    assert found[4, 4] == 1


def test_agreement_is_one_less_the_distance_in_squares():
    states = random(5, 2, 8)
    for seed in range(2):
        for one, a in enumerate(states[:, seed]):
            for other, b in enumerate(states[:, seed]):
                expected = 1 - (a - b).square().sum() / (a.square().sum() + b.square().sum())
                torch.testing.assert_close(agreements(states)[seed, one, other], expected)


@pytest.mark.parametrize("degrees", [0, 60, 90, 180])
def test_agreement_of_a_heap_that_has_moved_around_the_centre_is_the_cosine(degrees):
    angle = math.radians(degrees)
    heap = torch.tensor([[1.4, 0.0], [1.4 * math.cos(angle), 1.4 * math.sin(angle)]]).repeat(1, 30)
    assert agreements(heap)[0, 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


# --------------------------------------------------------------------------------------------------------- coming back


def slow_returns(similarity):
    """By its words."""
    closeness, to = [], []
    for t in range(len(similarity)):
        best, at = 0.0, t
        for s in range(t):
            for r in range(s + 1, t):
                value = similarity[t, s].item() - max(similarity[r, s].item(), 0.0)
                if value > best:
                    best, at = value, s
        closeness.append(best)
        to.append(at)
    return closeness, to


@pytest.mark.parametrize("t", [1, 2, 3, 12])
def test_returns_are_what_their_words_say(t):
    similarity = torch.stack([correlations(random(t, 4, seed=seed)) for seed in range(5)])
    found = returns(similarity)
    for seed in range(5):
        closeness, to = slow_returns(similarity[seed])
        torch.testing.assert_close(found.closeness[seed], torch.tensor(closeness, dtype=torch.float64))
        assert found.to[seed].tolist() == to
        one = returns(similarity[seed])
        assert torch.equal(one.closeness, found.closeness[seed])


def test_a_d_that_stands_still_does_not_return():
    still = waves(torch.full((20,), 0.3))
    assert returns(correlations(still)).closeness.abs().max() < 1e-12
    drifting = waves(torch.linspace(0, 0.5, 20))
    assert returns(correlations(drifting)).closeness.max() < 1e-12


def test_a_d_that_turns_returns_after_its_period():
    found = returns(correlations(waves(torch.arange(40) * 2 * math.pi / 10)))
    assert found.closeness[:9].max() < 1
    assert found.closeness[10:] == pytest.approx(1)
    assert ((torch.arange(40) - found.to)[10:] % 10 == 0).all()


def test_half_a_turn_and_back_is_a_return():
    found = returns(correlations(waves([0.0, 1.5, 3.0, 1.5, 0.0])))
    assert found.closeness[-1] == pytest.approx(1)
    assert found.to[-1] == 0


def test_a_d_that_goes_on_to_new_states_does_not_return():
    """A random walk in many dimensions, and states that have nothing to do with each other: 200 of 400 numbers."""
    walk, jumps = random(200, 8, 400).cumsum(0), random(200, 8, 400)
    assert returns(correlations(walk)).closeness.max() < 0.2
    assert returns(correlations(jumps)).closeness.max() < 0.25
    away = correlations(waves(torch.linspace(0, 3, 50)))
    assert returns(away).closeness.max() < 1e-12


def test_both_come_back_if_each_does_to_the_same_state_and_not_if_one_stands_still():
    turning, still = waves(torch.arange(30) * 2 * math.pi / 10), waves(torch.zeros(30))
    slower = waves(torch.arange(30) * 2 * math.pi / 15)
    turn, stand, slow = correlations(turning), correlations(still), correlations(slower)
    assert returns(turn, turn).closeness[10:] == pytest.approx(1)
    assert returns(turn, stand).closeness.max() < 1e-12
    both = returns(turn, slow).closeness  # after 30; until then the best is where both are off by a little
    assert both.max() < 0.9
    for t in range(30):
        best = 0.0
        for s in range(t - 1):
            gains = [sim[t, s].item() - max(sim[s + 1 : t, s].min().item(), 0.0) for sim in (turn, slow)]
            best = max(best, min(gains))
        assert both[t].item() == pytest.approx(best)


def test_what_is_not_a_number_does_not_pass_for_a_return():
    states = waves(torch.arange(12) * 2 * math.pi / 4)
    states[6] = torch.nan
    found = returns(correlations(states))
    assert found.closeness[5] == pytest.approx(1)
    assert found.closeness[6:].isnan().all()


# --------------------------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("turns", [3.0, -2.25, 0.1])
def test_turns_of_a_path_around_the_origin(turns):
    angles = 0.7 + torch.linspace(0, 2 * math.pi * turns, 40)
    path = torch.stack([angles.cos(), angles.sin()], -1) * torch.linspace(0.5, 2, 40).unsqueeze(-1)
    torch.testing.assert_close(winding(path).turns, torch.linspace(0, turns, 40), rtol=0, atol=1e-5)


def test_a_path_beside_the_origin_does_not_turn():
    angles = torch.linspace(0, 6 * math.pi, 61)
    path = torch.stack([2 + angles.cos(), angles.sin()], -1)
    assert winding(path).turns[-1].abs() < 1e-6
    around = torch.stack([0.5 + angles.cos(), angles.sin()], -1)
    assert winding(around).turns[-1] == pytest.approx(3)


def test_a_point_too_close_to_the_origin_is_passed_over():
    path = torch.tensor([[0.0, 0.1], [1.0, 0.0], [-0.1, 0.0], [0.0, -0.1], [0.0, 1.0]])
    found = winding(path, least=0.5)
    assert found.turns.tolist() == pytest.approx([0, 0, 0, 0, 0.25])
    assert found.held[2].tolist() == [1.0, 0.0]
    spun = torch.tensor([[1.0, 0.0], [0.0, 0.1], [-1.0, 0.0], [0.0, -0.1], [1.0, 0.0]])
    assert winding(spun).turns[-1] == pytest.approx(1)


def test_each_seed_turns_alone():
    path = random(30, 4, 2)
    for seed in range(4):
        torch.testing.assert_close(winding(path, 0.5).turns[:, seed], winding(path[:, seed], 0.5).turns)


# ----------------------------------------------------------------------------------------------------------- the probe


class Carousel(pl.Callback):
    """Puts G's one point and D's slope an eighth of a turn further at each iteration."""

    def on_train_start(self, trainer, pl_module):
        self.turn(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.turn(pl_module)

    @torch.no_grad()
    def turn(self, gan):
        angle = torch.tensor(gan.iteration * math.pi / 4)
        for parameter in gan.parameters():
            parameter.zero_()
        gan.generator.layers[0].bias.copy_(torch.stack([angle.cos(), angle.sin()]))
        gan.discriminator.layers[1].weight.copy_(torch.stack([angle.cos(), angle.sin()]))


def linear_gan():
    return GAN(MLPGenerator(2, (2,), hidden=()), MLPDiscriminator((2,), hidden=()), latent_dim=2)


def test_the_probe_sees_a_game_that_turns(tmp_path, unwritten):
    gan, probe = linear_gan(), Recurrence(1)
    train(gan, 16, callbacks=[Carousel(), probe])
    iterations, series = probe.series(gan)
    assert iterations.tolist() == list(range(17))
    assert series["recurrence/turns"][:, 0] == pytest.approx([i / 8 for i in range(17)], abs=0.02)
    for name in ("return", "discriminator", "generator"):
        values = series[f"recurrence/{name}"][:, 0]
        assert values[8:] == pytest.approx([1] * 9, abs=0.02)
        assert values[:4] == pytest.approx(0, abs=1e-6)
    assert (series["recurrence/lag"][8:, 0] % 8 == 0).all()


def test_the_probe_sees_a_game_that_stands_still(unwritten):
    def still(parameters):
        return torch.optim.SGD(parameters, lr=0.0)

    gan, probe = ring_gan(generator_optimizer=still, discriminator_optimizer=still), Recurrence(1)
    train(gan, 8, callbacks=[probe])
    _, series = probe.series(gan)
    for name, values in series.items():
        assert values == pytest.approx(0, abs=1e-5), name


def test_a_game_in_seeds_is_seen_as_each_alone(unwritten):
    def seen(seeds):
        gan, probe = ring_gan(seeds=seeds), Recurrence(2)
        train(gan, 12, callbacks=[probe])
        return probe.series(gan)[1]

    both, *alone = seen([3, 5]), seen([3]), seen([5])
    for name, values in both.items():
        for seed in range(2):
            assert values[:, seed] == pytest.approx(alone[seed][name][:, 0], abs=1e-5), name


def test_what_a_run_leaves(tmp_path):
    train(ring_gan(seeds=[0, 1]), 4, callbacks=[Recurrence(1)], default_root_dir=tmp_path)
    with Image.open(tmp_path / "recurrence" / "00000004.png") as picture:
        picture.verify()
    with (tmp_path / "recurrence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == list("01234")
    names = ("return", "discriminator", "generator", "lag", "turns")
    assert {f"recurrence/{name}/seed_{seed}" for name in names for seed in (0, 1)} <= rows[-1].keys()


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_of_images_it_compares_reals_noisy_reals_and_few_samples(seeds, tmp_path):
    probe, data = Recurrence(1), DigitsDataModule(batch_size=16)
    shape = data.sample_shape
    gan = GAN(MLPGenerator(2, shape, hidden=(8,)), MLPDiscriminator(shape, hidden=(8,)), latent_dim=2, seeds=seeds)
    train(gan, 3, data, [probe], default_root_dir=tmp_path)
    _, series = probe.series(gan)
    assert "recurrence/turns" not in series
    assert series["recurrence/return"].shape == (4, 1 if seeds is None else 2)
    reals, noisy = probe._points.chunk(2)
    assert torch.equal(reals, data.reals(len(reals)))
    assert (noisy - reals).std().item() == pytest.approx(reals.std().item(), rel=0.02)
    most = max(1, 8192 // math.prod(shape))
    assert probe._states.seen[0]["generator"].shape == (1 if seeds is None else 2, min(64, most) * math.prod(shape))
    assert (tmp_path / "recurrence" / "00000003.png").is_file()


def test_looking_changes_no_bit(unwritten):
    def trained(callbacks):
        gan = ring_gan(seeds=[0, 1])
        train(gan, 6, callbacks=callbacks)
        return state(gan)

    assert_same(trained([]), trained([Recurrence(2)]))


def test_a_resumed_run_goes_on_from_what_was_kept(tmp_path, unwritten):
    def run(iterations, checkpoint=None):
        gan, probe = ring_gan("Adam", seeds=[0, 1]), Recurrence(1, most=4)
        trainer = train(gan, iterations, callbacks=[probe], ckpt_path=checkpoint)
        return trainer, probe, probe.series(gan)

    _, whole, (iterations, series) = run(12)
    half, *_ = run(5)
    half.save_checkpoint(tmp_path / "half.ckpt")
    kept = torch.load(tmp_path / "half.ckpt", weights_only=True)["callbacks"]["Recurrence"]
    assert kept["states"]["kept"][-1][0] == 5
    _, resumed, (again, series_again) = run(12, tmp_path / "half.ckpt")
    assert again.tolist() == iterations.tolist()
    for name, values in series.items():
        assert series_again[name] == pytest.approx(values, abs=1e-6)
    assert resumed._states.iterations == whole._states.iterations


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_samples": 0}, "n_samples must be at least 1, got 0"),
        ({"extent": 0.0}, "extent .* must be positive, got 0"),
        ({"most": 3}, "most must be at least 4 looks"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, told):
    with pytest.raises(ValueError, match=f"Recurrence: {told}"):
        Recurrence(**settings)


@pytest.mark.parametrize("turns", [None, 3])
def test_the_picture_has_a_column_per_seed(turns):
    iterations = torch.tensor([0, 5, 20]).numpy()
    values = torch.eye(3).repeat(4, 1, 1).numpy()
    around = None if turns is None else (iterations, torch.zeros(3, 4).numpy())
    figure = recurrences(iterations, {"D": values, "G": values}, [f"seed {i}" for i in range(4)], around)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 4 * (2 if turns is None else 3)
    (mesh,) = panels[0].collections
    assert mesh.get_array().reshape(3, 3).tolist() == torch.eye(3).tolist()
    recurrences(iterations[:1], {"D": values[:, :1, :1]}, ["a", "b", "c", "d"])
