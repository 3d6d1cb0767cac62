"""Terms of G: by hand, by loops and by the Jacobians of small games; an encoder as a third player."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lit_gans import GAN
from lit_gans.hooks import GeneratorStep
from lit_gans.losses import EnergyBased, LossSensitive, NonSaturating, Unopposed, Wasserstein
from lit_gans.networks import (
    AutoEncoderDiscriminator,
    DiracDiscriminator,
    DiracGenerator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
)
from lit_gans.penalties import R1
from lit_gans.schedules import Linear
from lit_gans.seeds import stack_by_seed, tapping
from lit_gans.terms import FeatureMatching, GeneratorTerm, ModeRegularizer, NagarajanKolter, PullingAway
from lit_gans.updates import Consensus, Simultaneous, Unrolled
from tests.toys import Batches, Notes, assert_same, ring_gan, state, train

LR = 0.1
LAYER = "layers.4"
TERMS = {
    "matching": lambda: FeatureMatching(0.7, LAYER),
    "pulling": lambda: PullingAway(0.7, LAYER),
    "field": lambda: NagarajanKolter(0.7),
}


def step_of(network, real, fake, **networks):
    def logits(v):
        out = network(v)
        return out.squeeze(-1) if out.ndim > real.ndim - 1 or out.shape[-1] == 1 else out

    return GeneratorStep(logits, real, fake, None, logits(fake), networks={"discriminator": network, **networks})


def points(*shape):
    return torch.randn(*shape, dtype=torch.float64)


class Given(nn.Module):
    """A D whose layer `inner` gives out its samples."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Identity(), nn.Flatten(1)

    def forward(self, x):
        return self.last(self.inner(x)).sum(1, keepdim=True)


# ------------------------------------------------------------------------------------------------------ inner layers


@pytest.mark.parametrize("spectral_norm", [False, True])  # one that vmap can batch, and one that runs seed by seed
def test_an_inner_layer_is_that_of_each_seed(spectral_norm):
    network = MLPDiscriminator((2,), hidden=(5, 4), spectral_norm=spectral_norm)
    stack = stack_by_seed({"discriminator": network}, [0, 1, 2])["discriminator"].double()
    x = points(3, 6, 2)
    stack(x)  # spectral norm's vectors move in training
    stack.eval()
    with tapping(stack, "layers.2") as seen:
        stack(x)
        stack(x + 1)
    assert [values.shape for values in seen] == [(3, 6, 5), (3, 6, 5)]
    if not spectral_norm:
        weight = stack.network.layers[1].weight
        for i in range(3):
            by_hand = (x[i] @ weight[i].T + stack.network.layers[1].bias[i]).relu()
            torch.testing.assert_close(seen[0][i], by_hand)
    assert not torch.equal(seen[0], seen[1])
    stack(x)
    assert len(seen) == 2
    assert stack.taps == []


def test_a_layer_that_does_not_exist_is_told_with_those_that_do():
    for kind in (FeatureMatching, PullingAway):
        for seeds in (None, [0]):
            with pytest.raises(
                ValueError, match=rf"^{kind.__name__}: the discriminator has no layer 'nope'; it has .*lay"
            ):
                ring_gan(generator_terms={"x": kind(1.0, "nope")}, seeds=seeds)


# -------------------------------------------------------------------------------------------------- feature matching


def test_feature_matching_takes_means_before_the_distance():
    real, fake = points(64, 3), points(64, 3) + 2
    found = FeatureMatching(1.0, "inner")(step_of(Given(), real, fake))
    expected = sum((a - b) ** 2 for a, b in zip(real.mean(0).tolist(), fake.mean(0).tolist(), strict=True))
    assert found.shape == (1,)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    # The mean of distances would not vanish here, the distance of means does.
    assert FeatureMatching(1.0, "inner")(step_of(Given(), real, real.flip(0))).item() < 1e-28


@pytest.mark.parametrize("seeds", [None, [3, 5]])
def test_feature_matching_moves_g_alone_and_only_by_its_fakes(seeds):
    gan = ring_gan(loss=Unopposed(), generator_terms={"x": FeatureMatching(1.0, LAYER)}, seeds=seeds).double()
    before = state(gan.generator)
    axes = () if seeds is None else (2,)
    real = points(*axes, 8, 2)
    fake = gan.generator(points(*axes, 8, 2))
    step = GeneratorStep(gan.logits, real, fake, None, gan.logits(fake), networks=gan.networks)
    terms = gan.generator_terms(step)
    assert terms["x"].shape == (*axes, 1)
    assert terms["adversarial"].tolist() == torch.zeros(*axes, 8).tolist()
    gan.generator_loss(step).backward()
    assert all(p.grad.abs().sum() > 0 for p in gan.players["generator"].parameters)
    assert_same(before, state(gan.generator))


def test_unopposed_leaves_d_its_objective():
    a, b = points(2, 7)
    inner = NonSaturating(real_weight=3.0)
    game = Unopposed(inner)
    assert torch.equal(game.discriminator(a, b), inner.discriminator(a, b))
    assert torch.equal(game.decision(a), inner.decision(a))
    assert [e.samples for e in game.examples(a, b)] == [e.samples for e in inner.examples(a, b)]
    assert game.generator(None, b).tolist() == [0.0] * 7
    with pytest.raises(ValueError, match="no reconstruct"):
        ring_gan(loss=Unopposed(EnergyBased()), generator_terms={"x": NagarajanKolter(1.0)})


# ------------------------------------------------------------------------------------------------------ pulling away


def pulling_away(rows):
    return PullingAway(1.0, "inner")(step_of(Given(), rows, rows)).item()


def test_pulling_away_is_0_at_right_angles_and_1_for_one_direction():
    assert pulling_away(torch.eye(5, dtype=torch.float64) * 3) == pytest.approx(0, abs=1e-15)
    same = torch.ones(6, 4, dtype=torch.float64) * torch.tensor([1, 2, -3, 0.1, 5, 7], dtype=torch.float64)[:, None]
    assert pulling_away(same) == pytest.approx(1, abs=1e-14)


def test_pulling_away_by_a_loop_over_pairs():
    rows = points(7, 3)
    total = 0.0
    for i, a in enumerate(rows.tolist()):
        for j, b in enumerate(rows.tolist()):
            if i != j:
                total += (sum(p * q for p, q in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))) ** 2
    assert pulling_away(rows) == pytest.approx(total / 42, rel=1e-12)


def test_pulling_away_needs_two_fakes_and_stays_finite_at_0():
    with pytest.raises(ValueError, match=r"^PullingAway: .*only one"):
        pulling_away(points(1, 3))
    rows = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    PullingAway(1.0, "inner")(step_of(Given(), rows, rows)).sum().backward()
    assert rows.grad.isfinite().all()


def test_pulling_away_of_an_encoder():
    network = AutoEncoderDiscriminator((2,), hidden=(8,), code=3)
    terms = {"pt": PullingAway(0.1)}
    notes = Notes()
    gan = GAN(MLPGenerator(2, (2,), hidden=(8,)), network, 2, loss=EnergyBased(), generator_terms=terms, seeds=[0, 1])
    train(gan, 10, logger=notes, log_every_n_steps=5)
    assert 0 < notes.rows[-1][1]["g/pt"] <= 0.1


# -------------------------------------------------------------------------------------------------- Nagarajan-Kolter


def dirac_gan(update=None, eta=0.3, **settings):
    gan = GAN(
        DiracGenerator(),
        DiracDiscriminator(),
        latent_dim=1,
        loss=Wasserstein(),
        update=update,
        generator_terms={"field": NagarajanKolter(eta)},
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        **settings,
    ).double()
    with torch.no_grad():
        gan.generator.theta.fill_(0.7)
        gan.discriminator.psi.fill_(-0.4)
    return gan


def play(gan, iterations):
    train(gan, iterations, Batches(*[torch.zeros(4, 1).double()] * iterations))
    return gan.generator.theta.item(), gan.discriminator.psi.item()


@pytest.mark.parametrize("eta", [0.0, 0.3, 2.0])
def test_nagarajan_kolter_has_its_eigenvalues_on_the_bilinear_game(eta):
    """`V = -θψ`, `‖∇_ψ V‖² = θ²`: a simultaneous step is `(θ, ψ) ← (θ - h(-ψ + 2ηθ), ψ - hθ)`."""
    jacobian = torch.tensor([[1 - 2 * LR * eta, LR], [-LR, 1]], dtype=torch.float64)
    expected = torch.linalg.matrix_power(jacobian, 40) @ torch.tensor([0.7, -0.4], dtype=torch.float64)
    assert play(dirac_gan(Simultaneous(), eta), 40) == pytest.approx(expected.tolist(), abs=1e-13)
    radius = torch.linalg.eigvals(jacobian).abs().max().item()
    assert (radius < 1) == (eta > 0)  # it is what makes the equilibrium attract


def test_nagarajan_kolter_comes_to_rest_where_the_plain_game_circles():
    assert math.hypot(*play(dirac_gan(eta=0.5), 300)) < 1e-3
    assert math.hypot(*play(dirac_gan(eta=0.0), 300)) > 0.5


def test_nagarajan_kolter_is_of_the_objective_and_not_of_penalties():
    """R1 on ψx adds 2λψ to D's gradient; it must not be in the term, which is θ² = 0.49 before D has moved."""
    for penalties in ({}, {"r1": R1(5.0)}):
        notes = Notes()
        gan = dirac_gan(Simultaneous(), 1.0, penalties=penalties)
        train(gan, 1, Batches(torch.zeros(4, 1).double()), logger=notes, log_every_n_steps=1)
        assert notes.rows[0][1]["g/field"] == pytest.approx(0.49, abs=1e-6)


@pytest.mark.parametrize("loss", [NonSaturating(), LossSensitive(2.0)], ids=str)
@pytest.mark.parametrize("seeds", [None, [3, 5]])
def test_nagarajan_kolters_gradient_by_finite_differences(loss, seeds):
    gan = ring_gan(loss=loss, generator_terms={"field": NagarajanKolter(1.0)}, seeds=seeds).double()
    axes = () if seeds is None else (2,)
    real, latents = points(*axes, 8, 2), points(*axes, 8, 2)

    def term():
        fake = gan.generator(latents)
        step = GeneratorStep(gan.logits, real, fake, None, gan.logits(fake), networks=gan.networks)
        return gan.generator_terms(step)["field"]

    parameter = gan.players["generator"].parameters[0]
    (gradient,) = torch.autograd.grad(term().sum(), parameter)
    direction, values = torch.randn_like(parameter), []
    for sign in (1, -1):
        with torch.no_grad():
            parameter.add_(sign * 1e-6 * direction)
        values.append(term().sum().item())
        with torch.no_grad():
            parameter.sub_(sign * 1e-6 * direction)
    assert (gradient * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)
    # And by size: the norm of D's own gradient, seed by seed.
    fake = gan.generator(latents).detach()
    losses = loss.discriminator(gan.logits(real), gan.logits(fake), real, fake).mean(-1)
    for i in range(2 if seeds else 1):
        grads = torch.autograd.grad(
            losses[i] if seeds else losses, gan.players["discriminator"].parameters, retain_graph=True
        )
        assert sum(g.square().sum() for g in grads).item() == pytest.approx(term().flatten()[i].item(), rel=1e-10)


# ------------------------------------------------------------------------------------------------------- the encoder


def encoded(seeds=None, update=None, **settings):
    return ring_gan(
        encoder=MLPEncoder((2,), 2, hidden=(8,)),
        generator_terms={"modes": ModeRegularizer(distance_weight=0.5, realness_weight=0.25)},
        encoder_optimizer=lambda p: torch.optim.SGD(p, lr=0.02),
        seeds=seeds,
        update=update,
        **settings,
    )


def test_mode_regularizer_by_hand():
    g, e, d = nn.Linear(1, 2).double(), nn.Linear(2, 1).double(), nn.Linear(2, 1).double()
    real = points(5, 2)
    step = step_of(d, real, points(5, 2), generator=g, encoder=e)
    found = ModeRegularizer(distance_weight=0.5, realness_weight=0.25)(step)
    expected = []
    for row in real:
        back = g(e(row))
        distance = sum((a - b) ** 2 for a, b in zip(row.tolist(), back.tolist(), strict=True))
        expected.append(0.5 * distance + 0.25 * math.log1p(math.exp(-d(back).item())))
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("update", [None, Simultaneous(), Unrolled(2), Consensus(0.1)], ids=lambda u: type(u).__name__)
@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_the_encoder_moves_by_its_own_optimizer_and_the_clock_is_gs(update, seeds):
    notes, gan = Notes(), encoded(seeds, update)
    before = state(gan.encoder)
    trainer = train(gan, 6, logger=notes, log_every_n_steps=3)
    assert trainer.global_step == 6
    assert any(not torch.equal(value, before[name]) for name, value in state(gan.encoder).items())
    assert list(gan.players) == ["discriminator", "generator", "encoder"]
    assert notes.rows[-1][1]["e/gradient_norm"] > 0
    assert notes.rows[-1][1]["g/modes"] > 0


def test_the_encoder_descends_on_the_term():
    gan = encoded(update=Simultaneous()).double()
    real = points(16, 2)
    kept = {}

    class Keep(pl.Callback):
        def on_train_batch_end(self, trainer, gan, *_):
            kept["gradients"] = [p.grad.clone() for p in gan.players["encoder"].parameters]

    start = {name: value.clone() for name, value in gan.state_dict().items()}
    train(gan, 1, Batches(real), callbacks=[Keep()])
    moved = [p.detach().clone() for p in gan.players["encoder"].parameters]
    gan.load_state_dict(start)
    back = gan.generator(gan.encoder(real))
    loss = 0.5 * (real - back).square().sum(1).mean() + 0.25 * nn.functional.softplus(-gan.logits(back)).mean()
    expected = torch.autograd.grad(loss, gan.players["encoder"].parameters)
    for found, gradient, after, parameter in zip(
        kept["gradients"], expected, moved, gan.players["encoder"].parameters, strict=True
    ):
        torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(after, parameter - 0.02 * gradient, rtol=1e-9, atol=1e-12)


def test_seeds_with_an_encoder_are_runs_of_their_own():
    pair, alone, plain = encoded([4, 7]).double(), encoded([7]).double(), ring_gan(seeds=[7]).double()
    assert_same(state(plain.generator), state(alone.generator))  # the encoder is drawn after them
    for gan in (pair, alone):
        train(gan, 20, precision="64-true")
    for name in ("generator", "discriminator", "encoder"):
        for key, value in state(alone.networks[name]).items():
            torch.testing.assert_close(state(pair.networks[name])[key][1], value[0], rtol=1e-9, atol=1e-12)


def test_an_interrupted_run_with_an_encoder_resumes_to_the_bit(tmp_path):
    whole, part, rest = encoded([0, 1]), encoded([0, 1]), encoded([0, 1])
    train(whole, 12)
    train(part, 6).save_checkpoint(tmp_path / "half.ckpt")
    train(rest, 12, ckpt_path=tmp_path / "half.ckpt")
    for name in whole.networks:
        assert_same(state(whole.networks[name]), state(rest.networks[name]))


def test_an_encoder_and_its_term_need_each_other():
    with pytest.raises(ValueError, match=r"^ModeRegularizer: .*no encoder.*MLPEncoder"):
        ring_gan(generator_terms={"modes": ModeRegularizer()})
    with pytest.raises(ValueError, match=r"^the encoder has nothing to learn from"):
        ring_gan(encoder=MLPEncoder((2,), 2))
    with pytest.raises(ValueError, match=r"^ModeRegularizer: realness_weight must be at least 0, got -1"):
        ModeRegularizer(realness_weight=-1.0)


# ------------------------------------------------------------------------------------------------------ what all share


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("update", [None, Simultaneous(), Unrolled(2), Consensus(0.1)], ids=lambda u: type(u).__name__)
def test_a_term_composes_with_every_update_and_leaves_d_its_gradient(name, update):
    pl.seed_everything(1, verbose=False)
    with_term = ring_gan(update=update, generator_terms={"x": TERMS[name]()}, penalties={"r1": R1(0.1)}).double()
    pl.seed_everything(1, verbose=False)
    without = ring_gan(update=update, penalties={"r1": R1(0.1)}).double()
    assert_same(state(with_term.generator), state(without.generator))
    for gan in (with_term, without):
        pl.seed_everything(2, verbose=False)
        train(gan, 1, Batches(torch.linspace(-1, 1, 16).reshape(8, 2).double()))
    if not isinstance(update, Consensus):  # there D also descends on the size of G's gradient
        assert_same(state(with_term.discriminator), state(without.discriminator))
    assert any(not torch.equal(v, state(without.generator)[k]) for k, v in state(with_term.generator).items())


@pytest.mark.parametrize("name", TERMS)
def test_a_seed_of_two_is_that_seed_alone(name):
    pair, alone = (ring_gan(generator_terms={"x": TERMS[name]()}, seeds=s).double() for s in ([4, 7], [7]))
    for gan in (pair, alone):
        train(gan, 20, precision="64-true")
    for key, value in state(alone.generator).items():
        torch.testing.assert_close(state(pair.generator)[key][1], value[0], rtol=1e-9, atol=1e-12)


def test_weights_intervals_and_names():
    class One(GeneratorTerm):
        def forward(self, step):
            return torch.ones_like(step.fake_logits)

    notes = Notes()
    gan = ring_gan(generator_terms={"a": One(Linear(8.0, 0.0, iterations=8)), "b": One(3.0, interval=2)})
    train(gan, 4, logger=notes, log_every_n_steps=1)
    assert notes.of("g/a") == {1: 8.0, 2: 7.0, 3: 6.0, 4: 5.0}
    assert notes.of("g/b")[1] == notes.of("g/b")[3] == 6.0
    for bad in ("adversarial", "gradient_norm", "mixing"):
        with pytest.raises(ValueError, match=bad):
            ring_gan(generator_terms={bad: One(1.0)})
    with pytest.raises(ValueError, match=r"^One: weight must be at least 0, got -1"):
        One(-1.0)
    with pytest.raises(TypeError, match=r"abstract class GeneratorTerm .*forward"):
        GeneratorTerm(1.0)
