"""Images from files under workers, and files that are unusual or damaged in ways of their own."""

import random
import threading

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from datamodules import CelebADataModule, CIFAR10DataModule, ImageFolderDataModule
from datamodules.cifar10 import _read_pickled
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.image_sets import PEOPLE, python2_pickle, write_celeba, write_cifar10, write_folder
from tests.toys import assert_same, state, train


@pytest.fixture
def classes(tmp_path):
    """Three classes of eight images each."""
    return write_folder(tmp_path / "classes", [f"{kind}/{i}.png" for kind in ("ant", "bee", "cat") for i in range(8)])


def played(data, iterations, **settings):
    pl.seed_everything(0, verbose=False)
    generator = MLPGenerator(2, data.sample_shape, hidden=[8], tanh=True)
    gan = GAN(generator, MLPDiscriminator(data.sample_shape, hidden=[8]), latent_dim=2, seeds=[1, 2], n_critic=2)
    return train(gan, iterations, data, limit_val_batches=1, **settings)


# --------------------------------------------------------------------------------------------------------- workers


@pytest.mark.parametrize("kind", ["folder", "celeba"])
def test_two_epochs_from_files_are_the_same_with_workers_and_after_a_resume(kind, classes, tmp_path):
    write_celeba(tmp_path, PEOPLE * 2)

    def data(num_workers):
        how = {"image_size": 8, "batch_size": 2, "max_samples": 14, "num_workers": num_workers}
        return (
            ImageFolderDataModule(str(classes), **how) if kind == "folder" else CelebADataModule(str(tmp_path), **how)
        )

    bare = played(data(0), 6)  # three iterations are an epoch
    assert bare.current_epoch == 2
    helped = played(data(2), 6)
    half = played(data(2), 4)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed = played(data(2), 6, ckpt_path=tmp_path / "half.ckpt")
    for other in (helped, resumed):
        assert_same(state(bare.lightning_module), state(other.lightning_module))
    assert not torch.equal(*(each.lightning_module.sample(1, seed=0) for each in (bare, half)))
    assert not [each for each in threading.enumerate() if each.name.startswith("fetching")]


def test_an_image_that_breaks_during_a_run_is_named_by_a_worker(tmp_path):
    write_celeba(tmp_path)
    path = tmp_path / "celeba/img_align_celeba/000001.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"000001\.jpg is no image that can be read"):
        played(CelebADataModule(str(tmp_path), image_size=8, batch_size=2, num_workers=1), 4)


# ---------------------------------------------------------------------------------------------------------- folders


def test_the_first_images_are_of_all_classes(classes):
    few = ImageFolderDataModule(str(classes), image_size=8, max_samples=12, batch_size=4)
    seen = torch.cat([labels for _, labels in few.train_dataloader()])
    assert set(seen.tolist()) == {0, 1, 2}
    assert torch.equal(few.reals(12), ImageFolderDataModule(str(classes), image_size=8).train_source().first(12))


def test_images_are_looked_for_and_checked_once(classes, monkeypatch):
    checked = []
    monkeypatch.setattr("datamodules.image_folder.check_image", checked.append)
    data = ImageFolderDataModule(str(classes), image_size=8)
    for stage in ("fit", "validate", "test"):
        data.setup(stage)
    assert sorted(checked) == sorted(classes.rglob("*.png"))


def test_hidden_folders_are_no_classes_and_links_are_followed(classes, tmp_path):
    write_folder(classes / ".ipynb_checkpoints", ["0.png"])
    elsewhere = write_folder(tmp_path / "elsewhere", ["0.png", "1.png"])
    (classes / "dog").symlink_to(elsewhere, target_is_directory=True)
    data = ImageFolderDataModule(str(classes), image_size=8)
    assert len(data.everything.paths) == 26
    assert data.class_names == ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_sixteen_bits_keeps_its_shades(channels, tmp_path):
    shades = np.arange(256).repeat(256).reshape(256, 256)
    for name in "ab":
        Image.fromarray((257 * shades).astype(np.uint16)).save(tmp_path / f"{name}.png")
    data = ImageFolderDataModule(str(tmp_path), image_size=256, channels=channels)
    expected = torch.from_numpy(shades).expand(channels, 256, 256) / 127.5 - 1
    torch.testing.assert_close(data.reals(1)[0].double(), expected.double(), rtol=0, atol=1e-6)


# ---------------------------------------------------------------------------------------------------- damaged files


def test_every_damage_of_a_pickle_is_an_error_that_names_it(tmp_path):
    write_cifar10(tmp_path, n=1)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    content, rng = path.read_bytes(), random.Random(0)
    pixels = content.index(_read_pickled(path)[0].numpy().tobytes())
    marks = [place for place in range(len(content)) if not pixels <= place < pixels + 3072]
    named = 0
    for _ in range(400):
        broken = bytearray(content)
        broken[rng.choice(marks)] = rng.randrange(256)
        path.write_bytes(broken[: rng.choice([len(broken), rng.randrange(len(broken))])])
        try:
            _read_pickled(path)
        except ValueError as error:
            assert f"{path} is damaged" in str(error)  # noqa: PT017  a harmless change raises nothing
            named += 1
    assert named > 200


@pytest.mark.parametrize(
    ("labels", "message"),
    [(None, "its labels are no list but of type NoneType"), ([3, -1], "one is -1"), ([3, b"cat"], "one is b'cat'")],
)
def test_a_wrong_label_is_told(labels, message, tmp_path):
    write_cifar10(tmp_path)
    images = np.zeros((2, 3072), np.uint8)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(python2_pickle({b"data": images, b"labels": labels}))
    with pytest.raises(ValueError, match=rf"test_batch is damaged.*{message}"):
        CIFAR10DataModule(str(tmp_path)).setup("test")


@pytest.mark.parametrize(("content", "held"), [(b"", 0), (b"abc", 3)])
def test_a_binary_file_of_another_length_says_how_long_it_is(content, held, tmp_path):
    write_cifar10(tmp_path, binary=True)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"it holds {held} bytes, and every image takes 3073"):
        CIFAR10DataModule(str(tmp_path)).setup("test")


def test_a_list_that_is_no_text_is_named(tmp_path):
    write_celeba(tmp_path)
    (tmp_path / "celeba" / "identity_CelebA.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match=r"identity_CelebA\.txt, line 1: expected an image's name and a number"):
        CelebADataModule(str(tmp_path)).setup("fit")


def test_a_missing_list_of_identities_says_what_it_is_for(tmp_path):
    write_celeba(tmp_path)
    (tmp_path / "celeba" / "identity_CelebA.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)identity_CelebA\.txt \(missing\).*who it is: the labels"):
        CelebADataModule(str(tmp_path)).setup("fit")
