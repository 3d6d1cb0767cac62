"""Movement: how far fakes have come since the last look."""

import pytest
import torch
from torch import nn

from callbacks import Movement
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator
from tests.toys import Notes, ring_gan, train


class Walker(nn.Module):
    """Puts all fakes where its parameter is."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2))

    def forward(self, z):
        return self.place.expand(len(z), 2)


class Walk(torch.optim.SGD):
    """Moves by (3, 4) at each step while `steps` lasts, whatever the gradient."""

    steps = 0

    @torch.no_grad()
    def step(self, closure=None):
        result = super().step(closure)
        type(self).steps += 1
        if type(self).steps <= 6:
            self.param_groups[0]["params"][0].add_(torch.tensor([3.0, 4.0]))
        return result


def walking_game():
    Walk.steps = 0
    return GAN(Walker(), MLPDiscriminator((2,), (4,)), 2, generator_optimizer=lambda p: Walk(p, lr=0.0))


def test_the_distance_between_two_looks_by_hand():
    notes = Notes()
    train(walking_game(), 11, callbacks=[Movement(2)], logger=notes, log_every_n_steps=0)
    # Two steps of 5 between looks at 0, 2, 4 and 6; then it stands. Iteration 11 is the end, and no look.
    assert notes.of("fakes/moved") == pytest.approx({2: 10.0, 4: 10.0, 6: 10.0, 8: 0.0, 10: 0.0})


def test_with_seeds_each_has_its_own_and_one_alone_is_the_same():
    def moved(*seeds):
        notes = Notes()
        train(ring_gan(seeds=list(seeds)), 4, callbacks=[Movement(2)], logger=notes, log_every_n_steps=0)
        return notes

    both, alone = moved(3, 8), moved(8)
    assert both.of("fakes/moved/seed_3") != both.of("fakes/moved/seed_8")
    assert both.of("fakes/moved/seed_8") == pytest.approx(alone.of("fakes/moved/seed_8"), rel=1e-3)
    assert all(value > 0 for value in both.of("fakes/moved").values())


def test_a_resumed_run_compares_with_the_last_look(tmp_path):
    whole, resumed = Notes(), Notes()
    train(walking_game(), 8, callbacks=[Movement(4)], logger=whole, log_every_n_steps=0)
    half = train(walking_game(), 4, callbacks=[Movement(4)])
    half.save_checkpoint(tmp_path / "half.ckpt")
    game = walking_game()
    Walk.steps = 4
    train(game, 8, callbacks=[Movement(4)], logger=resumed, ckpt_path=tmp_path / "half.ckpt", log_every_n_steps=0)
    assert resumed.of("fakes/moved")[8] == pytest.approx(whole.of("fakes/moved")[8]) == pytest.approx(10.0)


def test_no_latents_are_refused():
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        Movement(n_samples=0)
