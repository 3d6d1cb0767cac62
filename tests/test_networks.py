"""The networks: shapes, initialisation, a seeds axis that changes nothing."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils.parametrize import is_parametrized

from lit_gans.networks import (
    AutoEncoderDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    DiracDiscriminator,
    DiracGenerator,
    MinibatchMLPDiscriminator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    VirtualBatchNormGenerator,
)
from lit_gans.seeds import reinitialise

POINT, DIGIT, SMALL = (2,), (1, 28, 28), (3, 8, 8)
COLOUR, LARGE = (3, 32, 32), (3, 64, 64)

# name: how to build it, the shape of one input, the shape of one output
PLAIN: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "mlp-g-point": (lambda: MLPGenerator(3, POINT), (3,), POINT),
    "mlp-g-image": (lambda: MLPGenerator(3, SMALL, hidden=[16], tanh=True), (3,), SMALL),
    "mlp-g-norm": (lambda: MLPGenerator(3, POINT, batch_norm=True), (3,), POINT),
    "mlp-d-point": (lambda: MLPDiscriminator(POINT), POINT, (1,)),
    "mlp-d-image": (lambda: MLPDiscriminator(SMALL, hidden=[16]), SMALL, (1,)),
    "mlp-d-norm": (lambda: MLPDiscriminator(POINT, batch_norm=True), POINT, (1,)),
    "dcgan-g": (lambda: DCGANGenerator(3, SMALL, width=4, batch_norm=False), (3,), SMALL),
    "dcgan-g-norm": (lambda: DCGANGenerator(3, SMALL, width=4), (3,), SMALL),
    "dcgan-g-digit": (lambda: DCGANGenerator(3, DIGIT, width=4), (3,), DIGIT),
    "dcgan-g-oblong": (lambda: DCGANGenerator(3, (2, 8, 12), width=4), (3,), (2, 8, 12)),
    "dcgan-d": (lambda: DCGANDiscriminator(SMALL, width=4, batch_norm=False), SMALL, (1,)),
    "dcgan-d-norm": (lambda: DCGANDiscriminator(SMALL, width=4), SMALL, (1,)),
    "dcgan-d-digit": (lambda: DCGANDiscriminator(DIGIT, width=4), DIGIT, (1,)),
    "dcgan-d-oblong": (lambda: DCGANDiscriminator((2, 8, 12), width=4), (2, 8, 12), (1,)),
    "dcgan-g-colour": (lambda: DCGANGenerator(3, COLOUR, width=2), (3,), COLOUR),
    "dcgan-d-colour": (lambda: DCGANDiscriminator(COLOUR, width=2), COLOUR, (1,)),
    "dcgan-g-large": (lambda: DCGANGenerator(3, LARGE, width=2), (3,), LARGE),
    "dcgan-d-large": (lambda: DCGANDiscriminator(LARGE, width=2), LARGE, (1,)),
    "resnet-g": (lambda: ResNetGenerator(3, COLOUR, width=2, batch_norm=False), (3,), COLOUR),
    "resnet-g-norm": (lambda: ResNetGenerator(3, COLOUR, width=2), (3,), COLOUR),
    "resnet-g-large": (lambda: ResNetGenerator(3, LARGE, width=1), (3,), LARGE),
    "resnet-d": (lambda: ResNetDiscriminator(COLOUR, width=4, spectral_norm=False), COLOUR, (1,)),
    "resnet-d-large": (lambda: ResNetDiscriminator(LARGE, width=2, spectral_norm=False), LARGE, (1,)),
    "auto-encoder-point": (lambda: AutoEncoderDiscriminator(POINT, hidden=[16], code=1), POINT, (1,)),
    "auto-encoder-image": (lambda: AutoEncoderDiscriminator(SMALL, hidden=[16, 8], code=3), SMALL, (1,)),
    "mlp-e": (lambda: MLPEncoder(SMALL, 3, hidden=[16]), SMALL, (3,)),
    "mlp-d-minibatch": (lambda: MinibatchMLPDiscriminator(SMALL, hidden=[16], kernels=3, kernel_dim=2), SMALL, (1,)),
    "mlp-g-virtual": (lambda: VirtualBatchNormGenerator(3, SMALL, n_reference=4), (3,), SMALL),
    "dirac-g": (DiracGenerator, (3,), (1,)),
    "dirac-d": (DiracDiscriminator, (1,), (1,)),
    "dirac-d-hidden": (lambda: DiracDiscriminator(hidden=3), (1,), (1,)),
}
SPECTRAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "mlp": (lambda: MLPDiscriminator(POINT, hidden=[16, 8], spectral_norm=True), POINT, 3),
    "dcgan": (lambda: DCGANDiscriminator(SMALL, width=4, batch_norm=False, spectral_norm=True), SMALL, 3),
    "resnet": (lambda: ResNetDiscriminator(COLOUR, width=4), COLOUR, 11),
}


@pytest.fixture(autouse=True)
def _fixed_numbers() -> None:
    torch.manual_seed(0)


def leaves(network: nn.Module) -> list[Any]:
    """The modules that own parameters."""
    return [module for module in network.modules() if list(module.parameters(recurse=False))]


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", PLAIN)
def test_shapes(name: str) -> None:
    build, inputs, outputs = PLAIN[name]
    assert build()(torch.randn(5, *inputs)).shape == (5, *outputs)


@pytest.mark.parametrize("name", PLAIN)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    build, inputs, outputs = PLAIN[name]
    network = build()
    # Random weights on the outputs: batch norm's output sums to a constant.
    (network(torch.randn(5, *inputs)) * torch.randn(5, *outputs)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", PLAIN)
def test_vmap_over_stacked_networks_equals_a_loop(name: str) -> None:
    """Outputs, gradients and the running statistics of batch norm, in training mode."""
    build, inputs, outputs = PLAIN[name]
    networks = [build().double().train() for _ in range(3)]
    batch = torch.randn(3, 6, *inputs, dtype=torch.float64)
    cotangent = torch.randn(3, 6, *outputs, dtype=torch.float64)

    parameters, buffers = stack_module_state(networks)

    def forward(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(networks[0], (parameters, buffers), (x,))

    # networks[0] lends its code only: the loop below starts from untouched buffers.
    together = torch.func.vmap(forward)(parameters, buffers, batch)
    (together * cotangent).sum().backward()

    for i, network in enumerate(networks):
        alone = network(batch[i])
        (alone * cotangent[i]).sum().backward()
        torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-12)
        for key, parameter in network.named_parameters():
            gradient = parameters[key].grad[i]
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-12, atol=1e-12, msg=key)
        for key, buffer in network.named_buffers():
            torch.testing.assert_close(buffers[key][i], buffer, rtol=0, atol=1e-12, msg=key)


@pytest.mark.parametrize("name", PLAIN)
def test_layers_reset_themselves_as_the_network_was_built(name: str) -> None:
    """A seed re-initialises a player layer by layer, which must draw what the constructor draws."""
    build, _, _ = PLAIN[name]
    torch.manual_seed(3)
    fresh = build().state_dict()
    network = build()
    for tensor in network.state_dict().values():
        tensor.fill_(7)
    torch.manual_seed(3)
    reinitialise(network, name)
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, fresh[key], rtol=0, atol=0, msg=key)


@pytest.mark.parametrize(
    "build",
    [
        lambda norm: MLPGenerator(2, POINT, batch_norm=norm),
        lambda norm: MLPDiscriminator(POINT, batch_norm=norm),
        lambda norm: DCGANGenerator(2, SMALL, width=4, batch_norm=norm),
        lambda norm: DCGANDiscriminator(SMALL, width=4, batch_norm=norm),
        lambda norm: ResNetGenerator(2, COLOUR, width=2, batch_norm=norm),
    ],
    ids=["mlp-g", "mlp-d", "dcgan-g", "dcgan-d", "resnet-g"],
)
def test_batch_norm_is_there_when_asked_for(build: Callable[[bool], nn.Module]) -> None:
    assert has_batch_norm(build(True))
    assert not has_batch_norm(build(False))


@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_norm_makes_every_largest_singular_value_one(name: str) -> None:
    build, inputs, layers = SPECTRAL[name]
    network = build().train()
    for parameter in network.parameters():
        parameter.data.mul_(10)  # The scale of the raw weights must not matter.
    for _ in range(200):  # One step of the power method each.
        logits = network(torch.randn(2, *inputs))
    assert logits.shape == (2, 1)
    normalised: list[Any] = [module for module in network.modules() if is_parametrized(module, "weight")]
    assert len(normalised) == layers
    network.eval()
    for layer in normalised:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=1e-3)


def test_no_spectral_norm_unless_asked_for() -> None:
    for network in (MLPDiscriminator(POINT), DCGANDiscriminator(SMALL, width=4)):
        assert not any(is_parametrized(module) for module in network.modules())


def test_ring_networks_have_the_papers_sizes() -> None:
    generator = MLPGenerator(latent_dim=2, sample_shape=POINT, hidden=[64, 64])
    discriminator = MLPDiscriminator(sample_shape=POINT, hidden=[64, 64])
    # (2·64 + 64) + (64·64 + 64) + (64·2 + 2), and + (64·1 + 1)
    assert parameter_count(generator) == 192 + 4160 + 130
    assert parameter_count(discriminator) == 192 + 4160 + 65


def test_mnist_networks_have_the_papers_sizes() -> None:
    generator = MLPGenerator(latent_dim=50, sample_shape=DIGIT, hidden=[512, 512, 512])
    discriminator = MLPDiscriminator(sample_shape=DIGIT, hidden=[512, 512, 512])
    # (50·512 + 512) + 2 (512·512 + 512) + (512·784 + 784), and (784·512 + 512) + 2 (…) + (512·1 + 1)
    assert parameter_count(generator) == 26112 + 2 * 262656 + 402192
    assert parameter_count(discriminator) == 401920 + 2 * 262656 + 513


def test_closing_tanh_is_the_tanh_of_the_open_network() -> None:
    opened, closed = MLPGenerator(2, DIGIT), MLPGenerator(2, DIGIT, tanh=True)
    closed.load_state_dict(opened.state_dict())
    z = 10 * torch.randn(4, 2)
    torch.testing.assert_close(closed(z), opened(z).tanh())


def test_mlp_discriminator_is_relu_and_has_no_sigmoid() -> None:
    discriminator = MLPDiscriminator((1,), hidden=[2])
    discriminator.load_state_dict(
        {
            "layers.1.weight": torch.tensor([[1.0], [-1.0]]),
            "layers.1.bias": torch.zeros(2),
            "layers.3.weight": torch.tensor([[3.0, -5.0]]),
            "layers.3.bias": torch.tensor([0.5]),
        }
    )
    logits = discriminator(torch.tensor([[2.0], [-2.0]]))
    torch.testing.assert_close(logits, torch.tensor([[6.5], [-9.5]]))


def test_mlp_refuses_an_empty_layer() -> None:
    with pytest.raises(ValueError, match=r"2 -> 64 -> 0 -> 2 .*at least 1"):
        MLPGenerator(2, POINT, hidden=[64, 0])
    with pytest.raises(ValueError, match=r"0 -> 64 -> 64 -> 1 .*sample_shape"):
        MLPDiscriminator((0,))


@pytest.mark.parametrize("reset", [False, True], ids=["built", "reset"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_dcgan_starts_from_the_papers_law(player: str, batch_norm: bool, reset: bool) -> None:
    network = (
        DCGANGenerator(100, DIGIT, batch_norm=batch_norm)
        if player == "generator"
        else DCGANDiscriminator(DIGIT, batch_norm=batch_norm)
    )
    if reset:
        for parameter in network.parameters():
            parameter.data.fill_(7.0)
        for leaf in leaves(network):
            leaf.reset_parameters()
    for leaf in leaves(network):
        mean = 1.0 if isinstance(leaf, nn.BatchNorm2d) else 0.0
        count = leaf.weight.numel()
        # Five standard errors of a mean and of a standard deviation, from `count` normal numbers.
        assert leaf.weight.mean().item() == pytest.approx(mean, abs=5 * 0.02 / sqrt(count))
        assert leaf.weight.std().item() == pytest.approx(0.02, abs=5 * 0.02 / sqrt(2 * count))
        if leaf.bias is not None:
            assert leaf.bias.count_nonzero() == 0


def test_dcgan_parameter_counts() -> None:
    generator, discriminator = DCGANGenerator(10, DIGIT), DCGANDiscriminator(DIGIT)
    # Linear, norm, 4x4 convolution, norm, 4x4 convolution.
    assert parameter_count(generator) == 10 * 128 * 49 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16
    # 4x4 convolution, 4x4 convolution, norm, linear.
    assert parameter_count(discriminator) == 64 * 16 + 64 * 128 * 16 + 2 * 128 + 128 * 49
    # Without batch norm, biases.
    assert parameter_count(DCGANDiscriminator(DIGIT, batch_norm=False)) == 64 * 17 + 64 * 128 * 16 + 128 + 128 * 49 + 1


def test_dcgan_at_64_pixels_is_pytorchs_example() -> None:
    assert parameter_count(DCGANGenerator(100, LARGE)) == 3_576_704
    assert parameter_count(DCGANDiscriminator(LARGE)) == 2_765_568


@pytest.mark.parametrize(
    ("shape", "sides"),
    [(DIGIT, [14, 7]), (COLOUR, [16, 8, 4]), (LARGE, [32, 16, 8, 4]), (SMALL, [4, 2]), ((2, 8, 12), [4, 2])],
)
def test_dcgan_halves_down_to_four_pixels_but_at_least_twice(shape: tuple[int, ...], sides: list[int]) -> None:
    seen: list[int] = []
    discriminator, generator = DCGANDiscriminator(shape, width=2), DCGANGenerator(3, shape, width=2)
    for network in (discriminator, generator):
        for layer in network.layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[2]))
    discriminator(torch.zeros(2, *shape))
    generator(torch.zeros(2, 3))
    assert seen == [*sides, *reversed(sides[:-1]), shape[1]]


def test_resnets_have_the_papers_sizes() -> None:
    def up(inputs: int, outputs: int) -> int:  # norm, 3x3, norm, 3x3, and 1x1 beside them
        return (
            2 * inputs + (9 * inputs + 1) * outputs + 2 * outputs + (9 * outputs + 1) * outputs + (inputs + 1) * outputs
        )

    def down(inputs: int, between: int, outputs: int, shortcut: bool = True) -> int:
        return (9 * inputs + 1) * between + (9 * between + 1) * outputs + shortcut * (inputs + 1) * outputs

    def ends(latents: int, first: int, last: int) -> int:
        return (latents + 1) * 16 * first + 2 * last + (9 * last + 1) * 3

    small, large = ResNetGenerator(128, COLOUR), ResNetGenerator(128, LARGE)
    assert parameter_count(small) == ends(128, 256, 256) + 3 * up(256, 256) == 4_276_739
    blocks = up(1024, 512) + up(512, 256) + up(256, 128) + up(128, 64)
    assert parameter_count(large) == ends(128, 1024, 64) + blocks == 12_220_675

    judge, large_judge = ResNetDiscriminator(COLOUR), ResNetDiscriminator(LARGE)
    blocks = down(3, 128, 128) + down(128, 128, 128) + 2 * down(128, 128, 128, shortcut=False)
    assert parameter_count(judge) == blocks + 129 == 1_053_825
    blocks = down(3, 64, 64) + down(64, 64, 128) + down(128, 128, 256) + down(256, 256, 512) + down(512, 512, 1024)
    assert parameter_count(large_judge) == blocks + 1025 == 10_141_441


def test_resnet_generator_is_its_formula() -> None:
    generator = ResNetGenerator(3, COLOUR, width=4).double().eval()
    w = dict(generator.named_parameters())
    for name, buffer in generator.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2.0)
            w[name] = buffer

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            w[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def conv(x: Tensor, name: str) -> Tensor:
        kernel = w[f"{name}.weight"]
        return nn.functional.conv2d(x, kernel, w[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def up(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    z = torch.randn(2, 3, dtype=torch.float64)
    h = (z @ w["layers.0.weight"].T + w["layers.0.bias"]).reshape(2, 4, 4, 4)
    for k in (2, 3, 4):
        inner = conv(up(norm(h, f"layers.{k}.residual.0").relu()), f"layers.{k}.residual.3")
        inner = conv(norm(inner, f"layers.{k}.residual.4").relu(), f"layers.{k}.residual.6")
        h = inner + conv(up(h), f"layers.{k}.shortcut.1")
    h = conv(norm(h, "layers.5").relu(), "layers.7").tanh()
    torch.testing.assert_close(generator(z), h, rtol=0, atol=1e-12)


def test_resnet_discriminator_is_its_formula() -> None:
    discriminator = ResNetDiscriminator(COLOUR, width=4, spectral_norm=False).double()
    w = dict(discriminator.named_parameters())

    def conv(x: Tensor, name: str) -> Tensor:
        kernel = w[f"blocks.{name}.weight"]
        return nn.functional.conv2d(x, kernel, w[f"blocks.{name}.bias"], padding=kernel.shape[-1] // 2)

    def down(x: Tensor) -> Tensor:
        return x.unflatten(3, (-1, 2)).mean(4).unflatten(2, (-1, 2)).mean(3)

    x = torch.randn(3, *COLOUR, dtype=torch.float64)
    h = down(conv(conv(x, "0.residual.0").relu(), "0.residual.2")) + conv(down(x), "0.shortcut.0")
    h = down(conv(conv(h.relu(), "1.residual.1").relu(), "1.residual.3")) + down(conv(h, "1.shortcut.0"))
    for k in (2, 3):
        h = conv(conv(h.relu(), f"{k}.residual.1").relu(), f"{k}.residual.3") + h
    logits = h.relu().sum((2, 3)) @ w["last.weight"].T + w["last.bias"]
    torch.testing.assert_close(discriminator(x), logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("build", [lambda shape: ResNetGenerator(3, shape), ResNetDiscriminator])
@pytest.mark.parametrize("shape", [(2,), (3, 32, 64), (3, 48, 48), DIGIT])
def test_resnets_refuse_other_sizes(build: Callable[[tuple[int, ...]], nn.Module], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"32 x 32 or 64 x 64 pixels.*resize the images"):
        build(shape)


def test_dcgan_discriminator_leaves_its_first_layer_unnormalised() -> None:
    kinds = [type(module) for module in DCGANDiscriminator(SMALL, width=4).layers]
    assert sum(issubclass(kind, nn.BatchNorm2d) for kind in kinds) == 1
    assert issubclass(kinds[0], nn.Conv2d)
    assert kinds[1] is nn.LeakyReLU


@pytest.mark.parametrize("build", [lambda shape: DCGANGenerator(3, shape), DCGANDiscriminator])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 28, 30), "28x30.*divisible by 4"),
        ((1, 10, 8), "10x8.*divisible by 4"),
        ((3, 0, 8), "0x8.*positive"),
        ((2,), r"\(2,\).*channels, height, width"),
    ],
)
def test_dcgan_refuses_sizes_it_cannot_halve_twice(
    build: Callable[[tuple[int, ...]], nn.Module], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(shape)
