"""What single callbacks see and do: the vector field of a real D, the modes of a ring, D in its box."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from callbacks import ClassCoverage, ModeCoverage, VectorField, WeightClipping
from datamodules import DigitsDataModule, RingDataModule, SwissRollDataModule
from lit_gans import GAN
from lit_gans.losses import NonSaturating, RelativisticPairing
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from tests.toys import Batches, Notes, Watcher, ring_gan, train


class Compass(nn.Module):
    """D(v) = size · <direction, v>: its gradient is the same everywhere."""

    def __init__(self, size=1.0):
        super().__init__()
        self.size, self.angle = size, nn.Parameter(torch.tensor(0.0))

    def forward(self, x):
        return self.size * (x @ torch.stack([self.angle.cos(), self.angle.sin()]))


class Turning(pl.Callback):
    """Turns D by a fixed angle after every iteration."""

    def __init__(self, degrees):
        self.turn = math.radians(degrees)

    @torch.no_grad()
    def on_train_batch_end(self, trainer, gan, outputs, batch, batch_idx):
        gan.discriminator.angle += self.turn


def compass_game(loss=None, size=1.0):
    def still(parameters):
        return torch.optim.SGD(parameters, lr=0.0)

    return GAN(nn.Linear(2, 2), Compass(size), 2, loss, generator_optimizer=still, discriminator_optimizer=still)


@pytest.fixture
def without_figures(monkeypatch):
    fields = []

    def keep(grid, given, *rest):
        fields.append(given)

    monkeypatch.setattr("lit_gans.plotting.vector_fields", keep)
    return fields


@pytest.mark.parametrize("size", [1.0, 1e-25, 100.0])
@pytest.mark.parametrize("degrees", [0, 20, 90])
def test_the_cosine_of_a_field_that_turns(degrees, size, without_figures):
    notes = Notes()
    train(compass_game(size=size), 6, callbacks=[Turning(degrees), VectorField(3)], logger=notes)
    expected = math.cos(math.radians(3 * degrees))
    assert notes.of("field/cosine") == {3: pytest.approx(expected, abs=1e-5), 6: pytest.approx(expected, abs=1e-5)}


@pytest.mark.parametrize("data", [RingDataModule(batch_size=32), Batches(torch.zeros(4, 2))], ids=["reals", "no reals"])
@pytest.mark.parametrize("loss", [NonSaturating(), RelativisticPairing()])
def test_both_fields_point_uphill(loss, data, without_figures):
    if loss.needs_real and isinstance(data, Batches):
        with pytest.raises(ValueError, match="give real_logits"):
            train(compass_game(loss), 1, data, callbacks=[VectorField(1)])
        return
    train(compass_game(loss), 1, data, callbacks=[VectorField(1)])
    for field in without_figures[0].values():
        assert field.shape == (1, 400, 2)
        assert (field[..., 0] > 0).all()
        assert (abs(field[..., 1]) < 1e-6).all()


def test_a_field_needs_the_plane():
    gan = GAN(MLPGenerator(2, (3,), (4,)), MLPDiscriminator((3,), (4,)), 2)
    with pytest.raises(ValueError, match=r"two-dimensional data.*got \(3,\)"):
        train(gan, 1, Batches(torch.zeros(4, 3)), [VectorField(1)])


# ------------------------------------------------------------------------------------------------------ mode coverage


class RingOfFakes(nn.Module):
    """Every sample lies on one of the first `n_modes` modes of the ring, or at the origin if it is 0."""

    def __init__(self, n_modes):
        super().__init__()
        self.centers = RingDataModule().centers[:n_modes] if n_modes else torch.zeros(1, 2)
        self.idle = nn.Parameter(torch.zeros(()))

    def forward(self, z):
        return self.centers[torch.arange(len(z)) % len(self.centers)] + 0 * self.idle


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
@pytest.mark.parametrize(("n_modes", "sentence"), [(3, "modes covered: 3 of 8"), (0, "modes covered: 0 of 8")])
def test_modes_are_counted_and_printed(command, n_modes, sentence, capsys):
    notes = Notes()
    settings = {"max_steps": 2, "limit_val_batches": 1, "limit_test_batches": 1, "num_sanity_val_steps": 1}
    trainer = pl.Trainer(
        logger=notes, callbacks=[ModeCoverage(10, 60)], enable_progress_bar=False, accelerator="cpu",
        enable_checkpointing=False, enable_model_summary=False, **settings,
    )  # fmt: skip
    getattr(trainer, command)(
        GAN(RingOfFakes(n_modes), MLPDiscriminator((2,), (4,)), 2), datamodule=RingDataModule(batch_size=16)
    )
    assert sentence in capsys.readouterr().out
    assert trainer.callback_metrics["modes/covered"] == n_modes
    assert trainer.callback_metrics["modes/high_quality"] == (1.0 if n_modes else 0.0)
    assert len(notes.of("modes/covered")) == (2 if command == "fit" else 1)


def test_each_seed_s_modes_are_printed(capsys):
    train(ring_gan(seeds=[0, 1]), 1, callbacks=[ModeCoverage(10, 60)])
    assert "by seed: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "data", [SwissRollDataModule(batch_size=16), Batches(torch.zeros(4, 2))], ids=["no modes", "a loader"]
)
def test_data_without_modes_are_refused(data):
    with pytest.raises(ValueError, match="ModeCoverage needs data with known modes"):
        train(ring_gan(), 1, data, [ModeCoverage()])


# ----------------------------------------------------------------------------------------------------- class coverage


class Printer(nn.Module):
    """Makes the same images whatever the latents."""

    def __init__(self, images):
        super().__init__()
        self.images, self.idle = images, nn.Parameter(torch.zeros(()))

    def forward(self, z):
        return self.images[torch.arange(len(z)) % len(self.images)] + 0 * self.idle


def test_only_finite_samples_are_judged(capsys):
    data = DigitsDataModule()
    images, labels = data.labelled("train")
    by_class = torch.stack([images[labels == label][:10] for label in range(10)])
    probe = ClassCoverage(10, n_samples=100)  # one for all: it teaches its classifier once
    for spoilt in (0, 2, 10):
        images = by_class.clone()
        images[:spoilt, ::2, 0, 3, 3] = float("nan")
        images[:spoilt, 1::2, 0, 3, 3] = float("inf")
        gan = GAN(Printer(images.flatten(0, 1)), MLPDiscriminator((1, 8, 8), (4,)), 2)
        trainer = pl.Trainer(
            logger=False, callbacks=[probe], enable_progress_bar=False, accelerator="cpu", limit_test_batches=1
        )
        trainer.test(gan, datamodule=data, verbose=False)
        assert trainer.callback_metrics["classes/covered"] == 10 - spoilt
        confidence = trainer.callback_metrics["classes/confidence"].item()
        assert math.isnan(confidence) if spoilt == 10 else confidence > 0.9
        assert f"classes covered: {10 - spoilt} of 10" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------------ clipping


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_d_stays_in_its_box_from_the_first_update_on(seeds):
    class Largest(Watcher):
        def __init__(self):
            super().__init__()
            self.largest = []

        def discriminator_terms(self, step):
            self.note()
            return {}

        def discriminator_updated(self):
            self.note()

        def on_train_start(self, trainer, gan):
            self.parameters = list(gan.discriminator.parameters())

        def note(self):
            self.largest.append(max(p.abs().max().item() for p in self.parameters))

    watcher = Largest()
    gan = ring_gan(n_critic=2, seeds=seeds, discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    assert max(p.abs().max() for p in gan.discriminator.parameters()) > 0.05
    train(gan, 4, callbacks=[WeightClipping(0.05), watcher])
    assert len(watcher.largest) == 16
    assert watcher.largest == pytest.approx([0.05] * 16)  # in the box, and the box is felt
    assert max(p.abs().max() for p in gan.generator.parameters()) > 0.05


@pytest.mark.parametrize("bound", [0, -1.0, float("nan")])
def test_a_box_has_a_size(bound):
    with pytest.raises(ValueError, match="bound must be positive"):
        WeightClipping(bound)
