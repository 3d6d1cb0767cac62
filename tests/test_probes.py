"""Probes: when they look, what they leave behind, and that they change nothing."""

import os

import pytest
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

import callbacks
from callbacks import (
    Attraction,
    ClassCoverage,
    DiracPortrait,
    FixedFakes,
    GeneralizationGap,
    GradientPath,
    LandscapeProbe,
    LatentInterpolation,
    LossCurves,
    ModeCoverage,
    Movement,
    NearestReals,
    NoisyReals,
    NumbersOnly,
    Observation,
    Probe,
    Recurrence,
    SampleDistance,
    SampleGrid,
    SampleQuality,
    SampleWriter,
    SQDLogger,
    Trend,
    TurningPoint,
    ValueSurface,
    VectorField,
    Verdict,
    WeightRank,
    pictures,
)
from callbacks.looking import held_out_reals
from callbacks.probe import append_row
from callbacks.sample_grid import sample_picture
from datamodules import DigitsDataModule, DiracDataModule, RingDataModule
from lit_gans import GAN
from lit_gans.networks import MLPDiscriminator, MLPGenerator
from lit_gans.penalties import WGANGP
from tests.toys import Batches, Notes, assert_same, ring_gan, state, table, train

IN_A_PROCESS = pictures._worker


class Thermometer(Probe):
    """Notes the iterations at which it looks; a number and a small figure."""

    def __init__(self, every_n_iterations, name=None):
        super().__init__(every_n_iterations, name)
        self.looked = []

    def observe(self, trainer, gan):
        self.looked.append(trainer.global_step)
        figure = Figure(figsize=(1, 1), facecolor=str(trainer.global_step / 100))  # a film joins frames that are alike
        return Observation(
            {"heat": torch.arange(len(gan.seeds or [0])).squeeze() + trainer.global_step}, lambda: figure
        )


def every_probe(every):
    """All that fit data in the plane."""
    kinds = [Attraction, FixedFakes, GeneralizationGap, GradientPath, LossCurves, ModeCoverage]
    kinds += [LatentInterpolation, Movement, NearestReals, NoisyReals, Recurrence, SQDLogger, SampleDistance]
    kinds += [SampleGrid, TurningPoint, ValueSurface, VectorField, WeightRank]
    quality = SampleQuality(every, torch.nn.Identity(), n_samples=30, n_reals=30, subset_size=10, cache="cache")
    landscape = LandscapeProbe(every, n_samples=3, n_directions=2, reach=2.0)
    return [*(kind(every) for kind in kinds), quality, landscape]


def frames_of(path):
    with Image.open(path) as film:
        return film.n_frames


class PictureNotes(Notes):
    """Takes pictures as Weights & Biases does."""

    def __init__(self):
        super().__init__()
        self.pictures = []

    def log_image(self, key, images, step):
        self.pictures.append((key, images[0].rsplit("/", 1)[1], step))


@pytest.mark.parametrize(("iterations", "looks"), [(10, [0, 4, 8, 10]), (8, [0, 4, 8])])
def test_a_probe_looks_first_every_n_and_last_and_leaves_it_all_in_the_run_folder(iterations, looks, tmp_path):
    probe, notes, logger = Thermometer(4), PictureNotes(), CSVLogger(tmp_path, "", "run")
    train(ring_gan(n_critic=2), iterations, callbacks=[probe], logger=[logger, notes])
    assert probe.looked == looks
    run = tmp_path / "run"
    assert sorted(path.name for path in (run / "thermometer").iterdir()) == [f"{i:08d}.png" for i in looks]
    for path in (run / "thermometer").iterdir():
        with Image.open(path) as picture:
            assert picture.size == (100, 100)
            picture.verify()
    assert frames_of(run / "thermometer.gif") == len(looks)
    assert table(run / "thermometer.csv") == [{"iteration": str(i), "heat": str(float(i))} for i in looks]
    assert notes.of("heat") == {i: i for i in looks}
    assert notes.pictures == [("pictures/thermometer", f"{i:08d}.png", i) for i in looks]
    assert [int(row["step"]) for row in table(run / "metrics.csv") if row["heat"]] == looks


def test_without_a_logger_files_land_in_the_root(tmp_path):
    trainer = train(ring_gan(seeds=[4, 7]), 2, callbacks=[Thermometer(1)], default_root_dir=tmp_path / "root")
    rows = table(tmp_path / "root" / "thermometer.csv")
    assert rows[-1] == {"iteration": "2", "heat": "2.5", "heat/seed_4": "2.0", "heat/seed_7": "3.0"}
    assert trainer.callback_metrics["heat"] == 2.5


def test_a_trial_run_writes_nothing(tmp_path):
    train(ring_gan(), 2, callbacks=[SampleGrid(1)], fast_dev_run=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("probe", [Thermometer, SampleGrid, VectorField, ModeCoverage, LossCurves])
def test_a_cadence_below_one_is_refused(probe):
    with pytest.raises(ValueError, match=f"{probe.__name__}: every_n_iterations must be at least 1, got 0"):
        probe(0)


@pytest.mark.parametrize("probe", [Thermometer, SampleGrid, VectorField, ModeCoverage, ClassCoverage, LossCurves])
def test_a_given_name_is_that_of_files_state_and_keys(probe):
    plain, named = probe(1), probe(1, name="wide")
    assert named.name == "wide"
    assert plain.name != "wide"
    assert plain.state_key == probe.__qualname__
    assert named.state_key != plain.state_key
    assert probe.__qualname__ in named.state_key
    assert (plain.key("field/cosine"), named.key("field/cosine"), named.key("heat")) == (
        ("field/cosine", "wide/cosine", "wide/heat")
    )


@pytest.mark.parametrize("name", ["", "a/b", "..", " "])
def test_a_name_is_one_of_a_file(name):
    with pytest.raises(ValueError, match="SampleGrid: name is what files are called"):
        SampleGrid(name=name)


def test_two_probes_of_one_kind_keep_apart(tmp_path, unwritten, capsys):
    def probes():
        return [VectorField(2), VectorField(2, extent=5.0, name="wide"), LossCurves(4), LossCurves(4, name="curves"),
                ModeCoverage(2, 20), ModeCoverage(2, 30, name="more")]  # fmt: skip

    notes = Notes()
    trainer = train(
        ring_gan(), 4, callbacks=probes(), logger=[CSVLogger(tmp_path, "", "run"), notes], log_every_n_steps=1
    )
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    folder = tmp_path / "run"
    for name in ("vector_field", "wide", "loss_curves", "curves"):
        assert (folder / name / "00000004.png").is_file()
    for key in ("field/cosine", "wide/cosine", "modes/covered", "more/covered"):
        assert 4 in notes.of(key)
    assert table(folder / "wide.csv")[-1]["wide/cosine"] == str(notes.of("wide/cosine")[4])
    assert capsys.readouterr().out.count("modes covered: ") == 2
    fresh = probes()
    train(ring_gan(), 5, callbacks=fresh, ckpt_path=tmp_path / "last.ckpt", default_root_dir=tmp_path / "resumed")
    assert not torch.equal(fresh[0]._before, fresh[1]._before)  # the field of each, on a grid of its own


@pytest.mark.parametrize(("one", "other"), [({}, {}), ({"name": "a"}, {"name": "a"}), ({}, {"name": "sample_grid"})])
def test_two_probes_of_one_name_are_refused(one, other):
    with pytest.raises(ValueError, match=r"SampleGrid and SampleGrid are both called '(a|sample_grid)'.*`name`"):
        train(ring_gan(), 1, callbacks=[SampleGrid(**one), SampleGrid(**other)])


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_look_at_a_checkpoint_is_of_its_iteration(command, tmp_path):
    train(ring_gan(), 3).save_checkpoint(tmp_path / "three.ckpt")
    notes = Notes()
    trainer = pl.Trainer(
        logger=[CSVLogger(tmp_path, "", "run"), notes], callbacks=[ModeCoverage(10, 20)], accelerator="cpu",
        enable_progress_bar=False, limit_val_batches=1, limit_test_batches=1,
    )  # fmt: skip
    data = RingDataModule(batch_size=8)
    getattr(trainer, command)(ring_gan(), datamodule=data, ckpt_path=tmp_path / "three.ckpt", weights_only=False)
    assert [row["iteration"] for row in table(tmp_path / "run/mode_coverage.csv")] == ["3"]
    assert list(notes.of("modes/covered")) == [3]


def test_a_table_may_gain_columns(tmp_path):
    path = tmp_path / "table.csv"
    for row in ({"iteration": 0, "a": 1}, {"iteration": 1, "b": 2}, {"iteration": 2, "b": 3, "a": 4}):
        append_row(path, row)
    assert [tuple(row.values()) for row in table(path)] == [("0", "1", ""), ("1", "", "2"), ("2", "4", "3")]


def test_a_checkpoint_may_be_chosen_by_a_number_of_a_probe(tmp_path, unwritten):
    best = ModelCheckpoint(tmp_path, "{step}", monitor="heat", mode="min", every_n_train_steps=2)
    train(ring_gan(), 6, callbacks=[Thermometer(2), best], enable_checkpointing=True)
    assert best.best_model_path == str(tmp_path / "step=2.ckpt")
    assert best.best_model_score == 2
    turning = ModelCheckpoint(tmp_path / "v", "{step}", monitor="field/cosine", mode="max", every_n_train_steps=2)
    train(ring_gan(), 6, callbacks=[VectorField(2), turning], enable_checkpointing=True)
    assert turning.best_model_score > 0.5


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_probes_change_no_bit(seeds, unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = ring_gan("Adam", batch_norm=True, seeds=seeds, penalties={"gp": WGANGP(1.0)})
        train(gan, 7, callbacks=callbacks, log_every_n_steps=2)
        return state(gan)

    assert_same(run(*every_probe(2)), run())


def test_every_probe_there_is_was_on():
    """A probe that is new and not among them would go untested."""
    elsewhere = {DiracPortrait, ClassCoverage}  # for the line, and for labelled images; below
    there_are = {kind for kind in vars(callbacks).values() if isinstance(kind, type) and issubclass(kind, Probe)}
    assert {type(probe) for probe in every_probe(1)} == there_are - elsewhere - {Probe, Trend, Verdict}


@pytest.mark.parametrize(
    ("probe", "data", "shape"),
    [(DiracPortrait, DiracDataModule(batch_size=8), (1,)), (ClassCoverage, DigitsDataModule(batch_size=8), (1, 8, 8))],
)
def test_probes_of_other_data_change_no_bit(probe, data, shape, unwritten):
    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = GAN(MLPGenerator(2, shape, (4,)), MLPDiscriminator(shape, (4,)), 2)
        train(gan, 5, data, callbacks=callbacks)
        return state(gan)

    assert_same(run(probe(2)), run())


@pytest.mark.parametrize(("seeds", "panels"), [(None, 1), ([0], 1), ([0, 1, 2], 3)])
def test_every_figure_knows_the_seeds_axis(seeds, panels, unwritten):
    seen = {}

    def keeping(probe):
        record = probe._record
        probe._record = lambda trainer, gan, look: (seen.update({probe.name: look}), record(trainer, gan, look))
        return probe

    probes = [SampleGrid(2, 9), VectorField(2, n_samples=9), ModeCoverage(2, 20), LossCurves(2)]
    train(ring_gan(seeds=seeds), 4, callbacks=[keeping(probe) for probe in probes], log_every_n_steps=1)
    counts = {name: len(look.picture().axes) for name, look in seen.items() if look.picture is not None}
    assert counts == {"sample_grid": panels, "vector_field": 2 * panels, "loss_curves": 6}
    lines = [len(axes.lines) for axes in seen["loss_curves"].picture().axes]
    assert lines == [1 if panels == 1 else panels + 1] * 6
    for numbers in (seen["mode_coverage"].numbers, seen["vector_field"].numbers):
        assert numbers
        assert {value.shape for value in numbers.values()} == {() if seeds is None else (len(seeds),)}


# --------------------------------------------------------------------------------------------------- the single ones


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 8, 8), (3, 6, 5)])
def test_samples_are_drawn_whichever_their_shape(shape, tmp_path):
    gan = GAN(MLPGenerator(2, shape, (4,)), MLPDiscriminator(shape, (4,)), 2)
    train(gan, 2, Batches(torch.rand(6, *shape)), [SampleGrid(1, 5)])
    assert len(list((tmp_path / "sample_grid").iterdir())) == 3
    assert frames_of(tmp_path / "sample_grid.gif") >= 1  # what has hardly moved may look the same


@pytest.mark.parametrize("shape", [(3,), (2, 8, 8), (4, 4)])
def test_what_cannot_be_drawn_is_refused(shape):
    with pytest.raises(ValueError, match="not samples of shape"):
        sample_picture(torch.zeros(1, 4, *shape), [""], None, "")


def test_samples_are_of_the_same_latents_throughout():
    def picture():
        figure = SampleGrid(1, 20).observe(gan.trainer, gan).picture()
        return torch.tensor(figure.axes[0].collections[0].get_offsets())

    gan = ring_gan()
    gan.trainer = pl.Trainer(logger=False)
    assert torch.equal(picture(), picture())
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        SampleGrid(n_samples=0)


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_predict_leaves_samples_and_a_picture(seeds, tmp_path, capsys):
    gan, writer = ring_gan(seeds=seeds), SampleWriter(n_drawn=3)
    trainer = pl.Trainer(
        logger=False, callbacks=[writer], enable_progress_bar=False, accelerator="cpu", default_root_dir=tmp_path
    )
    trainer.predict(gan, datamodule=RingDataModule(batch_size=4, n_predict=10))
    samples = torch.load(tmp_path / "samples.pt")
    assert samples.shape == ((10, 2) if seeds is None else (2, 10, 2))
    with Image.open(tmp_path / "samples.png") as picture:
        picture.verify()
    assert str(tmp_path / "samples.png") in capsys.readouterr().out


@pytest.mark.parametrize(("shape", "drawn"), [((2,), True), ((1, 8, 8), False)])
def test_predict_draws_points_beside_held_out_reals(shape, drawn, tmp_path, monkeypatch):
    class LoadsByStage(pl.LightningDataModule):
        def setup(self, stage):
            if stage == "validate":
                self.reals = Batches(torch.arange(8.0).reshape(4, 2))

        def val_dataloader(self):
            return self.reals

        def predict_dataloader(self):
            return Batches(torch.randn(5, 2))

    seen = []

    def keep(fake, titles, real, caption):
        seen.append((real, caption))
        return Figure

    monkeypatch.setattr("callbacks.sample_writer.sample_picture", keep)
    gan = GAN(MLPGenerator(2, shape, (4,)), MLPDiscriminator(shape, (4,)), 2)
    trainer = pl.Trainer(logger=False, callbacks=[SampleWriter(3)], enable_progress_bar=False, accelerator="cpu")
    trainer.predict(gan, datamodule=LoadsByStage())
    ((real, caption),) = seen
    assert (real.tolist() if drawn else real) == ([[0, 1], [2, 3], [4, 5]] if drawn else None)
    assert caption == "samples at iteration 0"


def test_curves_know_the_whole_of_a_resumed_run(tmp_path, unwritten):
    whole, first, second = LossCurves(100), LossCurves(100), LossCurves(100)

    def run(iterations, curves, **settings):
        pl.seed_everything(1, verbose=False)
        return train(ring_gan(seeds=[0, 1]), iterations, callbacks=[curves], log_every_n_steps=2, **settings)

    run(8, whole)
    run(5, first).save_checkpoint(tmp_path / "half.ckpt")
    run(8, second, ckpt_path=tmp_path / "half.ckpt")
    assert whole.history.iterations == [2, 4, 6, 8]
    assert second.history.kept == whole.history.kept
    assert len(whole.history.seen[0]["d/adversarial"]) == 2


def test_curves_of_a_long_run_are_thinned(unwritten):
    curves = LossCurves(100, most=4)
    train(ring_gan(), 20, callbacks=[curves], log_every_n_steps=2)
    assert curves.history.iterations == [2, 10, 18, 20]
    with pytest.raises(ValueError, match="most must be at least 2 moments"):
        LossCurves(most=1)


def test_a_cosine_is_the_same_in_a_resumed_run(tmp_path, unwritten):
    def run(iterations, **settings):
        pl.seed_everything(1, verbose=False)
        notes = Notes()
        return train(ring_gan(), iterations, callbacks=[VectorField(4)], logger=notes, **settings), notes

    _, whole = run(10)
    half, _ = run(6)  # looks at 6 as well, off the beat
    half.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = run(10, ckpt_path=tmp_path / "half.ckpt")
    assert list(whole.of("field/cosine")) == [4, 8]
    assert resumed.of("field/cosine") == {8: whole.of("field/cosine")[8]}


def test_reals_for_pictures_cost_no_random_number():
    class Foreign(pl.LightningDataModule):
        def train_dataloader(self):
            return Batches(torch.zeros(4, 2))

    class WithReals(Foreign):
        def val_dataloader(self):
            return torch.utils.data.DataLoader([torch.randn(2) for _ in range(9)], batch_size=4, shuffle=True)

    trainer = pl.Trainer(logger=False)
    assert held_out_reals(trainer, 5) is None
    trainer.datamodule = Foreign()
    assert held_out_reals(trainer, 5) is None
    trainer.datamodule = WithReals()
    before = torch.get_rng_state()
    assert held_out_reals(trainer, 5).shape == (5, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_probe_that_is_used_again_starts_anew(unwritten, tmp_path):
    probes = every_probe(2)
    for folder in ("one", "other"):
        pl.seed_everything(5, verbose=False)
        train(ring_gan(), 6, callbacks=probes, log_every_n_steps=1, default_root_dir=tmp_path / folder)
    tables = sorted((tmp_path / "one").glob("*.csv"))
    assert len(tables) > 8
    for path in tables:
        assert path.read_text() == (tmp_path / "other" / path.name).read_text(), path.name


def test_numbers_only_leaves_tables_and_no_pictures(tmp_path):
    train(ring_gan(), 4, callbacks=[*every_probe(2), NumbersOnly()], log_every_n_steps=1)
    assert len(list(tmp_path.glob("*.csv"))) > 8
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".gif")]


def test_a_probe_looks_in_eval_mode(unwritten):
    """Also one that runs D itself, as the README's does: batch norm's statistics stay those of the game."""

    class Careless(Probe):
        def observe(self, trainer, gan):
            gan.logits(torch.randn(8, 2))
            gan.generator(torch.randn(8, 2))
            return Observation()

    def run(*callbacks):
        pl.seed_everything(5, verbose=False)
        gan = ring_gan(batch_norm=True, seeds=None)
        train(gan, 3, callbacks=callbacks)
        return state(gan)

    torch.manual_seed(0)
    alone = run()

    class Fixed(Careless):
        def observe(self, trainer, gan):
            with torch.random.fork_rng(devices=[]):
                return super().observe(trainer, gan)

    assert_same(run(Fixed(1)), alone)


def test_a_gap_without_knowing_what_d_trains_on_is_refused():
    class Foreign(pl.LightningDataModule):
        def train_dataloader(self):
            return Batches(torch.zeros(4, 2))

        val_dataloader = train_dataloader

    with pytest.raises(ValueError, match=r"GeneralizationGap needs to know what D trains on.*got Foreign"):
        train(ring_gan(), 1, Foreign(), callbacks=[GeneralizationGap(1)])


# -------------------------------------------------------------------------------------------- drawn beside the game


@pytest.fixture
def beside(monkeypatch):
    """The process that draws, as in a run."""
    monkeypatch.setattr(pictures, "_worker", IN_A_PROCESS)


def test_pictures_and_films_are_drawn_in_another_process_and_are_there_when_a_run_ends(beside, tmp_path):
    drawn_by = tmp_path / "process"

    class Draws(Probe):
        def observe(self, trainer, gan):
            def picture(shade=str(trainer.global_step / 100)):
                drawn_by.write_text(str(os.getpid()))
                return Figure(figsize=(1, 1), facecolor=shade)

            return Observation(picture=picture)

    probe, notes = Draws(2), PictureNotes()
    train(ring_gan(), 4, callbacks=[probe], logger=[CSVLogger(tmp_path, "", "run"), notes])
    names = [f"{i:08d}.png" for i in (0, 2, 4)]
    assert sorted(path.name for path in (tmp_path / "run/draws").iterdir()) == names
    assert frames_of(tmp_path / "run/draws.gif") == 3
    assert drawn_by.read_text() != str(os.getpid())
    assert [(name, step) for _, name, step in notes.pictures] == list(zip(names, (0, 2, 4), strict=True))


def test_a_picture_that_cannot_be_drawn_is_told_and_the_run_goes_on(beside, tmp_path):
    class Breaks(Probe):
        def observe(self, trainer, gan):
            return Observation({"a": torch.tensor(1.0)}, lambda: 1 / 0)

    with pytest.warns(UserWarning, match=r"Breaks could not draw .*breaks/00000002.png: division by zero"):
        train(ring_gan(), 2, callbacks=[Breaks(2)])
    assert len(table(tmp_path / "breaks.csv")) == 2
