"""ClassifierJudge: its negatives, its file, its verdicts, and the command that trains it."""

import math
import re

import pytest
import torch

from callbacks import SQDLogger
from datamodules import DigitsDataModule
from lit_gans import GAN
from lit_gans.cli import main
from lit_gans.judges import ClassifierJudge, negatives
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.toys import Notes, train

COLOURS = torch.rand(40, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.arange(40) % 4


# ---------------------------------------------------------------------------------------------------------- negatives


def test_negatives_are_what_they_are_called():
    made = negatives(COLOURS, LABELS, 300, "china.jpg", seed=0)
    assert {kind: tuple(each.shape) for kind, each in made.items()} == dict.fromkeys(
        ("noise", "shuffled", "blends", "patches"), (300, 3, 6, 8)
    )
    for each in made.values():
        assert each.min() >= -1
        assert each.max() <= 1
        assert len(each.unique(dim=0)) > 200
    noise = made["noise"]
    assert noise.mean().item() == pytest.approx(0, abs=4 / math.sqrt(3 * noise.numel()))
    assert noise.square().mean().item() == pytest.approx(1 / 3, abs=0.01)


def test_shuffled_pixels_are_those_of_an_image():
    def colours(image):  # of each pixel, all channels together
        return sorted(image.flatten(1).T.tolist())

    originals = [colours(image) for image in COLOURS]
    for image in negatives(COLOURS, LABELS, 20, "china.jpg", seed=0)["shuffled"]:
        assert colours(image) in originals
        assert not (image == COLOURS).flatten(1).all(1).any()


def test_a_blend_is_the_mean_of_two_classes():
    blends = negatives(COLOURS, LABELS, 50, "china.jpg", seed=0)["blends"]
    pairs = (COLOURS[:, None] + COLOURS[None]) / 2
    for blend in blends:
        first, second = (pairs == blend).flatten(2).all(-1).nonzero()[0].tolist()
        assert LABELS[first] != LABELS[second]


def test_patches_are_of_the_photograph_and_follow_the_seed():
    def patches(photo, seed, images=COLOURS):
        return negatives(images, LABELS, 10, photo, seed)["patches"]

    assert torch.equal(patches("china.jpg", 1), patches("china.jpg", 1))
    assert not torch.equal(patches("china.jpg", 1), patches("china.jpg", 2))
    assert not torch.equal(patches("china.jpg", 1), patches("flower.jpg", 1))
    grey = patches("china.jpg", 1, COLOURS[:, :1])
    torch.testing.assert_close(grey[:, 0], patches("china.jpg", 1).mean(1), rtol=0, atol=1e-5)


def test_what_has_no_negatives_is_refused():
    with pytest.raises(ValueError, match=r"images \(N, C, H, W\), got .*shape \(40, 144\)"):
        negatives(COLOURS.flatten(1), LABELS, 5, "china.jpg", 0)
    with pytest.raises(ValueError, match="at least two classes, got one"):
        negatives(COLOURS, torch.zeros(40), 5, "china.jpg", 0)


# ----------------------------------------------------------------------------------------------------------- the judge


def test_it_tells_digits_and_what_is_none(digits_judge):
    judge, _ = digits_judge
    images, labels = DigitsDataModule().labelled("test")
    judged = judge(images)
    assert judge.n_modes == 10
    assert (judged.mode == labels).double().mean().item() == judge.accuracy["classes"] > 0.95
    assert (judged.probability > 0.5).double().mean().item() == judge.accuracy["images"] > 0.95
    assert min(judge.accuracy[kind] for kind in ("noise", "shuffled", "patches")) > 0.95
    assert judge.accuracy["blends"] > 0.8
    assert judged.probability.min() >= 0
    assert judged.probability.max() <= 1


def test_its_file_is_the_perceptron_that_was_trained(digits_judge, monkeypatch, tmp_path):
    from sklearn.neural_network import MLPClassifier

    judge, file = digits_judge
    fitted = []
    fit = MLPClassifier.fit
    monkeypatch.setattr(MLPClassifier, "fit", lambda self, *args: fitted.append(fit(self, *args)) or fitted[-1])
    data = DigitsDataModule()
    again = ClassifierJudge.train(tmp_path / "again.pt", data.labelled("train"), data.labelled("test"), 500, seed=3)
    images, _ = data.labelled("test")
    expected = torch.from_numpy(fitted[0].predict_proba(images.flatten(1).numpy()))
    judged = again(images)
    torch.testing.assert_close(judged.probability.double(), 1 - expected[:, 10].double(), rtol=0, atol=1e-5)
    assert torch.equal(judged.mode, expected[:, :10].argmax(1))
    assert not torch.equal(judged.probability, judge(images).probability)
    reread = ClassifierJudge(file)
    assert torch.equal(reread(images).probability, judge(images).probability)
    assert reread.accuracy == judge.accuracy


def test_it_knows_seeds_and_what_is_not_finite(digits_judge):
    judge, _ = digits_judge
    images = DigitsDataModule().labelled("test")[0][:12]
    stacked, flat = judge(images.reshape(3, 4, 1, 8, 8)), judge(images)
    torch.testing.assert_close(stacked.probability.flatten(), flat.probability)
    assert stacked.mode.flatten().tolist() == flat.mode.tolist()
    images[5, 0, 2, 2] = math.nan
    spoilt = judge(images)
    assert spoilt.mode.tolist() == [-1 if i == 5 else mode for i, mode in enumerate(flat.mode.tolist())]
    assert spoilt.probability[5] == 0


def test_other_images_and_files_are_refused(digits_judge, tmp_path):
    judge, _ = digits_judge
    with pytest.raises(ValueError, match=r"n, 1, 8, 8\), got samples of shape \(5, 1, 28, 28\); train a judge"):
        judge(torch.zeros(5, 1, 28, 28))
    with pytest.raises(ValueError, match=r"there is no file .*nowhere\.pt; make one by `lit-gans judge"):
        ClassifierJudge(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("no judge")
    with pytest.raises(ValueError, match=r"text\.pt holds no judge"):
        ClassifierJudge(tmp_path / "text.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt holds no judge"):
        ClassifierJudge(tmp_path / "other.pt")


def test_sqd_of_digits_is_what_the_judge_says(digits_judge):
    judge, file = digits_judge
    gan = GAN(MLPGenerator(4, (1, 8, 8), (8,)), MLPDiscriminator((1, 8, 8), (8,)), 4, seeds=[1, 2])
    notes = Notes()
    probe = SQDLogger(1, judge=ClassifierJudge(file), n_samples=100)
    train(gan, 1, DigitsDataModule(batch_size=8), [probe], logger=notes, log_every_n_steps=0)
    expected = judge(gan.sample(100, 0)).probability.mean(-1)
    for i, seed in enumerate((1, 2)):
        assert notes.of(f"sqd/quality/seed_{seed}")[1] == pytest.approx(expected[i].item(), rel=1e-5)
    assert notes.of("sqd/diversity_max")[1] == pytest.approx(math.log(10))


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command_trains_writes_and_reports(tmp_path, capsys):
    main(["judge", "--data", "DigitsDataModule", "--file", str(tmp_path / "j.pt"), "--n_train", "400", "--seed", "2"])
    printed = capsys.readouterr().out
    accuracy = ClassifierJudge(tmp_path / "j.pt").accuracy
    assert f"{accuracy['classes']:7.1%}  test images of which it tells the class" in printed
    assert f"{accuracy['blends']:7.1%}  blends of two classes" in printed
    assert f"judge of 10 classes: {tmp_path / 'j.pt'}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "RingDataModule", "--file", "j.pt"], "learns from labelled images .*RingDataModule has none"),
        (["--data", "DigitsDataModule"], "required: file"),
        (["--data", "DigitsDataModule", "--file", "j.pt", "--n_train", "3"], "of 10 classes needs images of each, and"),
        (
            ["--data", "DigitsDataModule", "--file", "j.pt", "--n_train", "1"],
            "n_train must be at least 2",
        ),
    ],
)
def test_the_command_refuses_what_cannot_be(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["judge", *arguments])
    told = str(stop.value.code) + capsys.readouterr().err
    assert re.search(message, told), told
    assert not list(tmp_path.iterdir())
