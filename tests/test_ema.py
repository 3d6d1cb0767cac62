"""EMA: the average of G alone, what is sampled from it, and what it leaves alone."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lit_gans import GAN
from lit_gans.cli import main
from tests.toys import assert_same, ring_gan, state, train

DECAY = 0.9


class Weights(pl.Callback):
    """G's weights after each iteration."""

    def __init__(self):
        self.of = []

    def on_train_batch_end(self, trainer, gan, *_):
        self.of.append({name: value.double() for name, value in state(gan.generator).items()})


def game(seed=0, **settings):
    pl.seed_everything(seed, verbose=False)
    return ring_gan("Adam", **{"ema": DECAY, **settings})


@pytest.mark.parametrize("settings", [{}, {"seeds": [3, 4]}, {"n_critic": 3}])
def test_it_is_the_moving_average_of_g(settings):
    weights = Weights()
    gan = game(**settings)
    assert_same(state(gan.ema.module), state(gan.generator))
    train(gan, 8, callbacks=[weights])
    expected = weights.of[0]
    for after in weights.of[1:]:
        expected = {name: DECAY * mean + (1 - DECAY) * after[name] for name, mean in expected.items()}
    for name, value in state(gan.ema.module).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-7)
        assert not torch.equal(value.double(), weights.of[-1][name])


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_it_changes_no_bit_of_the_game(seeds):
    plain, averaged = game(ema=None, seeds=seeds), game(seeds=seeds)
    for gan in (plain, averaged):
        train(gan, 6)
    assert_same(state(plain.generator), state(averaged.generator))
    assert_same(state(plain.discriminator), state(averaged.discriminator))


def test_it_is_what_is_sampled_unless_g_itself_is_asked_for():
    gan = game()
    train(gan, 6)
    latents = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(gan.generate(latents), gan.ema.module(latents))
        assert torch.equal(gan.generate(latents, averaged=False), gan.generator(latents))
    assert not torch.equal(gan.sample(5, seed=1), gan.sample(5, seed=1, averaged=False))
    without = game(ema=None)
    assert torch.equal(without.sample(5, seed=1), without.sample(5, seed=1, averaged=False))


def test_batch_norms_statistics_are_gs_own():
    gan = game(batch_norm=True)
    train(gan, 6)
    assert len(list(gan.generator.buffers())) > 0
    for mean, own in zip(gan.ema.module.buffers(), gan.generator.buffers(), strict=True):
        assert torch.equal(mean, own)


def test_a_resumed_run_ends_with_the_same_average(tmp_path):
    whole, first, rest = game(), game(), game(1)
    train(whole, 8)
    train(first, 5).save_checkpoint(tmp_path / "five.ckpt", weights_only=False)
    train(rest, 8, ckpt_path=tmp_path / "five.ckpt")
    assert_same(state(whole), state(rest))
    assert rest.ema.n_averaged == 8


def test_no_optimizer_moves_it_and_no_player_counts_it():
    gan = game()
    moved = {id(p) for player in gan.players.values() for p in player.parameters}
    assert not moved & {id(p) for p in gan.ema.parameters()}
    assert not any(p.requires_grad for p in gan.ema.parameters())


def test_a_checkpoint_brings_it_back_in_two_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Path(__file__).parent.parent / "configs/ring.yaml"
    quiet = ["--trainer.callbacks=null", "--trainer.enable_progress_bar=false", "--trainer.limit_val_batches=0"]
    main(["fit", f"--config={config}", "--model.ema=0.5", "--trainer.max_steps=5", *quiet])
    (path,) = tmp_path.rglob("last.ckpt")
    gan = GAN.load_from_checkpoint(path)
    kept = torch.load(path, weights_only=True)["state_dict"]
    latents = torch.randn(4, 2)
    assert_same(state(gan), kept)
    with torch.no_grad():
        assert torch.equal(gan.generate(latents), gan.ema.module.eval()(latents))


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, float("nan")])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="ema must be between 0 and 1"):
        game(ema=decay)
