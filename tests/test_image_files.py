"""Images from files: any folder, CIFAR-10 and CelebA as they lie on disk, and what is wrong with them by name."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from callbacks import SampleGrid
from datamodules import CelebADataModule, CIFAR10DataModule, ImageFolderDataModule
from lit_gans import GAN
from lit_gans.networks import DCGANDiscriminator, DCGANGenerator
from tests.image_sets import PEOPLE, python2_pickle, write_celeba, write_cifar10, write_folder
from tests.toys import Notes, state, train

# ------------------------------------------------------------------------------------------------------ any folder


@pytest.fixture
def flat(tmp_path):
    return write_folder(tmp_path / "flat", [f"{i}.png" for i in range(10)])


def test_every_image_below_is_found_once_and_a_share_is_held_out(tmp_path):
    names = ["a.png", "b.JPG", "deep/er/c.jpeg", "d.webp", "e.BMP", "deep/f.PNG"]
    root = write_folder(tmp_path / "images", names)
    (root / "notes.txt").write_text("no image")
    (root / "._a.png").write_text("what a Mac leaves behind")
    data = ImageFolderDataModule(str(root), held_out=0.3, image_size=8)
    train_files, held_out = (data.files(split) for split in ("train", "test"))
    assert sorted([*train_files.paths, *held_out.paths]) == sorted(root / name for name in names)
    assert len(held_out.paths) == 2
    assert train_files.labels is held_out.labels is None  # some lie in no subfolder
    again = ImageFolderDataModule(str(root), held_out=0.3, image_size=8)
    assert again.files("test") == held_out


def test_the_middle_square_of_the_resized_image_is_taken(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = [255, 0, 51]  # the middle third
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").parent.mkdir(exist_ok=True)
        Image.fromarray(wide).save(tmp_path / f"{name}.png")
    (image,) = ImageFolderDataModule(str(tmp_path), image_size=10).train_source().take(torch.tensor([0]))
    assert image.shape == (3, 10, 10)
    expected = torch.tensor([1.0, -1.0, 2 * 51 / 255 - 1])[:, None, None].expand(3, 10, 8)
    torch.testing.assert_close(image[..., 1:-1], expected)
    grey = ImageFolderDataModule(str(tmp_path), image_size=10, channels=1)
    assert grey.sample_shape == grey.train_source().first(1)[0].shape == (1, 10, 10)


def test_shrinking_averages_and_does_not_pick(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[::2] = 255
    for name in "ab":
        Image.fromarray(stripes).save(tmp_path / f"{name}.png")
    image = ImageFolderDataModule(str(tmp_path), image_size=8, channels=1).train_source().first(1)
    assert image.abs().max() < 0.1  # grey, 0, and neither white nor black


def test_a_photograph_is_turned_upright(tmp_path):
    upright = np.zeros((8, 8, 3), np.uint8)
    upright[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    for name in "ab":
        Image.fromarray(np.rot90(upright).copy()).save(tmp_path / f"{name}.png", exif=exif)
    image = ImageFolderDataModule(str(tmp_path), image_size=8).train_source().first(1)[0]
    torch.testing.assert_close(image, torch.from_numpy(upright).permute(2, 0, 1) / 127.5 - 1)


def test_subfolders_are_classes(tmp_path):
    names = [f"{kind}/{i}.png" for kind in ("cat", "ant", "bee") for i in range(4)]
    data = ImageFolderDataModule(str(write_folder(tmp_path, names)), image_size=8, held_out=0.25, batch_size=4)
    for split in ("train", "test"):
        files = data.found(split)
        assert [data.class_names[label] for label in files.labels] == [path.parent.name for path in files.paths]
    assert data.class_names == ("ant", "bee", "cat")
    assert data.n_classes == 3
    images, labels = data.labelled("train")
    assert images.shape == (9, 3, 8, 8)
    assert images.min() >= -1
    assert labels.dtype == torch.int64
    assert [len(each) for each in next(iter(data.train_dataloader()))] == [4, 4]


def test_images_in_memory_are_those_from_files(flat):
    from_files, in_memory = (ImageFolderDataModule(str(flat), image_size=12, in_memory=m) for m in (False, True))
    assert torch.equal(from_files.reals(5), in_memory.reals(5))
    some = torch.tensor([3, 1, 3])
    assert torch.equal(from_files.train_source().take(some), in_memory.train_source().take(some))
    assert in_memory.train_source().samples.dtype == torch.uint8


def test_without_classes_a_judge_has_nothing_to_learn(flat):
    with pytest.raises(ValueError, match=r"no labels.*subfolder of its own"):
        ImageFolderDataModule(str(flat), image_size=8).labelled("train")


def damaged(path, how):
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "text": b"<html>not found</html>", "empty": b""}[how])


@pytest.mark.parametrize("how", ["cut", "text", "empty"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_one_broken_image_among_good_ones_is_named_before_the_run(suffix, how, tmp_path):
    names = [f"good_{i}{suffix}" for i in range(6)] + [f"broken{suffix}"]
    root = write_folder(tmp_path / "images", names, (64, 64))
    damaged(root / f"broken{suffix}", how)
    gan = conv_gan((3, 8, 8))
    before = state(gan)
    with pytest.raises(ValueError, match=rf"broken{suffix} is no image that can be read.*repair or remove it"):
        train(gan, 1, ImageFolderDataModule(str(root), image_size=8, batch_size=2))
    assert all(torch.equal(value, before[name]) for name, value in state(gan).items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1, not 0"),
        ({"channels": 4}, r"channels must be 3 \(colour\) or 1 \(grey\), not 4"),
        ({"held_out": 1.0}, "must lie between 0 and 1, not 1.0"),
        ({"on_device": True}, "set in_memory to true"),
        ({"num_workers": -1}, "num_workers must be at least 0, not -1"),
        (
            {"in_memory": True, "on_device": True, "num_workers": 2},
            "num_workers=2 and pin_memory=False are for batches",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_asked_for(settings, message):
    with pytest.raises(ValueError, match=message):
        ImageFolderDataModule("folder", **settings)


@pytest.mark.parametrize(
    ("names", "message"),
    [([], r"holds 0 images.*\.bmp, \.jpeg, \.jpg, \.png, \.webp"), (["a.png"], "holds 1 images, and at least two")],
)
def test_a_folder_without_images_is_named(names, message, tmp_path):
    root = write_folder(tmp_path / "images", names)
    root.mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=message):
        ImageFolderDataModule(str(root)).setup("fit")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere; name one.*--data.folder"):
        ImageFolderDataModule(str(tmp_path / "nowhere")).setup("fit")


def test_a_size_that_does_not_fit_the_networks_is_refused(flat):
    with pytest.raises(ValueError, match=r"generator makes samples of shape \(3, 8, 8\), the data's are \(3, 12, 12\)"):
        train(conv_gan((3, 8, 8)), 1, ImageFolderDataModule(str(flat), image_size=12, batch_size=4))


# -------------------------------------------------------------------------------------------------------- CIFAR-10


@pytest.mark.parametrize("binary", [False, True])
def test_cifar10_is_read_as_it_lies_on_disk(binary, tmp_path):
    images, labels = write_cifar10(tmp_path, binary=binary)
    data = CIFAR10DataModule(str(tmp_path))
    for split, chosen in (("train", slice(0, 100)), ("test", slice(100, 120))):
        seen, classes = data.labelled(split)
        torch.testing.assert_close(seen, images[chosen] / 127.5 - 1)
        assert torch.equal(classes, labels[chosen])
    assert data.sample_shape == (3, 32, 32)
    assert data.class_names[6] == "frog"


def test_cifar10_is_read_as_torchvision_reads_it(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    write_cifar10(tmp_path)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(python2_pickle({b"label_names": [b"x"] * 10}))
    theirs = CIFAR10(str(tmp_path), train=False)
    images, labels = CIFAR10DataModule(str(tmp_path)).read("test")
    assert torch.equal(images.permute(0, 2, 3, 1), torch.from_numpy(theirs.data))
    assert labels.tolist() == theirs.targets


class Harmful:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"<html>", "cannot be read"),
        (python2_pickle({b"data": np.zeros((2, 3072), np.uint8)}), "labels"),
        (python2_pickle({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), "no bytes of 1 images"),
        (python2_pickle({b"data": np.zeros((1, 3072)), b"labels": [1]}), "no bytes of 1 images"),
        (python2_pickle({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}), "labels run from 0 to 9.*10"),
        (pickle.dumps({b"data": Harmful()}), "builtins.print, which no array needs"),
        (pickle.dumps(Path("x")), "pathlib.*, which no array needs"),
    ],
)
def test_a_damaged_or_harmful_file_is_named_and_runs_nothing(content, message, tmp_path, capsys):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(ValueError, match=rf"data_batch_3 is damaged.*{message}.*fetch it again"):
        CIFAR10DataModule(str(tmp_path)).setup("fit")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"abc", bytes([10]) + bytes(3072)])
def test_a_damaged_binary_file_is_named(content, tmp_path):
    write_cifar10(tmp_path, binary=True)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"test_batch\.bin is damaged"):
        CIFAR10DataModule(str(tmp_path)).setup("test")


def test_missing_files_of_cifar10_are_named_with_the_cures(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError) as error:
        CIFAR10DataModule(str(tmp_path)).setup("fit")
    text = str(error.value)
    assert "data_batch_4 (missing)" in text
    assert "data_batch_3 (found)" in text
    assert "data_batch_4.bin (missing)" in text
    assert "--data.download true" in text


# ---------------------------------------------------------------------------------------------------------- CelebA


def test_celeba_is_read_with_its_identities(tmp_path):
    names, parts = write_celeba(tmp_path)
    data = CelebADataModule(str(tmp_path), image_size=16)
    for split, part in (("train", 0), ("validate", 1), ("test", 2)):
        files = data.found(split)
        assert [path.name for path in files.paths] == [n for n, p in zip(names, parts, strict=True) if p == part]
        people = [person for person, p in zip(PEOPLE, parts, strict=True) if p == part]
        assert [int(data.class_names[label]) for label in files.labels] == people
    assert data.class_names == ("5", "17", "2880", "9000")
    assert len(data.held_out_source("validate")) == parts.count(1) != len(data.held_out_source("test"))
    images, _ = data.train_source().take(torch.arange(2))
    assert images.shape == (2, 3, 16, 16)


def test_celebas_square_is_the_middle_of_the_face(tmp_path):
    write_celeba(tmp_path)
    whole = torch.from_numpy(np.asarray(Image.open(tmp_path / "celeba/img_align_celeba/000001.jpg")).copy())
    image = CelebADataModule(str(tmp_path), image_size=178).train_source().first(1)[0]
    torch.testing.assert_close(image, whole[20:198].permute(2, 0, 1) / 127.5 - 1)


@pytest.mark.parametrize("name", ["identity_CelebA.txt", "list_eval_partition.txt", "img_align_celeba"])
def test_what_is_missing_of_celeba_is_named(name, tmp_path):
    write_celeba(tmp_path)
    path = tmp_path / "celeba" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"(?s)CelebA was not found.*{name} \(missing\).*Do one of these"):
        CelebADataModule(str(tmp_path)).setup("fit")


def test_a_face_that_the_lists_name_must_be_there(tmp_path):
    write_celeba(tmp_path)
    (tmp_path / "celeba/img_align_celeba/000003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000003.jpg is missing, one of 1 images of the train split"):
        CelebADataModule(str(tmp_path)).setup("fit")


@pytest.mark.parametrize(
    ("line", "message"),
    [("000012.jpg", "line 12: expected an image's name and a number"), ("000013.jpg 4", "must name the same images")],
)
def test_lists_of_another_form_are_refused(line, message, tmp_path):
    write_celeba(tmp_path)
    path = tmp_path / "celeba" / "identity_CelebA.txt"
    path.write_text("\n".join([*path.read_text().splitlines()[:11], line]))
    with pytest.raises(ValueError, match=message):
        CelebADataModule(str(tmp_path)).setup("fit")


@pytest.mark.parametrize("kind", [CIFAR10DataModule, CelebADataModule])
def test_a_download_is_torchvisions(kind, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        f"torchvision.datasets.{kind.torchvision_name}", lambda root, download: asked.append((root, download))
    )
    kind(str(tmp_path)).prepare_data()
    assert asked == []
    kind(str(tmp_path), download=True).prepare_data()
    assert asked == [(str(tmp_path), True)]
    {CIFAR10DataModule: write_cifar10, CelebADataModule: write_celeba}[kind](tmp_path)
    kind(str(tmp_path), download=True).prepare_data()
    assert len(asked) == 1


# ------------------------------------------------------------------------------------------------------------ games


def conv_gan(shape, **settings):
    return GAN(DCGANGenerator(4, shape, width=4), DCGANDiscriminator(shape, width=4), latent_dim=4, **settings)


@pytest.mark.parametrize("name", ["cifar10", "celeba", "folder", "memory", "device"])
def test_a_game_is_played_on_each(name, tmp_path):
    how = {"batch_size": 2, "num_workers": 0 if name == "device" else 2}
    if name == "cifar10":
        write_cifar10(tmp_path, n=4)
        data, shape = CIFAR10DataModule(str(tmp_path), **how), (3, 32, 32)
    elif name == "celeba":
        write_celeba(tmp_path)
        data, shape = CelebADataModule(str(tmp_path), image_size=16, **how), (3, 16, 16)
    else:
        root = write_folder(tmp_path / "images", [f"{kind}/{i}.png" for kind in "ab" for i in range(6)])
        how |= {"in_memory": name != "folder", "on_device": name == "device"}
        data, shape = ImageFolderDataModule(str(root), image_size=8, channels=1, **how), (1, 8, 8)
    pl.seed_everything(0, verbose=False)
    gan = conv_gan(shape, seeds=[1, 2], n_critic=2)
    before = state(gan)
    train(gan, 5, data, limit_val_batches=1)
    assert all(value.isfinite().all() for value in state(gan).values())
    assert any(not torch.equal(value, before[key]) for key, value in state(gan).items())
    assert gan.sample(2).shape == (2, 2, *shape)


def test_dcgan_plays_a_few_hundred_iterations_on_colour(tmp_path):
    """Patches of a photograph, 32 x 32; of a quarter of the width, the full one is `--model.generator.width 64`."""
    astronaut = Image.fromarray(pytest.importorskip("skimage.data").astronaut())
    (tmp_path / "patches").mkdir()
    for i in range(150):
        left, top = torch.randint(0, 512 - 96, (2,), generator=torch.Generator().manual_seed(i)).tolist()
        astronaut.crop((left, top, left + 96, top + 96)).save(tmp_path / "patches" / f"{i}.png")
    data = ImageFolderDataModule(str(tmp_path / "patches"), image_size=32, in_memory=True, batch_size=32)
    pl.seed_everything(0, verbose=False)
    gan = GAN(DCGANGenerator(16, (3, 32, 32), width=16), DCGANDiscriminator((3, 32, 32), width=16), latent_dim=16)
    grid, notes = SampleGrid(150, n_samples=16), Notes()
    train(gan, 300, data, callbacks=[grid], logger=notes, log_every_n_steps=1, default_root_dir=tmp_path, max_epochs=-1)
    losses = [notes.of(f"{player}/adversarial") for player in "dg"]
    assert all(len(of) == 300 and np.isfinite(list(of.values())).all() for of in losses)
    assert len(list(tmp_path.rglob("sample_grid/*.png"))) == 3
    fakes, reals = gan.sample(64, seed=0), data.reals(64)
    assert (fakes.mean((0, 2, 3)) - reals.mean((0, 2, 3))).abs().max() < 0.3  # the photograph's colours
    assert fakes.std(0).mean() > 0.1  # and not one image
