"""Stacked MNIST: its images and labels, the judge of its thousand modes, and how many of them are counted."""

import math

import pytest
import torch

from callbacks import SQDLogger
from datamodules import MNISTDataModule, StackedMNISTDataModule
from lit_gans import GAN
from lit_gans.judges import ClassifierJudge, Judge, Judgement, StackedJudge
from lit_gans.metrics import counted_coverage, mode_counts
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.idx_files import write_mnist
from tests.toys import Notes, train


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mnist") / "files"
    write_mnist(folder, n_train=400, n_test=80)
    return str(folder)


@pytest.fixture(scope="module")
def judge(mnist, tmp_path_factory):
    digits = MNISTDataModule(mnist)
    file = tmp_path_factory.mktemp("judges") / "mnist.pt"
    return ClassifierJudge.train(file, digits.labelled("train"), digits.labelled("test"), 400, seed=0)


def digit_of_each_channel(images):
    """Without any classifier: the square of each digit has a place of its own."""
    squares = []
    for digit in range(10):
        row, column = divmod(digit, 4)
        squares.append(images[..., 8 * row + 2 : 8 * row + 8, 6 * column + 2 : 6 * column + 7].mean((-2, -1)))
    return torch.stack(squares, -1).argmax(-1)


@pytest.mark.parametrize(("split", "n"), [("train", 500), ("test", 80)])
def test_each_channel_is_a_digit_and_the_label_is_their_number(mnist, split, n):
    images, labels = StackedMNISTDataModule(mnist, n_images=500).labelled(split)
    assert images.shape == (n, 3, 28, 28)
    assert -1 <= images.min() < -0.9
    assert 0.9 < images.max() <= 1
    red, green, blue = digit_of_each_channel(images).unbind(-1)
    assert torch.equal(100 * red + 10 * green + blue, labels)
    of_mnist = MNISTDataModule(mnist).labelled(split)[0].flatten(1).tolist()
    assert all(image in of_mnist for image in images[:20].flatten(0, 1).flatten(1).tolist())


def test_the_triples_are_drawn_once_and_evenly(mnist):
    first, second = (StackedMNISTDataModule(mnist, n_images=20_000) for _ in range(2))
    labels = first.labelled("train")[1]
    assert torch.equal(labels, second.labelled("train")[1])
    counts = torch.bincount(labels, minlength=1000)
    assert len(counts) == 1000
    # χ² of 999 degrees of freedom: 999 ± 45, here within five deviations; MNIST's own classes are even in these files.
    assert ((counts - 20).square() / 20).sum().item() == pytest.approx(999, abs=5 * math.sqrt(2 * 999))


def test_a_thousand_names_and_bad_numbers():
    data = StackedMNISTDataModule()
    assert (data.n_classes, data.class_names[427], data.sample_shape) == (1000, "427", (3, 28, 28))
    with pytest.raises(ValueError, match="n_images must be at least 1, not 0"):
        StackedMNISTDataModule(n_images=0)


def test_where_mnist_is_missing_its_cures_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--data\.download true"):
        StackedMNISTDataModule(str(tmp_path)).setup("fit")


@pytest.mark.parametrize("axis", [(), (2,)])
def test_the_judge_reads_the_number_of_hand_made_samples(mnist, judge, axis):
    images, labels = StackedMNISTDataModule(mnist, n_images=60).labelled("train")
    chosen = torch.tensor([0, 1, 2, 0, 0, 3])  # with duplicates
    samples = images[chosen].expand(*axis, -1, -1, -1, -1).clone()
    found = StackedJudge(judge)(samples)
    assert torch.equal(found.mode, labels[chosen].expand(*axis, -1))
    one_by_one = judge(images[chosen].flatten(0, 1).unsqueeze(1)).probability.reshape(-1, 3).prod(-1)
    torch.testing.assert_close(found.probability, one_by_one.expand(*axis, -1), rtol=1e-5, atol=1e-7)
    counts = mode_counts(found.mode, 1000)
    assert counts.sum(-1).unique().tolist() == [6]
    assert counted_coverage(counts).modes.unique().tolist() == [len(set(labels[chosen].tolist()))]


def test_an_image_with_a_channel_that_is_no_number_has_no_mode(mnist, judge):
    images, labels = StackedMNISTDataModule(mnist, n_images=8).labelled("train")
    images[::2, 2, 0, 0] = math.nan
    found = StackedJudge(judge)(images)
    assert found.mode.tolist() == [-1 if i % 2 == 0 else label for i, label in enumerate(labels.tolist())]
    assert found.probability[::2].tolist() == [0.0] * 4


def test_coverage_by_hand():
    counts = torch.tensor([[4, 4, 4, 4], [16, 0, 0, 0], [8, 8, 0, 0], [12, 4, 0, 0], [0, 0, 0, 0]])
    found = counted_coverage(counts)
    assert found.modes.tolist() == [4, 1, 2, 2, 0]
    uneven = 0.75 * math.log(4 * 0.75) + 0.25 * math.log(4 * 0.25)
    torch.testing.assert_close(
        found.reverse_kl[:4], torch.tensor([0, math.log(4), math.log(2), uneven], dtype=torch.float64)
    )
    assert found.reverse_kl[4].isnan()


def test_luck_blurs_the_divergence_as_the_docstring_says():
    counts = torch.bincount(torch.randint(1000, (25_600,), generator=torch.Generator().manual_seed(0)), minlength=1000)
    assert counted_coverage(counts).reverse_kl.item() == pytest.approx(0.0195, abs=0.002)


def test_a_game_logs_how_many_modes_it_makes(mnist, judge, tmp_path):
    gan = GAN(MLPGenerator(8, (3, 28, 28), (16,)), MLPDiscriminator((3, 28, 28), (16,)), latent_dim=8, seeds=[0, 1])
    notes = Notes()
    data = StackedMNISTDataModule(mnist, n_images=200, batch_size=8)
    probe = SQDLogger(2, judge=StackedJudge(judge), n_samples=50)
    train(gan, 4, data=data, callbacks=[probe], logger=notes, default_root_dir=tmp_path)
    for seed in (0, 1):
        modes = notes.of(f"sqd/modes/seed_{seed}")
        assert sorted(modes) == [0, 2, 4]
        assert all(1 <= value <= 50 for value in modes.values())
        entropies, divergences = (notes.of(f"sqd/{key}/seed_{seed}") for key in ("diversity_plugin", "reverse_kl"))
        assert all(entropies[i] + divergences[i] == pytest.approx(math.log(1000)) for i in modes)


def test_what_it_cannot_judge_is_refused(judge):
    with pytest.raises(ValueError, match=r"images \(\.\.\., n, 3, H, W\), got samples of shape \(5, 1, 28, 28\)"):
        StackedJudge(judge)(torch.zeros(5, 1, 28, 28))
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        StackedJudge(judge, channels=0)

    class Modeless(Judge):
        def __call__(self, samples):
            raise AssertionError("nobody asks it")

    with pytest.raises(ValueError, match="Modeless must have n_modes"):
        StackedJudge(Modeless())


def test_any_number_of_channels_and_modes():
    class Brightness(Judge):
        n_modes = 2

        def __call__(self, samples):
            mean = samples.mean((-3, -2, -1))
            return Judgement(torch.full_like(mean, 0.5), (mean > 0).long())

    images = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])[..., None, None].expand(3, 2, 4, 4)
    found = StackedJudge(Brightness(), channels=2)(images)
    assert found.mode.tolist() == [0b10, 0b11, 0b01]
    assert found.probability.tolist() == [0.25] * 3
