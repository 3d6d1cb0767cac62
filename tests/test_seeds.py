"""Seeds as an axis: a run of three seeds is three runs of one."""

import pytest
import torch
from torch import nn

from lit_gans import GAN
from lit_gans.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from lit_gans.penalties import DRAGAN, R1, WGANGP
from lit_gans.seeds import reinitialise, stack_by_seed
from tests.toys import OPTIMIZERS, Batches, assert_same, ring_gan, state, train


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("n_critic", [1, 2])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_three_seeds_are_three_runs_of_one(optimizer, n_critic, batch_norm):
    def run(seeds):
        torch.manual_seed(sum(seeds))  # the global state must not matter
        penalties = {"gp": WGANGP(1.0), "dragan": DRAGAN(0.5)}
        gan = ring_gan(optimizer, batch_norm, n_critic=n_critic, seeds=seeds, penalties=penalties)
        start = state(gan)
        trainer = train(gan, 50, precision="64-true")
        assert trainer.global_step == 50
        return start, state(gan)

    start, together = run([0, 1, 2])
    for i, seed in enumerate([0, 1, 2]):
        start_alone, alone = run([seed])
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            torch.testing.assert_close(start[name][i], start_alone[name][0], rtol=0, atol=0)
            torch.testing.assert_close(together[name][i], value[0], rtol=0, atol=1e-9)
    moved = [name for name in together if (together[name] - start[name]).abs().max() > 1e-5]
    assert len(moved) >= len(together) * 0.9  # the fifty iterations did something, everywhere


def test_seeds_differ_from_each_other():
    gan = ring_gan(seeds=[3, 4])
    for name, value in gan.generator.named_parameters():
        assert (value[0] != value[1]).any(), name


def test_spectral_norm_runs_seed_by_seed_and_equals_single_runs():
    def run(seeds):
        gan = GAN(
            MLPGenerator(2, (2,), hidden=(8,)),
            MLPDiscriminator((2,), hidden=(8,), spectral_norm=True),
            latent_dim=2,
            generator_optimizer=OPTIMIZERS["SGD"],
            discriminator_optimizer=OPTIMIZERS["SGD"],
            seeds=seeds,
            penalties={"r1": R1(1.0)},
        )
        train(gan, 20, precision="64-true")
        assert gan.generator.batched
        assert not gan.discriminator.batched
        return state(gan)

    together = run([5, 9])
    for i, seed in enumerate([5, 9]):
        for name, value in run([seed]).items():
            torch.testing.assert_close(together[name][i], value[0], rtol=0, atol=1e-9)


def test_images_train_on_the_seeds_axis():
    gan = GAN(DCGANGenerator(4, (1, 8, 8), width=4), DCGANDiscriminator((1, 8, 8), width=4), 4, seeds=[0, 1])
    images = torch.rand(2 * 6, 1, 8, 8) * 2 - 1
    before = state(gan)
    train(gan, 2, Batches(images, images))
    assert gan.sample(3).shape == (2, 3, 1, 8, 8)
    assert any(
        (before[name] != value).any() for name, value in gan.discriminator.state_dict(prefix="discriminator.").items()
    )


def test_settling_leaves_running_statistics_alone():
    gan = ring_gan(batch_norm=True, seeds=[0, 1])
    counts = [value for name, value in gan.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counts
    assert all((count == 0).all() for count in counts)


def test_reinitialise_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    ring_gan(seeds=[0, 1])
    assert not torch.equal(torch.get_rng_state(), before)  # building the networks as they are does draw
    networks = {"generator": nn.Linear(2, 2)}
    before = torch.get_rng_state()
    stack_by_seed(networks, [0, 1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_seed_starts_as_a_script_that_seeds_torch_and_builds_both(batch_norm):
    gan = ring_gan(batch_norm=batch_norm, seeds=[7, 8])
    for i, seed in enumerate([7, 8]):
        torch.manual_seed(seed)
        alone = ring_gan(batch_norm=batch_norm)
        stacked = gan.generator.network, gan.discriminator.network
        for stack, network in zip(stacked, (alone.generator, alone.discriminator), strict=True):
            for name, value in network.state_dict().items():
                assert torch.equal(stack.state_dict()[name][i], value), name


def test_a_network_adjusts_its_layers_after_they_are_reset():
    class Halved(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def reset_parameters(self):
            nn.init.constant_(self.layer.weight, 0.5)

    network = Halved()
    reinitialise(network, "generator")
    assert (network.layer.weight == 0.5).all()


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, z):
        return z * self.weight


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Bare(), "Bare .* no reset_parameters"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), "Dropout"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "not spectral_norm"),
    ],
)
def test_what_cannot_be_seeded_is_refused_by_name(network, message):
    with pytest.raises(TypeError, match=message):
        stack_by_seed({"generator": network}, [0, 1])


def test_tied_parameters_stay_tied():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    stack = stack_by_seed({"generator": nn.Sequential(first, second)}, [0, 1])["generator"]
    assert stack.network[0].weight is stack.network[1].weight
    x = torch.randn(2, 4, 3)
    for i in range(2):
        w, b0, b1 = stack.network[0].weight[i], stack.network[0].bias[i], stack.network[1].bias[i]
        torch.testing.assert_close(stack(x)[i], (x[i] @ w.T + b0) @ w.T + b1)


class Noisy(nn.Module):
    samplewise = True

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(nn.functional.dropout(x, 0.5))


def test_random_numbers_in_a_forward_pass_are_refused_by_name():
    gan = GAN(MLPGenerator(2, (2,)), Noisy(), 2, seeds=[0, 1])
    before = state(gan)
    with pytest.raises(TypeError, match="Noisy draws random numbers"):
        train(gan, 1)
    assert_same(before, state(gan))


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_must_be_different(seeds):
    with pytest.raises(ValueError, match="different integers"):
        ring_gan(seeds=seeds)
