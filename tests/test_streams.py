"""Random numbers: a function of seed and purpose alone, the same for a seed alone and in company."""

import hashlib
import io
import math

import pytest
import torch

from lit_gans.streams import Draws, stream

SEEDS = [3, 0, 11]


def together(purpose="game"):
    return Draws([stream(seed, purpose) for seed in SEEDS])


def alone(seed, purpose="game"):
    return Draws(generator=stream(seed, purpose))


def numbers(seed, purpose, count=20_000):
    return torch.rand(count, generator=stream(seed, purpose), dtype=torch.float64)


def test_a_stream_depends_on_seed_and_purpose_alone():
    torch.manual_seed(1)
    first, state = numbers(5, "latents"), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(numbers(5, "latents"), first)
    assert stream(5, "latents").device.type == "cpu"
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "a stream must leave torch's global state alone"


def test_a_stream_is_the_same_in_every_process_and_release():
    # Python's own hash() is salted per process; a run must be repeatable next year.
    digest = hashlib.sha256(b"latents/5").digest()
    assert stream(5, "latents").initial_seed() == int.from_bytes(digest[:8], "big") % 2**63
    assert stream(5, "latents").initial_seed() == 1277346735904372430


@pytest.mark.parametrize(
    "other", [(5, "shuffling"), (6, "latents"), (0, "latents"), (-5, "latents"), (55, "latents"), (5, "latents/5")]
)
def test_two_streams_share_nothing(other):
    here, there = numbers(5, "latents"), numbers(*other)
    assert not torch.isin(here[:100], there).any()
    # Independent: the correlation of n pairs has standard deviation 1/√n.
    correlation = torch.corrcoef(torch.stack([here, there]))[0, 1]
    assert abs(correlation) < 4 / math.sqrt(len(here))
    plain = torch.rand(len(here), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert not torch.equal(here, plain)


def test_moments_of_uniform_draws():
    u = alone(0).uniform((200, 1000), like=torch.empty(0, dtype=torch.float64))
    n = u.numel()
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / n)
    assert abs(u.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / n)  # Var (u - ½)² = 1/80 - 1/144 = 1/180


def test_moments_of_normal_draws():
    z = alone(0).normal(torch.empty(200, 1000, dtype=torch.float64))
    n = z.numel()
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:  # Var zᵏ = E z²ᵏ - (E zᵏ)²
        assert abs(z.pow(power).mean() - moment) < 4 * math.sqrt(variance / n)


@pytest.mark.parametrize("batch", [(1,), (5,), (64, 2), (4, 3, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_i_is_the_draw_of_seed_i_alone(batch, dtype):
    like = torch.empty(len(SEEDS), *batch, dtype=dtype)
    draws = together()
    rows = [(draws.uniform(like.shape, like=like), draws.normal(like)) for _ in range(2)]
    for i, seed in enumerate(SEEDS):
        single = alone(seed)
        for uniform, normal in rows:
            assert torch.equal(uniform[i], single.uniform(batch, like=like))
            assert torch.equal(normal[i], single.normal(like, shape=batch))


def test_row_i_does_not_depend_on_the_memory_format():
    # What vmap returns may hold the seeds axis anywhere in memory.
    like = torch.empty(4, 5, len(SEEDS), 8).permute(2, 0, 1, 3)
    for row, seed in zip(together().normal(like), SEEDS, strict=True):
        assert torch.equal(row, alone(seed).normal(torch.empty(4, 5, 8)))


def test_draws_follow_shape_dtype_and_carry_no_gradient():
    like = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    draws = Draws(generator=stream(0, "game"))
    assert draws.uniform((2, 5)).dtype == torch.float32
    for value, shape in (
        (draws.uniform((2, 5), like=like), (2, 5)),
        (draws.normal(like), (3, 4)),
        (draws.normal(like, shape=(2, 5)), (2, 5)),
    ):
        assert (value.shape, value.dtype, value.requires_grad) == (torch.Size(shape), torch.float64, False)
    assert like.count_nonzero() == 0


def test_consecutive_draws_differ():
    for draws in (together(), alone(0), Draws()):
        assert not torch.equal(draws.uniform((3, 4)), draws.uniform((3, 4)))


def test_without_generators_numbers_come_from_the_global_stream():
    torch.manual_seed(7)
    expected = torch.rand(2, 3), torch.randn(2, 3)
    torch.manual_seed(7)
    draws = Draws()
    assert torch.equal(draws.uniform((2, 3)), expected[0])
    assert torch.equal(draws.normal(torch.empty(2, 3)), expected[1])


@pytest.mark.parametrize("shape", [(2, 4), (4, 3), (1,)])
def test_a_wrong_leading_axis_is_refused(shape):
    message = rf"draws of 3 seeds .*shape \({', *'.join(map(str, shape))},?\).*seeds axis, of length 3"
    with pytest.raises(ValueError, match=message):
        together().uniform(shape)
    with pytest.raises(ValueError, match=message):
        together().normal(torch.empty(shape))


@pytest.mark.parametrize("make", [together, lambda: alone(0), Draws], ids=["seeds", "one", "global"])
def test_state_goes_on_where_it_was_taken(make):
    draws = make()
    draws.normal(torch.empty(3, 5))  # an odd number, so that a cached half of a pair would show
    file = io.BytesIO()
    torch.save(draws.state_dict(), file)
    first = [draws.normal(torch.empty(3, 5)), draws.uniform((3, 2)), draws.normal(torch.empty(3, 5))]
    other = make()
    other.uniform((3, 100))
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    again = [other.normal(torch.empty(3, 5)), other.uniform((3, 2)), other.normal(torch.empty(3, 5))]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_taken_state_does_not_move_with_later_draws():
    draws = together()
    state = draws.state_dict()
    first = draws.uniform((3, 2))
    draws.load_state_dict(state)
    assert torch.equal(draws.uniform((3, 2)), first)


def test_the_state_of_another_number_of_seeds_is_refused():
    with pytest.raises(ValueError, match="random streams of"):
        alone(0).load_state_dict(together().state_dict())
