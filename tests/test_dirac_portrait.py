"""The portrait of the Dirac game: θ, D's slope and the shape of its curve; and one old fake in D's batches."""

import csv

import pytest
import torch
from PIL import Image

from callbacks import WeightClipping
from callbacks.dirac_portrait import DiracPortrait
from callbacks.old_fake import OldFake
from datamodules import DiracDataModule, RingDataModule
from lit_gans import GAN
from lit_gans.losses import Wasserstein
from lit_gans.networks import DiracDiscriminator, DiracGenerator
from lit_gans.penalties import R1
from lit_gans.plotting.dirac import dirac_portraits
from tests.toys import Watcher, assert_same, ring_gan, state, train


def dirac_gan(start=1.0, hidden=None, seeds=None, rate=0.1, slope=0.2, penalties=None):
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=rate)

    return GAN(
        DiracGenerator(start),
        DiracDiscriminator(hidden, slope),
        latent_dim=1,
        loss=Wasserstein(),
        penalties=penalties,
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        seeds=seeds,
    )


def standing(psi_0, psi_1, theta, **settings):
    """What the portrait says of a game that stands still, with the given weights."""
    gan = dirac_gan(hidden=len(psi_0), rate=0.0)
    with torch.no_grad():
        gan.generator.theta.fill_(theta)
        gan.discriminator.psi_0.copy_(torch.tensor(psi_0).unsqueeze(1))
        gan.discriminator.psi_1.copy_(torch.tensor(psi_1).unsqueeze(1))
    portrait = DiracPortrait(1, **settings)
    train(gan, 1, DiracDataModule(), [portrait])
    return {name.removeprefix("dirac/"): values[-1, 0] for name, values in portrait.series(gan)[1].items()}


# ------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("psi_0", "psi_1", "slope_right", "slope_left", "monotone", "maximum"),
    [
        ([1.0, 1.0], [-1.0, -1.0], -2.0, -0.4, 1, 0),  # both units on the right
        ([1.0, -1.0], [-1.0, -1.0], -0.8, 0.8, 0, 1),  # one on each side, fig. 8 (h)
        ([1.0, -1.0], [1.0, 1.0], 0.8, -0.8, 0, 0),  # a minimum
        ([1.0, 1.0], [0.5, 0.5], 1.0, 0.2, 1, 0),
        ([1.0, -1.0], [1.0, -1.0], 1.2, 1.2, 1, 0),  # a straight line
        ([0.0, 0.0], [1.0, 1.0], 0.0, 0.0, 0, 0),  # flat
        ([1.0, -1.0], [-1.0, -0.196], -0.9608, -0.004, 1, 0),
        ([1.0, -1.0], [-1.0, -0.25], -0.95, 0.05, 0, 1),
        ([1.0, -1.0], [-1.0, -0.203], -0.9594, 0.003, 1, 0),  # within 1 % of the curve's range
    ],
)
@pytest.mark.parametrize("theta", [0.7, -1.3])
def test_the_shape_of_d_and_its_slope_at_the_fake(
    psi_0, psi_1, slope_right, slope_left, monotone, maximum, theta, unwritten
):
    seen = standing(psi_0, psi_1, theta)
    assert seen["theta"] == pytest.approx(theta)
    assert seen["slope"] == pytest.approx(slope_right if theta > 0 else slope_left, abs=1e-6)
    assert (seen["monotone"], seen["maximum_at_real"]) == (monotone, maximum)
    assert seen["amplitude"] == pytest.approx(abs(theta))


def test_the_slope_is_that_of_the_line_from_the_real_point_to_the_fake():
    discriminator = DiracDiscriminator(hidden=2).double()
    for theta in (0.8, -0.3):
        point = torch.tensor([[theta]], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(discriminator(point).sum(), point)
        assert slope.item() == pytest.approx(discriminator(point).item() / theta)


def test_the_linear_game_circles_as_its_recursion_says(unwritten):
    """ψ ← ψ - 0.1 θ, clipped to [-1, 1], then θ ← θ + 0.1 ψ."""
    gan, portrait = dirac_gan(), DiracPortrait(1, window=15)
    train(gan, 80, DiracDataModule(), [WeightClipping(1.0), portrait])
    _, series = portrait.series(gan)
    theta, psi = 1.0, series["dirac/slope"][0, 0]
    path = [theta]
    for iteration in range(1, 81):
        psi = min(max(psi - 0.1 * theta, -1.0), 1.0)
        theta += 0.1 * psi
        path.append(theta)
        assert series["dirac/theta"][iteration, 0] == pytest.approx(theta, abs=1e-5)
        assert series["dirac/slope"][iteration, 0] == pytest.approx(psi, abs=1e-5)
        assert series["dirac/amplitude"][iteration, 0] == pytest.approx(max(map(abs, path[-15:])), abs=1e-5)
    assert min(path) < -0.5
    assert (series["dirac/monotone"] == 1).all()
    assert (series["dirac/maximum_at_real"] == 0).all()


@pytest.mark.parametrize("hidden", [None, 2])
def test_r1_brings_the_fake_to_the_real_point_and_the_plain_game_does_not(hidden, unwritten):
    """Seeds whose units lie on one side of 0, so that the plain game oscillates."""

    def amplitude(penalties):
        gan = dirac_gan(start=2.0, hidden=hidden, penalties=penalties, seeds=[0, 1, 4])
        portrait = DiracPortrait(5)
        train(gan, 400, DiracDataModule(), [WeightClipping(1.0), portrait])
        _, series = portrait.series(gan)
        return series["dirac/amplitude"][-1]

    assert (amplitude(None) > 0.4).all()
    assert (amplitude({"r1": R1(weight=5.0 if hidden else 0.5)}) < 0.25).all()


# ------------------------------------------------------------------------------------------------------- as a callback


def test_a_game_in_seeds_is_seen_as_each_alone(unwritten):
    def seen(seeds):
        gan, portrait = dirac_gan(hidden=2, seeds=seeds), DiracPortrait(2)
        train(gan, 8, DiracDataModule(), [WeightClipping(1.0), portrait])
        return portrait.series(gan)[1]

    both, *alone = seen([3, 5]), seen([3]), seen([5])
    for name, values in both.items():
        for seed in range(2):
            assert values[:, seed] == pytest.approx(alone[seed][name][:, 0], abs=1e-6), name


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_what_a_run_leaves(seeds, tmp_path):
    portrait = DiracPortrait(2, snapshots=[0, 3, 4])
    train(dirac_gan(hidden=2, seeds=seeds), 4, DiracDataModule(), [portrait], default_root_dir=tmp_path)
    with Image.open(tmp_path / "dirac_portrait" / "00000004.png") as picture:
        picture.verify()
    with (tmp_path / "dirac_portrait.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["0", "2", "4"]
    suffix = "" if seeds is None else "/seed_1"
    names = ("theta", "slope", "amplitude", "monotone", "maximum_at_real")
    assert {f"dirac/{name}{suffix}" for name in names} <= rows[-1].keys()
    assert list(portrait._curves) == [0, 4]  # there is no look at 3


def test_looking_changes_no_bit(unwritten):
    def trained(callbacks):
        gan = dirac_gan(hidden=2, seeds=[0, 1])
        train(gan, 6, DiracDataModule(), callbacks)
        return state(gan)

    assert_same(trained([]), trained([DiracPortrait(1)]))


def test_a_resumed_run_knows_the_whole(tmp_path, unwritten):
    def run(iterations, checkpoint=None):
        gan, portrait = dirac_gan(hidden=2, seeds=[0, 1]), DiracPortrait(2, window=4, snapshots=[0, 2, 8])
        trainer = train(gan, iterations, DiracDataModule(), [portrait], ckpt_path=checkpoint)
        return trainer, portrait

    _, whole = run(8)
    half, _ = run(4)
    half.save_checkpoint(tmp_path / "half.ckpt")
    assert torch.load(tmp_path / "half.ckpt", weights_only=True)["callbacks"]["DiracPortrait"]["curves"].keys() == {
        0,
        2,
    }
    _, resumed = run(8, tmp_path / "half.ckpt")
    assert resumed.history == whole.history
    assert resumed._curves.keys() == {0, 2, 8}
    assert all(torch.equal(curve, whole._curves[at]) for at, curve in resumed._curves.items())


def test_data_of_two_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"DiracPortrait needs one-dimensional data.* got \(2,\); take it out"):
        train(ring_gan(), 1, RingDataModule(batch_size=8), [DiracPortrait()])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"window": 0}, "window must be at least 1 look, got 0"),
        ({"extent": -1.0}, "extent .* must be positive, got -1"),
        ({"snapshots": range(13)}, "more than 12 snapshots .* got 13"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, told):
    with pytest.raises(ValueError, match=f"DiracPortrait: {told}"):
        DiracPortrait(**settings)


def test_the_picture_shows_the_path_and_the_curves_through_the_fakes():
    iterations = torch.tensor([0, 5, 10]).numpy()
    theta, slope = torch.tensor([[1.0, -1.0], [0.5, -2.0], [-0.5, 9.0]]).numpy(), torch.ones(3, 2).numpy()
    offsets = torch.linspace(-2, 2, 5).numpy()
    curves = {at: torch.stack([(at + 1) * torch.linspace(-2, 2, 5) + 7] * 2).numpy() for at in (0, 10)}
    figure = dirac_portraits(iterations, theta, slope, offsets, curves, 0.0, ["a", "b"])
    above, _, below, other = figure.axes
    assert above.lines[0].get_xydata().tolist() == [[1, 1], [0.5, 1], [-0.5, 1]]
    drawn = [line.get_xydata().tolist() for line in below.lines]
    assert drawn[0][0] == [-2, -2]  # less its value at the real point
    assert drawn[1] == [[1, 1]]
    assert drawn[2][-1] == [2, 22]
    assert drawn[3] == [[-0.5, -5.5]]
    assert other.get_xlim() == (-2, 2)  # also where the fake has left it


# ------------------------------------------------------------------------------------------------------- one old fake


class Batches(Watcher):
    """Notes D's fakes and the reals they came with."""

    def discriminator_terms(self, step):
        self._note("discriminator_terms", (step.real.clone(), step.fake.clone()))
        return {}


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_a_batch_of_the_dirac_game_is_two_reals_an_old_fake_and_the_current_one(seeds):
    watcher = Batches()
    train(dirac_gan(start=2.0, seeds=seeds), 1, DiracDataModule(batch_size=2), [OldFake(-1.0), watcher])
    ((real, fake),) = watcher.seen["discriminator_terms"]
    assert real.reshape(-1, 2).tolist() == [[0, 0]] * (1 if seeds is None else 2)
    assert fake.reshape(-1, 2).tolist() == [[-1, 2]] * (1 if seeds is None else 2)


@pytest.mark.parametrize("seeds", [None, [0, 1]])
@pytest.mark.parametrize(("at", "expected"), [(0.5, [0.5, 0.5]), ([1.0, -2.0], [1.0, -2.0])])
def test_one_fake_of_a_batch_is_replaced_and_the_rest_stay(at, expected, seeds):
    before, after = Watcher(), Watcher()
    train(ring_gan(seeds=seeds), 1, RingDataModule(batch_size=8), [before, OldFake(at), after])
    (fresh,), (mixed,) = before.seen["mix_fakes"], after.seen["mix_fakes"]
    assert mixed.shape == fresh.shape
    assert (mixed[..., 0, :] == torch.tensor(expected)).all()
    assert torch.equal(mixed[..., 1:, :], fresh[..., 1:, :])


def test_g_is_not_trained_on_the_old_fake():
    gan = dirac_gan(start=2.0)
    with torch.no_grad():
        gan.discriminator.psi.fill_(0.5)
    train(gan, 1, DiracDataModule(batch_size=2), [OldFake(-1.0)])
    psi = 0.5 - 0.1 * (2 - 1) / 2
    assert gan.discriminator.psi.item() == pytest.approx(psi)
    assert gan.generator.theta.item() == pytest.approx(2 + 0.1 * psi)


def test_the_game_with_an_old_fake_rests_where_its_slope_says():
    """Of the fakes -1 and θ a unit of slope a below 0 feels `a · 1` and θ, one against the other: even at θ = a."""
    for slope in (0.1, 0.3):
        gan = dirac_gan(start=slope, hidden=2, slope=slope)
        with torch.no_grad():  # one unit in its corner on the left; the other balances it
            gan.discriminator.psi_0.copy_(torch.tensor([[slope], [-1.0]]))
            gan.discriminator.psi_1.copy_(torch.tensor([[-1.0], [-1.0]]))
        before = state(gan)
        train(gan, 20, DiracDataModule(batch_size=2), [WeightClipping(1.0), OldFake(-1.0)])
        assert_same(before, state(gan), tolerance=1e-5)


def test_a_batch_of_one_fake_is_refused_before_training():
    with pytest.raises(ValueError, match=r"OldFake takes the place .* batch_size of at least 2"):
        train(dirac_gan(), 1, DiracDataModule(batch_size=1), [OldFake(-1.0)])


def test_an_old_fake_that_is_no_sample_is_refused_before_training():
    with pytest.raises(ValueError, match=r"OldFake: `at` is of shape \(3,\).* a sample \(2,\)"):
        train(ring_gan(), 1, RingDataModule(batch_size=8), [OldFake([1.0, 2.0, 3.0])])
