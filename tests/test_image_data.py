"""Image data: the digits that come with scikit-learn, and MNIST's files, found, read and refused."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import DigitsDataModule, FashionMNISTDataModule, MNISTDataModule
from datamodules.idx import read_idx
from tests.idx_files import idx_bytes

Dataset = tuple[dict[str, Tensor], dict[str, Tensor]]  # images and labels of "train" and "t10k"


def test_digits() -> None:
    data = DigitsDataModule()
    sets = {split: data.labelled(split) for split in ("train", "test")}
    assert [len(labels) for _, labels in sets.values()] == [1501, 296]
    assert data.n_classes == 10
    for images, labels in sets.values():
        assert images.shape[1:] == data.sample_shape == (1, 8, 8)
        assert (images.min(), images.max()) == (-1, 1)
        assert len(((images + 1) * 8).unique()) == 17
        assert labels.dtype == torch.int64
        share = torch.bincount(labels, minlength=10) / len(labels)
        assert torch.all((share - 0.1).abs() < 0.005)
    from sklearn.datasets import load_digits

    everything = torch.from_numpy(load_digits().images).flatten(1) / 8 - 1
    ours = torch.cat([images for images, _ in sets.values()]).flatten(1)
    assert torch.equal(ours.double().unique(dim=0), everything.unique(dim=0))
    # Held-out batches are the test split, in order.
    assert torch.equal(torch.cat([x for x, _ in data.val_dataloader()]), sets["test"][0])


def test_max_samples_cuts_the_training_images_only() -> None:
    data = DigitsDataModule(max_samples=100, batch_size=10)
    seen = torch.cat([labels for _, labels in data.train_dataloader()])
    assert torch.equal(seen.bincount(minlength=10), data.labelled("train")[1][:100].bincount(minlength=10))
    assert len(data.labelled("train")[1]) == 1501


def write(folder: Path, name: str, content: bytes, zipped: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


@pytest.fixture
def dataset() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    sizes = {"train": 30, "t10k": 20}
    images = {key: torch.randint(256, (n, 28, 28), generator=generator) for key, n in sizes.items()}
    return images, {key: torch.arange(n) % 10 for key, n in sizes.items()}


def write_dataset(folder: Path, dataset: Dataset, zipped: bool) -> None:
    images, labels = dataset
    for key in images:
        write(folder, f"{key}-images-idx3-ubyte", idx_bytes(images[key]), zipped)
        write(folder, f"{key}-labels-idx1-ubyte", idx_bytes(labels[key]), zipped)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("place", ["", "{name}/raw"], ids=["flat", "torchvision"])
@pytest.mark.parametrize("kind", [MNISTDataModule, FashionMNISTDataModule])
def test_idx_files_are_found_and_read(tmp_path: Path, dataset: Dataset, zipped: bool, place: str, kind: Any) -> None:
    write_dataset(tmp_path / place.format(name=kind.torchvision_name), dataset, zipped)
    data = kind(data_dir=str(tmp_path), batch_size=10)
    data.prepare_data()
    data.setup("fit")
    for split, key in (("train", "train"), ("test", "t10k")):
        images, labels = data.labelled(split)
        assert torch.allclose(images[:, 0], dataset[0][key] / 127.5 - 1, atol=1e-6)
        assert torch.equal(labels, dataset[1][key])
    x, _ = next(iter(data.train_dataloader()))
    assert x.shape == (10, *data.sample_shape)
    assert x.dtype == torch.float32
    assert len(data.class_names) == data.n_classes == 10


def test_our_reader_agrees_with_torchvisions(tmp_path: Path, dataset: Dataset) -> None:
    from torchvision.datasets.mnist import read_image_file

    path = write(tmp_path, "train-images-idx3-ubyte", idx_bytes(dataset[0]["train"]), zipped=False)
    assert torch.equal(read_idx(path, 3), read_image_file(str(path)))


def test_a_system_folder_is_searched_last_and_stops_a_download(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "system", dataset, zipped=True)
    monkeypatch.setattr(FashionMNISTDataModule, "system_dirs", (tmp_path / "system",))
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", _no_download)
    data = FashionMNISTDataModule(data_dir=str(tmp_path / "none"), download=True)
    data.prepare_data()
    data.setup("fit")
    assert len(data.labelled("train")[1]) == 30
    assert data.folders()[-1] == tmp_path / "system"


def _no_download(*_: Any, **__: Any) -> None:
    raise RuntimeError("no network")


def test_download_fetches_by_torchvision_into_data_dir(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(root: str, download: bool) -> None:
        assert download
        write_dataset(tmp_path / "MNIST" / "raw", dataset, zipped=True)

    monkeypatch.setattr("torchvision.datasets.MNIST", fetch)
    MNISTDataModule(data_dir=str(tmp_path)).prepare_data()  # not asked to
    assert not (tmp_path / "MNIST").exists()
    data = MNISTDataModule(data_dir=str(tmp_path), download=True)
    data.prepare_data()
    data.setup("fit")


def test_a_failed_download_says_what_else_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST", _no_download)
    with pytest.raises(RuntimeError, match=r"(?s)MNIST cannot be fetched: no network.*--data\.data_dir"):
        MNISTDataModule(data_dir=str(tmp_path), download=True).prepare_data()


def test_missing_files_are_named_with_the_cures(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FashionMNISTDataModule, "system_dirs", (tmp_path / "system",))
    write(tmp_path, "train-images-idx3-ubyte", idx_bytes(dataset[0]["train"]), zipped=True)
    with pytest.raises(FileNotFoundError) as caught:
        FashionMNISTDataModule(data_dir=str(tmp_path)).setup("fit")
    message = str(caught.value)
    for folder in (tmp_path / "FashionMNIST" / "raw", tmp_path, tmp_path / "system"):
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            found = folder == tmp_path and name == "train-images-idx3"
            assert f"{folder / name}-ubyte ({'found' if found else 'missing'})" in message
    for cure in (
        "--data.download true",
        "apt-get install dataset-fashion-mnist",
        "python -c",
        "--data.data_dir",
    ):
        assert cure in message
    with pytest.raises(FileNotFoundError, match="MNIST") as caught:
        MNISTDataModule(data_dir=str(tmp_path)).setup("test")
    assert "apt-get" not in str(caught.value)


GOOD = idx_bytes(torch.arange(30))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:-1], "it states 30 = 30 bytes of data and holds 29"),
        (GOOD + b"x", "holds 31"),
        (GOOD[:7], "holds 7 bytes, fewer than the 8"),
        (b"", "holds 0 bytes"),
        (b"<html>" + GOOD, "starts with bytes 3c68746d, not 00000801"),
        (b"\x00\x00\x0d\x01" + GOOD[4:], "starts with bytes 00000d01"),
        (b"\x00\x00\x08\x03" + GOOD[4:], "starts with bytes 00000803"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str, zipped: bool) -> None:
    path = write(tmp_path, "labels", content, zipped)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [gzip.compress(GOOD)[:-12], b"no gzip", gzip.compress(GOOD)[:12] + b"\xff" * 30])
def test_damaged_gzip_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be unzipped") as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("train-labels-idx1-ubyte", torch.arange(29) % 10, "30 images and .* 29 labels"),
        ("train-labels-idx1-ubyte", torch.arange(30) % 11, "holds label 10; labels run from 0 to 9"),
        ("train-images-idx3-ubyte", torch.zeros(30, 14, 56), r"size \(14, 56\), not \(28, 28\)"),
    ],
)
def test_files_must_belong_together(tmp_path: Path, dataset: Dataset, name: str, values: Tensor, message: str) -> None:
    write_dataset(tmp_path, dataset, zipped=False)
    write(tmp_path, name, idx_bytes(values.int()), zipped=False)
    with pytest.raises(ValueError, match=message):
        MNISTDataModule(data_dir=str(tmp_path)).setup("fit")
