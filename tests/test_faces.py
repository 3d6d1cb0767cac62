"""FaceJudge: MTCNN on a real face, and a small ONNX network in the place of ArcFace."""

import sys

import onnx
import onnx.helper as make
import pytest
import torch
from skimage import data as photographs
from torch.nn.functional import interpolate

from callbacks import SQDLogger
from lit_gans.cli import main
from lit_gans.judges import FaceJudge, Judgement, judged, onnx_embedder
from tests.toys import ring_gan, train


def photograph(pixels, size=64):
    """A photograph as the data are: `(3, size, size)`, in [-1, 1]."""
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    return interpolate(image, size=(size, size), mode="bilinear", antialias=True)[0]


FACE = photograph(photographs.astronaut()[0:200, 130:330])
NO_FACE = photograph(photographs.coffee()[100:300, 200:400])


def embedder(path, batch="n", size=8, channels=3):
    """An ONNX network of the mean colour: red, green, blue."""
    graph = make.make_graph(
        [make.make_node("GlobalAveragePool", ["x"], ["y"]), make.make_node("Flatten", ["y"], ["z"])],
        "colours",
        [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, channels, size, size])],
        [make.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [batch, channels])],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), path)
    return path


def colour(*values, size=8):
    return torch.tensor(values)[:, None, None].expand(3, size, size)


@pytest.fixture
def judge(tmp_path):
    """Knows a red, a green and a blue identity."""
    images = torch.stack([colour(1.0, 0, 0), colour(0.5, 0, 0), colour(0.0, 0.7, 0), colour(0.0, 0, 0.3)])
    FaceJudge.train(tmp_path / "deep" / "faces.pt", images, torch.tensor([0, 0, 1, 2]), embedder(tmp_path / "net.onnx"))
    return FaceJudge(tmp_path / "deep" / "faces.pt", tmp_path / "net.onnx")


def test_a_face_is_one_and_a_cup_is_none(judge):
    samples = torch.stack([FACE, NO_FACE, torch.full_like(FACE, torch.nan), torch.rand(3, 64, 64) * 2 - 1])
    found = judged(judge, samples, (4,))
    assert found.probability[0] > 0.99
    assert found.probability[1:].tolist() == [0, 0, 0]
    assert found.mode[2] == -1
    assert (found.mode[[0, 1, 3]] >= 0).all()


def test_seeds_and_batches_change_nothing(judge, tmp_path):
    samples = torch.stack([FACE, NO_FACE, NO_FACE.flip(0), FACE.flip(2), FACE * 0.9, NO_FACE])
    together = judge(samples)
    by_two = FaceJudge(tmp_path / "deep" / "faces.pt", tmp_path / "net.onnx", batch_size=2)
    for found in (by_two(samples), Judgement(*(each.flatten() for each in judge(samples.unflatten(0, (2, 3)))))):
        assert torch.allclose(found.probability, together.probability, atol=1e-4)
        assert torch.equal(found.mode, together.mode)
    assert judge(samples.unflatten(0, (2, 3))).mode.shape == (2, 3)


def test_the_mode_is_the_nearest_mean_embedding(judge):
    assert judge.n_modes == 3
    assert judge.identities == pytest.approx(torch.eye(3), abs=1e-6)
    samples = torch.stack(
        [colour(0.9, 0.1, 0.1, size=24), colour(0.1, 0.2, 0.9, size=24), colour(-1.0, 0.2, 0, size=24)]
    )
    assert judge(samples).mode.tolist() == [0, 2, 1]


def test_means_are_of_embeddings_of_length_one(tmp_path):
    images, network = torch.stack([colour(1.0, 0, 0), colour(0.0, 0.1, 0)]), embedder(tmp_path / "net.onnx")
    found = FaceJudge.train(tmp_path / "f.pt", images, torch.tensor([0, 0]), network)
    assert found == pytest.approx(torch.tensor([[0.5, 0.5, 0]]), abs=1e-6)


@pytest.mark.parametrize(("batch", "size"), [("n", 8), (1, 8), (2, 8), ("n", "side"), (4, 5)])
def test_a_network_of_a_fixed_batch_or_size_is_given_what_it_takes(batch, size, tmp_path):
    images = torch.stack([colour(0.6, 0.8, 0, size=20), colour(0.0, 0.1, 0, size=20), colour(-1.0, 0, 0, size=20)])
    found = onnx_embedder(embedder(tmp_path / "net.onnx", batch, size))(images)
    assert found == pytest.approx(torch.tensor([[0.6, 0.8, 0], [0, 1, 0], [-1, 0, 0]]), abs=1e-4)


def test_grey_images_are_judged_as_colour_ones(judge):
    grey = FACE.mean(0, keepdim=True)[None]
    assert judge(grey).probability == judge(grey.expand(-1, 3, -1, -1)).probability
    assert judge(grey).probability > 0.9


def test_the_command_writes_the_means(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lit-gans"])
    network = embedder(tmp_path / "net.onnx")
    main(["judge", "--data=DigitsDataModule", f"--file={tmp_path / 'd.pt'}", f"--embedder={network}"])
    assert "mean embeddings of 10 identities" in capsys.readouterr().out
    assert FaceJudge(tmp_path / "d.pt", network).n_modes == 10
    with pytest.raises(SystemExit, match=r"error: there is no ONNX file nowhere\.onnx; ArcFace comes in no package"):
        main(["judge", "--data=DigitsDataModule", f"--file={tmp_path / 'd.pt'}", "--embedder=nowhere.onnx"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: (at / "f.pt").unlink(), r"FaceJudge: there is no file .*f\.pt; make one by `lit-gans judge"),
        (lambda at: (at / "f.pt").write_text("x"), r"f\.pt holds no identities; write it by"),
        (lambda at: torch.save({"weights": []}, at / "f.pt"), r"f\.pt holds no identities; write it by"),
        (lambda at: (at / "net.onnx").unlink(), r"there is no ONNX file .*net\.onnx; ArcFace comes in no package"),
        (lambda at: (at / "net.onnx").write_text("x"), r"net\.onnx is no ONNX network"),
        (
            lambda at: embedder(at / "net.onnx", channels=1),
            r"must take images \(n, 3, H, W\), it takes \['n', 1",
        ),
    ],
)
def test_files_that_will_not_do_are_refused(spoil, message, tmp_path):
    torch.save({"identities": torch.eye(3)}, tmp_path / "f.pt")
    embedder(tmp_path / "net.onnx")
    FaceJudge(tmp_path / "f.pt", tmp_path / "net.onnx")
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        FaceJudge(tmp_path / "f.pt", tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("package", "message"), [("facenet_pytorch", "--no-deps facenet-pytorch"), ("onnxruntime", "onnxruntime")]
)
def test_a_package_that_is_not_there_is_named(package, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    torch.save({"identities": torch.eye(3)}, tmp_path / "f.pt")
    with pytest.raises(ValueError, match=rf"is not installed: pip install .*{message}"):
        FaceJudge(tmp_path / "f.pt", embedder(tmp_path / "net.onnx"))


def test_an_identity_without_an_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no image of identity 1$"):
        FaceJudge.train("f.pt", torch.zeros(2, 3, 8, 8), torch.tensor([0, 2]), embedder(tmp_path / "net.onnx"))


def test_data_that_are_no_images_are_refused_at_the_first_look(judge):
    with pytest.raises(ValueError, match=r"FaceJudge: judges images \(\.\.\., n, 1 or 3, H, W\), got samples of shape"):
        train(ring_gan(), 1, callbacks=[SQDLogger(judge=judge, n_samples=4)])
