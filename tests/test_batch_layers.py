"""Minibatch discrimination against a double loop, virtual batch norm against its definition."""

import math

import pytest
import torch
from torch import nn

from lit_gans import GAN
from lit_gans.networks import (
    DCGANGenerator,
    MinibatchDiscrimination,
    MinibatchMLPDiscriminator,
    MLPDiscriminator,
    MLPGenerator,
    VirtualBatchNorm,
    VirtualBatchNormGenerator,
)
from lit_gans.penalties import R1
from lit_gans.seeds import stack_by_seed
from tests.toys import assert_same, state, train

SHAPE = (2,)


def points(*shape):
    return torch.randn(*shape, dtype=torch.float64)


# -------------------------------------------------------------------------------------------- minibatch discrimination


def test_minibatch_discrimination_by_a_double_loop():
    layer, x = MinibatchDiscrimination(4, kernels=3, kernel_dim=2).double(), points(6, 4)
    found = layer(x)
    assert found.shape == (6, 7)
    assert torch.equal(found[:, :4], x)
    rows = [
        [[sum(x[i, a] * layer.tensor[a, b, c] for a in range(4)).item() for c in range(2)] for b in range(3)]
        for i in range(6)
    ]
    for i in range(6):
        for b in range(3):
            closeness = [sum(abs(p - q) for p, q in zip(rows[i][b], rows[j][b], strict=True)) for j in range(6)]
            assert found[i, 4 + b].item() == pytest.approx(sum(math.exp(-d) for d in closeness), rel=1e-12)


def test_minibatch_discrimination_is_the_batch_size_for_copies_and_1_for_samples_far_apart():
    layer = MinibatchDiscrimination(4, kernels=5).double()
    assert torch.equal(layer(torch.ones(6, 4).double())[:, 4:], torch.full((6, 5), 6.0).double())
    torch.testing.assert_close(layer(points(6, 4) * 1e4)[:, 4:], torch.ones(6, 5).double())


def test_minibatch_discrimination_can_be_differentiated_twice():
    layer = MinibatchDiscrimination(3, kernels=2, kernel_dim=2).double()
    assert torch.autograd.gradgradcheck(lambda x: layer(x).square().sum(), (points(4, 3).requires_grad_(),))


def test_its_discriminator_compares_the_last_hidden_features():
    network = MinibatchMLPDiscriminator((3, 2), hidden=(8, 5), kernels=4, kernel_dim=3).double()
    x = points(6, 3, 2)
    features = network.layers[:5](x)
    assert features.shape == (6, 5)
    torch.testing.assert_close(network(x), network.layers[6](network.layers[5](features)))
    assert not network.samplewise
    assert (network(x)[:3] - network(x[:3])).abs().min() > 1e-9


def test_reals_and_fakes_do_not_meet_and_a_gradient_penalty_is_warned_of():
    seen = []

    class Spy(MinibatchMLPDiscriminator):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    gan = GAN(MLPGenerator(2, SHAPE, hidden=(8,)), Spy(SHAPE, hidden=(8,)), latent_dim=2)
    train(gan, 2)
    assert set(seen) == {32}
    with pytest.warns(UserWarning, match=r"r1: the discriminator has MinibatchDiscrimination, which couples"):
        GAN(MLPGenerator(2, SHAPE), MinibatchMLPDiscriminator(SHAPE), latent_dim=2, penalties={"r1": R1(1.0)})


# ------------------------------------------------------------------------------------------------ virtual batch norm


@pytest.mark.parametrize("pixels", [(), (3, 5)])
def test_virtual_batch_norm_by_its_definition(pixels):
    n_reference, channels = 5, 3
    layer = VirtualBatchNorm(channels, n_reference, eps=1e-3).double()
    with torch.no_grad():
        layer.weight.copy_(points(channels))
        layer.bias.copy_(points(channels))
    x = points(n_reference + 4, channels, *pixels) * 3 + 1
    found = layer(x)
    for i in range(len(x)):
        rows = x[:n_reference] if i < n_reference else torch.cat([x[:n_reference], x[i : i + 1]])
        for c in range(channels):
            values = rows[:, c].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / len(values)
            expected = (x[i, c] - mean) / math.sqrt(variance + 1e-3) * layer.weight[c] + layer.bias[c]
            torch.testing.assert_close(found[i, c], expected, rtol=1e-10, atol=1e-12)


def test_virtual_batch_norm_keeps_its_digits_far_from_0():
    layer = VirtualBatchNorm(2, 8)
    x = torch.randn(20, 2)
    torch.testing.assert_close(layer(x + 1e4), layer(x), rtol=0, atol=5e-3)


GENERATORS = {
    "mlp": lambda: VirtualBatchNormGenerator(2, SHAPE, n_reference=8),
    "dcgan": lambda: VirtualBatchNormGenerator(
        2, (1, 8, 8), lambda latents, shape: DCGANGenerator(latents, shape, width=4), n_reference=8
    ),
}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("training", [True, False])
def test_no_current_sample_moves_anothers_output(name, training):
    network = GENERATORS[name]().double().train(training)
    z = points(6, 2)
    together = network(z)
    assert len(together) == 6
    torch.testing.assert_close(torch.cat([network(row[None]) for row in z]), together, rtol=1e-9, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(lambda v: network(v).flatten(1).sum(1), z)
    off = jacobian * (1 - torch.eye(6, dtype=torch.float64))[:, :, None]
    assert off.abs().max() < 1e-12
    assert jacobian.abs().max() > 1e-3
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def test_the_reference_is_drawn_from_the_seed_and_lies_in_the_checkpoint(tmp_path):
    def game():
        return GAN(GENERATORS["mlp"](), MLPDiscriminator(SHAPE, hidden=(8,)), latent_dim=2, seeds=[3, 4])

    whole, part, rest = game(), game(), game()
    references = [state(gan.generator)["network.reference"] for gan in (whole, part)]
    assert torch.equal(*references)
    assert references[0].shape == (2, 8, 2)
    assert not torch.equal(references[0][0], references[0][1])
    train(whole, 8)
    train(part, 4).save_checkpoint(tmp_path / "half.ckpt")
    train(rest, 8, ckpt_path=tmp_path / "half.ckpt")
    assert_same(state(whole.generator), state(rest.generator))
    assert torch.equal(state(whole.generator)["network.reference"], references[0])


def test_what_cannot_be_virtual_is_refused():
    with pytest.raises(ValueError, match=r"^VirtualBatchNormGenerator: MLPGenerator has no batch norm"):
        VirtualBatchNormGenerator(2, SHAPE, MLPGenerator)
    with pytest.raises(ValueError, match="n_reference must be at least 1, got 0"):
        VirtualBatchNormGenerator(2, SHAPE, n_reference=0)
    with pytest.raises(ValueError, match=r"^MinibatchDiscrimination: sizes must be at least 1.*kernels=0"):
        MinibatchDiscrimination(3, kernels=0)
    with pytest.raises(ValueError, match=r"^MinibatchMLPDiscriminator: hidden is empty"):
        MinibatchMLPDiscriminator(SHAPE, hidden=())


@pytest.mark.parametrize("kind", ["minibatch", "virtual"])
def test_a_seed_of_two_is_that_seed_alone(kind):
    def game(seeds):
        virtual = kind == "virtual"
        return GAN(
            GENERATORS["mlp"]() if virtual else MLPGenerator(2, SHAPE, hidden=(8,)),
            MLPDiscriminator(SHAPE, hidden=(8,)) if virtual else MinibatchMLPDiscriminator(SHAPE, hidden=(8,)),
            latent_dim=2,
            seeds=seeds,
        ).double()

    pair, alone = game([4, 7]), game([7])
    for gan in (pair, alone):
        train(gan, 20, precision="64-true")
        assert gan.discriminator.batched
    for name in ("generator", "discriminator"):
        for key, value in state(alone.networks[name]).items():
            torch.testing.assert_close(state(pair.networks[name])[key][1], value[0], rtol=1e-9, atol=1e-12)


def test_each_copy_is_the_network_alone():
    for build, inputs in (
        (GENERATORS["mlp"], points(2, 5, 2)),
        (lambda: MinibatchMLPDiscriminator(SHAPE), points(2, 5, 2)),
    ):
        stack = stack_by_seed({"network": build()}, [1, 2])["network"].double()
        outputs = stack(inputs)
        for i, seed in enumerate([1, 2]):
            with torch.random.fork_rng():
                alone = stack_by_seed({"network": build()}, [seed])["network"].double()
            torch.testing.assert_close(alone(inputs[i : i + 1])[0], outputs[i])
