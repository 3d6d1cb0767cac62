"""Turning points: the rule on synthetic curves, and the callback that watches for them."""

import math
import statistics
from functools import partial

import pytest
import pytorch_lightning as pl
import torch

from callbacks import SQDLogger, TurningPoint
from callbacks.turning_point import put_back
from datamodules import RingDataModule
from lit_gans import GAN, GANStrategy
from lit_gans.metrics import turning_points
from lit_gans.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from lit_gans.penalties import R1
from lit_gans.terms import ModeRegularizer
from tests.toys import Notes, assert_same, ring_gan, state, table, train

# ------------------------------------------------------------------------------------------------------------ the rule


def smooth_curves(n=40):
    """As of a game that goes well: turns fall, quality and diversity rise, everything with a little noise."""
    noise = torch.randn(4, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k = torch.arange(n)
    turns = torch.stack([0.02 * 0.97**k, 0.01 * 0.98**k]) * (1 + 0.05 * noise[:2])
    scores = torch.stack([0.8 - 0.6 * 0.9**k, 2.0 - 1.0 * 0.8**k]) * (1 + 0.01 * noise[2:])
    return turns.T.contiguous(), scores.T.contiguous()


def looks_found(turns, scores, **how):
    return turning_points(turns, scores, **how).turned.nonzero().flatten().tolist()


def test_a_game_that_goes_well_has_no_turning_point():
    assert looks_found(*smooth_curves()) == []


@pytest.mark.parametrize("player", [0, 1])
@pytest.mark.parametrize("score", [0, 1])
def test_a_jump_with_a_fall_is_one_at_its_look(player, score):
    turns, scores = smooth_curves()
    turns[25, player] *= 3
    scores[25:, score] *= 0.6
    assert looks_found(turns, scores) == [25]
    found = turning_points(turns, scores)
    assert found.jumps[25, player].item() == pytest.approx(3 * 0.98 ** (5 if player else 7), rel=0.2)
    assert found.after[25, score].item() == pytest.approx(0.6 * found.before[25, score].item(), rel=0.1)


def test_neither_a_jump_nor_a_fall_is_one_alone():
    turns, scores = smooth_curves()
    turns[25] *= 3
    assert looks_found(turns, scores) == []
    turns, scores = smooth_curves()
    scores[25:] *= 0.6
    assert looks_found(turns, scores) == []


def test_a_single_bad_look_is_forgotten():
    turns, scores = smooth_curves()
    turns[25] *= 3
    scores[25:27] = 0.0
    assert looks_found(turns, scores, patience=5) == []
    assert looks_found(turns, scores, patience=3) == [25]


def test_a_fall_within_the_usual_swing_of_a_score_is_none():
    turns, scores = smooth_curves()
    scores[:, 0] = 0.5
    scores[::2, 0] = 0.9  # swings by 0.2 about 0.7: a fall of 3 times 1.4826 times 0.2 would be to below 0
    scores[25:, 0] = 0.2
    turns[25] *= 3
    assert looks_found(turns, scores) == []
    scores[:, 0] = 0.7
    scores[25:, 0] = 0.2
    assert looks_found(turns, scores) == [25]


def test_samples_that_are_no_numbers_are_a_fall():
    turns, scores = smooth_curves()
    turns[25] *= 3
    scores[25:] = math.nan
    assert looks_found(turns, scores) == [25]


def test_no_angle_and_no_scale_is_fixed():
    turns, scores = smooth_curves()
    turns[25] *= 3
    scores[25:] *= 0.6
    for scale in (1e-6, 1e6):
        assert looks_found(turns * scale, scores * scale) == [25]


def test_what_cannot_be_told_is_no_turning_point():
    turns, scores = torch.ones(20, 2), torch.ones(20, 2)
    turns[9] *= 3
    scores[9:] *= 0.6
    assert looks_found(turns, scores, window=10) == []  # nine looks are no window
    assert looks_found(turns, scores, window=9) == [9]
    turns, scores = torch.ones(20, 2), torch.ones(20, 2)
    turns[16] *= 3
    scores[16:] *= 0.6
    assert looks_found(turns, scores, patience=5) == []  # four looks are no patience
    assert looks_found(turns, scores, patience=4) == [16]
    assert turning_points(turns[:3], scores[:3]).turned.tolist() == [False] * 3


def slow_turning_points(turns, scores, jump, fall, window, patience):
    """Of one seed, look by look, with Python's own median."""
    found = []
    for k in range(window, len(turns) - patience + 1):
        jumps = any(turn[k] > jump * statistics.median(turn[k - window : k]) for turn in zip(*turns, strict=True))
        falls = False
        for score in zip(*scores, strict=True):
            usual = statistics.median(score[k - window : k])
            sigma = 1.4826 * statistics.median(abs(x - usual) for x in score[k - window : k])
            fallen = usual - statistics.median(score[k : k + patience])
            falls = falls or fallen > max(fall * usual, 3 * sigma)
        if jumps and falls:
            found.append(k)
    return found


@pytest.mark.parametrize(("window", "patience"), [(2, 1), (5, 4), (10, 5)])
def test_the_rule_is_the_slow_one_for_each_seed(window, patience):
    generator = torch.Generator().manual_seed(window)
    turns = torch.rand(60, 2, 5, generator=generator, dtype=torch.float64).exp()
    scores = 0.3 * torch.rand(60, 2, 5, generator=generator, dtype=torch.float64) + 1.0
    scores[30:] -= 0.5
    found = turning_points(turns, scores, 1.5, 0.1, window, patience).turned
    slow = [
        slow_turning_points(turns[..., s].tolist(), scores[..., s].tolist(), 1.5, 0.1, window, patience)
        for s in range(5)
    ]
    assert [found[:, s].nonzero().flatten().tolist() for s in range(5)] == slow
    assert any(slow)


def test_curves_of_other_looks_are_refused():
    with pytest.raises(ValueError, match=r"of the same looks and seeds, got \(7, 2\) and \(6, 2\)"):
        turning_points(torch.ones(7, 2), torch.ones(6, 2))
    with pytest.raises(ValueError, match=r"of the same looks and seeds, got \(7, 2, 3\) and \(7, 2\)"):
        turning_points(torch.ones(7, 2, 3), torch.ones(7, 2))


# -------------------------------------------------------------------------------------------------------- the callback


class Sabotage(pl.Callback):
    """At some iterations, G's last layer comes to map everything to one place."""

    def __init__(self, at, place=...):
        self.at, self.place, self.after = at, place, {}

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        if trainer.global_step in self.at:
            with torch.no_grad():
                for parameter in list(gan.generator.parameters())[-2:]:
                    parameter[self.place] = 3.0

    def on_train_batch_end(self, trainer, gan, *_):
        self.after[trainer.global_step] = state(gan)


class PowerCut(pl.Callback):
    """Ends a run in the middle, after its last checkpoint."""

    def __init__(self, at, path):
        self.at, self.path = at, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at:
            trainer.save_checkpoint(self.path)
            raise RuntimeError("power cut")


def slow_gan(**settings):
    """A game that hardly moves, from a generator that makes something of everything."""
    pl.seed_everything(1, verbose=False)
    slow = partial(torch.optim.Adam, lr=1e-4)
    gan = ring_gan(generator_optimizer=slow, discriminator_optimizer=slow, **settings)
    with torch.no_grad():
        for parameter in gan.generator.parameters():
            parameter.mul_(3)
    return gan


HOW = {"every_n_iterations": 5, "n_samples": 200, "window": 4, "patience": 3}


def test_a_turning_point_is_told_with_its_evidence(tmp_path, capsys):
    probe, notes = TurningPoint(**HOW), Notes()
    train(slow_gan(), 60, callbacks=[Sabotage([37]), probe], logger=notes, default_root_dir=tmp_path)
    (row,) = probe.found
    assert (row["iteration"], row["last_good"], row["told_at"]) == (40, 35, 50)
    assert row["jump_g"] > 10
    assert row["diversity_before"] > 0.5
    assert row["diversity_after"] == pytest.approx(0, abs=1e-9)
    assert notes.of("sqd/turning_point") == {50: 40}
    (folder,) = {path.parent for path in tmp_path.rglob("turning_points.csv")}
    (written,) = table(folder / "turning_points.csv")
    assert {key: float(value) for key, value in written.items() if value} == {
        key: pytest.approx(value) for key, value in row.items() if value != ""
    }
    assert "TurningPoint: the game turned at iteration 40: G " in capsys.readouterr().out
    assert len(table(folder / "turning_point.csv")) == 13  # as SQDLogger's
    figure = probe.picture(slow_gan())()
    lines = [line for axes in figure.axes for line in axes.lines if list(line.get_xdata()) == [40, 40]]
    assert len(lines) == 3


def test_where_nothing_turns_that_is_said(tmp_path, capsys):
    probe = TurningPoint(**HOW)
    train(slow_gan(), 60, callbacks=[probe], default_root_dir=tmp_path)
    assert probe.found == []
    assert "TurningPoint: no turning point in 60 iterations" in capsys.readouterr().out
    assert not list(tmp_path.rglob("turning_points.csv"))


def test_stop_ends_the_run_when_every_seed_has_turned(tmp_path):
    sabotages = [Sabotage([37], 0), Sabotage([47], 1)]
    gan = slow_gan(seeds=[7, 8])
    probe = TurningPoint(**HOW, action="stop")
    train(gan, 100, callbacks=[*sabotages, probe], default_root_dir=tmp_path)
    assert [(row["seed"], row["iteration"], row["told_at"]) for row in probe.found] == [(7, 40, 50), (8, 50, 60)]
    assert max(sabotages[0].after) == 60
    (kept,) = tmp_path.rglob("*.ckpt")
    assert kept.name == "last_good.ckpt"
    checkpoint = torch.load(kept, weights_only=True)
    assert checkpoint["global_step"] == 35
    assert_same(checkpoint["state_dict"], sabotages[0].after[35])
    resumed = TurningPoint(**HOW)
    train(slow_gan(seeds=[7, 8]), 45, callbacks=[resumed], ckpt_path=kept, default_root_dir=tmp_path)
    assert [iteration for iteration, _ in resumed.history] == list(range(0, 50, 5))


def test_rollback_puts_the_seed_back_and_no_other(tmp_path):
    sabotage, watching = Sabotage([37, 67], 1), Sabotage([])
    gan = slow_gan(seeds=[7, 8])
    probe = TurningPoint(**HOW, action="rollback")
    train(gan, 80, callbacks=[sabotage, probe, watching], default_root_dir=tmp_path)
    assert [(row["seed"], row["iteration"], row["last_good"], row["told_at"]) for row in probe.found] == [
        (8, 40, 35, 50),
        (8, 70, 65, 80),
    ]
    good, broken, put_back = watching.after[35], sabotage.after[50], watching.after[50]
    for name in good:
        assert torch.equal(put_back[name][1], good[name][1]), name
        assert torch.equal(put_back[name][0], broken[name][0]), name
        assert torch.equal(gan.state_dict()[name][1], watching.after[65][name][1]), name
    turns = probe.largest_turns(range(0, 85, 5))
    assert turns[8, 0, 1] > 10 * turns[7, 0, 1]
    assert turns[11, 0, 1] < 2 * turns[7, 0, 1]  # the way back is no turn


class BothProcesses(pl.Callback):
    """At the end, the weights of both processes and what both have found, as the first one writes it down."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, gan):
        (probe,) = [callback for callback in trainer.callbacks if isinstance(callback, TurningPoint)]
        found = torch.tensor([[row["seed"], row["iteration"], row["told_at"]] for row in probe.found])
        weights = torch.nn.utils.parameters_to_vector(gan.parameters())
        both = {"found": trainer.strategy.all_gather(found), "weights": trainer.strategy.all_gather(weights)}
        if trainer.is_global_zero:
            torch.save(both, self.path)


def test_two_processes_go_back_together(tmp_path):
    train(
        slow_gan(seeds=[7, 8]),
        55,
        callbacks=[Sabotage([37], 1), TurningPoint(**HOW, action="rollback"), BothProcesses(tmp_path / "both.pt")],
        devices=2,
        strategy=GANStrategy(start_method="fork", process_group_backend="gloo"),
        default_root_dir=tmp_path,
    )
    both = torch.load(tmp_path / "both.pt")
    assert both["found"].tolist() == [[[8, 40, 50]]] * 2
    assert torch.equal(*both["weights"])
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["last_good.ckpt"]


@pytest.mark.parametrize("encoder", [False, True])
def test_what_goes_back_is_all_of_a_player(encoder, tmp_path):
    third = {"encoder": MLPEncoder((2,), 2, hidden=(8,)), "generator_terms": {"modes": ModeRegularizer()}}
    gan = slow_gan(ema=0.9, **third if encoder else {})
    assert len(gan.players) == 2 + encoder
    trainer = train(gan, 5)
    path = tmp_path / "five.ckpt"
    trainer.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    train(gan, 5)
    later = [torch.optim.Adam(player.parameters, lr=1e-4) for player in gan.players.values()]
    for optimizer, state_of_it in zip(later, checkpoint["optimizer_states"], strict=True):
        optimizer.load_state_dict(state_of_it)
        for moments in optimizer.state.values():
            for value in moments.values():
                value.mul_(7)
    put_back(gan, later, checkpoint, None)
    count = "ema.n_averaged"  # which runs on
    assert_same(*({k: v for k, v in each.items() if k != count} for each in (state(gan), checkpoint["state_dict"])))
    for optimizer, saved in zip(later, checkpoint["optimizer_states"], strict=True):
        for parameter, moments in optimizer.state_dict()["state"].items():
            assert_same(moments, saved["state"][parameter])


def test_a_run_that_was_interrupted_finds_what_one_that_was_not_does(tmp_path):
    whole = TurningPoint(**HOW, action="rollback")
    train(slow_gan(), 65, callbacks=[Sabotage([37]), whole], default_root_dir=tmp_path / "whole")
    half, rest, folder = TurningPoint(**HOW, action="rollback"), TurningPoint(**HOW, action="rollback"), tmp_path / "b"
    with pytest.raises(RuntimeError, match="power cut"):
        train(
            slow_gan(),
            65,
            callbacks=[Sabotage([37]), half, PowerCut(47, folder / "last.ckpt")],
            default_root_dir=folder,
        )
    assert half.found == []
    train(slow_gan(), 65, callbacks=[rest], ckpt_path=folder / "last.ckpt", default_root_dir=folder)
    assert rest.found == whole.found != []
    assert [numbers for _, numbers in rest.history][-1] == [numbers for _, numbers in whole.history][-1]


def test_a_checkpoint_that_is_gone_is_said(tmp_path):
    class Broom(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            for path in tmp_path.rglob("*.ckpt"):
                path.unlink()

    with pytest.warns(UserWarning, match="TurningPoint: the checkpoint of iteration 35 is gone"):
        train(
            slow_gan(),
            60,
            callbacks=[Sabotage([37]), TurningPoint(**HOW, action="rollback"), Broom()],
            default_root_dir=tmp_path,
        )


def test_it_is_an_sqd_logger_to_the_last_bit(tmp_path):
    plain, alarmed = SQDLogger(5, n_samples=50), TurningPoint(5, n_samples=50)
    for probe in (plain, alarmed):
        pl.seed_everything(2, verbose=False)
        train(ring_gan(), 20, callbacks=[probe], default_root_dir=tmp_path)
    assert alarmed.history == plain.history
    looks = [iteration for iteration, _ in plain.history]
    assert torch.equal(alarmed.largest_turns(looks)[1:], plain.largest_turns(looks)[1:])


def test_turns_are_the_largest_since_the_look_before():
    probe = SQDLogger(5, stability_every=2, n_samples=10)
    moments = torch.tensor([2, 4, 6, 8, 10, 14])
    angles = torch.tensor([[1.0, 5.0], [3.0, 2.0], [0.5, math.nan], [0.25, 1.0], [0.75, 0.0], [9.0, 9.0]])
    probe._measured = [(moments, angles)]
    expected = torch.tensor([[math.nan] * 2, [3.0, 5.0], [0.75, math.inf], [math.nan] * 2])
    torch.testing.assert_close(probe.largest_turns([0, 5, 10, 12]), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_iterations": 5, "stability_every": 6}, "stability_every must be at most every_n_iterations"),
        ({"jump": 1.0}, "jump must be above 1"),
        ({"jump": math.nan}, "jump must be above 1"),
        ({"fall": 0.0}, "fall must be between 0 and 1"),
        ({"fall": 1.0}, "fall must be between 0 and 1"),
        ({"window": 1}, "window must be at least 2 looks"),
        ({"patience": 0}, "patience at least 1, got 10 and 0"),
        ({"action": "run"}, "action must be one of log, stop, rollback, got 'run'"),
        ({"n_samples": 1}, "TurningPoint: n_samples must be at least 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TurningPoint(**settings)


# ----------------------------------------------------------------------------------------------------------- real runs


def ring_at_a_high_rate(tmp_path, **settings):
    """The runs of the claim S4, with two of its search's seeds."""
    probe = TurningPoint(250)
    gan = GAN(
        MLPGenerator(2, (2,)),
        MLPDiscriminator((2,)),
        latent_dim=2,
        seeds=[100, 102],
        generator_optimizer=lambda p: torch.optim.SGD(p, lr=5e-2),
        discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=5e-2),
        **settings,
    )
    train(gan, 4250, data=RingDataModule(batch_size=256), callbacks=[probe], default_root_dir=tmp_path)
    return probe


def test_the_collapse_of_a_real_game_is_found(tmp_path):
    assert ring_at_a_high_rate(tmp_path).found


def test_a_real_game_that_goes_well_raises_no_alarm(tmp_path):
    assert ring_at_a_high_rate(tmp_path, penalties={"r1": R1(1.0)}).found == []
