"""Gradient clipping: of all of a player's gradients together, of each seed alone."""

import copy

import pytest
import pytorch_lightning as pl
import torch

from callbacks import GradientClipping
from lit_gans import GAN
from tests.toys import Notes, assert_same, ring_gan, state, train

LR = 3e-3  # of plain SGD: the step over it is the gradient that was used


class Steps(pl.Callback):
    """The gradient that each player moved by in the first iteration, from its weights before and after."""

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        self.before = copy.deepcopy(state(gan))

    def on_train_batch_end(self, trainer, gan, *_):
        after = state(gan)
        self.gradient = {name: (self.before[name] - after[name]).double() / LR for name in after}


def first_step(seeds, *callbacks, n_critic=1):
    pl.seed_everything(0, verbose=False)
    gan, steps, notes = ring_gan(seeds=seeds, n_critic=n_critic), Steps(), Notes()
    train(gan, 1, callbacks=[steps, *callbacks], logger=notes, log_every_n_steps=1)
    return steps.gradient, notes


def norm(gradient, player, seed):
    rows = [value if seed is None else value[seed] for name, value in gradient.items() if name.startswith(player)]
    return torch.cat([row.flatten() for row in rows]).norm().item()


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_a_gradient_above_the_limit_comes_to_it_and_keeps_its_direction(seeds):
    free, _ = first_step(seeds)
    places = [None] if seeds is None else [0, 1]
    norms = {place: norm(free, "discriminator", place) for place in places}
    limit = 0.5 * min(norms.values())
    clipped, notes = first_step(seeds, GradientClipping(limit))
    for place in places:
        assert norm(clipped, "discriminator", place) == pytest.approx(limit, rel=1e-3)
        for name in (name for name in free if name.startswith("discriminator")):
            one, other = (values[name] if place is None else values[name][place] for values in (free, clipped))
            torch.testing.assert_close(other, one * limit / norms[place], rtol=1e-2, atol=1e-4)
    logged = sum(norms.values()) / len(norms)
    assert notes.of("d/gradient_norm")[1] == pytest.approx(logged, rel=1e-3)  # as it was before


def test_one_seed_alone_is_clipped():
    free, _ = first_step([3, 4])
    short, long = sorted((0, 1), key=lambda place: norm(free, "discriminator", place))
    limit = (norm(free, "discriminator", short) + norm(free, "discriminator", long)) / 2
    clipped, _ = first_step([3, 4], GradientClipping(limit))
    assert norm(clipped, "discriminator", long) == pytest.approx(limit, rel=1e-3)
    for name in (name for name in free if name.startswith("discriminator")):
        assert torch.equal(clipped[name][short], free[name][short])


def test_both_players_and_every_critic_step_are_clipped():
    limit = 1e-3
    clipped, _ = first_step(None, GradientClipping(limit), n_critic=3)
    assert norm(clipped, "generator", None) <= limit * 1.01
    assert norm(clipped, "discriminator", None) <= 3 * limit * 1.01
    assert norm(clipped, "discriminator", None) > limit  # three steps, much the same way


def test_below_the_limit_no_bit_changes():
    free, _ = first_step(None)
    clipped, _ = first_step(None, GradientClipping(1e6))
    assert_same(free, clipped)


def test_no_gradient_at_all_stays_none():
    class Nothing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, samples):
            return 0 * samples.sum(-1) * self.weight

    gan = GAN(torch.nn.Linear(2, 2), Nothing(), latent_dim=2)
    train(gan, 2, callbacks=[GradientClipping(1.0)])
    assert gan.discriminator.weight.isfinite().all()
    assert all(p.isfinite().all() for p in gan.generator.parameters())


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="limit must be above 0"):
        GradientClipping(limit)
