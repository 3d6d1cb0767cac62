"""Workers, pinned memory and data on the device: they change when batches are made, and no bit of them."""

import gc
import threading
import time
from itertools import islice

import pytest
import pytorch_lightning as pl
import torch

from datamodules import CIFAR10DataModule, DigitsDataModule, DrawnSource, GameLoader, OrderedLoader, StoredSource
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.image_sets import write_cifar10
from tests.toys import assert_same, state, train


def stored(n=60):
    samples = torch.arange(n, dtype=torch.float32)[:, None] / 7
    return StoredSource(samples, torch.arange(n) % 3, convert=lambda x: 2 * x - 1)


def drawn():
    return DrawnSource(lambda n, generator: torch.randn(n, 2, generator=generator), 60)


def items(loader, n):
    """The next n items, whatever epochs they fall into."""
    found = []
    while len(found) < n:
        found += list(islice(iter(loader), n - len(found)))
    return [item if isinstance(item, tuple) else (item,) for item in found]


@pytest.mark.parametrize("source", [stored, drawn])
@pytest.mark.parametrize("layout", [{}, {"n_critic": 2, "seeds": [3, 4]}, {"rank": 1, "world_size": 2, "seed": 5}])
def test_workers_bring_the_same_items_over_several_epochs(source, layout):
    bare, helped = (GameLoader(source(), 5, **layout, num_workers=workers) for workers in (0, 2))
    n = 2 * len(bare) + 1
    for one, other in zip(items(bare, n), items(helped, n), strict=True):
        assert type(one) is type(other)
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def test_what_was_fetched_ahead_and_not_handed_out_comes_again():
    loader = GameLoader(stored(), 5, num_workers=2)
    first = items(loader, 4)  # an epoch has 12: eight are left, of which some have been fetched
    assert loader.handed_out == 4
    resumed = GameLoader(stored(), 5, num_workers=3)
    resumed.load_state_dict(loader.state_dict())
    whole = items(GameLoader(stored(), 5, seed=loader.seed), 15)
    for found in ([*first, *items(resumed, 11)], [*first, *items(loader, 11)]):
        assert all(torch.equal(x[0], y[0]) for x, y in zip(found, whole, strict=True))


def test_held_out_batches_come_in_order_with_workers_too():
    bare, helped = (list(OrderedLoader(stored(23), 5, num_workers=workers)) for workers in (0, 2))
    assert [len(batch[0]) for batch in helped] == [5, 5, 5, 5, 3]
    assert all(torch.equal(x[0], y[0]) for x, y in zip(bare, helped, strict=True))


def test_fetching_draws_nothing_from_the_game():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    items(GameLoader(stored(), 5, num_workers=1), 3)
    assert torch.equal(torch.rand(3), expected)


def test_workers_work_ahead_and_no_further_than_that():
    made, at_work = [], threading.Semaphore(0)

    def slow(samples):
        made.append(threading.current_thread().name)
        at_work.release()
        return samples

    loader = iter(GameLoader(StoredSource(torch.arange(200), convert=slow), 5, num_workers=2))
    next(loader)
    for _ in range(5):  # the first, and two for each worker
        assert at_work.acquire(timeout=10)
    time.sleep(0.05)
    assert len(made) == 5
    assert {name.rpartition("_")[0] for name in made} == {"fetching"}
    loader.close()


def test_no_thread_outlives_its_epoch():
    loader = GameLoader(stored(), 5, num_workers=2)
    for _ in range(3):
        list(islice(iter(loader), 2))
    list(loader)
    gc.collect()
    assert not [each for each in threading.enumerate() if each.name.startswith("fetching")]


def test_an_error_in_a_worker_says_what_it_is():
    def broken(samples):
        raise ValueError("face.jpg is no image that can be read")

    loader = GameLoader(StoredSource(torch.arange(20), convert=broken), 5, num_workers=1)
    with pytest.raises(ValueError, match=r"face\.jpg is no image"):
        next(iter(loader))


def played(data, iterations=6, **settings):
    pl.seed_everything(0, verbose=False)
    gan = GAN(
        MLPGenerator(2, data.sample_shape, hidden=[8], tanh=True),
        MLPDiscriminator(data.sample_shape, hidden=[8]),
        latent_dim=2,
        seeds=[1, 2],
        n_critic=2,
    )
    trainer = train(gan, iterations, data, limit_val_batches=1, **settings)
    return trainer, state(gan)


HOW = {"workers": {"num_workers": 2}, "pinned": {"pin_memory": True}, "on the device": {"on_device": True}}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", [DigitsDataModule, CIFAR10DataModule])
def test_a_game_is_the_same_however_its_data_come(kind, how, tmp_path):
    write_cifar10(tmp_path, n=8)
    where = {} if kind is DigitsDataModule else {"data_dir": str(tmp_path)}
    _, bare = played(kind(batch_size=5, max_samples=40, **where))
    _, other = played(kind(batch_size=5, max_samples=40, **where, **HOW[how]))
    assert_same(bare, other)


def test_a_run_with_workers_resumes_with_the_same_bits(tmp_path):
    data = {"batch_size": 5, "max_samples": 50, "num_workers": 2}
    _, whole = played(DigitsDataModule(**data), 12)
    trainer, _ = played(DigitsDataModule(**data), 7)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, rest = played(DigitsDataModule(**data), 12, ckpt_path=tmp_path / "half.ckpt")
    assert_same(whole, rest)


def test_on_the_device_batches_are_cut_there():
    source = stored().to(torch.device("meta"))
    samples, labels = source.take(torch.tensor([1, 2]))
    assert samples.device.type == labels.device.type == "meta"
    assert samples.shape == (2, 1)
