"""EBGAN with its auto-encoder, and LS-GAN: objectives that see D as an energy or a loss, by loops and by hand."""

import math

import pytest
import torch

from lit_gans import GAN
from lit_gans.losses import EnergyBased, LossSensitive
from lit_gans.networks import AutoEncoderDiscriminator, MLPGenerator
from tests.toys import Notes, ring_gan, state, train


def ebgan(**settings):
    network = AutoEncoderDiscriminator((2,), hidden=(8,), code=1)
    return GAN(MLPGenerator(2, (2,), hidden=(8,)), network, latent_dim=2, loss=EnergyBased(margin=2.0), **settings)


def test_the_auto_encoder_returns_minus_the_distance_to_its_reconstruction():
    network = AutoEncoderDiscriminator((3, 4, 4), hidden=(16, 8), code=2).double()
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    back = network.reconstruct(x)
    assert back.shape == x.shape
    expected = [
        -math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
        for a, b in zip(back.flatten(1).tolist(), x.flatten(1).tolist(), strict=True)
    ]
    torch.testing.assert_close(network(x)[:, 0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    assert network.encoder(x).shape == (5, 2)
    widths = [layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths == [16, 8, 2, 8, 16, 48]


def test_a_perfect_reconstruction_has_a_finite_gradient():
    network = AutoEncoderDiscriminator((2,), hidden=(4,), code=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    network(torch.zeros(3, 2)).mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_energies_by_hand():
    game = EnergyBased(margin=2.0)
    real, fake = torch.tensor([-0.25, -3.0]), torch.tensor([-0.5, -2.5])  # energies 0.25, 3 and 0.5, 2.5
    assert game.discriminator(real, fake).tolist() == [0.25 + 1.5, 3.0]
    assert game.generator(None, fake).tolist() == [0.5, 2.5]
    assert game.decision(torch.tensor([-0.5, -1.0, -1.5])).tolist() == [0.5, 0.0, -0.5]


def test_an_energy_needs_a_reconstruction():
    with pytest.raises(ValueError, match=r"^EnergyBased: .*MLPDiscriminator, has no reconstruct.*AutoEncoderDiscrim"):
        ring_gan(loss=EnergyBased())
    for seeds in (None, [0, 1]):
        notes = Notes()
        train(ebgan(seeds=seeds), 20, logger=notes, log_every_n_steps=10)
        assert all(math.isfinite(value) for _, row in notes.rows for value in row.values())


def test_a_seed_of_two_is_that_seed_alone():
    pair, alone = ebgan(seeds=[4, 7]).double(), ebgan(seeds=[7]).double()
    for gan in (pair, alone):
        train(gan, 20, precision="64-true")
    for name, value in state(alone.discriminator).items():
        torch.testing.assert_close(state(pair.discriminator)[name][1], value[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weight", [0.5, 3.0])
@pytest.mark.parametrize("axes", [(), (3,)])
@pytest.mark.parametrize("sample", [(2,), (2, 3, 3)])
def test_loss_sensitive_by_loops(weight, axes, sample):
    batch = 32
    x, y = torch.randn(2, *axes, batch, *sample, dtype=torch.float64)
    a, b = torch.randn(2, *axes, batch, dtype=torch.float64) * 30
    found = LossSensitive(weight).discriminator(a, b, x, y)
    assert found.shape == (*axes, batch)
    rows = zip(*(t.reshape(-1, *t.shape[len(axes) + 1 :]) for t in (x, y)), a.flatten(), b.flatten(), strict=True)
    active = 0
    for value, (xi, yi, ai, bi) in zip(found.flatten().tolist(), rows, strict=True):
        margin = sum(abs(p - q) for p, q in zip(xi.flatten().tolist(), yi.flatten().tolist(), strict=True))
        excess = margin - ai.item() + bi.item()
        active += excess > 0
        assert value == pytest.approx(-ai.item() + weight * max(0.0, excess), abs=1e-12)
    assert 0 < active < len(found.flatten())
    assert torch.equal(LossSensitive(weight).generator(None, b), -b)


def test_loss_sensitive_needs_samples_and_has_no_verdict():
    with pytest.raises(ValueError, match=r"^LossSensitive: .*give real and fake"):
        LossSensitive().discriminator(torch.zeros(2), torch.zeros(2))
    assert LossSensitive().decision(torch.zeros(2)) is None


def test_loss_sensitive_trains_and_counts_pairs():
    notes = Notes()
    train(ring_gan(loss=LossSensitive(10.0)), 10, logger=notes, log_every_n_steps=5)
    assert 0 <= notes.rows[-1][1]["d/accuracy_pairs"] <= 1
