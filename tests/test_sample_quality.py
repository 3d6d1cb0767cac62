"""FID, KID and the inception score: against closed forms, and as a run logs them."""

import csv
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from callbacks import SampleQuality
from callbacks import sample_quality as module
from datamodules import DigitsDataModule, RingDataModule
from lit_gans.extractors import Features, InceptionExtractor, JudgeExtractor, extracted, fingerprint
from lit_gans.metrics import frechet_distance, inception_score, kernel_distance
from tests.toys import ring_gan, train

RNG = torch.Generator().manual_seed(7)


class Twice(nn.Module):
    """An extractor with a weight, dropout and, by choice, classes."""

    def __init__(self, factor=2.0, classes=False):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.drop = nn.Dropout(0.5)
        self.classes = classes
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        features = self.drop(x.flatten(1) * self.factor)
        return Features(features, features) if self.classes else features


def normal(n, mean, covariance):
    """Points whose own mean and covariance are exactly these."""
    x = torch.randn(n, len(mean), generator=RNG, dtype=torch.float64)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T
    return white @ torch.linalg.cholesky(covariance).T + mean


# -------------------------------------------------------------------------------------------------------- the measures


def test_fid_of_two_gaussians_is_the_closed_form():
    mean, other = torch.tensor([1.0, 2, 3]).double(), torch.tensor([0.5, -1, 3]).double()
    a = torch.tensor([[2.0, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 0.7]]).double()
    b = torch.tensor([[1.0, -0.3, 0.1], [-0.3, 3, 0], [0.1, 0, 0.4]]).double()  # does not commute with a
    root = scipy.linalg.sqrtm(a.numpy() @ b.numpy()).real
    expected = (mean - other).square().sum().item() + np.trace(a.numpy() + b.numpy() - 2 * root)
    assert frechet_distance(normal(500, mean, a), normal(80, other, b)).item() == pytest.approx(expected, rel=1e-9)


def test_fid_of_a_set_and_itself_is_zero_and_of_a_shift_its_square():
    x = normal(200, torch.zeros(3).double(), torch.eye(3).double())
    assert frechet_distance(x, x).item() == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x + torch.tensor([3.0, 4, 0])).item() == pytest.approx(25, rel=1e-6)


def test_kid_is_the_unbiased_discrepancy_by_double_loop():
    x, y = (torch.randn(12, 4, generator=RNG, dtype=torch.float64) + shift for shift in (0.0, 0.4))

    def kernel(a, b):
        return (float(a @ b) / 4 + 1) ** 3

    within = sum(kernel(a[i], a[j]) for a in (x, y) for i in range(12) for j in range(12) if i != j) / (12 * 11)
    across = sum(kernel(a, b) for a in x for b in y) / 144
    assert kernel_distance(x, y, subset_size=12).item() == pytest.approx(within - 2 * across, rel=1e-9)


def test_the_inception_score_of_sure_samples_is_the_number_of_classes_and_of_unsure_ones_one():
    sure = 200.0 * torch.eye(5)[torch.arange(1000) % 5]  # in float32 torchmetrics makes NaN of such
    assert inception_score(sure).item() == pytest.approx(5, rel=0.02)  # its random parts are not quite even
    assert inception_score(sure[::5]).item() == pytest.approx(1, abs=1e-9)
    assert inception_score(torch.zeros(100, 5)).item() == pytest.approx(1, abs=1e-9)
    far = torch.full((1000, 5), -2000.0)
    far[:, 0] = 0
    assert inception_score(far).item() == pytest.approx(1, abs=1e-9)


def test_what_is_not_finite_has_no_distance_and_no_score():
    x = torch.randn(20, 3, generator=RNG)
    broken = x.clone()
    broken[3, 1] = math.nan
    assert frechet_distance(x, broken).isnan()
    assert kernel_distance(x, broken, subset_size=5).isnan()
    assert inception_score(broken).isnan()


def test_measures_leave_the_random_state_alone_and_repeat():
    x, y = torch.randn(30, 3, generator=RNG), torch.randn(30, 3, generator=RNG)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = [kernel_distance(x, y, 10, seed=1), inception_score(x, seed=1)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert [kernel_distance(x, y, 10, seed=1), inception_score(x, seed=1)] == first
    assert kernel_distance(x, y, 10, seed=2) != first[0]


# ---------------------------------------------------------------------------------------------------------- extractors


def test_an_extractor_is_in_eval_mode_whatever_was_done_to_it():
    extractor, x = Twice().train(), torch.randn(7, 2, generator=RNG)
    assert torch.equal(extracted(extractor, x, batch_size=3).features, 2 * x)
    assert not extracted(extractor, x, batch_size=3).features.requires_grad
    assert extractor.seen == 14


def test_an_image_that_is_not_finite_has_no_features_whatever_the_extractor_makes_of_it():
    class Forgiving(nn.Module):
        def forward(self, x):
            return Features(x.nan_to_num(), x.nan_to_num() + 1)

    found = extracted(Forgiving(), torch.tensor([[1.0, 2.0], [torch.nan, 0.0], [3.0, torch.inf]]), 2)
    assert torch.equal(found.features[0], torch.tensor([1.0, 2.0]))
    assert found.features[1:].isnan().all()
    assert found.logits[1:].isnan().all()


def test_other_data_are_looked_at_anew():
    probe, found = quality(extractor=nn.Flatten(), n_samples=100, n_reals=100), []
    for data in (RingDataModule(batch_size=32), RingDataModule(batch_size=32, radius=3.0)):
        train(ring_gan(), 1, data=data, callbacks=[probe])
        found.append(probe._reals)
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x[..., None], r"features must be of shape \(n, d\).*got \(4, 2, 1\) for 4 images"),
        (lambda x: x[:2], r"got \(2, 2\) for 4 images"),
        (lambda x: Features(x, x[:, 0]), r"logits must be of shape.*got \(4,\)"),
    ],
)
def test_an_extractor_that_returns_something_else_is_refused(answer, message):
    class Wrong(nn.Module):
        def forward(self, x):
            return answer(x)

    with pytest.raises(ValueError, match=message):
        extracted(Wrong(), torch.zeros(4, 2), 10)


def test_a_fingerprint_changes_with_weights_architecture_class_and_images():
    class Other(Twice):
        pass

    x = torch.zeros(4, 2)
    kinds = [Twice(), Twice(2.5), Other(), nn.Sequential(Twice(), nn.ReLU()), nn.Sequential(Twice(), nn.LeakyReLU(0.1))]
    prints = [fingerprint(each, x) for each in kinds]
    prints += [fingerprint(kinds[0], x + 1e-6), fingerprint(kinds[0], torch.zeros(2, 4)), fingerprint(kinds[0], x[:3])]
    assert len(set(prints)) == len(prints)
    assert fingerprint(Twice(), torch.zeros(4, 2)) == prints[0]


def test_the_judge_as_extractor_has_the_judges_classes(digits_judge):
    judge, file = digits_judge
    images = DigitsDataModule().labelled("test")[0]
    found = JudgeExtractor(file)(images)
    assert found.features.shape == (len(images), 256)
    assert torch.equal(found.logits.argmax(1), judge(images).mode)
    with pytest.raises(ValueError, match=r"knows images of shape \(1, 8, 8\), got \(3, 8, 8\)"):
        JudgeExtractor(file)(torch.zeros(2, 3, 8, 8))


@pytest.fixture
def inception(tmp_path, monkeypatch):
    """The network with random weights, which come from a file."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    file = tmp_path / "inception.pt"
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        torch.save(FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict(), file)
    return file


def test_the_inception_network_sees_eight_bits_of_grey_or_colour(inception):
    extractor = InceptionExtractor(inception)
    grey = torch.rand(2, 1, 8, 8, generator=RNG) * 2 - 1
    found = extractor(grey)
    assert found.features.shape == (2, 2048)
    assert found.logits.shape == (2, 1008)
    assert torch.equal(extractor(grey.expand(-1, 3, -1, -1)).features, found.features)
    assert torch.equal(extractor(((grey + 1) * 127.5).round() / 127.5 - 1).features, found.features)
    bytes_of = ((grey + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1)
    assert torch.equal(extractor.inception(bytes_of)[0], found.features)
    with pytest.raises(ValueError, match=r"looks at images \(n, 1 or 3, H, W\), got samples of shape \(2,\)"):
        extractor(torch.zeros(4, 2))


def test_inception_weights_that_are_not_there_or_not_only_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"InceptionExtractor: there is no file of weights nowhere\.pt"):
        InceptionExtractor("nowhere.pt")
    torch.save({"code": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(ValueError, match=r"code\.pt is no file of weights alone"):
        InceptionExtractor(tmp_path / "code.pt")


def test_without_torch_fidelity_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ValueError, match=r"torch-fidelity.*is not installed; run: pip install torch-fidelity"):
        InceptionExtractor()


# ---------------------------------------------------------------------------------------------------------- in the run


def quality(**settings):
    return SampleQuality(
        **{"every_n_iterations": 2, "n_samples": 300, "n_reals": 400, "subset_size": 100, "cache": "cache", **settings}
    )


def rows(path="sample_quality.csv"):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_logs_what_its_samples_are_worth_seed_by_seed():
    gan, extractor = ring_gan(seeds=[3, 5]), Twice(classes=True)
    probe = quality(extractor=extractor)
    trainer = train(gan, 3, callbacks=[probe])
    assert [int(row["iteration"]) for row in rows()] == [0, 2, 3]
    reals = 2 * trainer.datamodule.reals(400)
    for i, seed in enumerate(gan.seeds):
        fakes = 2 * gan.sample(300, 0)[i]
        last = {key: float(rows()[-1][f"quality/{key}/seed_{seed}"]) for key in ("fid", "kid", "inception_score")}
        assert last["fid"] == pytest.approx(frechet_distance(reals, fakes).item(), rel=1e-6)
        assert last["kid"] == pytest.approx(kernel_distance(reals, fakes, 100).item(), rel=1e-6)
        assert last["inception_score"] == pytest.approx(inception_score(fakes).item(), rel=1e-6)
    assert float(rows()[-1]["quality/fid"]) == pytest.approx(trainer.callback_metrics["quality/fid"].item())
    assert Path("sample_quality").is_dir()


def test_reals_are_looked_at_once_for_a_data_set_and_an_extractor():
    seen = []
    for factor in (2.0, 2.0, 3.0):
        extractor = Twice(factor)
        train(ring_gan(), 1, callbacks=[quality(extractor=extractor)])
        seen.append(extractor.seen)
    assert seen == [400 + 600, 600, 400 + 600]  # two looks of 300 samples each
    assert len(list(Path("cache").iterdir())) == 2
    assert not [row for row in rows() if "inception_score" in row]


def test_the_extractors_weights_are_in_no_checkpoint_and_it_learns_nothing():
    extractor = Twice()
    trainer = train(ring_gan(), 2, callbacks=[quality(extractor=extractor)])
    trainer.save_checkpoint("some.ckpt")
    assert "factor" not in str(torch.load("some.ckpt"))
    assert extractor.factor == 2
    assert extractor.factor.grad is None


def test_watching_changes_no_bit_of_the_game():
    games = []
    for callbacks in ([], [quality(extractor=Twice())]):
        torch.manual_seed(4)
        games.append(ring_gan(seeds=[0]))
        train(games[-1], 4, callbacks=callbacks)
    assert all(map(torch.equal, games[0].state_dict().values(), games[1].state_dict().values()))


def test_by_default_it_is_inception(monkeypatch):
    made = []
    monkeypatch.setattr(module, "InceptionExtractor", lambda: made.append(Twice()) or made[-1])
    train(ring_gan(), 1, callbacks=[quality()])
    assert made[0].seen == 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_samples": 99}, r"n_samples must be at least 100 \(subset_size\), got 99"),
        ({"n_reals": 99}, r"n_reals must be at least 100 \(subset_size\), got 99"),
        ({"subset_size": 1}, "subset_size must be at least 2, got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"every_n_iterations": 0}, "every_n_iterations must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        quality(**settings)


def test_too_few_real_samples_are_refused_before_training():
    probe = quality(n_reals=9999, n_samples=5000, subset_size=5000)
    with pytest.raises(ValueError, match=r"there are \d+ real samples, fewer than subset_size=5000; lower it"):
        train(ring_gan(), 1, data=DigitsDataModule(), callbacks=[probe])
