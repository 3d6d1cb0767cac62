"""Updates against closed forms of small games, finite differences and the optimizers that they look ahead of."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from callbacks import InstanceNoise, OldFakeReplay, OnlineEWC, WeightClipping
from lit_gans import GAN, GANStrategy
from lit_gans.lookahead import Lookahead, holding
from lit_gans.losses import Minimax, NonSaturating, Wasserstein
from lit_gans.networks import DiracDiscriminator, DiracGenerator
from lit_gans.penalties import R1, WGANGP
from lit_gans.players import RealBatch
from lit_gans.updates import Alternating, Consensus, Simultaneous, Unrolled, Update
from tests.toys import Batches, assert_same, ring_gan, state, train

LR = 0.1


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def dirac_gan(update, loss, theta=0.7, psi=-0.4, **settings):
    gan = GAN(
        DiracGenerator(),
        DiracDiscriminator(),
        latent_dim=1,
        loss=loss,
        update=update,
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        **settings,
    ).double()
    with torch.no_grad():
        gan.generator.theta.fill_(theta)
        gan.discriminator.psi.fill_(psi)
    return gan


def play(gan, iterations, **settings):
    """θ and ψ after some iterations on the Dirac data."""
    train(gan, iterations, Batches(*[torch.zeros(4, 1).double()] * iterations), **settings)
    return gan.generator.theta.item(), gan.discriminator.psi.item()


# ------------------------------------------------------------------------------------------------------ simultaneous


def test_simultaneous_takes_both_gradients_at_the_same_point():
    theta, psi = 0.7, -0.4
    expected = theta + LR * sigmoid(-psi * theta) * psi, psi - LR * sigmoid(psi * theta) * theta
    assert play(dirac_gan(Simultaneous(), NonSaturating()), 1) == pytest.approx(expected, abs=1e-15)
    moved = psi - LR * sigmoid(psi * theta) * theta
    in_turn = theta + LR * sigmoid(-moved * theta) * moved, moved
    assert play(dirac_gan(Alternating(), NonSaturating()), 1) == pytest.approx(in_turn, abs=1e-15)
    assert abs(in_turn[0] - expected[0]) > 1e-4


def test_simultaneous_spirals_out_by_its_eigenvalue_where_alternating_circles():
    start = math.hypot(0.7, 0.4)
    out = math.hypot(*play(dirac_gan(Simultaneous(), Wasserstein()), 100))
    assert out == pytest.approx(start * (1 + LR**2) ** 50, rel=1e-12)
    assert math.hypot(*play(dirac_gan(Alternating(), Wasserstein()), 100)) < 1.1 * start


# --------------------------------------------------------------------------------------------------------- consensus


@pytest.mark.parametrize("gamma", [0.0, 0.5, 3.0])
def test_consensus_has_its_eigenvalues_on_the_bilinear_game(gamma):
    """`L_D = θψ = -L_G`: v = (θ, -ψ), ½‖v‖² = ½(θ² + ψ²), a step multiplies (ψ + iθ) by `1 - ηγ ± iη`."""
    theta, psi = play(dirac_gan(Consensus(gamma), Wasserstein()), 30)
    z = complex(-0.4, 0.7) * complex(1 - LR * gamma, LR) ** 30
    assert (psi, theta) == pytest.approx((z.real, z.imag), abs=1e-14)


def test_consensus_has_penalties_inside_its_field():
    """R1 on D(x) = ψx adds λψ² to L_D: v = (θ + 2λψ, -ψ)."""
    gamma, lam, theta, psi = 0.5, 0.3, 0.7, -0.4
    v = theta + 2 * lam * psi
    expected = theta - LR * (-psi + gamma * v), psi - LR * (v + gamma * (2 * lam * v + psi))
    found = play(dirac_gan(Consensus(gamma), Wasserstein(), penalties={"r1": R1(lam)}), 1)
    assert found == pytest.approx(expected, abs=1e-15)


def test_consensus_comes_to_rest_where_simultaneous_does_not():
    assert math.hypot(*play(dirac_gan(Consensus(1.0), NonSaturating()), 500)) < 1e-3
    assert math.hypot(*play(dirac_gan(Simultaneous(), NonSaturating()), 500)) > 0.5


def test_consensus_is_the_gradient_of_its_size_by_finite_differences():
    pl.seed_everything(0, verbose=False)
    gan = ring_gan(update=Consensus(0.7), penalties={"gp": WGANGP(1.0)}).double()
    real = torch.randn(8, 2).double()
    kept = {}

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, gan, *_):
            kept["grads"] = [p.grad.clone() for each in gan.players.values() for p in each.parameters]

    before = {name: value.clone() for name, value in gan.state_dict().items()}
    seeds = torch.Generator().manual_seed(5)
    latents, alpha = torch.randn(8, 2, generator=seeds).double(), torch.rand(8, 1, generator=seeds).double()

    class Fixed:
        def normal(self, like, shape=None):
            return latents

        def uniform(self, shape, like=None):
            return alpha

        def recording(self):
            return self

        def rewind(self):
            pass

        def state_dict(self):
            return {}

    class Inject(pl.Callback):
        def on_train_batch_start(self, trainer, gan, batch, batch_idx):
            gan.draws = Fixed()

    train(gan, 1, Batches(real), callbacks=[Inject(), Look()])
    gan.load_state_dict(before)
    everyone = [p for each in gan.players.values() for p in each.parameters]

    def field():
        fake = gan.generator(latents)
        steps = gan.discriminator_step(deal_of(real), fake), gan.generator_step(deal_of(real), fake)
        losses = gan.discriminator_loss(steps[0]), gan.generator_loss(steps[1])
        pairs = zip(losses, gan.players.values(), strict=True)
        return [g for loss, player in pairs for g in torch.autograd.grad(loss, player.parameters, retain_graph=True)]

    gan.draws = Fixed()
    v = field()
    for place in (0, 5, 7, 11):
        parameter, found = everyone[place], kept["grads"][place]
        direction = torch.randn_like(parameter)
        sizes = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-5 * direction)
            sizes.append(sum(g.square().sum() for g in field()).item() / 2)
            with torch.no_grad():
                parameter.add_(-sign * 1e-5 * direction)
        slope = (v[place] * direction).sum().item() + 0.7 * (sizes[0] - sizes[1]) / 2e-5
        assert (found * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def deal_of(real):
    return RealBatch(real, None)


# ---------------------------------------------------------------------------------------------------------- unrolled

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "weight decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.2),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.1, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.9)),
    "adam, weight decay": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.2, eps=1e-3),
}


@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_looking_ahead_is_what_the_optimizer_does(name, steps_before):
    torch.manual_seed(0)
    target, w = torch.randn(5).double(), nn.Parameter(torch.randn(5).double())
    optimizer = OPTIMIZERS[name]([w])

    def loss(value):
        return (value - target).square().sum() + value.cos().sum()

    def really():
        optimizer.zero_grad()
        loss(w).backward()
        optimizer.step()

    for _ in range(steps_before):
        really()
    lookahead, value = Lookahead(optimizer, [w]), w.detach().clone().requires_grad_()
    for _ in range(4):
        (value,) = lookahead.step([value], torch.autograd.grad(loss(value), [value], create_graph=True))
    untouched = w.detach().clone()
    assert len(optimizer.state) == (steps_before > 0 and name not in ("sgd", "weight decay", "maximize"))
    for _ in range(4):
        really()
    torch.testing.assert_close(value.detach(), w.detach(), rtol=1e-12, atol=1e-12)
    assert not torch.equal(untouched, w)


def test_a_dead_unit_gives_no_nan_under_adam():
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    lookahead = Lookahead(torch.optim.Adam([w]), [w])
    scale = torch.ones((), requires_grad=True)
    value = w.detach().clone().requires_grad_()
    for _ in range(2):
        gradient = torch.autograd.grad((scale * value[0]).square(), [value], create_graph=True)
        (value,) = lookahead.step([value], gradient)
    (slope,) = torch.autograd.grad(value.sum(), scale)
    assert slope.isfinite()


def test_without_steps_it_is_the_plain_game_to_the_bit():
    def run(update):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan("Adam", update=update, n_critic=2, penalties={"gp": WGANGP(1.0)})
        train(gan, 10)
        return state(gan)

    assert_same(run(Unrolled(0)), run(Alternating()))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_d_takes_its_own_step_and_no_other(batch_norm):
    """D after an iteration is the plain game's, running statistics included; G is not."""

    def run(update):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan("Adam", batch_norm=batch_norm, update=update)
        train(gan, 1)
        return state(gan)

    plain, unrolled = run(Alternating()), run(Unrolled(3))
    of_d = {name for name in plain if name.startswith("discriminator") and "running" not in name and "num" not in name}
    assert_same({name: plain[name] for name in of_d}, {name: unrolled[name] for name in of_d})
    assert any(not torch.equal(plain[name], unrolled[name]) for name in plain if name.startswith("generator"))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("settings", [{}, {"penalties": {"r1": R1(0.3)}}, {"seeds": [1, 2]}], ids=str)
def test_gs_gradient_is_that_of_the_game_ahead_by_finite_differences(optimizer, settings):
    pl.seed_everything(0, verbose=False)
    gan = GAN(
        nn.Sequential(Shift()),
        ring_gan().discriminator,
        latent_dim=2,
        update=Unrolled(3),
        discriminator_optimizer=OPTIMIZERS[optimizer],
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=1.0),
        **settings,
    ).double()
    n_seeds = len(gan.seeds or [0])
    real = torch.randn(n_seeds * 6, 2).double()
    kept = {}

    class Look(pl.Callback):
        def on_train_batch_start(self, trainer, gan, batch, batch_idx):
            kept["before"] = gan.generator.state_dict()["0.shift" if gan.seeds is None else "network.0.shift"].clone()
            latents = torch.randn(*gan.seeds_axis, 6, 2).double()
            gan.draws.normal = lambda like, shape=None: latents  # so that the iteration can be played again

    class After(pl.Callback):
        def on_train_batch_end(self, trainer, gan, *_):
            parameter = gan.players["generator"].parameters[0]
            kept["gradient"] = parameter.grad.clone()
            gan_update = Unrolled(3)
            batch = deal_of(real.reshape(*gan.seeds_axis, 6, 2))
            at = kept["before"]

            def ahead(shift):
                with torch.no_grad():
                    parameter.copy_(shift)
                fake = gan.fakes(batch)
                values = gan_update.ahead(gan, gan.discriminator_step(batch, fake))
                player = gan.players["discriminator"]
                with holding(player.network, dict(zip(player.parameters, values, strict=True))):
                    return gan.generator_loss(gan.generator_step(batch, fake)).item()

            # D is as it was when G looked ahead.
            kept["slopes"] = []
            for k in range(parameter.numel()):
                nudge = torch.zeros(parameter.numel()).double()
                nudge[k] = 1e-5
                nudge = nudge.reshape(parameter.shape)
                kept["slopes"].append((ahead(at + nudge) - ahead(at - nudge)) / 2e-5)

    train(gan, 1, Batches(real), callbacks=[Look(), After()])
    torch.testing.assert_close(kept["gradient"].flatten(), torch.tensor(kept["slopes"]).double(), rtol=1e-5, atol=1e-8)


class Shift(nn.Module):
    """G(z) = z + θ."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def reset_parameters(self):
        nn.init.constant_(self.shift, 0.5)

    def forward(self, z):
        return z + self.shift


def test_tied_parameters_are_held_together():
    layer = nn.Linear(2, 2)
    network = nn.Sequential(layer, layer)
    with holding(network, {layer.weight: torch.zeros(2, 2)}):
        assert torch.equal(network(torch.ones(1, 2))[0], layer.bias)
    assert network[0].weight is network[1].weight is layer.weight


# ------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("update", [Simultaneous(), Unrolled(2), Consensus(0.1)], ids=lambda u: type(u).__name__)
def test_seeds_are_runs_of_their_own(update):
    def run(seeds):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan("Adam", update=update, seeds=seeds, penalties={"gp": WGANGP(1.0)}).double()
        reals = torch.randn(5, 16, 2, generator=torch.Generator().manual_seed(3)).double()
        train(gan, 5, Batches(*[torch.cat([x] * len(seeds)) for x in reals]))
        return state(gan)

    together, alone = run([3, 4]), run([4])
    for name, value in together.items():
        torch.testing.assert_close(value[1:], alone[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("update", [Simultaneous(), Unrolled(2), Consensus(0.1)], ids=lambda u: type(u).__name__)
def test_a_resumed_run_ends_with_the_same_bits(update, tmp_path):
    def run(iterations, **settings):
        pl.seed_everything(0, verbose=False)
        gan = ring_gan("Adam", update=update, ema=0.9)
        return train(gan, iterations, **settings), state(gan)

    _, whole = run(12)
    trainer, _ = run(5)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, rest = run(12, ckpt_path=tmp_path / "half.ckpt")
    assert_same(whole, rest)


@pytest.mark.parametrize("update", [Simultaneous(), Unrolled(2), Consensus(0.1)], ids=lambda u: type(u).__name__)
@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_hooks_and_a_mixed_precision_go_along(update, precision):
    gan = ring_gan("Adam", update=update, penalties={"r1": R1(1.0)}, loss=Minimax())
    train(gan, 5, callbacks=[WeightClipping(1.0), InstanceNoise(0.1)], precision=precision)
    assert all(value.isfinite().all() for value in state(gan).values())


REFUSED = {
    "simultaneous, n_critic": (Simultaneous(), {"n_critic": 2}, {}, "Simultaneous: .*n_critic must be 1, not 2"),
    "consensus, n_critic": (Consensus(), {"n_critic": 3}, {}, "Consensus: .*n_critic must be 1, not 3"),
    "consensus, parts": (Consensus(), {"accumulate": 2}, {}, "Consensus: .*accumulate=2 splits it"),
    "unrolled, parts": (Unrolled(), {"accumulate": 2}, {}, "Unrolled: .*accumulate=2 splits it"),
    "consensus, replay": (Consensus(), {}, {"callbacks": [OldFakeReplay()]}, "OldFakeReplay puts other fakes into D's"),
    "unrolled, EWC": (Unrolled(), {}, {"callbacks": [OnlineEWC(1.0, 2)]}, "OnlineEWC adds to D's loss a term"),
    "float16": (
        Simultaneous(),
        {},
        {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]},
        "under 16-mixed the losses' scale may change",
    ),
    "processes": (
        Consensus(),
        {},
        {
            "devices": 2,
            "strategy": GANStrategy(start_method="fork", process_group_backend="gloo"),
        },
        "no mean over processes, and there are 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_played_is_refused_before_anything_moves(name):
    update, settings, trainer, message = REFUSED[name]
    gan = ring_gan(update=update, **settings)
    before = state(gan)
    with pytest.raises(Exception, match=message):
        train(gan, 3, **trainer)
    assert_same(before, state(gan))


def test_an_optimizer_that_cannot_be_looked_ahead_of_is_named():
    gan = ring_gan(update=Unrolled(), discriminator_optimizer=torch.optim.AdamW)
    with pytest.raises(TypeError, match=r"SGD or Adam.*it is AdamW; set discriminator_optimizer"):
        train(gan, 1)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 0"):
        Unrolled(-1)
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        Consensus(-1)
    with pytest.raises(TypeError, match=r"abstract class Update .*__call__"):
        Update()
