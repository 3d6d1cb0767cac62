"""The class-conditional example: labels reach both players, with and without seeds."""

import importlib.util
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.nn.functional import one_hot

from callbacks import LandscapeProbe, OnlineEWC, SampleGrid
from datamodules import DigitsDataModule
from lit_gans.hooks import DiscriminatorHook, GeneratorHook
from tests.toys import Notes, state, train

FILE = Path(__file__).parents[1] / "examples" / "conditional_digits.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("conditional_digits", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Kept(DiscriminatorHook, GeneratorHook):
    """The last step of each player, and D's score of its reals as the planes of each class would have it."""

    def discriminator_terms(self, step):
        self.step = step
        self.reals = step.discriminator(step.real).detach()
        return {}

    def generator_terms(self, step):
        self.of_g = step
        return {}


@pytest.mark.parametrize("settings", [{}, {"seeds": [1, 2]}, {"accumulate": 2, "n_critic": 2}])
def test_both_players_are_told_the_labels_of_their_batch(example, settings):
    pl.seed_everything(0, verbose=False)
    kept, given = Kept(), []
    gan = example.build(**settings)
    forward = gan.generator.forward
    gan.generator.forward = lambda latents: given.append(latents) or forward(latents)
    train(gan, 2, DigitsDataModule(batch_size=32), callbacks=[kept])
    for step, latents in ((kept.step, given[-1 - gan.accumulate]), (kept.of_g, given[-1])):
        assert latents.shape[:-1] == step.labels.shape
        assert torch.equal(latents[..., -10:].argmax(-1), step.labels)
        assert step.fake.shape == step.real.shape
    with torch.no_grad():
        planes = one_hot(kept.step.labels, 10)[..., None, None].expand(*kept.step.labels.shape, 10, 8, 8)
        told = gan.logits(torch.cat([kept.step.real, planes], -3))
        wrong = gan.logits(torch.cat([kept.step.real, planes.roll(1, -3)], -3))
        untold = gan.logits(kept.step.real)
        again = kept.step.discriminator(kept.step.real)
    torch.testing.assert_close(again, told)
    assert (told - wrong).abs().min() > 0
    assert (told - untold).abs().min() > 0


def test_the_class_decides_what_g_makes(example):
    torch.manual_seed(0)
    gan = example.build()
    one, other = gan.generate(example.latents_of_each_class(3)).unflatten(0, (10, 3))[:2]
    assert (one - other).abs().amax((1, 2, 3)).min() > 1e-3
    assert gan.sample(5).shape == (5, 1, 8, 8)


def test_probes_memory_and_averages_go_along(example, tmp_path):
    gan, notes = example.build(seeds=[1, 2], ema=0.9), Notes()
    probes = [SampleGrid(5), LandscapeProbe(5, n_samples=2, n_directions=2, reach=1.0), OnlineEWC(1.0, 5)]
    before = state(gan)
    train(
        gan,
        10,
        DigitsDataModule(max_samples=320),
        callbacks=probes,
        logger=notes,
        limit_val_batches=1,
        log_every_n_steps=1,
    )
    assert all(value.isfinite().all() for value in state(gan).values())
    assert any(not torch.equal(value, before[name]) for name, value in state(gan).items())
    assert notes.of("landscape/local_maxima")
    assert notes.of("val/d/accuracy_real")


def test_it_runs_as_it_says(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["conditional_digits.py", "--iterations", "300", "--folder", str(tmp_path)])
    example.main()
    share = float(capsys.readouterr().out.split("seed 0: ")[1].split("%")[0])
    assert share > 20  # of ten classes; trained as the example says it is nearly all
    assert (tmp_path / "classes.png").stat().st_size > 10_000
