"""The loader of a game: layout, streams of seeds, shards of processes, exact resume."""

import io
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import Batch, DrawnSource, GameLoader, OrderedLoader, Source, StoredSource


def numbered(n: int) -> StoredSource:
    """Samples that carry their own index."""
    return StoredSource(torch.arange(n, dtype=torch.float32).unsqueeze(1), labels=torch.arange(n))


def noise(size: int) -> DrawnSource:
    return DrawnSource(lambda n, generator: torch.randn(n, 2, generator=generator), size)


def samples(loader: Iterable[Batch]) -> list[Tensor]:
    return [item[0] if isinstance(item, tuple) else item for item in loader]


SOURCES = pytest.mark.parametrize("source", [numbered(100), noise(100)], ids=["stored", "drawn"])


@SOURCES
@pytest.mark.parametrize("n_critic", [1, 3])
def test_each_seed_sees_what_it_would_see_alone(source: Source, n_critic: int) -> None:
    seeds = [3, 5, 7]
    together = GameLoader(source, batch_size=4, n_critic=n_critic, seeds=seeds)
    for place, seed in enumerate(seeds):
        alone = GameLoader(source, batch_size=4, n_critic=n_critic, seeds=[seed])
        together.handed_out = 0
        for epoch in range(2):
            pairs = list(zip(samples(together), samples(alone), strict=True))
            assert len(pairs) == 100 // (4 * n_critic)
            for flat, expected in pairs:
                batches = flat.unflatten(0, (n_critic, 3, 4))
                assert torch.equal(batches[:, place], expected.unflatten(0, (n_critic, 4))), (seed, epoch)


@SOURCES
def test_seeds_epochs_and_ranks_each_have_an_order_of_their_own(source: Source) -> None:
    seeds = GameLoader(source, batch_size=50, seeds=[0, 1])
    first, second = (torch.cat(samples(seeds)) for _ in range(2))
    assert not torch.equal(first, second)
    one, other = first.unflatten(0, (2, 2, 50)).unbind(1)
    assert not torch.equal(one, other)
    ranks = [torch.cat(samples(GameLoader(source, 10, seeds=[0], rank=r, world_size=2))) for r in range(2)]
    assert not torch.equal(*ranks)


def test_an_epoch_is_one_pass_of_every_seed() -> None:
    loader = GameLoader(numbered(60), batch_size=4, n_critic=5, seeds=[0, 1])
    for _ in range(3):
        items = list(loader)
        assert len(items) == len(loader) == 3
        batches = torch.stack([labels.unflatten(0, (5, 2, 4)) for _, labels in items])
        for seed in range(2):
            assert batches[:, :, seed].flatten().sort().values.tolist() == list(range(60))


def test_labels_travel_with_their_samples() -> None:
    for x, labels in GameLoader(numbered(60), batch_size=4, n_critic=3, seeds=[0, 1]):
        assert x.shape == (24, 1)
        assert torch.equal(x[:, 0], labels.float())


def test_what_does_not_fill_an_iteration_is_dropped_and_differs() -> None:
    loader = GameLoader(numbered(10), batch_size=4, seeds=[0])
    passes = [torch.cat([labels for _, labels in loader]) for _ in range(20)]
    assert all(len(seen) == len(seen.unique()) == 8 for seen in passes)
    dropped = {tuple(sorted(set(range(10)) - set(seen.tolist()))) for seen in passes}
    assert len(dropped) > 5


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_out_one_permutation(world_size: int) -> None:
    size = 60
    ranks = [GameLoader(numbered(size), 5, seeds=[4], rank=r, world_size=world_size) for r in range(world_size)]
    seen = [torch.cat([labels for _, labels in loader]) for loader in ranks]
    assert [len(share) for share in seen] == [size // world_size] * world_size
    assert torch.cat(seen).sort().values.tolist() == list(range(size))
    whole = torch.cat([labels for _, labels in GameLoader(numbered(size), 5, seeds=[4])])
    assert torch.equal(torch.stack(seen, dim=1).flatten(), whole)


@SOURCES
@pytest.mark.parametrize("seeds", [None, [2, 9]])
@pytest.mark.parametrize("stop", [1, 7, 10, 13, 20])
def test_resume_goes_on_with_the_very_next_item(source: Source, seeds: list[int] | None, stop: int) -> None:
    def make() -> GameLoader:
        return GameLoader(source, batch_size=5, n_critic=2, seeds=seeds)

    torch.manual_seed(1)
    uninterrupted = make()
    expected = [x for _ in range(3) for x in samples(uninterrupted)]
    interrupted, seen = make(), 0
    while seen < stop:
        for _ in interrupted:
            seen += 1
            if seen == stop:
                state = interrupted.state_dict()  # taken while the item is in use, as checkpoints are
                break
    torch.manual_seed(2)  # must not matter: the state holds the seed
    resumed = make()
    resumed.load_state_dict(torch.load(_saved(state), weights_only=True))
    rest = samples(resumed)
    assert len(rest) == len(resumed) == 10
    assert all(torch.equal(x, y) for x, y in zip(rest, expected[stop : stop + 10], strict=True))


def _saved(state: dict[str, Any]) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_resume_with_other_seeds_is_refused() -> None:
    state = GameLoader(numbered(20), 5, seeds=[0, 1]).state_dict()
    for seeds in ([1, 0], None):
        with pytest.raises(ValueError, match=r"seeds=\[0, 1\]"):
            GameLoader(numbered(20), 5, seeds=seeds).load_state_dict(state)


def test_resume_with_another_epoch_length_starts_a_new_pass_and_says_so() -> None:
    loader = GameLoader(numbered(40), 4, seeds=[0])
    for _ in range(13):
        next(iter(loader))
    resumed = GameLoader(numbered(40), 8, seeds=[0])
    with pytest.warns(UserWarning, match="10 iterations, this run's 5"):
        resumed.load_state_dict(loader.state_dict())
    assert resumed.handed_out == 2 * 5


def test_without_seeds_the_global_seed_governs() -> None:
    def first(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat(samples(GameLoader(numbered(50), 10)))

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))
    # An iteration takes nothing from the global stream, which belongs to the game.
    torch.manual_seed(0)
    list(GameLoader(noise(50), 10))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


def test_one_sample_is_a_data_set() -> None:
    loader = GameLoader(StoredSource(torch.zeros(1, 1)), batch_size=1)
    assert [x.tolist() for x in samples(loader)] == [[[0.0]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 4, "n_critic": 6}, r"6 \* 4 = 24 samples, but one pass holds only 20"),
        ({"batch_size": 11, "world_size": 2}, r"1 \* 11 = 11 samples, but one pass holds only 10"),
        ({"batch_size": 0}, "batch_size and n_critic must be at least 1, not 0 and 1"),
        ({"batch_size": 1, "seeds": []}, "seeds is empty"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "rank 2 of 2"),
    ],
)
def test_what_cannot_work_is_refused_by_its_numbers(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GameLoader(numbered(20), **arguments)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_stored_data_must_be_finite(bad: float) -> None:
    x = torch.zeros(10, 2)
    x[3, 1] = x[7, 0] = bad
    with pytest.raises(ValueError, match=r"the ring .* holds 2 values .* at index \(3, 1\)"):
        StoredSource(x, name="the ring")


def test_drawn_data_must_be_finite() -> None:
    source = DrawnSource(lambda n, generator: torch.full((n, 2), float("nan")), 4, name="Broken")
    with pytest.raises(ValueError, match=r"Broken .* holds 8 values"):
        next(iter(GameLoader(source, 2)))


def test_stored_data_must_fit_together() -> None:
    with pytest.raises(ValueError, match="3 samples but 2 labels"):
        StoredSource(torch.zeros(3, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="no samples"):
        StoredSource(torch.zeros(0, 1))
    with pytest.raises(ValueError, match="0 samples"):
        noise(0)


@pytest.mark.parametrize(("n", "world_size"), [(10, 1), (11, 2), (1, 2)])
def test_ordered_batches_come_once_and_in_order(n: int, world_size: int) -> None:
    loaders = [OrderedLoader(numbered(n), 3, rank, world_size) for rank in range(world_size)]
    assert len({len(loader) for loader in loaders}) == 1
    for loader in loaders:
        assert len(list(loader)) == len(loader)
    seen = [label for loader in loaders for _, labels in loader for label in labels.tolist()]
    assert sorted(seen) == list(range(n - n % world_size))
    if world_size == 1:
        assert seen == list(range(n))
