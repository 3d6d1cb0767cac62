"""Mixtures: weights against the payoff over all pairs, samples in proportion, and a game of one member."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lit_gans import GAN
from lit_gans.losses import Hinge, NonSaturating
from lit_gans.networks import MixtureDiscriminator, MixtureGenerator, MLPDiscriminator, MLPGenerator
from lit_gans.networks.mixture import Mixtures
from lit_gans.penalties import R1
from lit_gans.players import RealBatch
from tests.toys import Batches, Notes, assert_same, state, train

SHAPE = (2,)


def small_g(latent_dim, sample_shape):
    return MLPGenerator(latent_dim, sample_shape, hidden=(8,))


def small_d(sample_shape):
    return MLPDiscriminator(sample_shape, hidden=(8,))


def mixture_gan(k=3, m=2, **settings):
    return GAN(
        MixtureGenerator(2, SHAPE, small_g, size=k),
        MixtureDiscriminator(SHAPE, small_d, size=m),
        latent_dim=2,
        **settings,
    )


def weigh(gan, u, v):
    """Gives both mixtures weights."""
    with torch.no_grad():
        for network, weights in ((gan.generator, u), (gan.discriminator, v)):
            network.mixing.copy_(torch.tensor(weights, dtype=network.mixing.dtype).log())


def test_every_pair_meets_and_the_loss_is_the_payoff_over_all_pairs():
    """Every latent and every real sample comes once to each pair: then the split is the payoff itself."""
    gan, (u, v), objective = mixture_gan(loss=NonSaturating()).double(), ([0.5, 0.3, 0.2], [0.9, 0.1]), NonSaturating()
    weigh(gan, u, v)
    z, x = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    latents = z.repeat_interleave(2, 0).repeat(3, 1)  # by generator, then by latent, then by discriminator
    real = x.repeat_interleave(2, 0).repeat(3, 1)
    fake = gan.generator(latents)
    payoff = {"discriminator": 0.0, "generator": 0.0}
    for i, g in enumerate(gan.generator.members):
        for j, d in enumerate(gan.discriminator.members):
            real_logits, fake_logits = d(x)[:, 0], d(g(z))[:, 0]
            payoff["discriminator"] += u[i] * v[j] * objective.discriminator(real_logits, fake_logits).mean()
            payoff["generator"] += u[i] * v[j] * objective.generator(None, fake_logits).mean()
    batch = RealBatch(real, None)
    steps = {"discriminator": gan.discriminator_step(batch, fake), "generator": gan.generator_step(batch, fake)}
    terms = {
        "discriminator": gan.discriminator_terms(steps["discriminator"]),
        "generator": gan.generator_terms(steps["generator"]),
    }
    for player, own in (("discriminator", gan.discriminator), ("generator", gan.generator)):
        found = terms[player]["adversarial"].mean()
        torch.testing.assert_close(found, payoff[player], rtol=1e-12, atol=0)
        (learned,) = torch.autograd.grad(found, own.mixing, retain_graph=True)
        assert learned.abs().max() > 1e-5
    # Each player learns its own weights alone.
    for player, others in (("discriminator", gan.generator), ("generator", gan.discriminator)):
        found = terms[player]["adversarial"].mean()
        assert torch.autograd.grad(found, others.mixing, retain_graph=True, allow_unused=True) == (None,)


def test_the_payoffs_gradient_in_a_weight_is_the_softmaxs():
    gan = mixture_gan(k=2, m=1).double()
    weigh(gan, [0.7, 0.3], [1.0])
    losses = torch.tensor([1.0, 1.0, 5.0, 5.0], dtype=torch.float64)  # two samples of each generator
    found = Mixtures(gan.networks).terms("generator", losses)["adversarial"].mean()
    assert found.item() == pytest.approx(0.7 * 1 + 0.3 * 5)
    (gradient,) = torch.autograd.grad(found, gan.generator.mixing)
    # d/da_i Σ_k u_k L_k = u_i (L_i - mean)
    assert gradient.tolist() == pytest.approx([0.7 * (1 - 2.2), 0.3 * (5 - 2.2)])


def test_entropy_is_lowest_for_equal_weights():
    gan = mixture_gan().double()
    even = gan.generator.entropy_term().item()
    assert even == pytest.approx(0.01 * torch.tensor(3.0).log().item())
    weigh(gan, [0.8, 0.1, 0.1], [0.5, 0.5])
    expected = -0.01 / 3 * sum(torch.tensor(w).log().item() for w in (0.8, 0.1, 0.1))
    assert gan.generator.entropy_term().item() == pytest.approx(expected, rel=1e-6)
    assert expected > even


def test_outside_of_training_generators_share_by_weight_and_logits_are_averaged():
    gan = mixture_gan().double().eval()
    weigh(gan, [0.6, 0.3, 0.1], [0.75, 0.25])
    z = torch.randn(1, 2, dtype=torch.float64).expand(1000, 2)
    outputs = torch.stack([member(z[:1])[0] for member in gan.generator.members])
    who = (gan.generator(z)[:, None] - outputs).norm(dim=-1).argmin(1)
    shares = [(who == i).double().mean().item() for i in range(3)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.003)
    first = [(who[:50] == i).double().mean().item() for i in range(3)]
    assert first == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    x = torch.randn(7, 2, dtype=torch.float64)
    first, second = gan.discriminator.members
    torch.testing.assert_close(gan.discriminator(x), 0.75 * first(x) + 0.25 * second(x))


@pytest.mark.parametrize("n", [12, 7])
def test_in_training_each_member_has_its_part_in_place(n):
    gan = mixture_gan().double()
    x = torch.randn(n, 2, dtype=torch.float64)
    logits, samples = gan.discriminator(x), gan.generator(x)
    for b in range(n):
        d = gan.discriminator.members[gan.discriminator.places(n)[b]]
        g = gan.generator.members[gan.generator.places(n)[b]]
        torch.testing.assert_close(logits[b], d(x[b : b + 1])[0])
        torch.testing.assert_close(samples[b], g(x[b : b + 1])[0])
    pairs = set(zip(gan.generator.places(12).tolist(), gan.discriminator.places(12).tolist(), strict=True))
    assert len(pairs) == 6


def test_a_mixture_of_one_is_the_plain_game_to_the_bit():
    def play(mixed):
        pl.seed_everything(0, verbose=False)
        g, d = small_g(2, SHAPE), small_d(SHAPE)
        if mixed:
            g, d = MixtureGenerator(2, SHAPE, lambda *_: g, size=1), MixtureDiscriminator(SHAPE, lambda _: d, size=1)
        else:
            d.samplewise = False
        gan = GAN(g, d, latent_dim=2, loss=Hinge(), penalties={"r1": R1(1.0)})
        pl.seed_everything(1, verbose=False)
        train(gan, 10)
        return gan

    plain, mixed = play(False), play(True)
    for name in ("generator", "discriminator"):
        assert_same(state(plain.networks[name]), state(mixed.networks[name].members[0]))


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_weights_are_learned_and_logged_and_resume(tmp_path, seeds):
    def game():
        pl.seed_everything(0, verbose=False)
        return mixture_gan(seeds=seeds, ema=0.9)

    notes = Notes()
    whole, part, rest = game(), game(), game()
    train(whole, 8, logger=notes, log_every_n_steps=4)
    train(part, 4).save_checkpoint(tmp_path / "half.ckpt")
    train(rest, 8, ckpt_path=tmp_path / "half.ckpt")
    for name in ("generator", "discriminator"):
        assert_same(state(whole.networks[name]), state(rest.networks[name]))
        mixing = next(value for key, value in state(whole.networks[name]).items() if key.endswith("mixing"))
        assert mixing.abs().max() > 0
    assert {"d/mixing", "g/mixing"} <= notes.rows[-1][1].keys()
    assert whole.sample(10).shape == (*(() if seeds is None else (2,)), 10, 2)


def test_a_seed_of_two_is_that_seed_alone():
    pair, alone = mixture_gan(seeds=[4, 7]).double(), mixture_gan(seeds=[7]).double()
    for gan in (pair, alone):
        train(gan, 20, precision="64-true")
        assert gan.generator.batched
        assert gan.discriminator.batched
    for name in ("generator", "discriminator"):
        for key, value in state(alone.networks[name]).items():
            torch.testing.assert_close(state(pair.networks[name])[key][1], value[0], rtol=1e-9, atol=1e-12)


def test_the_generators_of_a_mixture_specialise():
    """Two points for data, two generators of one point each, a D that can tell them: each takes a point of its own."""

    class Point(nn.Module):
        def __init__(self, start):
            super().__init__()
            self.point = nn.Parameter(torch.tensor([start]))

        def forward(self, z):
            return self.point.expand(len(z), 1) + 0 * z

    starts = iter([0.2, -0.1])
    pl.seed_everything(0, verbose=False)
    gan = GAN(
        MixtureGenerator(1, (1,), lambda *_: Point(next(starts)), size=2),
        MLPDiscriminator((1,), hidden=(32, 32)),
        latent_dim=1,
        penalties={"r1": R1(0.1)},
        generator_optimizer=lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.0, 0.9)),
        discriminator_optimizer=lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.0, 0.9)),
    )
    data = torch.tensor([[-1.0], [1.0]]).repeat(16, 1)
    train(gan, 600, Batches(*[data] * 600))
    ends = sorted(member.point.item() for member in gan.generator.members)
    assert ends == pytest.approx([-1, 1], abs=0.25)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"^MixtureGenerator: size must be at least 1"):
        MixtureGenerator(2, SHAPE, size=0)
    with pytest.raises(ValueError, match=r"^MixtureDiscriminator: entropy_weight must be at least 0, got -1"):
        MixtureDiscriminator(SHAPE, entropy_weight=-1)
