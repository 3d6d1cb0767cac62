"""Looking at checkpoints: what a run's own probes saw, seen again, without training."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from callbacks import ModeCoverage, Observation, Probe, Trend, VectorField
from callbacks.looking import for_each_seed, training_reals, watched
from datamodules import RingDataModule
from lit_gans import GAN, cli
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import R1
from lit_gans.probing import Trainer
from tests.toys import Notes, Watcher, assert_same, ring_gan, state, train

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RING = CONFIGS / "ring.yaml"
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_checkpointing": False}


class Grip(Trend):
    """The norm of D's weights per seed, D's mean score of real samples, and what the game says of itself."""

    def __init__(self, every_n_iterations=2, name=None):
        super().__init__(every_n_iterations, name)
        self.seen = []

    def observe(self, trainer, gan):
        self.seen.append((gan.iteration, gan.global_step, trainer.global_step, gan.discriminator_updates))
        weights = next(gan.discriminator.parameters()).detach()
        with watched(gan, "Grip") as logits:
            scores = logits(for_each_seed(gan, training_reals(trainer, 9))).detach()
        squares = weights.square().flatten(0 if gan.seeds is None else 1)
        return Observation({"grip": squares.sum(-1), "score": scores.mean(-1)})


class Flag(Probe):
    """A figure that differs from look to look."""

    def observe(self, trainer, gan):
        figure = Figure(figsize=(1, 1), facecolor=str(gan.iteration / 10))
        return Observation(picture=lambda: figure)


class Tally(Watcher):
    """A hook with a state: how many D updates it has seen."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def discriminator_updated(self):
        self.n += 1

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state_dict):
        self.n = state_dict["n"]


class Diary(Probe):
    """Notes every iteration of a run, which no look at a checkpoint could tell."""

    def __init__(self, every_n_iterations=100, name=None):
        super().__init__(every_n_iterations, name)
        self.noted = []

    def on_train_batch_end(self, trainer, *_):
        self.noted.append(trainer.global_step)

    def observe(self, trainer, gan):
        return Observation({"noted": torch.tensor(len(self.noted))})

    def on_load_checkpoint(self, trainer, pl_module, checkpoint):
        self.noted = checkpoint["callbacks"][self.state_key]["noted"]

    def state_dict(self):
        return {"noted": self.noted}


def table(path):
    with path.open() as file:
        return {int(row["iteration"]): row for row in csv.DictReader(file)}


def run_of(tmp_path, *callbacks, iterations=8, **settings):
    """A run that keeps a checkpoint every two iterations, and the last one; returns its folder and its game."""
    keeping = ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=2, save_top_k=-1, save_last=True)
    gan = ring_gan("Adam", **settings)
    logger = CSVLogger(tmp_path, "", "run")
    train(gan, iterations, callbacks=[*callbacks, keeping], enable_checkpointing=True, logger=logger)
    return tmp_path / "kept", gan


def look(tmp_path, checkpoints, *callbacks, gan=None, notes=None, **settings):
    """Shows checkpoints to callbacks; returns the folder of what they leave."""
    loggers = [CSVLogger(tmp_path, "", "looked"), *([notes] if notes else [])]
    trainer = Trainer(callbacks=list(callbacks), logger=loggers, **QUIET)
    trainer.probe(gan or ring_gan(**settings), RingDataModule(batch_size=32), checkpoints)
    return tmp_path / "looked"


@pytest.mark.parametrize(
    "settings",
    [{}, {"batch_norm": True}, {"batch_norm": True, "seeds": [0, 3], "n_critic": 2}],
    ids=str,
)
def test_the_numbers_are_those_that_the_run_s_own_probes_wrote(settings, tmp_path, unwritten):
    def probes():
        return [VectorField(2, n_samples=9), ModeCoverage(2, 50), Grip()]

    kept, trained = run_of(tmp_path, *probes(), iterations=6, **settings)
    gan = ring_gan(**settings)
    looked = look(tmp_path, kept, *probes(), gan=gan)
    assert_same(state(gan), state(trained))
    for name in ("vector_field", "mode_coverage", "grip"):
        there, here = table(tmp_path / "run" / f"{name}.csv"), table(looked / f"{name}.csv")
        assert list(here) == ([4, 6] if name == "vector_field" else [2, 4, 6])  # nothing to turn from at first
        for iteration, row in here.items():
            assert len(row) >= (4 if "seeds" in settings else 2)
            for key, value in row.items():
                assert float(value) == pytest.approx(float(there[iteration][key]), rel=1e-6, abs=1e-6), key
    assert len({row["grip"] for row in table(looked / "grip.csv").values()}) == 3


def test_every_visit_is_of_its_checkpoint_s_iteration(tmp_path, unwritten):
    kept, _ = run_of(tmp_path, n_critic=3, iterations=10)
    grip, notes = Grip(), Notes()
    looked = look(tmp_path, kept, grip, Flag(), notes=notes, n_critic=3)
    assert grip.seen == [(n, n, n, 3 * n) for n in (2, 4, 6, 8, 10)]  # by number, not by name; the last one once
    assert [step for step, _ in notes.rows] == [2, 4, 6, 8, 10]
    assert {key for _, row in notes.rows for key in row} == {"grip", "score"}  # held-out data were not gone through
    assert sorted(path.name for path in (looked / "flag").iterdir()) == [f"{n:08d}.png" for n in (2, 4, 6, 8, 10)]


def test_pictures_and_a_film_are_left_and_one_file_makes_no_film(tmp_path):
    kept, _ = run_of(tmp_path, iterations=4)
    looked = look(tmp_path, kept, Flag(), Grip())
    with Image.open(looked / "flag.gif") as film:
        assert film.n_frames == 2
    assert [path.name for path in (looked / "grip").iterdir()] == ["00000004.png"]
    one = look(tmp_path / "one", kept / "step=2.ckpt", Flag(), Grip())
    assert sorted(path.name for path in one.rglob("*.*") if path.suffix in (".png", ".gif")) == ["00000002.png"] * 2


def test_what_a_probe_saw_in_the_run_is_left_aside(tmp_path, unwritten):
    kept, _ = run_of(tmp_path, Grip(1), VectorField(2))
    grip = Grip(1)
    (kept / "step=4.ckpt").unlink()
    looked = look(tmp_path, kept, grip, VectorField(2))
    assert [iteration for iteration, _ in grip.history] == [2, 6, 8]
    there, here = (table(folder / "vector_field.csv") for folder in (tmp_path / "run", looked))
    assert list(there) == [2, 4, 6, 8]
    assert here == {8: there[8]}  # compared are visits that are as far apart as looks: not 2 and 6


def test_a_probe_may_take_from_a_checkpoint_what_it_cannot_see(tmp_path):
    kept, _ = run_of(tmp_path, Diary(), iterations=4)
    looked = look(tmp_path, kept, Diary())
    assert {n: row["noted"] for n, row in table(looked / "diary.csv").items()} == {2: "2.0", 4: "4.0"}


def test_hooks_are_as_the_checkpoint_has_them_and_nothing_is_trained(tmp_path):
    kept, trained = run_of(tmp_path, Tally(), penalties={"r1": R1(1.0)})
    tally, gan = Tally(), ring_gan(penalties={"r1": R1(1.0)})
    before = torch.get_rng_state()
    look(tmp_path, kept / "step=6.ckpt", tally, Grip(), gan=gan)
    assert tally.n == 6
    assert torch.equal(torch.get_rng_state(), before)
    assert gan.iteration == 6
    assert_same(state(gan), torch.load(kept / "step=6.ckpt")["state_dict"])
    assert not torch.equal(next(gan.parameters()), next(trained.parameters()))


def test_a_trainer_may_look_after_it_has_trained(tmp_path):
    kept, gan = run_of(tmp_path, iterations=4)
    grip, flag = Grip(), Flag(3)
    trainer = Trainer(max_steps=3, callbacks=[flag, grip], logger=False, num_sanity_val_steps=0, **QUIET)
    trainer.fit(gan, datamodule=RingDataModule(batch_size=32))
    trainer.probe(gan, RingDataModule(batch_size=32), kept)
    assert [seen[:3] for seen in grip.seen] == [(0, 0, 0), (2, 2, 2), (3, 3, 3), (2, 2, 2), (4, 4, 4)]
    assert trainer.global_step == 3
    assert [path.name for path in flag.frames] == ["00000002.png", "00000004.png"]


def test_of_two_checkpoints_of_one_iteration_one_is_seen(tmp_path):
    kept, _ = run_of(tmp_path, iterations=4)
    (kept / "best.ckpt").write_bytes((kept / "step=2.ckpt").read_bytes())
    grip = Grip()
    with pytest.warns(UserWarning, match=r"best\.ckpt is passed over: .*step=2\.ckpt is of iteration 2 too") as told:
        look(tmp_path, kept, grip)
    assert [seen[0] for seen in grip.seen] == [2, 4]
    assert not [warning for warning in told if "last.ckpt" in str(warning.message)]


# ----------------------------------------------------------------------------------------------------------- mistakes


@pytest.fixture
def checkpoint(tmp_path):
    train(ring_gan(), 1).save_checkpoint(tmp_path / "one.ckpt")
    return tmp_path / "one.ckpt"


def broken(kind, whole):
    path = whole.parent / f"{kind}.ckpt"
    match kind:
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("hello")
        case "cut":
            path.write_bytes(whole.read_bytes()[:-50])
        case "half":
            path.write_bytes(whole.read_bytes()[:9000])
        case "tensor":
            torch.save(torch.zeros(3), path)
        case "object":
            torch.save({"state_dict": object()}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nothing", "there is no checkpoint .*nothing.ckpt; give --ckpt_path"),
        ("folder", r"no file \*.ckpt in the folder .*folder.ckpt"),
        ("text", "text.ckpt is not a checkpoint, or was cut short"),
        ("cut", "cut.ckpt is not a checkpoint, or was cut short"),
        ("half", "half.ckpt is not a checkpoint, or was cut short"),
        ("tensor", "tensor.ckpt is not a checkpoint of a run: it has no `state_dict`"),
        ("object", "object.ckpt holds more than tensors and numbers"),
    ],
)
def test_what_is_not_a_checkpoint_is_told(kind, told, checkpoint, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match=told):
        look(tmp_path, broken(kind, checkpoint), Grip())


def test_no_path_and_no_probe_are_told(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="no checkpoint was given to look at; give --ckpt_path"):
        look(tmp_path, None, Grip())
    with pytest.raises(ValueError, match=r"no probe among the callbacks.*--trainer.callbacks\+=VectorField"):
        look(tmp_path, checkpoint, Watcher())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seeds": [0, 1]}, r"was trained with 1 seed\(s\), this game has seeds \[0, 1\]"),
        ({"seeds": [0]}, r"it has no generator\.network\.layers\.0\.weight \(nor \d+ more\)"),
        ({"batch_norm": True}, r"generator\.layers\.\d\.weight is of shape \(\d+, 16\) there, \(16,\) here"),
    ],
)
def test_a_checkpoint_of_another_game_is_told(settings, told, checkpoint, tmp_path):
    with pytest.raises(ValueError, match=rf"one\.ckpt .*{told}.*; use the config.yaml of the run"):
        look(tmp_path, checkpoint, Grip(), **settings)


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ([0, 1], [2, 3], r"with seeds \[0, 1\], this game has seeds \[2, 3\]"),
        ([0, 1], None, r"with seeds \[0, 1\], this game has no seeds"),
    ],
)
def test_seeds_that_a_checkpoint_names_are_compared(theirs, ours, told, tmp_path):
    kept, _ = run_of(tmp_path, iterations=2, seeds=theirs)
    named = torch.load(kept / "last.ckpt") | {"hyper_parameters": {"seeds": theirs}}
    torch.save(named, tmp_path / "named.ckpt")
    look(tmp_path, tmp_path / "named.ckpt", Grip(), seeds=theirs)
    with pytest.raises(ValueError, match=told):
        look(tmp_path, tmp_path / "named.ckpt", Grip(), seeds=ours)


def test_one_checkpoint_of_another_game_stops_it_before_the_first_look(checkpoint, tmp_path):
    kept, _ = run_of(tmp_path, iterations=2)
    wider = GAN(MLPGenerator(2, (2,), (8,)), MLPDiscriminator((2,), (8,)), 2)
    train(wider, 4).save_checkpoint(kept / "step=4.ckpt")
    grip = Grip()
    with pytest.raises(ValueError, match=r"step=4\.ckpt holds other networks.* \(8, 2\) there, \(16, 2\) here"):
        look(tmp_path, kept, grip)
    assert grip.seen == []


@pytest.mark.parametrize(
    ("generated", "judged", "told"),
    [
        (3, 3, r"generator makes samples of shape \(3,\), the data's are \(2,\)"),
        (2, 3, r"discriminator cannot take samples of the data's shape \(2,\) \(.*shapes.*\)"),
    ],
)
@pytest.mark.parametrize("command", ["probe", "validate", "test"])
def test_data_that_the_networks_cannot_play_on_are_told(command, generated, judged, told, tmp_path):
    gan = GAN(MLPGenerator(2, (generated,), (4,)), MLPDiscriminator((judged,), (4,)), 2)
    trainer = Trainer(callbacks=[Grip()], logger=False, **QUIET)
    trainer.strategy.connect(gan)
    trainer.save_checkpoint(tmp_path / "wrong.ckpt")
    with pytest.raises(ValueError, match=told):
        getattr(trainer, command)(gan, datamodule=RingDataModule(batch_size=8), ckpt_path=tmp_path / "wrong.ckpt")
    assert not trainer.has_begun


# ----------------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def command(monkeypatch, capsys):
    """Calls the command line; returns its exit status and what it printed."""
    monkeypatch.setattr(sys, "argv", ["lit-gans"])
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(name, config, **settings):
        quiet = {"trainer.accelerator": "cpu", "trainer.enable_progress_bar": False, "trainer.limit_val_batches": 0}
        given = [f"--{key}={value}" for key, value in {**quiet, **settings}.items()]
        status = 0
        try:
            cli.main([name, "--config", str(config), *given])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out if status == 0 else printed.err

    return call


def test_the_command_leaves_what_the_run_left(command, unwritten):
    keeping = {"checkpoint.every_n_train_steps": 2, "checkpoint.save_top_k": -1}
    looking = {"trainer.callbacks": "null", "trainer.callbacks+": "ModeCoverage"}
    looking |= {"trainer.callbacks.every_n_iterations": 2, "model.seeds": "[0,1]"}
    assert command("fit", RING, **{"trainer.max_steps": 4}, **keeping, **looking)[0] == 0
    run = Path("runs/ring/version_0")
    status, printed = command("probe", run / "config.yaml", ckpt_path=run / "checkpoints")
    assert status == 0
    assert printed.count("modes covered: ") == 2
    assert "pictures and tables: runs/ring/version_1" in printed
    there, here = (table(Path(f"runs/ring/version_{n}/mode_coverage.csv")) for n in (0, 1))
    assert here == {2: there[2], 4: there[4]}
    assert "modes/covered/seed_1" in here[2]
    logged = Path("runs/ring/version_1/metrics.csv").read_text().splitlines()
    assert [row["step"] for row in csv.DictReader(logged)] == ["2", "4"]
    assert Path("runs/ring/version_1/config.yaml").exists()


@pytest.mark.parametrize("name", ["probe", "fit"])
def test_a_checkpoint_of_another_network_is_told_by_every_command(name, command, checkpoint):
    status, printed = command(name, RING, ckpt_path=checkpoint)
    assert status == 2
    assert "one.ckpt holds other networks than this game's: generator.layers.0.weight is of shape (16, 2)" in printed
    assert "use the config.yaml of the run" in printed
    assert "Traceback" not in printed
    assert printed.count("\n") < 6


def test_a_folder_is_only_for_probe(command, tmp_path):
    status, printed = command("validate", RING, ckpt_path=tmp_path)
    assert (status, "is a folder; give --ckpt_path one of the checkpoints in it" in printed) == (2, True)


def test_what_is_refused_before_a_run_is_told_and_what_goes_wrong_in_it_is_raised(command):
    swiss, dirac = CONFIGS / "swiss_roll.yaml", CONFIGS / "dirac.yaml"
    status, printed = command("fit", swiss, **{"trainer.callbacks+": "ModeCoverage"})
    assert (status, "ModeCoverage needs data with known modes" in printed) == (2, True)
    with pytest.raises(ValueError, match="VectorField needs two-dimensional data"):
        command("fit", dirac, **{"trainer.callbacks+": "VectorField"})
