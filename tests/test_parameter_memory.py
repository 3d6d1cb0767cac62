"""What D remembers by: quadratics by hand, the Fisher information example by example, the path integral on bowls."""

import copy
import math
import operator
from functools import reduce

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lit_gans.losses import Hinge, LeastSquares, Minimax, NonSaturating, RelativisticPairing, Wasserstein
from lit_gans.memory import PathIntegral, Quadratic, fisher_diagonal, flattened
from lit_gans.memory.linear_layers import squares_of_linear_layers
from lit_gans.networks import DCGANDiscriminator, MLPDiscriminator
from lit_gans.seeds import stack_by_seed
from lit_gans.streams import stream

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def tensor(*shape, seed=0):
    return torch.randn(shape, generator=stream(seed, "tests"), dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype).reshape(found.shape), **EXACT)


def test_flattened_is_one_row_per_seed_in_the_order_given():
    matrix, scalar, vector = torch.arange(12.0).reshape(2, 2, 3), torch.tensor([20.0, 21.0]), torch.zeros(2, 1) - 1
    together = flattened([matrix, scalar, vector], (2,))
    assert together.tolist() == [[0, 1, 2, 3, 4, 5, 20, -1], [6, 7, 8, 9, 10, 11, 21, -1]]
    assert flattened([scalar, matrix]).tolist() == [20, 21, *range(12)]


@pytest.mark.parametrize("shapes", [[(4,)], [(2, 3), (), (5,)]])
def test_flattened_is_differentiable_and_a_copy(shapes):
    parameters = [tensor(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    vector = flattened(parameters)
    weights, before = tensor(len(vector), seed=9), vector.tolist()
    (weights * vector).sum().backward()
    close(torch.cat([parameter.grad.flatten() for parameter in parameters]), weights)
    with torch.no_grad():
        for parameter in parameters:  # an optimizer writes into parameters; where they were must stay known
            parameter += 1
    assert vector.tolist() == before


def test_a_quadratic_by_hand():
    # 2 (3 - 1)² + 0 (5 + 1)² + ½ (1 - 3)² = 8 + 0 + 2, with slopes 2·2·2, 0 and 2·½·(-2)
    importance, anchor, point = torch.tensor([[2.0, 0.0, 0.5], [1.0, -1.0, 3.0], [3.0, 5.0, 1.0]]).double()
    plain, lifted = Quadratic(importance, anchor), Quadratic(importance, anchor, torch.tensor([-4.0]).double())
    assert plain(point).tolist() == [10.0]
    assert lifted(point).tolist() == [6.0]
    assert plain.gradient(point).tolist() == lifted.gradient(point).tolist() == [8.0, 0.0, -2.0]
    assert plain(anchor).tolist() == [0.0]


def test_the_gradient_of_a_quadratic_is_that_of_its_value():
    q = Quadratic(tensor(3, 7).square(), tensor(3, 7, seed=1), tensor(3, 1, seed=2))
    point = tensor(3, 7, seed=3).requires_grad_()
    close(q.gradient(point).detach(), torch.autograd.grad(q(point).sum(), point)[0])


def test_a_quadratic_with_a_seeds_axis_is_each_seed_alone():
    fields, point = (tensor(3, 7).square(), tensor(3, 7, seed=1), tensor(3, 1, seed=2)), tensor(3, 7, seed=3)
    together = Quadratic(*fields)(point)
    assert together.shape == (3, 1)
    close(together, torch.stack([Quadratic(*row)(point[i]) for i, row in enumerate(zip(*fields, strict=True))]))


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("seeds", [(), (3,)])
def test_a_sum_of_quadratics_is_a_quadratic(count, seeds):
    quadratics = []
    for i in range(count):
        importance = tensor(*seeds, 8, seed=10 * i).square()
        importance[..., 0] = 0.0  # matters to none
        importance[..., 1] *= i == 0  # to the first alone
        importance[..., 2] *= i == count - 1  # to the last alone
        constant = tensor(*seeds, 1, seed=10 * i + 1) if i % 2 else None
        quadratics.append(Quadratic(importance, tensor(*seeds, 8, seed=10 * i + 2), constant))
    together = reduce(operator.add, quadratics)
    assert together.anchor.shape == (*seeds, 8)  # the memory of one, however many
    close(together.importance, sum(q.importance for q in quadratics))
    for seed in range(100, 104):
        point = 3 * tensor(*seeds, 8, seed=seed)
        close(together(point), sum(q(point) for q in quadratics))
        close(together.gradient(point), sum(q.gradient(point) for q in quadratics))


def test_what_matters_to_nobody_adds_up_to_nothing():
    zero = torch.zeros(4, dtype=torch.float64)
    together = Quadratic(zero, tensor(4)) + Quadratic(zero, tensor(4, seed=1))
    assert together(tensor(4, seed=2)).tolist() == [0.0]
    assert together.anchor.isfinite().all()


# The Fisher information. The losses of one example are written anew here, of D's logits a on real, b on fake samples.


def nll(logit):
    """-log σ(logit)."""
    return -nn.functional.logsigmoid(logit)


SEPARABLE = {
    Minimax(real_target=0.9): (lambda a: 0.9 * nll(a) + 0.1 * nll(-a), lambda b: nll(-b)),
    NonSaturating(real_weight=3.0): (lambda a: 3 * nll(a), lambda b: nll(-b)),
    LeastSquares(fake_target=-1.0): (lambda a: (a - 1) ** 2, lambda b: (b + 1) ** 2),
    Hinge(real_weight=2.0): (lambda a: 2 * (1 - a).clamp(min=0), lambda b: (1 + b).clamp(min=0)),
    Wasserstein(): (lambda a: -a, lambda b: b),
}
OBJECTIVES = [*SEPARABLE, RelativisticPairing()]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)


def example_losses(objective, network, real, fake):
    """The loss of one example after the other."""
    reals, fakes = ([network(sample[None]).squeeze() for sample in samples] for samples in (real, fake))
    if objective not in SEPARABLE:
        return [nll(a - b) for a, b in zip(reals, fakes, strict=True)]
    of_real, of_fake = SEPARABLE[objective]
    return [of_real(a) for a in reals] + [of_fake(b) for b in fakes]


def example_gradients(objective, network, real, fake):
    """One gradient after the other, `(examples, P)`."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    losses = example_losses(objective, network, real, fake)
    gradients = [torch.autograd.grad(loss, trained, materialize_grads=True) for loss in losses]
    return torch.stack([torch.cat([each.flatten() for each in of_one]) for of_one in gradients])


def mlp(**settings):
    return MLPDiscriminator((2, 4, 4), hidden=(5, 6), **settings)


def dcgan(width=2, **settings):
    return DCGANDiscriminator((2, 4, 4), width, **settings)


def frozen():
    network = mlp()
    network.layers[3].weight.requires_grad_(False)
    return network


def tied():
    first, second = nn.Linear(32, 32), nn.Linear(32, 32)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(1), first, nn.Tanh(), second, nn.Tanh(), nn.Linear(32, 1))


class Odd(nn.Module):
    """Two layers, the first of which is used in a way that its rows and the samples do not tell all."""

    def __init__(self, way):
        super().__init__()
        self.way, self.first, self.last = way, nn.Linear(16, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.last(getattr(self, self.way)(x.flatten(2)).tanh())

    def twice(self, x):
        return self.first(self.first(x[:, 0]).tanh())

    def by_its_weight_too(self, x):
        return self.first(x[:, 0]) + (x[:, 1] @ self.first.weight).tanh()

    def by_its_weight_alone(self, x):
        return x[:, 1] @ self.first.weight

    def on_rows_of_more_axes(self, x):
        return self.first(x).tanh().sum(1)

    def on_more_rows_than_samples(self, x):
        return self.first(x.reshape(-1, 16)).tanh().reshape(-1, 2, 16).sum(1)

    def by_keyword(self, x):
        return self.first(input=x[:, 0])

    def on_a_constant(self, x):
        return self.first(torch.ones(1, 16).to(x)) + x[:, 0]

    def not_at_all(self, x):
        return x[:, 0] + 0 * self.first.weight.sum()


def shared():
    layer = nn.Linear(32, 32)
    return nn.Sequential(nn.Flatten(1), layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(32, 1))


NETWORKS = {
    "mlp": mlp,
    "mlp, batch norm": lambda: mlp(batch_norm=True),
    "mlp, spectral norm": lambda: mlp(spectral_norm=True),
    "dcgan": lambda: dcgan(batch_norm=False),
    "dcgan, batch norm": dcgan,
    "dcgan, spectral norm": lambda: dcgan(batch_norm=False, spectral_norm=True),
    "frozen weight": frozen,
    "tied weights": tied,
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def grown(network):
    """A network in eval mode, with logits far from 0 and statistics that batches have left."""
    network.double()
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.copy_(0.6 * tensor(*parameter.shape, seed=i))
        for seed in range(3):
            network(2 * tensor(16, 2, 4, 4, seed=seed) + 1)
    return network.eval()


def samples(n, seed):
    return tensor(n, 2, 4, 4, seed=seed)


@every_objective
@every_network
def test_fisher_is_the_mean_square_of_single_gradients(objective, build):
    # Means over each side by itself would differ: there are more fakes than reals.
    network, pairs = grown(build()), objective not in SEPARABLE
    real, fake = samples(5, seed=1), samples(5 if pairs else 8, seed=2)
    gradients = example_gradients(objective, network, real, fake)
    assert gradients.shape[0] == (5 if pairs else 13)
    assert gradients.abs().max() > 1e-3
    found = fisher_diagonal(objective, network, real, fake)
    assert not found.requires_grad
    close(found, gradients.square().mean(0))


single_or_pairs = pytest.mark.parametrize("objective", [OBJECTIVES[1], OBJECTIVES[-1]], ids=["single", "pairs"])
WAYS = [name for name, value in vars(Odd).items() if callable(value) and not name.startswith("_") and name != "forward"]


@single_or_pairs
@pytest.mark.parametrize("way", WAYS)
def test_fisher_however_a_layer_is_used(objective, way):
    network, real, fake = grown(Odd(way)), samples(5, seed=1), samples(5, seed=2)
    gradients = example_gradients(objective, network, real, fake)
    close(fisher_diagonal(objective, network, real, fake), gradients.square().mean(0))


@single_or_pairs
def test_linear_layers_are_known_without_their_single_gradients(objective):
    network, batches = grown(mlp()), (samples(5, seed=1), samples(5, seed=2))
    state = dict(network.named_parameters())
    found = [squares_of_linear_layers(network, state, examples) for examples in objective.examples(*batches)]
    assert all(each.keys() == state.keys() for each in found)
    squares = example_gradients(objective, network, *batches).square().sum(0)
    close(sum(torch.cat([each[name].flatten() for name in state]) for each in found), squares)


@single_or_pairs
@every_network
def test_fisher_of_a_stack_is_that_of_each_copy(objective, build):
    alone = build().double().eval()
    stack = stack_by_seed({"d": alone}, [4, 0, 9])["d"].train()
    with torch.no_grad():
        for seed in range(3):
            stack(2 * tensor(3, 16, 2, 4, 4, seed=seed) + 1)
    stack.eval()
    real, fake = tensor(3, 6, 2, 4, 4, seed=1), tensor(3, 6, 2, 4, 4, seed=2)
    found = fisher_diagonal(objective, stack, real, fake)
    for i, row in enumerate(found):
        alone.load_state_dict({name: value[i] for name, value in stack.network.state_dict().items()})
        gradients = example_gradients(objective, alone, real[i], fake[i])
        close(row, gradients.square().mean(0))
    assert (found[0] - found[1]).abs().max() > 1e-6


def logistic(weights):
    network = nn.Linear(len(weights) - 1, 1).double()
    with torch.no_grad():
        network.weight.copy_(weights[:-1])
        network.bias.copy_(weights[-1])
    return network


@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_fisher_of_logistic_regression(gamma):
    # ∂ℓ/∂(w, b) = -γ σ(-D(x)) (x, 1) for a real example, σ(D(y)) (y, 1) for a fake one.
    w, real, fake = tensor(4), tensor(6, 3, seed=1), tensor(9, 3, seed=2)
    squares = [0.0] * 4
    for sign, batch in [(-1, real), (1, fake)]:
        for sample in batch.tolist():
            v = [*sample, 1.0]
            logit = sum(a * b for a, b in zip(w.tolist(), v, strict=True))
            factor = (gamma if sign < 0 else 1) / (1 + math.exp(-sign * logit))
            squares = [total + (factor * u) ** 2 for total, u in zip(squares, v, strict=True)]
    found = fisher_diagonal(NonSaturating(real_weight=gamma), logistic(w), real, fake)
    close(found, [total / 15 for total in squares])


def test_fisher_is_not_the_square_of_the_mean_gradient():
    # Fakes that equal the reals leave D = 0 nothing to learn: the mean gradient is 0, but each is ∓½ (v, 1).
    network, data = logistic(torch.zeros(3).double()), tensor(20, 2)
    assert example_gradients(NonSaturating(), network, data, data).mean(0).abs().max() < 1e-15
    found = fisher_diagonal(NonSaturating(), network, data, data)
    close(found, torch.cat([data.square().mean(0), torch.ones(1).double()]) / 4)
    assert found.min() > 0.1


@pytest.mark.parametrize("build", [dcgan, tied])
@pytest.mark.parametrize("at_once", [0, 1, 4, 6, 11, 1000])
def test_fisher_does_not_depend_on_how_much_goes_at_once(build, at_once):
    network, real, fake = grown(build()), samples(6, seed=1), samples(11, seed=2)
    expected = example_gradients(OBJECTIVES[1], network, real, fake).square().mean(0)
    chunk_mib = 1e-9 if at_once == 0 else (at_once + 0.5) * 8 * len(expected) / 2**20
    close(fisher_diagonal(OBJECTIVES[1], network, real, fake, chunk_mib), expected)


@pytest.mark.parametrize("at_once", [1, 5])
def test_fisher_takes_no_more_memory_for_more_examples(at_once):
    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for each in out if isinstance(out, tuple | list) else [out]:
                self.numel = max(self.numel, each.numel() if isinstance(each, torch.Tensor) else 0)
            return out

    network, real, fake = grown(dcgan(width=8)), samples(60, seed=1), samples(60, seed=2)
    sizes = [parameter.numel() for parameter in network.parameters()]
    with Largest() as largest:
        fisher_diagonal(Hinge(), network, real, fake, (at_once + 0.5) * 8 * sum(sizes) / 2**20)
    assert at_once * max(sizes) <= largest.numel <= 2 * at_once * sum(sizes)


@pytest.mark.parametrize("build", [*NETWORKS.values(), shared], ids=[*NETWORKS, "one layer in two places"])
def test_fisher_leaves_the_network_as_it_was(build):
    network = grown(build())
    for parameter in list(network.parameters())[::2]:
        parameter.grad = torch.full_like(parameter, 7.0)
    names = [*network.named_parameters(), *network.named_buffers()]
    needs = [parameter.requires_grad for parameter in network.parameters()]
    before = copy.deepcopy(network)
    once = fisher_diagonal(NonSaturating(), network, samples(4, 1), samples(4, 2))
    assert torch.is_grad_enabled()
    with torch.no_grad():
        assert torch.equal(fisher_diagonal(NonSaturating(), network, samples(4, 1), samples(4, 2)), once)
    now = [*network.named_parameters(), *network.named_buffers()]
    assert [(name, id(value)) for name, value in now] == [(name, id(value)) for name, value in names]
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.parameters()] == needs
    for i, parameter in enumerate(network.parameters()):
        assert (parameter.grad == 7.0).all() if i % 2 == 0 else parameter.grad is None
    assert not any(module.training or module._forward_hooks for module in network.modules())


# The path integral, on losses L(θ) = ½ (θ - m)·H(θ - m), for which L(θ + Δ) = L(θ) + g·Δ + ½ Δ·HΔ exactly.


class Bowl:
    """Such a loss, and paths down it."""

    def __init__(self, curvature, bottom):
        self.curvature, self.bottom = curvature, bottom

    def __call__(self, point):
        return (point - self.bottom) @ self.curvature @ (point - self.bottom) / 2

    def descend(self, start, steps, optimizer):
        """The path's integral, its end and `½ Σ Δ·HΔ`, what the steps were too long by."""
        point = start.clone().requires_grad_()
        optimizer, path, overshoot = optimizer([point]), PathIntegral.at(start), 0.0
        for _ in range(steps):
            optimizer.zero_grad()
            self(point).backward()
            before = point.detach().clone()
            optimizer.step()
            path.add(point.grad, before, point.detach())
            moved = point.detach() - before
            overshoot += (moved @ self.curvature @ moved / 2).item()
        return path, point.detach(), overshoot


OPTIMIZERS = {
    "SGD": lambda lr: lambda p: torch.optim.SGD(p, lr=lr),
    "momentum": lambda lr: lambda p: torch.optim.SGD(p, lr=lr / 10, momentum=0.9),
    "Adam": lambda lr: lambda p: torch.optim.Adam(p, lr=lr),
}
H = torch.tensor([0.5, 1.0, 2.0, 4.0]).double()
START, BOTTOM = torch.tensor([1.0, -2.0, 0.5, 3.0]).double(), torch.tensor([0.0, 1.0, 0.25, 2.0]).double()


def test_path_integral_is_what_each_parameter_has_done():
    # Separately for each: L_i falls by lr g² (1 - lr h/2) in a step of plain descent, of which -g Δ is lr g².
    bowl, errors = Bowl(H.diag(), BOTTOM), []
    for lr in (1e-2, 1e-3):
        path, end, _ = bowl.descend(START, round(1 / lr), OPTIMIZERS["SGD"](lr))
        assert ((end - BOTTOM) / (START - BOTTOM)).max() > 0.5  # half-way
        fall = H * ((START - BOTTOM).square() - (end - BOTTOM).square()) / 2
        close(path.value * (1 - lr * H / 2), fall)
        errors.append((path.value - fall) / fall)
        # The importance is w / Δ², of which w is ½ h (θ₀ - θ)(θ₀ + θ - 2m).
        half = H / 2 * (START + end - 2 * BOTTOM) / (START - end)
        torch.testing.assert_close(path.importance(end, damping=1e-12), half, rtol=2.1 * lr, atol=0)
        assert (path.importance(end, damping=1e-12) > half).all()
    ratio = errors[0] / errors[1]
    assert ((ratio > 9) & (ratio < 11)).all()


def test_importance_at_the_minimum_is_half_the_curvature():
    lr = 0.1
    path, end, _ = Bowl(H.diag(), BOTTOM).descend(START, 800, OPTIMIZERS["SGD"](lr))
    close(path.importance(end, damping=0.0) * (1 - lr * H / 2), H / 2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_path_integral_adds_up_to_the_fall_of_the_loss(optimizer):
    root = tensor(4, 4)
    bowl, errors = Bowl(root @ root.T, BOTTOM), []
    for lr in (1e-2, 1e-3):
        path, end, overshoot = bowl.descend(START, round(1 / lr), OPTIMIZERS[optimizer](lr))
        fall = (bowl(START) - bowl(end)).item()
        assert fall > 0.1
        assert math.isclose(path.value.sum().item() - overshoot, fall, rel_tol=1e-12)
        errors.append(abs(path.value.sum().item() - fall) / fall)
    assert errors[1] < 0.02
    assert 7 < errors[0] / errors[1] < 13


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_path_integral_of_accumulated_gradients_is_that_of_the_whole_batch(optimizer):
    x, y = tensor(20, 8, 4), tensor(20, 8, seed=1)

    def integral(parts):
        point = START.clone().requires_grad_()
        made, path = OPTIMIZERS[optimizer](0.05)([point]), PathIntegral.at(START)
        for inputs, targets in zip(x, y, strict=True):
            made.zero_grad()
            for some_x, some_y in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
                ((some_x @ point - some_y).square().mean() / parts).backward()
            before = point.detach().clone()
            made.step()
            path.add(point.grad, before, point.detach())
        return path.value

    assert integral(1).abs().min() > 1e-3
    close(integral(2), integral(1))
    close(integral(4), integral(1))


def test_path_integral_by_hand():
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    path = PathIntegral.at(start)
    middle = start + torch.tensor([[0.5, -1.0], [0.0, 2.0]])
    end = middle + torch.tensor([[0.5, 0.0], [1.0, -1.0]])
    path.add(torch.tensor([[-2.0, 1.0], [5.0, 1.0]]), start, middle)
    path.add(torch.tensor([[-4.0, 9.0], [1.0, 2.0]]), middle, end)
    assert path.value.tolist() == [[3.0, 1.0], [-1.0, 0.0]]  # one of them did harm
    # moved by (1, -1), (1, 1), with ξ = 3
    assert path.importance(end, damping=3.0).tolist() == [[0.75, 0.25], [-0.25, 0.0]]


def test_a_path_keeps_its_start_where_the_parameters_move_on():
    parameters = tensor(5)
    path, start = PathIntegral.at(parameters), parameters.tolist()
    parameters += 1
    assert path.start.tolist() == start
    assert path.value.tolist() == [0.0] * 5


@pytest.mark.parametrize("gradient", [math.inf, -math.inf, math.nan])
def test_a_step_that_was_skipped_adds_nothing(gradient):
    path, here = PathIntegral.at(START), START + 1
    path.add(torch.full_like(here, -2.0), START, here)
    path.add(torch.full_like(here, gradient), here, here.clone())
    assert path.value.tolist() == [2.0] * 4
