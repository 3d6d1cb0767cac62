"""Pictures: what is drawn stands where it belongs."""

import matplotlib.quiver
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lit_gans import plotting
from lit_gans.plotting import fields


def quivers(axes):
    return [each for each in axes.collections if isinstance(each, matplotlib.quiver.Quiver)]


# -------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(("n", "rows", "columns"), [(1, 1, 1), (4, 2, 2), (5, 2, 3), (7, 3, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_stand_in_reading_order_with_white_gaps(n, rows, columns, channels):
    height, width = 3, 2
    images = np.random.default_rng(0).uniform(-1, 1, (n, channels, height, width))
    sheet = plotting.tile(images)
    assert sheet.shape == (rows * 4 - 1, columns * 3 - 1, *((3,) if channels == 3 else ()))
    painted = np.zeros(sheet.shape[:2], dtype=bool)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        place = slice(4 * row, 4 * row + height), slice(3 * column, 3 * column + width)
        expected = np.moveaxis(image, 0, -1) / 2 + 0.5
        np.testing.assert_allclose(sheet[place], expected if channels == 3 else expected[..., 0], atol=1e-12)
        painted[place] = True
    assert (sheet[~painted] == 1).all()


def test_black_is_black_white_is_white_and_the_rest_is_cut():
    images = np.array([-1.0, 0.0, 1.0, -7.0, 7.0, 1.0, 1.0, 1.0, 1.0]).reshape(9, 1, 1, 1)
    sheet = plotting.tile(images)[::2, ::2]
    np.testing.assert_array_equal(sheet, [[0, 0.5, 1], [0, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_a_panel_per_seed(channels):
    figure = plotting.images(np.zeros((2, 5, channels, 4, 4)), ["seed 3", "seed 8"], "caption")
    assert [axes.get_title() for axes in figure.axes] == ["seed 3", "seed 8"]
    assert figure.get_suptitle() == "caption"
    (shown,) = figure.axes[0].get_images()
    assert shown.get_array().shape[:2] == (9, 14)
    assert shown.get_clim() == (0, 1)  # grey is not stretched from sheet to sheet


# -------------------------------------------------------------------------------------------------------------- points


@pytest.mark.parametrize("dimensions", [1, 2])
def test_points_lie_where_they_are(dimensions):
    fake, real = np.random.default_rng(0).normal(size=(2, 6, dimensions)), np.full((4, dimensions), 2.0)
    figure = plotting.points(fake, ["seed 0", "seed 1"], real)
    for axes, samples in zip(figure.axes, fake, strict=True):
        of_real, of_fake = axes.collections
        heights = samples[:, 1] if dimensions == 2 else np.zeros(6)
        np.testing.assert_array_equal(of_fake.get_offsets(), np.stack([samples[:, 0], heights], 1))
        assert (of_real.get_label(), of_fake.get_label()) == ("real", "fake")
        assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-2.6, 2.6))  # set by the reals: it stands still
    assert len(plotting.points(fake, ["a", "b"]).axes[0].collections) == 1


@pytest.mark.parametrize(
    ("real", "fake", "limit"),
    [
        ([[4.0, -2.0], [0.0, 1.0]], [[9.0, 9.0]], 5.2),  # the frame of the reals, wherever the fakes are
        ([[0.01, 0.0], [0.0, 0.0]], [[9.0, 9.0]], 0.013),
        ([[0.0], [0.0]], [[1.0]], 1.5),  # the Dirac GAN: one point has no scale
        ([[0.0]], [[70.0]], 1.5),
        ([[3.0]], [[1.0]], 3.9),
        (None, [[-10.0, 1.0]], 13.0),
        (None, [[0.1, 0.0]], 0.13),
        (None, [[2.0, np.nan], [np.inf, 1.0]], 2.6),
        (None, [[np.nan, np.nan]], 1.5),
        (None, [[0.0, 0.0]], 1.5),
    ],
)
def test_the_frame_is_that_of_the_reals_or_else_of_the_fakes(real, fake, limit):
    figure = plotting.points(np.array([fake]), [""], None if real is None else np.array(real))
    assert figure.axes[0].get_xlim() == figure.axes[0].get_ylim() == pytest.approx((-limit, limit))


def test_many_panels_fill_rows_and_spare_ones_are_blank():
    figure = plotting.points(np.zeros((7, 3, 2)), [f"seed {i}" for i in range(7)])
    assert len(figure.axes) == 10
    assert [axes.get_title() for axes in figure.axes if axes.axison] == [f"seed {i}" for i in range(7)]


# -------------------------------------------------------------------------------------------------------- vector fields


def test_arrows_stand_on_the_grid_and_point_along_the_field():
    axis = np.linspace(-1, 1, 4)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    swirl = np.stack([-grid[:, 1], grid[:, 0]], 1)
    fields = {"one": np.stack([grid, swirl]), "two": np.stack([1e-6 * swirl, np.zeros_like(grid)])}
    figure = plotting.vector_fields(grid, fields, np.zeros((3, 2)), np.zeros((2, 5, 2)), ["seed 0", "seed 1"])
    panels = np.array(figure.axes).reshape(2, 2)  # a row per field, a column per seed
    assert [axes.get_title() for axes in panels[0]] == ["seed 0", "seed 1"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["one", "two"]
    for row, field in zip(panels, fields.values(), strict=True):
        for axes, expected in zip(row, field, strict=True):
            (arrows,) = quivers(axes)
            np.testing.assert_allclose(np.asarray(arrows.get_offsets()), grid)
            drawn, size = np.stack([arrows.U, arrows.V], 1), np.linalg.norm(expected, axis=1)
            lengths = np.linalg.norm(drawn, axis=1)
            if not size.any():
                assert not lengths.any()
                continue
            np.testing.assert_allclose(drawn / lengths[:, None], expected / size[:, None], atol=1e-12)
            assert lengths.max() == pytest.approx(0.9 * 2 / 3)  # the longest nearly fills its cell
            order = np.argsort(size)
            assert (np.diff(lengths[order]) > -1e-9).all()  # longer where the field is stronger


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_field_over_many_decades_stays_visible(dtype):
    field = np.array([[1, 0], [0, 1e-2], [-1e-30, 0], [0, 0]], dtype=dtype)
    expected = [[1, 0], [0, 0.55], [-0.1, 0], [0, 0]]
    np.testing.assert_allclose(fields._compressed(field), expected, atol=1e-6)


# -------------------------------------------------------------------------------------------------------------- curves


def test_curves_show_the_mean_each_seed_and_skip_what_was_not_measured():
    iterations = np.array([10, 20, 30])
    gappy = np.array([[1.0, 3.0], [np.nan, np.nan], [5.0, 9.0]])
    figure = plotting.curves(iterations, {"gappy": gappy, "alone": gappy[:, :1]}, "caption")
    first, second = figure.axes[:2]
    assert [axes.get_title() for axes in (first, second)] == ["gappy", "alone"]
    assert first.get_xlabel() == "iteration"
    *seeds, mean = [line.get_xydata().tolist() for line in first.lines]
    assert seeds == [[[10, 1], [30, 5]], [[10, 3], [30, 9]]]
    assert mean == [[10, 2], [30, 7]]
    assert [line.get_xydata().tolist() for line in second.lines] == [[[10, 1], [30, 5]]]


def test_a_curve_that_was_never_measured_is_empty():
    figure = plotting.curves(np.array([1, 2]), {"nothing": np.full((2, 3), np.nan)})
    assert all(len(line.get_xydata()) == 0 for line in figure.axes[0].lines)


# ---------------------------------------------------------------------------------------------------------------- film


def test_a_film_shows_every_frame_in_order(tmp_path):
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, color in zip(paths, colors, strict=True):
        Image.new("RGB", (6, 4), color).save(path)
    assert plotting.film(paths, tmp_path / "film.gif", seconds=0.2) == tmp_path / "film.gif"
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (3, (6, 4), 0)
        for i, color in enumerate(colors):
            film.seek(i)
            np.testing.assert_allclose(film.convert("RGB").getpixel((2, 2)), color, atol=8)
            assert film.info["duration"] == (600 if i == 2 else 200)


def test_figures_are_figures_of_their_own():
    """No pyplot: nothing is kept open, nothing needs a screen."""
    import matplotlib.pyplot as plt

    figure = plotting.points(np.zeros((1, 2, 2)), [""])
    assert type(figure) is Figure
    assert plt.get_fignums() == []
