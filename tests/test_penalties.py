"""Every penalty against critics whose gradient is known: `D = w·v + b` has slope w, `D = ½‖v‖²` has slope v."""

import inspect
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lit_gans import penalties, schedules
from lit_gans.hooks import DiscriminatorStep
from lit_gans.penalties import DRAGAN, R1, R2, GradientPenalty, Logit, Output, Penalty, Probability
from lit_gans.schedules import Constant, ExponentialDecay, Linear, Schedule, WarmUp
from lit_gans.streams import Draws, stream

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SHAPES = [(2,), (3, 8, 8)]
CENTERS = [0.0, 1.0, 2.5]


@dataclass(frozen=True)
class Oracle:
    """What a penalty claims."""

    where: str  # real, fake, union, segment, noise
    center: float  # k unless given
    one_sided: bool = False

    def value(self, norm, center):
        return max(0.0, norm - center) ** 2 if self.one_sided else (norm - center) ** 2

    def slope(self, norm, center):
        """The derivative of `value`."""
        return 0.0 if self.one_sided and norm < center else 2 * (norm - center)

    def count(self, batch):
        return 2 * batch if self.where == "union" else batch


ORACLES = {
    penalties.ZeroGP: Oracle("segment", 0.0),
    penalties.WGANGP: Oracle("segment", 1.0),
    penalties.Lipschitz: Oracle("segment", 1.0, one_sided=True),
    R1: Oracle("real", 0.0),
    R2: Oracle("fake", 0.0),
    penalties.ZeroGPSample: Oracle("union", 0.0),
    DRAGAN: Oracle("noise", 1.0),
}
every_penalty = pytest.mark.parametrize("kind", ORACLES, ids=lambda kind: kind.__name__)


def public(module, base, abstract):
    kinds = [v for n, v in vars(module).items() if inspect.isclass(v) and not n.startswith("_")]
    return {kind for kind in kinds if issubclass(kind, base)} - abstract


class LinearCritic(nn.Module):
    """`D(v) = w·v + b`; with a seeds axis, w has shape (S, 1, *sample)."""

    def __init__(self, w, sample, b=0.25):
        super().__init__()
        self.w, self.b = nn.Parameter(w), nn.Parameter(w.new_tensor(b))
        self.axes = tuple(range(-len(sample), 0))

    def forward(self, v):
        return (self.w * v).sum(self.axes) + self.b


class CurvedCritic(LinearCritic):
    """`D(v) = Σ tanh(w v) + b`, whose slope differs from point to point."""

    def forward(self, v):
        return (self.w * v).tanh().sum(self.axes) + self.b


class Record(nn.Module):
    """Another critic, and the points that it was asked at."""

    def __init__(self, critic):
        super().__init__()
        self.critic, self.seen = critic, []

    def forward(self, v):
        self.seen.append(v.detach())
        return self.critic(v)


def bowl(v):
    """`D(v) = ½‖v‖²` of points (B, 2)."""
    return v.square().sum(-1) / 2


def tensor(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=stream(seed, "tests"), dtype=dtype)


def step_of(critic, real, fake, draws=None):
    draws = draws or Draws(generator=stream(0, "draws"))
    return DiscriminatorStep(critic, real, fake, critic(real), critic(fake), draws=draws)


def random_step(critic, sample, batch=16, dtype=torch.float64):
    return step_of(critic, tensor(batch, *sample, seed=1, dtype=dtype), tensor(batch, *sample, seed=2, dtype=dtype))


def points_of(penalty, critic, real, fake):
    """The points at which the penalty asks, and its values there."""
    step = step_of(Record(critic), real, fake)
    step.discriminator.seen.clear()
    values = penalty(step)
    (points,) = step.discriminator.seen
    return points, values


def sigma_slope(t):
    """σ'(t) = 1 / (2 + eᵗ + e⁻ᵗ), a quarter at 0, whose square is the 1/16 between the two outputs."""
    return 1 / (2 + math.exp(t) + math.exp(-t))


def close(found, expected):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype).reshape(found.shape), **EXACT)


def test_every_public_penalty_has_an_oracle():
    elsewhere = {penalties.Roth}  # tests/test_roth.py
    assert public(penalties, Penalty, {Penalty, GradientPenalty}) == set(ORACLES) | elsewhere


@every_penalty
@pytest.mark.parametrize("sample", SHAPES)
@pytest.mark.parametrize("batch", [1, 16, 64])
def test_linear_critic(kind, sample, batch):
    # A norm over the batch, over the channels or of anything but one sample is off by a factor here.
    oracle, direction = ORACLES[kind], tensor(*sample)
    for norm in (0.5, 3.0):
        critic = LinearCritic(direction * (norm / math.sqrt((direction**2).sum())), sample)
        step = random_step(critic, sample, batch)
        for given in (None, *CENTERS):
            penalty = kind(10.0) if given is None else kind(10.0, center=given)
            values = penalty(step)
            assert values.shape == (oracle.count(batch),)
            expected = oracle.value(norm, oracle.center if given is None else given)
            close(values, [expected] * len(values))
            for weight in (0.1, 10.0):
                weighted = kind(weight, center=penalty.center).weighted(step, iteration=0)
                close(weighted.mean(), weight * expected)


@every_penalty
@pytest.mark.parametrize("sample", SHAPES)
def test_linear_critic_that_ends_in_a_sigmoid(kind, sample):
    oracle, critic = ORACLES[kind], LinearCritic(tensor(*sample), sample)
    norm = math.sqrt(sum(w * w for w in critic.w.flatten().tolist()))
    for center in CENTERS:
        penalty = kind(1.0, center=center, output=Probability())
        points, values = points_of(penalty, critic, tensor(16, *sample, seed=1), tensor(16, *sample, seed=2))
        logits = (points.flatten(1) @ critic.w.detach().flatten() + 0.25).tolist()
        close(values, [oracle.value(norm * sigma_slope(t), center) for t in logits])


@every_penalty
def test_where_the_gradient_is_asked(kind):
    # Corners far apart, so that noise or a mixture cannot pass for the sample itself.
    oracle, n, variance = ORACLES[kind], 4096, 0.09
    real, fake = tensor(n, 2, seed=1) + 5, tensor(n, 2, seed=2) - 5
    penalty = kind(1.0, **({"variance": variance} if kind is DRAGAN else {}))
    points, values = points_of(penalty, bowl, real, fake)
    close(values, [oracle.value(math.hypot(*point), oracle.center) for point in points.tolist()])
    if oracle.where == "segment":
        # u lies on the segment of its own pair, at an α of its own from U(0, 1), α = 1 being the real end.
        alpha = ((points - fake) / (real - fake)).mean(1)
        close(fake + alpha[:, None] * (real - fake), points)
        close(alpha, Draws(generator=stream(0, "draws")).uniform((n,), like=real))
        assert len(alpha.unique()) == n
        ranks = torch.arange(n, dtype=torch.float64) / n
        assert (alpha.sort().values - ranks).abs().max() < 1.95 / math.sqrt(n)  # Kolmogorov–Smirnov, p = 0.001
    elif oracle.where == "noise":
        noise = points - real
        assert len(noise.unique()) == 2 * n
        assert noise.mean(0).abs().max() < 4 * math.sqrt(variance / n)
        error = noise.T.cov() - variance * torch.eye(2, dtype=torch.float64)
        assert error.abs().max() < 4 * variance * math.sqrt(2 / n)  # four standard deviations of a sample variance
    else:
        assert torch.equal(points, {"real": real, "fake": fake, "union": torch.cat([real, fake])}[oracle.where])


def test_zero_gp_sample_is_half_of_r1_and_r2():
    step = random_step(CurvedCritic(tensor(3, 8, 8), (3, 8, 8)), (3, 8, 8))
    real, fake = R1(1.0)(step), R2(1.0)(step)
    assert (real.mean() - fake.mean()).abs() > 1e-3
    values = penalties.ZeroGPSample(1.0)(step)
    close(values, torch.cat([real, fake]).detach())
    close(values.mean(), (real.mean() + fake.mean()).item() / 2)


@pytest.mark.parametrize(("norm", "expected"), [(0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (1.25, 0.0625), (3.0, 4.0)])
def test_lipschitz_leaves_gentle_slopes_alone(norm, expected):
    critic = LinearCritic(torch.tensor([norm, 0.0], dtype=torch.float64), (2,))
    values = penalties.Lipschitz(1.0)(random_step(critic, (2,)))
    close(values, [expected] * 16)
    values.mean().backward()
    close(critic.w.grad, [2 * max(0.0, norm - 1), 0.0])


@every_penalty
@pytest.mark.parametrize("norm", [0.4, 3.0])
@pytest.mark.parametrize("center", CENTERS)
def test_gradient_reaches_the_critic_and_nothing_else(kind, norm, center):
    w, g = torch.tensor([0.6, -0.8], dtype=torch.float64), nn.Linear(5, 2).double()
    linear, curved = LinearCritic(w * norm, (2,)), CurvedCritic(w * 9, (2,))  # points matter to the curved one
    real = tensor(16, 2).requires_grad_()
    for critic in (linear, curved):
        step = step_of(critic, real, g(tensor(16, 5)))  # a fake batch that nobody detached
        kind(7.0, center=center).weighted(step, iteration=0).mean().backward()
        assert critic.b.grad is None or critic.b.grad == 0
    # d/dw λ f(‖w‖) = λ f'(‖w‖) w/‖w‖
    close(linear.w.grad, (7 * ORACLES[kind].slope(norm, center) * w).tolist())
    assert all(tensor.grad is None for tensor in (real, *g.parameters()))


@every_penalty
@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("output", [Logit(), Probability()], ids=["logit", "probability"])
def test_a_flat_critic_has_a_finite_gradient(kind, center, dtype, output):
    penalty, oracle = kind(10.0, center=center, output=output), ORACLES[kind]
    flat = LinearCritic(torch.zeros(2, dtype=dtype), (2,))
    values = penalty(random_step(flat, (2,), dtype=dtype))
    close(values, [oracle.value(0.0, center)] * len(values))
    values.mean().backward()
    close(flat.w.grad, [0.0, 0.0])

    some_dead = torch.tensor([-100.0] * 4 + [0.0] * 4)
    for bias in (torch.full((8,), -100.0), some_dead, torch.tensor([-1.0] * 8)):  # dead: all, half, for some samples
        network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0)).to(dtype)
        with torch.no_grad():
            network[0].bias.copy_(bias)
        penalty(random_step(network, (2,), dtype=dtype)).mean().backward()
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)


@every_penalty
@pytest.mark.parametrize("sample", SHAPES)
@pytest.mark.parametrize("output", [Logit(), Probability()], ids=["logit", "probability"])
def test_a_seeds_axis_is_each_seed_alone(kind, sample, output):
    seeds, batch, penalty = [4, 0, 9], 6, kind(1.0, output=output)
    w, real, fake = (tensor(3, n, *sample, seed=n) for n in (1, batch, batch))
    fake = fake.flip(0) - 1
    critic = CurvedCritic(w, sample)
    draws = Draws([stream(seed, "game") for seed in seeds])
    values = penalty(step_of(critic, real, fake, draws))
    assert values.shape == (3, ORACLES[kind].count(batch))
    (gradient,) = torch.autograd.grad(values.mean(1).sum(), critic.w)
    for i, seed in enumerate(seeds):
        lone = CurvedCritic(w[i, 0], sample)
        row = penalty(step_of(lone, real[i], fake[i], Draws(generator=stream(seed, "game"))))
        close(values[i], row.detach())
        close(gradient[i, 0], torch.autograd.grad(row.mean(), lone.w)[0])


@every_penalty
def test_lazy_interval_keeps_the_mean_over_updates(kind):
    step = random_step(LinearCritic(torch.tensor([3.0, 4.0], dtype=torch.float64), (2,)), (2,))
    lazy, eager = kind(0.5, interval=4), kind(0.5)
    assert [lazy.is_due(update) for update in range(9)] == [True, False, False, False] * 2 + [True]
    assert all(eager.is_due(update) for update in range(9))
    paid = sum(lazy.weighted(step, 0).mean().item() for update in range(12) if lazy.is_due(update))
    assert math.isclose(paid, 12 * 0.5 * ORACLES[kind].value(5.0, ORACLES[kind].center), rel_tol=1e-12)


@every_penalty
def test_a_schedule_may_stand_for_the_weight(kind):
    step = random_step(LinearCritic(torch.tensor([3.0, 4.0], dtype=torch.float64), (2,)), (2,))
    penalty, value = kind(Linear(10.0, 0.0, iterations=100), interval=2), ORACLES[kind].value(5.0, kind(1.0).center)
    for iteration, weight in [(0, 10.0), (25, 7.5), (100, 0.0), (300, 0.0)]:
        close(penalty.weighted(step, iteration).mean(), 2 * weight * value)


@every_penalty
def test_bad_settings_are_refused_by_name(kind):
    for settings, message in [
        ({"weight": -1.0}, "weight must be at least 0, got -1.0"),
        ({"weight": math.nan}, "weight must be at least 0, got nan"),
        ({"weight": 1.0, "center": -0.5}, "center must be at least 0, got -0.5"),
        ({"weight": 1.0, "interval": 0}, "interval must be at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=f"^{kind.__name__}: {message}$"):
            kind(**settings)
    with pytest.raises(ValueError, match=r"^DRAGAN: variance must be at least 0, got -0\.1$"):
        DRAGAN(1.0, variance=-0.1)


def test_a_penalty_of_ones_own_in_ten_lines():
    class Drift(Penalty):
        def forward(self, step):
            return step.real_logits.square()

    class Midpoint(GradientPenalty):
        def points(self, step):
            return (step.real + step.fake) / 2

    class Tripled(Output):
        def forward(self, logits):
            return 3 * logits

    step = random_step(bowl, (2,))
    expected = [2.5 * 2 * math.hypot(*x) ** 4 / 4 for x in step.real.tolist()]
    close(Drift(2.5, interval=2).weighted(step, 0), expected)
    middles = ((step.real + step.fake) / 2).tolist()
    close(Midpoint(1.0, center=1.0, output=Tripled())(step), [(3 * math.hypot(*m) - 1) ** 2 for m in middles])
    for unfinished, method in [(Penalty, "forward"), (GradientPenalty, "points")]:
        with pytest.raises(TypeError, match=rf"abstract class {unfinished.__name__} .*{method}"):
            unfinished(1.0)


TIMETABLES = [
    (Constant(3.0), {0: 3.0, 7: 3.0, 10**6: 3.0}),
    (Linear(10.0, 2.0, iterations=100), {0: 10.0, 25: 8.0, 50: 6.0, 100: 2.0, 101: 2.0, 10**6: 2.0}),
    (ExponentialDecay(8.0, half_life=10), {0: 8.0, 5: 8 / math.sqrt(2), 10: 4.0, 30: 1.0, 10**6: 0.0}),
    (WarmUp(4.0, iterations=10), {0: 0.0, 1: 0.4, 5: 2.0, 10: 4.0, 11: 4.0}),
]


def test_schedules():
    assert public(schedules, Schedule, {Schedule}) == {type(schedule) for schedule, _ in TIMETABLES}
    for schedule, timetable in TIMETABLES:
        assert schedules.as_schedule(schedule) is schedule
        for iteration, weight in timetable.items():
            assert math.isclose(schedule(iteration), weight, rel_tol=1e-12, abs_tol=1e-300)
    assert schedules.as_schedule(2.5)(100) == 2.5


def test_bad_schedules_are_refused_by_name():
    for kind, settings, message in [
        (Constant, (-1.0,), "value must be at least 0, got -1.0"),
        (Linear, (-1.0, 0.0, 5), "start must be at least 0, got -1.0"),
        (Linear, (1.0, math.nan, 5), "end must be at least 0, got nan"),
        (Linear, (1.0, 0.0, 0), "iterations must be positive, got 0"),
        (ExponentialDecay, (-2.0, 5), "start must be at least 0, got -2.0"),
        (ExponentialDecay, (2.0, 0), "half_life must be positive, got 0"),
        (WarmUp, (-2.0, 5), "end must be at least 0, got -2.0"),
        (WarmUp, (2.0, -5), "iterations must be positive, got -5"),
    ]:
        with pytest.raises(ValueError, match=f"^{kind.__name__}: {message}$"):
            kind(*settings)
    with pytest.raises(TypeError, match=r"abstract class Schedule .*__call__"):
        Schedule()
