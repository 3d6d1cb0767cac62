"""The page that compares runs: numbers read right, all inside, nothing unescaped, mistakes told in a sentence."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import yaml
from PIL import Image
from pytorch_lightning.loggers import CSVLogger

from callbacks import LatentInterpolation, SampleGrid
from datamodules import RingDataModule
from lit_gans import plotting
from lit_gans.cli import main
from lit_gans.compare import find_run, read_run
from lit_gans.compare.command import distinct_names
from lit_gans.compare.film import film, shared_iterations
from lit_gans.compare.page import different_settings, final_numbers, write_page
from tests.toys import ring_gan, train

ROOT = Path(__file__).parents[1]


def write_run(folder, settings=None, tables=None, pictures=None):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings or {"seed_everything": 0}))
    for name, text in (tables or {}).items():
        (folder / name).write_text(text)
    for probe, iterations in (pictures or {}).items():
        (folder / probe).mkdir()
        for i in iterations:
            Image.new("RGB", (60, 40), (i % 256, 0, 0)).save(folder / probe / f"{i:08d}.png")
    return folder


class Page(HTMLParser):
    """What a page shows: cells of tables, pictures, and everything it would fetch."""

    def __init__(self, file):
        super().__init__()
        self.cells, self.pictures, self.fetched, self.open = [], {}, [], []
        self.text = file.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.fetched += [value for key, value in attributes if key in ("src", "href", "data", "action")]
        if tag == "img":
            kind, content = re.fullmatch(r"data:image/(png|gif);base64,(.*)", given["src"]).groups()
            self.pictures[given["alt"]] = Image.open(io.BytesIO(base64.b64decode(content)))
            assert self.pictures[given["alt"]].format.lower() == kind
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        self.open.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1][-1] += data

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def row(self, key):
        (found,) = [row[1:] for row in self.cells if row[:1] == [key]]
        return found


# ----------------------------------------------------------------------------------------------- what a folder tells

METRICS = """d/adversarial,modes/covered,modes/covered/seed_3,modes/covered/seed_12,step,words
1.0,,,,50,
,4.0,3.0,5.0,50,
2.0,,,,90,good
3.0,,,,95,
,6.0,4.0,8.0,95,
nan,,,,100,
6.0,7.0,5.0,9.0,100,
9.0,9.0,9.0"""  # the last line is half written


def test_numbers_are_those_of_the_tables(tmp_path):
    tables = {"metrics.csv": METRICS, "probe.csv": "iteration,modes/covered,noise\n95,100.0,1.5\n100,100.0,2.5\n"}
    run = read_run(write_run(tmp_path / "a", tables=tables), "a")
    assert set(run.series) == {"d/adversarial", "modes/covered", "noise"}
    iterations, values = run.series["d/adversarial"]
    assert (iterations.tolist(), values.tolist()) == ([50, 90, 95, 100], [[1], [2], [3], [6]])
    assert run.series["modes/covered"].values.tolist() == [[3, 5], [4, 8], [5, 9]]  # by seed, and not the probe's
    assert run.series["modes/covered"].at_the_end().tolist() == [4.5, 8.5]
    assert run.series["d/adversarial"].at_the_end().tolist() == [pytest.approx(11 / 3)]  # from 90 on


def test_a_number_in_words_has_its_spread_over_seeds(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", tables={"metrics.csv": METRICS}), "a"),
        read_run(write_run(tmp_path / "b", tables={"metrics.csv": "g/adversarial,step\n0.5,10\n"}), "b"),
    ]
    assert final_numbers(runs) == {
        "d/adversarial": ["3.667", ""],
        "g/adversarial": ["", "0.5"],
        "modes/covered": [f"6.5 ± {np.std([4.5, 8.5], ddof=1):.2g}", ""],
    }


def test_settings_are_told_where_they_differ(tmp_path):
    r1 = {"class_path": "lit_gans.penalties.R1", "init_args": {"weight": 10.0}}
    shared = {"model": {"latent_dim": 2, "loss": {"class_path": "lit_gans.losses.Hinge"}}, "seed_everything": 0}
    other = {"model": {"latent_dim": 2, "loss": {"class_path": "lit_gans.losses.Wasserstein"}, "penalties": {"r1": r1}}}
    probes = {"callbacks": [{"class_path": "callbacks.SampleGrid", "init_args": {"n_samples": 5}}, "X"]}
    one = read_run(write_run(tmp_path / "a", shared), "a")
    two = read_run(write_run(tmp_path / "b", {**other, "seed_everything": 0, "trainer": probes}), "b")
    assert different_settings([one, two]) == {
        "model.loss": ["Hinge", "Wasserstein"],
        "model.penalties.r1": ["", "R1"],
        "model.penalties.r1.weight": ["", "10.0"],
        "trainer.callbacks.SampleGrid": ["", "SampleGrid"],
        "trainer.callbacks.SampleGrid.n_samples": ["", "5"],
        "trainer.callbacks.X": ["", "X"],
    }
    assert different_settings([one, one]) == {}


def test_pictures_are_found_by_their_iteration(tmp_path):
    folder = write_run(tmp_path / "a", pictures={"sample_grid": [0, 500, 1000]})
    (folder / "sample_grid" / "notes.png").touch()
    (folder / "checkpoints").mkdir()
    run = read_run(folder, "a")
    assert list(run.pictures) == ["sample_grid"]
    assert list(run.pictures["sample_grid"]) == [0, 500, 1000]


# ------------------------------------------------------------------------------------------------------------ films


def test_a_film_has_the_shared_iterations_and_of_many_some(tmp_path):
    assert shared_iterations([{1: 0, 3: 0, 5: 0}, {3: 0, 4: 0, 5: 0}]) == [3, 5]
    many = shared_iterations([dict.fromkeys(range(0, 10_000, 10))])
    assert len(many) == 40
    assert (many[0], many[-1]) == (0, 9990)
    run = read_run(write_run(tmp_path / "a", pictures={"sample_grid": [0, 100, 200]}), "a")
    reel = Image.open(io.BytesIO(film({"a": run.pictures["sample_grid"], "b": run.pictures["sample_grid"]})))
    assert reel.n_frames == 3
    assert reel.size == (120, 64)  # beside each other, with names above
    reel.seek(2)
    assert reel.convert("RGB").getpixel((90, 50))[0] == pytest.approx(200, abs=3)


def test_wide_pictures_stand_below_each_other(tmp_path):
    for name in "ab":
        Image.new("RGB", (2200, 300), "white").save(tmp_path / f"{name}.png")
    pictures = {name: {0: tmp_path / f"{name}.png", 1: tmp_path / f"{name}.png"} for name in "ab"}
    assert Image.open(io.BytesIO(film(pictures))).size == (1100, 2 * (150 + 24))


def test_the_same_noise_in_every_run(tmp_path):
    """The film compares like with like: two runs draw their samples of the same latents."""
    seen = []
    for name, seeds in (("a", None), ("b", [7])):
        gan = ring_gan(seeds=seeds)
        generate = gan.generate
        gan.generate = lambda latents, *a, generate=generate, **k: seen.append(latents.clone()) or generate(latents)
        probes = [SampleGrid(1, n_samples=9), LatentInterpolation(1)]
        train(gan, 1, RingDataModule(batch_size=16), callbacks=probes, default_root_dir=tmp_path / name)
    half = len(seen) // 2
    assert half == 4
    assert all(one.equal(other) for one, other in zip(seen[:half], seen[half:], strict=True))


# ------------------------------------------------------------------------------------------------------------- page


def test_all_is_inside_and_nothing_unescaped(tmp_path):
    evil = "<script>alert('1')</script> & \"co\""
    folder = write_run(
        tmp_path / "a",
        {"model": {"loss": evil}},
        {"metrics.csv": METRICS.replace("d/adversarial", "d/<b>bold</b>")},
        {"sample_grid": [0, 10], "field": [0, 10], "loss_curves": [0]},
    )
    other = write_run(tmp_path / "b", {"model": {"loss": "x"}}, pictures={"sample_grid": [0, 10, 20], "alone": [3]})
    write_page([read_run(folder, evil), read_run(other, "b")], tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert "<script" not in page.text
    assert "<b>" not in page.text
    assert page.row("model.loss") == [evil, "x"]
    assert page.row("d/<b>bold</b>")[0] == "3.667"
    assert all(each.startswith(("data:image/", "#")) for each in page.fetched)
    assert "http" not in page.text.replace("http-equiv", "")
    assert f"sample_grid of {evil}" in page.pictures
    assert page.pictures["film of sample_grid"].n_frames == 2
    assert not [name for name in page.pictures if "loss_curves" in name or "alone" in name or "field of" in name]


def test_one_run_alone_is_shown_too(tmp_path):
    folder = write_run(tmp_path / "a", tables={"metrics.csv": METRICS}, pictures={"field": [0, 5]})
    write_page([read_run(folder, "only")], tmp_path / "page.html")
    assert "field of only" in Page(tmp_path / "page.html").pictures


def test_a_chart_has_a_line_and_a_band_for_each_run():
    rising = np.arange(3.0)[:, None] + np.array([0.0, 1.0])
    figure = plotting.runs(
        {
            "score": {"a": (np.array([0.0, 1, 2]), rising), "b": (np.array([0.0, 1, 2]), rising[:, :1])},
            "other": {"b": (np.array([5.0]), np.array([[1.0]]))},
        }
    )
    score, other = figure.axes[:2]
    np.testing.assert_allclose(score.lines[0].get_ydata(), [0.5, 1.5, 2.5])
    assert len(score.collections) == 1
    (dot,) = other.lines
    assert dot.get_marker() == "."
    assert dot.get_color() == score.lines[1].get_color() != score.lines[0].get_color()  # b's everywhere
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


# ---------------------------------------------------------------------------------------------------------- command


def test_two_trained_runs_on_one_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = ROOT / "configs"
    few = ["--trainer.max_steps=6", "--trainer.log_every_n_steps=2", "--trainer.enable_progress_bar=false"]
    for name, variants in (("plain", ["sqd"]), ("r1", ["r1", "sqd"])):
        files = [f"--config={config}/variants/{variant}.yaml" for variant in variants]
        naming = f"--trainer.logger.init_args.name={name}"
        main(["fit", f"--config={config}/ring.yaml", *files, naming, "--model.seeds=[1,2]", *few])
    main(["compare", "runs/plain", "runs/r1/version_0", "--file", "page.html"])
    page = Page(tmp_path / "page.html")
    assert page.cells[0] == ["setting", "plain", "r1"]
    assert page.row("model.penalties.r1") == ["", "R1"]
    assert re.fullmatch(r"1\.\d+ ± [\d.e-]+", page.row("d/adversarial")[0])
    assert {"sample_grid of plain", "sqd over the iterations of each run", "film of sample_grid"} <= set(page.pictures)
    assert re.search(r"page: page.html \(\d+\.\d MiB\)", capsys.readouterr().out)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["compare", *map(str, arguments)])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_mistakes_are_told_in_a_sentence(tmp_path, capsys):
    one, two = (write_run(tmp_path / "runs" / name / "version_0") for name in "ab")
    (tmp_path / "empty").mkdir()
    assert f"there is no folder {tmp_path / 'nowhere'}; name" in refusal(capsys, one, tmp_path / "nowhere")
    assert "empty holds no run" in refusal(capsys, tmp_path / "empty")
    text = refusal(capsys, tmp_path / "runs")
    assert "holds 2 runs; name those that you mean" in text
    assert str(two) in text
    assert "nowhere/page.html is no file that can be written" in refusal(capsys, one, "--file", "nowhere/page.html")
    assert "is no file that can be written" in refusal(capsys, one, "--file", tmp_path)
    assert "a run was given twice" in refusal(capsys, one, one, "--file", tmp_path / "page.html")
    for names in ("x", "x,x"):
        text = refusal(capsys, "--names", names, one, two, "--file", tmp_path / "page.html")
        assert "names must be one for each of 2 runs, and differ" in text
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/ring/version_0", "runs/ring-r1/version_0"], ["ring", "ring-r1"]),
        (["runs/ring/version_0", "runs/ring/version_1"], ["version_0", "version_1"]),
        (["a/x/version_0", "b/x/version_0"], ["a", "b"]),
        (["runs/ring/version_0"], ["version_0"]),
        (["runs/digits/version_2", "runs/ring/version_1"], ["digits/version_2", "ring/version_1"]),
    ],
)
def test_runs_are_called_after_what_tells_them_apart(paths, names, tmp_path):
    assert [name.replace(f"{tmp_path}/", "") for name in distinct_names([tmp_path / path for path in paths])] == names


def test_what_a_going_run_has_half_written_is_left_out(tmp_path):
    folder = write_run(tmp_path / "a", pictures={"sample_grid": [0, 10]}, tables={"odd.csv": "step,x\none,1\n5,2\n"})
    whole = (folder / "sample_grid" / "00000010.png").read_bytes()
    (folder / "sample_grid" / "00000020.png").write_bytes(whole[: len(whole) // 2])
    run = read_run(folder, "a")
    assert list(run.pictures["sample_grid"]) == [0, 10]
    assert run.series["x"].iterations.tolist() == [5]
    (folder / "config.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"config\.yaml cannot be read"):
        read_run(folder, "a")


def test_numbers_are_in_the_table_while_the_run_goes_on(tmp_path):
    seen = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, gan, *_):
            path = tmp_path / "run" / "metrics.csv"
            seen.append(path.exists() and "d/adversarial" in path.read_text())

    train(ring_gan(), 3, callbacks=[Look()], logger=CSVLogger(tmp_path, "", "run"), log_every_n_steps=2)
    assert seen == [False, True, True]


def test_a_run_is_found_below(tmp_path):
    folder = write_run(tmp_path / "ring" / "version_3")
    assert find_run(tmp_path / "ring") == find_run(folder) == folder
    (folder / "checkpoints").mkdir()
    write_run(tmp_path / "ring" / "version_4")  # what `lit-gans test` leaves
    assert find_run(tmp_path / "ring") == folder
