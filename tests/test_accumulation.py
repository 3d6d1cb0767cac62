"""Accumulation: a batch in equal parts moves a player as the whole batch does."""

import math

import pytest
import pytorch_lightning as pl
import torch

from callbacks import HistoricalAveraging, OldFakeReplay
from lit_gans import GANStrategy
from lit_gans.hooks import DiscriminatorHook
from lit_gans.losses import LeastSquares, RelativisticPairing, Wasserstein
from lit_gans.penalties import R1, WGANGP, ZeroGPSample
from lit_gans.streams import Draws, stream
from tests.toys import Batches, Notes, ring_gan, state, train

ITERATIONS, B = 6, 16


class InOrder(Draws):
    """Latents and mixing coefficients from a stream each, row by row: in parts they come as in the whole batch."""

    def __init__(self, seeds):
        self.seeds = seeds
        self.streams = {
            (fill, seed): stream(seed, fill) for fill in ("normal_", "uniform_") for seed in (0, *(seeds or ()))
        }

    def recording(self):
        return self

    def _fill(self, values, fill):
        for seed, batch in zip(self.seeds, values, strict=True) if self.seeds else [(0, values)]:
            for row in batch:  # torch fills a long tensor in another order than a short one
                getattr(row, fill)(generator=self.streams[fill, seed])
        return values


class Counting(DiscriminatorHook):
    """Puts the draws in order, and counts what D does."""

    def __init__(self):
        self.updates, self.batch_sizes = 0, []

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        if batch_idx == 0:
            gan.draws = InOrder(gan.seeds)

    def mix_fakes(self, fake):
        self.batch_sizes.append(fake.shape[-2])
        return fake

    def discriminator_updated(self):
        self.updates += 1


def trained(accumulate, n_critic=2, seeds=None, trainer=None, **settings):
    pl.seed_everything(0, verbose=False)
    gan = ring_gan(n_critic=n_critic, accumulate=accumulate, seeds=seeds, **settings).double()
    before, notes, counting = state(gan), Notes(), Counting()
    reals = torch.randn(ITERATIONS, n_critic * len(seeds or [0]) * B, 2, generator=stream(1, "reals")).double()
    train(
        gan, ITERATIONS, data=Batches(*reals), callbacks=[counting], logger=notes, log_every_n_steps=1, **trainer or {}
    )
    for player in ("generator", "discriminator"):
        assert max((value - before[name]).abs().max() for name, value in state(gan).items() if player in name) > 1e-4
    return state(gan), notes, counting


GAMES = {
    "plain": {},
    "penalty with draws": {"penalties": {"gp": WGANGP(2.0)}, "loss": Wasserstein()},
    "penalty on both": {"penalties": {"gp": ZeroGPSample(2.0)}, "optimizer": "Adam"},
    "lazy penalty": {"penalties": {"r1": R1(2.0, interval=3)}, "loss": LeastSquares()},
    "comparing": {"loss": RelativisticPairing(), "penalties": {"r1": R1(0.5)}},
    "D once": {"n_critic": 1, "penalties": {"gp": WGANGP(2.0)}},
    "seeds": {"seeds": [3, 4], "penalties": {"gp": WGANGP(2.0)}},
}


@pytest.mark.parametrize("parts", [2, 4, 16])
@pytest.mark.parametrize("game", GAMES)
def test_parts_move_the_players_as_the_whole_batch_does(game, parts):
    whole, notes, once = trained(1, **GAMES[game])
    split, notes_of_parts, often = trained(parts, **GAMES[game])
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, rtol=0, atol=1e-11)
    for key in ("d/adversarial", "g/adversarial", "d/gradient_norm", "g/gradient_norm", "d/accuracy_real"):
        assert notes_of_parts.of(key) == pytest.approx(notes.of(key), rel=1e-6), key
    assert once.updates == often.updates == ITERATIONS * GAMES[game].get("n_critic", 2)
    assert set(once.batch_sizes) == {B}
    assert set(often.batch_sizes) == {B // parts}


def test_batch_norm_sees_a_part_alone():
    settings = {"batch_norm": True, "n_critic": 1}
    (whole, *_), (split, *_) = trained(1, **settings), trained(2, **settings)
    assert max((whole[name] - split[name]).abs().max() for name in whole) > 1e-4


def test_what_does_not_split_is_refused_before_anything_moves():
    gan = ring_gan(accumulate=3)
    before = state(gan)
    with pytest.raises(ValueError, match=r"accumulate is 3, but a real batch holds 32 samples.*multiple of 3"):
        train(gan, 1)
    assert all(torch.equal(value, before[name]) for name, value in state(gan).items())
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        ring_gan(accumulate=0)


def test_memory_of_old_fakes_and_of_weights_goes_along():
    replay, averaging, notes = OldFakeReplay(), HistoricalAveraging(0.1), Notes()
    train(ring_gan(accumulate=2), 20, callbacks=[replay, averaging], logger=notes, log_every_n_steps=1)
    assert all(math.isfinite(value) for _, row in notes.rows for value in row.values())
    assert notes.of("d/historical_averaging")[20] > 0
    assert replay.buffer.batches == 40


def test_two_processes_add_up_the_parts_once():
    game = {"penalties": {"gp": WGANGP(2.0)}}
    strategy = GANStrategy(start_method="fork", process_group_backend="gloo")
    whole, *_ = trained(1, **game)
    both, *_ = trained(2, **game, trainer={"devices": 2, "strategy": strategy})
    for name, value in whole.items():  # each process has the same reals and draws: their mean is what one has alone
        torch.testing.assert_close(both[name], value, rtol=0, atol=1e-11)
