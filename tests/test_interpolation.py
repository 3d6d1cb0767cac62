"""Paths between latents: the great circle, how even the steps are, and the callback that draws them."""

import numpy as np
import pytest
import torch

from callbacks import LatentInterpolation
from datamodules import DigitsDataModule
from lit_gans import GAN, plotting
from lit_gans.metrics import largest_step, spherical_interpolation
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.toys import Notes, ring_gan, train


def test_a_quarter_circle_is_divided_evenly():
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    angles = torch.tensor([0.0, 30.0, 60.0, 90.0]).deg2rad()
    expected = 2 * torch.stack([angles.cos(), angles.sin()], -1)
    torch.testing.assert_close(spherical_interpolation(start, end, 4), expected)


def test_lengths_and_ends_are_kept():
    ends = torch.randn(2, 7, 50, dtype=torch.float64)
    path = spherical_interpolation(*ends, 11)
    torch.testing.assert_close(path[:, [0, -1]], ends.transpose(0, 1), rtol=0, atol=1e-12)
    lengths, straight = path.norm(dim=-1), torch.lerp(*ends, 0.5).norm(dim=-1)
    assert (lengths > 0.97 * ends.norm(dim=-1).amin(0)[:, None]).all()
    assert (straight < 0.9 * ends.norm(dim=-1).amin(0)).all()  # which is why the path is not straight


@pytest.mark.parametrize("end", [[2.0], [-3.0], [1.0]])
def test_on_a_line_through_zero_the_path_is_straight(end):
    path = spherical_interpolation(torch.tensor([1.0]), torch.tensor(end), 5)
    torch.testing.assert_close(path[:, 0], torch.linspace(1.0, end[0], 5))


def test_even_steps_are_one_and_a_jump_is_as_many_as_there_are_steps():
    even = torch.linspace(0, 1, 6)[:, None, None].expand(6, 2, 3)
    jump = torch.tensor([0.0, 0, 0, 1, 1, 1])[:, None, None].expand(6, 2, 3)
    uneven = torch.tensor([0.0, 1, 2, 3, 4, 10])[:, None, None].expand(6, 2, 3)
    found = largest_step(torch.stack([even, jump, uneven]), sample_axes=2)
    torch.testing.assert_close(found, torch.tensor([1.0, 5.0, 3.0], dtype=torch.float64))
    assert largest_step(torch.ones(4, 2), 1).isnan()


class Steps(torch.nn.Module):
    """A generator that has all but two samples by heart."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, z):
        return self.scale * (z[:, :1].sign() + 1e-3 * z)


@pytest.mark.parametrize("seeds", [None, [1, 2]])
def test_the_callback_tells_a_generator_that_jumps(seeds, tmp_path):
    smooth, jumps = Notes(), Notes()
    for notes, gan in ((smooth, ring_gan(seeds=seeds)), (jumps, GAN(Steps(), MLPDiscriminator((2,)), 2))):
        probe = LatentInterpolation(5, n_paths=6, n_steps=9)
        train(gan, 5, callbacks=[probe], logger=notes, default_root_dir=tmp_path)
    assert 1 <= smooth.of("interpolation/largest_step")[5] < 3
    assert 3 < jumps.of("interpolation/largest_step")[5] < 8  # some paths stay on one side


def test_the_same_paths_in_every_run_and_pictures_of_images(tmp_path):
    shape = (1, 8, 8)
    gan = GAN(MLPGenerator(3, shape, hidden=[8], tanh=True), MLPDiscriminator(shape, hidden=[8]), 3, seeds=[4, 5])
    train(gan, 2, DigitsDataModule(), callbacks=[LatentInterpolation(1)], default_root_dir=tmp_path)
    assert len(list(tmp_path.rglob("latent_interpolation/*.png"))) == 3
    assert list(tmp_path.rglob("latent_interpolation.gif"))


def test_images_stand_in_a_row_per_path():
    fake = np.linspace(-1, 1, 12).reshape(1, 3, 4, 1, 1, 1)
    (axes,) = plotting.interpolations(fake, [""], None, "caption").axes
    (sheet,) = axes.get_images()
    pixels = sheet.get_array()[::2, ::2]
    np.testing.assert_allclose(pixels, np.linspace(0, 1, 12).reshape(3, 4))


def test_points_are_joined_along_their_path():
    fake = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    figure = plotting.interpolations(fake, ["a", "b"], np.ones((5, 2)), "caption")
    for axes, paths in zip(figure.axes, fake, strict=True):
        drawn = [line.get_xydata() for line in axes.lines[:3]]
        np.testing.assert_allclose(np.stack(drawn), paths)
    on_a_line = plotting.interpolations(fake[..., :1], ["a", "b"], np.linspace(-0.1, 0.1, 5)[:, None])
    np.testing.assert_allclose(on_a_line.axes[0].lines[0].get_ydata(), np.linspace(0, 1, 4))
    low, high = on_a_line.axes[0].get_ylim()
    assert low < 0
    assert high > 1
    assert on_a_line.axes[0].get_xlim() == pytest.approx((-0.13, 0.13))


@pytest.mark.parametrize("bad", [{"n_paths": 0}, {"n_steps": 2}])
def test_what_is_no_path_is_refused(bad):
    with pytest.raises(ValueError, match=r"n_paths must be at least 1 and n_steps at least 3, got"):
        LatentInterpolation(**bad)
