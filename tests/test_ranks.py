"""Ranks: matrices of known rank, convolutions written out as matrices, and the probe that follows both."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from callbacks.weight_rank import WeightRank, _weight
from datamodules import DigitsDataModule
from lit_gans import GAN
from lit_gans.metrics import (
    circular_singular_values,
    column_cosine,
    convolution_matrix,
    convolution_ranks,
    convolution_route,
    effective_rank,
    matrix_ranks,
    numerical_rank,
    singular_values,
)
from lit_gans.networks import DCGANDiscriminator, DCGANGenerator, DiracGenerator, MLPDiscriminator, MLPGenerator
from tests.toys import assert_same, ring_gan, state, table, train

NAN = float("nan")


def close(found, expected, tolerance=1e-12):
    expected = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance, equal_nan=True)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


# -------------------------------------------------------------------------------------------------------- the matrices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 6)])
def test_rank_of_products_is_the_inner_side(shape, dtype):
    m, n = shape
    matrices = torch.stack([torch.randn(m, r, dtype=dtype) @ torch.randn(r, n, dtype=dtype) for r in range(1, 6)])
    found = matrix_ranks(matrices)
    assert found.numerical.tolist() == [1, 2, 3, 4, 5]
    assert found.numerical.tolist() == torch.linalg.matrix_rank(matrices).tolist()
    assert found.full == min(shape)
    assert bool((found.effective <= found.numerical + 1e-5).all())
    close(found.effective[0], 1.0, 1e-5)


@pytest.mark.parametrize(("factor", "rank"), [(0.99, 2), (1.01, 3)])
def test_the_tolerance_is_relative(factor, rank):
    smallest = factor * 5 * torch.finfo(torch.float64).eps
    for scale in (1.0, 1e-8, 1e8):
        values = scale * torch.tensor([1.0, 0.5, smallest], dtype=torch.float64)
        assert numerical_rank(values, larger_side=5) == rank


@pytest.mark.parametrize("n", [1, 2, 9])
def test_equal_singular_values_have_full_effective_rank(n):
    rotation = torch.linalg.qr(normal(n, n)).Q
    for matrix in (torch.eye(n, dtype=torch.float64), 3e-7 * rotation):
        found = matrix_ranks(matrix)
        close(found.effective, n)
        assert found.numerical == n
        close(found.column_cosine, 0.0 if n > 1 else NAN)
        assert found.boundary == 0


def test_two_by_two_by_hand():
    """σ = 3√5 and √5, hence p = ¾ and ¼; the columns (3, 4) and (0, 5) have the cosine 20 / 25."""
    matrix = torch.tensor([[3.0, 0.0], [4.0, 5.0]], dtype=torch.float64)
    found = matrix_ranks(matrix)
    close(singular_values(matrix), [3 * math.sqrt(5), math.sqrt(5)])
    close(found.effective, 4 / 3**0.75)
    close(found.column_cosine, 0.8)
    assert (found.numerical, found.full) == (2, 2)


def test_effective_rank_is_between_neighbours():
    close(effective_rank(torch.tensor([[2.0, 2.0, 0.0], [5.0, 0.0, 0.0]])), [2.0, 1.0], 1e-6)
    almost = effective_rank(torch.tensor([1.0, 1.0, 0.01], dtype=torch.float64))
    assert 2 < almost < 2.1


def test_cosine_of_parallel_opposite_and_orthogonal_columns():
    lengths = torch.tensor([0.1, 1.0, 7.0, 1e-25])
    column = torch.randn(5, 1)
    close(column_cosine(column * lengths), 1.0, 1e-6)
    close(column_cosine(torch.cat([column, -3 * column], 1)), -1.0, 1e-6)
    close(column_cosine(torch.cat([column, column, -column], 1)), -1 / 3, 1e-6)
    close(column_cosine(torch.eye(4) * lengths), 0.0, 1e-6)
    close(column_cosine(torch.tensor([[1.0, 1.0], [0.0, 1.0]])), math.sqrt(0.5), 1e-6)


def test_cosine_against_a_loop_over_pairs():
    matrices = normal(2, 3, 6, 9) + 0.5
    found = column_cosine(matrices)
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        columns = matrices[tuple(index)].T
        pairs = [torch.cosine_similarity(columns[i], columns[j], dim=0) for i in range(9) for j in range(i)]
        close(found[tuple(index)], torch.stack(pairs).mean())


def test_a_column_of_zeros_is_like_no_other():
    matrix = torch.tensor([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]], dtype=torch.float64)
    close(column_cosine(matrix), 1 / 3)
    zero = matrix_ranks(torch.zeros(4, 3))
    assert (zero.numerical, zero.effective, zero.column_cosine) == (0, 0, 0)


@pytest.mark.parametrize("bad", [NAN, float("inf")])
def test_weights_that_are_not_finite_have_no_rank(bad):
    matrices = torch.randn(3, 4, 4)
    matrices[1, 2, 0] = bad
    found, alone = matrix_ranks(matrices), matrix_ranks(matrices[2])
    for name in ("numerical", "effective", "column_cosine"):
        assert getattr(found, name).isnan().tolist() == [False, True, False]
        close(getattr(found, name)[2], getattr(alone, name), 1e-5)


# ---------------------------------------------------------------------------------------------------- the convolutions


def slow_matrix(weight, size, stride, padding, circular=False):
    """The matrix of a convolution, written out entry by entry."""
    (c_out, c_in, *kernel), (rows, columns) = weight.shape, size
    out = [(n + 2 * padding - k) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    matrix = torch.zeros(c_out, *out, c_in, rows, columns, dtype=weight.dtype)
    for o, i, y, x, a, b in torch.cartesian_prod(
        *map(torch.arange, (c_out, c_in, out[0], out[1], kernel[0], kernel[1]))
    ).tolist():
        row, column = y * stride + a - padding, x * stride + b - padding
        if circular:
            row, column = row % rows, column % columns
        if 0 <= row < rows and 0 <= column < columns:
            matrix[o, y, x, i, row, column] += weight[o, i, a, b]
    return matrix.reshape(c_out * out[0] * out[1], -1)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(3, 1, 1, (4, 5)), (4, 2, 1, (6, 4)), (3, 1, 2, (3, 4)), (2, 1, 0, (3, 3))],
)
def test_matrix_of_a_convolution_against_a_slow_loop(kernel, stride, padding, size, mode):
    layer = nn.Conv2d(2, 3, kernel, stride, padding, padding_mode=mode).double()
    expected = slow_matrix(layer.weight.detach(), size, stride, padding, mode == "circular")
    assert torch.equal(convolution_matrix(layer, size), expected)
    transposed = nn.ConvTranspose2d(3, 2, kernel, stride, padding).double()
    out = [(n + 2 * padding - kernel) // stride + 1 for n in size]
    expected = slow_matrix(transposed.weight.detach(), size, stride, padding)
    assert torch.equal(convolution_matrix(transposed, tuple(out)), expected.T)


LAYERS = [
    nn.Conv2d(2, 3, 3, padding="same", dilation=2),
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1), groups=2),
    nn.Conv2d(3, 3, 3, groups=3, padding=1, padding_mode="reflect"),
    nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"),
    nn.Conv2d(1, 2, 5, padding=2, padding_mode="circular"),  # wraps onto itself
    nn.ConvTranspose2d(4, 2, 4, 2, 1),
    nn.ConvTranspose2d(4, 6, 3, stride=(2, 3), padding=1, output_padding=(1, 0), groups=2, dilation=(1, 2)),
    nn.ConvTranspose2d(3, 2, 4),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_matrix_does_what_the_layer_does(layer):
    layer = layer.double()
    images = normal(5, layer.in_channels, 4, 5)
    outputs = layer(images) - layer.bias[:, None, None]
    matrix = convolution_matrix(layer, (4, 5))
    close((images.flatten(1) @ matrix.T).detach(), outputs.flatten(1).detach())
    assert matrix.numel() == outputs[0].numel() * images[0].numel()


def test_the_matrix_holds_the_weights_to_the_last_bit():
    layer = nn.Conv2d(2, 3, 3, padding=1)
    matrix = convolution_matrix(layer, (4, 4)).detach()
    assert matrix.dtype == torch.float32
    assert set(matrix.unique().tolist()) == {0.0, *layer.weight.flatten().tolist()}


@pytest.mark.parametrize("channels", [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("size", [(4, 6), (5, 5), (3, 8), (7, 4)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_fft_gives_the_singular_values_of_the_circular_operator(kernel, size, channels):
    layer = nn.Conv2d(*channels, kernel, padding=kernel // 2, padding_mode="circular").double()
    expected = torch.linalg.svdvals(convolution_matrix(layer, size))
    close(circular_singular_values(layer.weight, size).detach(), expected.detach())


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [(4, (2, 2), (6, 4)), (4, (2, 2), (4, 6)), (3, (2, 1), (4, 5)), (3, (1, 3), (4, 9)), (3, (3, 3), (3, 3))],
)
@pytest.mark.parametrize("channels", [(2, 3), (3, 2), (1, 9)])
def test_fft_gives_them_for_any_stride_by_summing_over_aliases(kernel, stride, size, channels):
    layer = nn.Conv2d(*channels, kernel, stride, padding=1, padding_mode="circular").double()
    matrix = convolution_matrix(layer, size).detach()
    values = circular_singular_values(layer.weight, size, stride).detach()
    assert values.shape == (min(matrix.shape),)
    close(values, torch.linalg.svdvals(matrix))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 2, 3, padding=2, dilation=2, groups=2, padding_mode="circular"),
        nn.Conv2d(2, 4, 4, 2, padding=1, groups=2, padding_mode="circular"),
    ],
    ids=str,
)
def test_a_circular_layer_has_the_same_ranks_both_ways(layer):
    layer = layer.double()
    weight = normal(2, 3, *layer.weight.shape)
    weight[0, 1] = 0
    weight[0, 1, 0, 0, 0, 0] = 1
    exact, circular = (convolution_ranks(layer, (6, 6), weight, n) for n in (10**9, 1))
    assert exact.full == circular.full
    for one, other in zip(exact, circular, strict=True):
        if one is not exact.full:
            close(other, one, 1e-7)
            assert other.shape == (2, 3)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(2, 3, 3, padding=1), (5, 4)),
        (nn.Conv2d(3, 2, 3, padding="same", dilation=2), (5, 6)),
        (nn.Conv2d(2, 3, 4, 2, 1), (6, 8)),
        (nn.ConvTranspose2d(3, 2, 4, 2, 1), (3, 4)),
        (nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1), (4, 3)),
    ],
    ids=str,
)
def test_how_far_zero_padding_is_from_circular_is_told(layer, size):
    layer = layer.double()
    weight = layer.weight.detach()
    exact, circular = (convolution_ranks(layer, size, weight, n) for n in (10**9, 1))
    own = convolution_matrix(layer, size, weight)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    wide = tuple(layer(torch.zeros(1, layer.in_channels, *size).double()).shape[-2:]) if transposed else size
    padding, dilation = (1, 1) if layer.padding != "same" else (2, 2)
    kernel = torch.zeros(*weight.shape[:2], *(dilation * (k - 1) + 1 for k in weight.shape[2:])).double()
    kernel[..., ::dilation, ::dilation] = weight
    # As many outputs as the layer has: a stride may leave the loop one more than that.
    other = slow_matrix(kernel, wide, layer.stride[0], padding, circular=True)
    narrow = size if transposed else tuple(layer(torch.zeros(1, layer.in_channels, *size).double()).shape[-2:])
    assert other.shape == (weight.shape[0] * math.prod(narrow), weight.shape[1] * math.prod(wide))
    other = other.T if transposed else other
    close(circular.boundary, (own - other).norm() / other.norm())
    values, others = torch.linalg.svdvals(own), torch.linalg.svdvals(other)
    close(circular.effective, effective_rank(others))
    gap = (values - others).norm() / others.norm()
    assert 0.01 < gap <= circular.boundary < 0.8
    assert exact.boundary == 0
    close(exact.effective, effective_rank(values))
    close(circular.column_cosine, exact.column_cosine)  # of the layer's own operator, both ways


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(2, 3, 3), (6, 6)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (6, 6)),
        (nn.Conv2d(2, 3, 4, 2, 1), (5, 6)),
        (nn.Conv2d(2, 3, 5, padding=2), (4, 6)),
        (nn.ConvTranspose2d(2, 3, 4), (1, 1)),
    ],
    ids=str,
)
def test_a_large_convolution_without_a_circular_counterpart_is_refused(layer, size):
    entries = convolution_matrix(layer, size).numel()
    assert convolution_route(layer, size, entries) == "exact"
    with pytest.raises(ValueError, match=r"Conv.*\(2, 3.*matrix of \d+ x \d+, more than max_entries=.*raise max"):
        convolution_route(layer, size, entries - 1)
    with pytest.raises(ValueError, match="no circular counterpart"):
        convolution_ranks(layer, size, max_entries=1)


@pytest.mark.parametrize(("kernel", "size", "stride"), [(5, (4, 8), (1, 1)), (3, (4, 5), (2, 2))])
def test_an_image_that_the_fft_cannot_fold_is_refused(kernel, size, stride):
    with pytest.raises(ValueError, match="an image that holds the kernel and that the stride divides, got"):
        circular_singular_values(normal(1, 1, kernel, kernel), size, stride)


# --------------------------------------------------------------- "one element that is not 0 gives rank n" (WS sec. 3.1)


def rank(layer, weight, size=(4, 5)):
    weight = torch.tensor(weight, dtype=torch.float64).expand(layer.weight.shape)
    return int(convolution_ranks(layer.double(), size, weight).numerical)


ONE, DIFFERENCE, DENSE = [[0, 0, 1]], [[1, -1, 0]], [[0.3, -1.2, 0.7]]


@pytest.mark.parametrize("kernel", [ONE, DIFFERENCE, DENSE, [[1, 0, 1]]])
def test_with_full_padding_it_does(kernel):
    assert rank(nn.Conv2d(1, 1, (1, 3), padding=(0, 2)), kernel) == 20
    for stride in (1, 2, 3):
        assert rank(nn.ConvTranspose2d(1, 1, (1, 3), stride=stride), kernel) == 20


@pytest.mark.parametrize("kernel", [ONE, DIFFERENCE, DENSE])
def test_without_padding_it_gives_full_rank_which_is_less(kernel):
    assert rank(nn.Conv2d(1, 1, (1, 3)), kernel) == 4 * 3


@pytest.mark.parametrize(("kernel", "lost"), [(ONE, 0), (DENSE, 0), (DIFFERENCE, 4)])
def test_circular_padding_loses_the_frequencies_that_the_kernel_stops(kernel, lost):
    assert rank(nn.Conv2d(1, 1, (1, 3), padding=(0, 1), padding_mode="circular"), kernel) == 20 - lost


@pytest.mark.parametrize(("kernel", "lost"), [(DENSE, 0), (DIFFERENCE, 0), (ONE, 4), ([[1, 0, 1]], 4)])
def test_zero_padding_loses_what_is_shifted_out(kernel, lost):
    assert rank(nn.Conv2d(1, 1, (1, 3), padding=(0, 1)), kernel) == 20 - lost


def test_with_several_channels_one_element_is_not_enough():
    layer = nn.Conv2d(2, 3, 1).double()
    weight = torch.zeros_like(layer.weight)
    weight[1, 0] = 1
    assert convolution_ranks(layer, (4, 5), weight).numerical == 20  # of 40


# ----------------------------------------------------------------------------------------------------------- the probe


def image_gan(**settings):
    return GAN(DCGANGenerator(3, (1, 8, 8), width=2), DCGANDiscriminator((1, 8, 8), width=2), latent_dim=3, **settings)


def look(gan, **settings):
    """One look at a game that is not trained."""
    probe = WeightRank(**settings)
    probe.setup(pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, callbacks=[probe]), gan, "fit")
    return probe.observe(None, gan)


@pytest.mark.parametrize("seeds", [None, [4, 7]])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_every_layer_of_the_run_is_in_the_table_and_in_the_picture(player, seeds, tmp_path):
    gan = ring_gan(seeds=seeds)
    trainer = train(gan, 4, callbacks=[WeightRank(2, player)], default_root_dir=tmp_path)
    rows = table(tmp_path / "weight_rank.csv")
    assert [row["iteration"] for row in rows] == ["0", "2", "4"]
    assert (tmp_path / "weight_rank/00000004.png").stat().st_size > 10_000
    parameters = dict(getattr(gan, player).named_parameters())
    weights = {name.removeprefix("network."): value for name, value in parameters.items() if "weight" in name}
    assert len(weights) == 3
    shares = []
    for name, weight in weights.items():
        path = name.removesuffix(".weight")
        values = torch.linalg.svdvals(weight.detach().double())
        p = values / values.sum(-1, keepdim=True)
        effective = (-(p * p.log()).sum(-1)).exp()
        shares.append(effective / min(weight.shape[-2:]))
        for i, seed in enumerate(seeds or []):
            assert float(rows[-1][f"rank/{path}/effective/seed_{seed}"]) == pytest.approx(effective[i].item(), rel=1e-5)
        assert float(rows[-1][f"rank/{path}/effective"]) == pytest.approx(effective.mean().item(), rel=1e-5)
        assert float(rows[-1][f"rank/{path}/numerical"]) == torch.linalg.matrix_rank(weight).double().mean()
        assert f"rank/{path}/column_cosine" in rows[-1]
    mean = torch.stack(shares).mean().item()
    assert float(rows[-1]["rank/effective_share"]) == pytest.approx(mean, rel=1e-5)
    assert trainer.callback_metrics["rank/effective_share"] == pytest.approx(mean, rel=1e-5)
    cosines = [float(rows[-1][key]) for key in rows[-1] if key.endswith("column_cosine") and key.count("/") == 2]
    assert float(rows[-1]["rank/column_cosine"]) == pytest.approx(sum(cosines) / 3, abs=1e-6)


@pytest.mark.parametrize("seeds", [None, [0, 1, 2]])
def test_the_picture_has_a_line_per_layer_and_seed(seeds, unwritten):
    gan, probe = ring_gan(seeds=seeds), WeightRank(2, name="ranks")
    train(gan, 4, callbacks=[probe])
    figure = probe.picture(gan)()
    panels = figure.axes
    titles = ["effective rank / full rank", "numerical rank / full rank", "mean cosine between columns"]
    assert [axes.get_title() for axes in panels] == titles
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["layers.0", "layers.2", "layers.4"]
    _, series = probe.series(gan)
    for axes, number, full in zip(
        panels, ("effective", "numerical", "column_cosine"), ((2, 16, 2), (2, 16, 2), (1, 1, 1)), strict=True
    ):
        assert len(axes.lines) == 3 * (1 if seeds is None else 4)
        means = {line.get_label(): line for line in axes.lines if line.get_label().startswith("layers")}
        for path, most in zip(("layers.0", "layers.2", "layers.4"), full, strict=True):
            assert means[path].get_xdata().tolist() == [0, 2, 4]
            assert means[path].get_ydata() == pytest.approx(series[f"ranks/{path}/{number}"].mean(1) / most)
    assert panels[0].get_ylim() == panels[1].get_ylim() == (0, 1.05)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("max_entries", [10**6, 800])
def test_seeds_are_judged_alone(player, max_entries):
    together = look(image_gan(seeds=[0, 1]), player=player, max_entries=max_entries).numbers
    for i in (0, 1):
        alone = look(image_gan(seeds=[i]), player=player, max_entries=max_entries).numbers
        assert alone.keys() == together.keys()
        for key, value in alone.items():
            close(together[key][i], value[0], 1e-4)


def test_image_networks_are_seen_as_operators_on_images():
    gan = image_gan()
    seen = look(gan)
    layers = dict(gan.generator.named_modules())
    assert seen.notes == {"layers.4/operator": "exact", "layers.7/operator": "exact"}
    for path, size in (("layers.4", (2, 2)), ("layers.7", (4, 4))):
        expected = convolution_ranks(layers[path], size)
        for name in ("numerical", "effective", "column_cosine"):
            close(seen.numbers[f"rank/{path}/{name}"], getattr(expected, name).detach(), 1e-5)
        assert f"rank/{path}/boundary" not in seen.numbers
    seen = look(gan, max_entries=600)
    assert seen.notes == {"layers.4/operator": "exact", "layers.7/operator": "circular"}
    assert 0.1 < seen.numbers["rank/layers.7/boundary"] < 1
    expected = convolution_ranks(layers["layers.7"], (4, 4), max_entries=1)
    close(seen.numbers["rank/layers.7/effective"], expected.effective.detach(), 1e-5)
    seen = look(gan, player="discriminator")
    expected = convolution_ranks(gan.discriminator.layers[2], (4, 4))
    close(seen.numbers["rank/layers.2/effective"], expected.effective.detach(), 1e-5)


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_spectral_norm_is_part_of_the_weight(seeds):
    discriminator = MLPDiscriminator((2,), (8,), spectral_norm=True)
    gan = GAN(MLPGenerator(2, (2,), (8,)), discriminator, latent_dim=2, seeds=seeds)
    train(gan, 2)
    network = gan.discriminator if seeds is None else gan.discriminator.network
    layer = network.eval().layers[1]
    norm = layer.parametrizations.weight
    matrix, u, v = norm.original, norm[0]._u, norm[0]._v
    sigma = torch.einsum("...m,...mn,...n->...", u, matrix, v)
    close(_weight(layer, seeds).detach(), (matrix / sigma[..., None, None]).detach(), 1e-6)
    assert look(gan, player="discriminator").numbers["rank/layers.1/numerical"].tolist() == ([2, 2] if seeds else 2)


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_the_probe_changes_no_bit(seeds, unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = image_gan(seeds=seeds)
        train(gan, 3, data=DigitsDataModule(batch_size=8), callbacks=callbacks)
        return state(gan), torch.get_rng_state()

    probes = [WeightRank(1), WeightRank(1, "discriminator", max_entries=800, name="of_d")]
    (one, rng), (other, rng_without) = run(*probes), run()
    assert_same(one, other)
    assert torch.equal(rng, rng_without)


def test_two_probes_keep_their_numbers_apart(tmp_path, unwritten):
    train(ring_gan(), 1, callbacks=[WeightRank(), WeightRank(1, "discriminator", name="of_d")])
    assert {"rank/effective_share", "rank/layers.0/numerical"} < table(tmp_path / "weight_rank.csv")[0].keys()
    assert {"of_d/effective_share", "of_d/layers.5/numerical"} < table(tmp_path / "of_d.csv")[0].keys()


@pytest.mark.parametrize("max_entries", [10**6, 500])
def test_a_checkpoint_can_be_looked_at(max_entries, tmp_path):
    trainer = pl.Trainer(
        logger=CSVLogger(tmp_path, "", "run"), callbacks=[WeightRank(max_entries=max_entries)], accelerator="cpu",
        limit_val_batches=1, enable_progress_bar=False,
    )  # fmt: skip
    trainer.validate(image_gan(seeds=[0, 1]), DigitsDataModule(batch_size=8), verbose=False)
    row = table(tmp_path / "run/weight_rank.csv")[0]
    assert row["layers.4/operator"] == ("exact" if max_entries == 10**6 else "circular")
    assert 0 < float(row["rank/effective_share"]) <= 1


@pytest.mark.parametrize("max_entries", [10**6, 500])
def test_weights_that_broke_are_reported_and_the_run_goes_on(max_entries):
    gan = image_gan(seeds=[0, 1])
    with torch.no_grad():
        gan.generator.network.layers[0].weight[1, 0, 0] = NAN
        gan.generator.network.layers[4].weight[1, 0, 0] = NAN
    with pytest.warns(UserWarning, match=r"iteration 0 the generator's weights of layers.0, layers.4 are not finite"):
        numbers = look(gan, max_entries=max_entries).numbers
    for key in ("rank/layers.4/numerical", "rank/layers.4/effective", "rank/effective_share"):
        assert numbers[key].isnan().tolist() == [False, True]
    assert not numbers["rank/layers.7/effective"].isnan().any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"player": "critic"}, "player must be 'generator' or 'discriminator', got 'critic'"),
        ({"max_entries": 0}, "max_entries must be at least 1, got 0"),
        ({"every_n_iterations": 0}, "every_n_iterations must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"WeightRank: {message}"):
        WeightRank(**arguments)


def test_networks_that_cannot_be_looked_at_are_refused():
    dirac = GAN(DiracGenerator(), MLPDiscriminator((1,), (4,)), latent_dim=1)
    with pytest.raises(ValueError, match="the generator has no Linear, Conv2d or ConvTranspose2d layer"):
        look(dirac)
    assert "rank/layers.1/numerical" in look(dirac, player="discriminator").numbers
    from_a_pixel = nn.Sequential(nn.Unflatten(1, (3, 1, 1)), nn.ConvTranspose2d(3, 1, 8))
    valid = GAN(from_a_pixel, DCGANDiscriminator((1, 8, 8)), latent_dim=3)
    with pytest.raises(ValueError, match=r"WeightRank: the generator's 1: the operator of ConvTranspose2d\(3, 1"):
        look(valid, max_entries=100)
    idle = DCGANGenerator(3, (1, 8, 8), width=2)
    idle.spare = nn.Conv2d(1, 1, 3)
    with pytest.raises(ValueError, match=r"the generator's spare \(Conv2d\) does not run in its forward pass"):
        look(GAN(idle, DCGANDiscriminator((1, 8, 8)), latent_dim=3))


def test_a_network_that_is_one_layer():
    numbers = look(GAN(nn.Linear(1, 2), MLPDiscriminator((2,), (4,)), latent_dim=1)).numbers
    assert numbers["rank/network/numerical"] == 1
    assert numbers["rank/column_cosine"].isnan()  # one column has no pair


def test_means_are_over_layers_and_shares_of_the_full_rank():
    generator = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 3))
    with torch.no_grad():
        generator[1].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]))
    numbers = look(GAN(generator, MLPDiscriminator((3,), (4,)), latent_dim=1)).numbers
    assert numbers["rank/1/numerical"] == 1
    close(numbers["rank/effective_share"], (1 / 1 + 1 / 2) / 2, 1e-6)
    close(numbers["rank/column_cosine"], 1.0, 1e-6)  # of the one layer that has pairs


class Counter(nn.Module):
    """Writes into its buffer at each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images):
        self.calls.add_(1)
        return images


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_the_pass_that_finds_the_sizes_leaves_no_trace(seeds):
    generator = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Unflatten(1, (2, 2, 2)), Counter(), nn.ConvTranspose2d(2, 1, 4, 4)
    )
    gan = GAN(generator, DCGANDiscriminator((1, 8, 8), width=2), latent_dim=3, seeds=seeds)
    before, modes = state(gan), [module.training for module in gan.modules()]
    assert look(gan).notes == {"4/operator": "exact"}  # batch norm in training mode would refuse a batch of one
    assert_same(state(gan), before)
    assert [module.training for module in gan.modules()] == modes
    assert not any(module._forward_pre_hooks for module in gan.modules())
