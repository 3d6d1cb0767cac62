"""Weights & Biases: what an offline run has really written, read back from its file."""

import itertools
import time
from pathlib import Path

import pytest
import torch
import yaml
from wandb.errors import UsageError
from wandb_workspaces.workspaces import Workspace

from callbacks import EWC, HistoricalAveraging, OnlineEWC, SynapticIntelligence
from lit_gans.cli import main
from lit_gans.dashboard import SECTIONS, STEP, workspace
from tests.test_probes import every_probe
from tests.toys import Notes, ring_gan, train
from tests.wandb_files import config, history, is_complete, run_id

ROOT = Path(__file__).parents[1]
OFFLINE = ["--trainer.logger=WandbLogger", "--trainer.logger.offline=true"]


@pytest.fixture
def play(tmp_path, monkeypatch, capsys):
    """Runs the command line in an empty folder; gives the file of Weights & Biases that it has written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")

    def run(iterations, *arguments):
        import wandb

        before = set(Path("runs").rglob("*.wandb"))
        short = ["--trainer.accelerator=cpu", f"--trainer.max_steps={iterations}", "--trainer.log_every_n_steps=2"]
        main(
            [
                "fit",
                "--config",
                str(ROOT / "configs" / "ring.yaml"),
                *OFFLINE,
                f"--trainer.logger.save_dir={tmp_path / 'runs'}",
                *short,
                *arguments,
            ]
        )
        wandb.finish()
        (path,) = set(Path("runs").rglob("*.wandb")) - before
        deadline = time.monotonic() + 60
        while not is_complete(path):  # another process writes it
            assert time.monotonic() < deadline, f"{path} does not end"
            time.sleep(0.1)
        return path

    return run


def test_an_offline_run_holds_every_number_picture_and_film_and_the_config(play):
    path = play(6, "--model.seeds=[0,1]", "--trainer.callbacks.every_n_iterations=3")
    rows = history(path)
    logged = {key: row["trainer/global_step"] for row in rows for key in row}
    numbers = {"d/adversarial", "g/adversarial", "d/gradient_norm/seed_1", "modes/covered", "modes/reverse_kl/seed_0"}
    assert numbers <= logged.keys()
    assert [row["trainer/global_step"] for row in rows if "d/adversarial" in row] == [2, 4, 6]
    for probe in ("sample_grid", "vector_field", "loss_curves"):
        (shown,) = {
            row[f"pictures/{probe}/filenames"][0]
            for row in rows
            if f"pictures/{probe}/filenames" in row and row["trainer/global_step"] == 6
        }
        assert (path.parent / "files" / shown).stat().st_size > 1000
    for probe in ("sample_grid", "vector_field"):
        (film,) = [row for row in rows if any(key.startswith(f"films/{probe}") for key in row)]
        assert film["trainer/global_step"] == 6
    assert list((path.parent / "files" / "media" / "videos").rglob("*.gif"))
    assert {key.partition("/")[0] for key in logged} <= {
        "d",
        "g",
        "modes",
        "pictures",
        "films",
        "trainer",
        "field",
        "_step",
        "_timestamp",
        "_runtime",
        "epoch",
    }
    kept = config(path)
    assert kept["model"]["seeds"] == [0, 1]
    assert kept["data"]["class_path"].endswith("RingDataModule")
    assert kept["trainer"]["max_steps"] == 6


def test_the_config_is_in_the_folder_of_the_run(play):
    first, second = play(2), play(2)
    for path in (first, second):
        saved = yaml.safe_load((Path("runs") / "lightning_logs" / run_id(path) / "config.yaml").read_text())
        assert saved["trainer"]["max_steps"] == 2
    assert not Path("runs/config.yaml").exists()


def test_a_resumed_run_goes_on_with_the_same_run_and_axis(play):
    first = play(4)
    second = play(8, "--ckpt_path=last")
    assert run_id(first) == run_id(second)
    assert [row["trainer/global_step"] for row in history(second) if "d/adversarial" in row] == [6, 8]


def test_no_key_and_no_environment_is_written(play, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef" * 2 + "01234567")
    monkeypatch.setenv("SOME_SECRET", "tell-nobody")
    play(2)
    for path in Path("runs").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"0123456789abcdef0123456789abcdef" not in content, path
            assert b"tell-nobody" not in content, path
    assert torch.load(next(Path("runs").rglob("last.ckpt")), weights_only=True)["wandb_run"]


# ------------------------------------------------------------------------------------------------------ the dashboard


def test_the_dashboard_shows_what_runs_log(unwritten):
    notes = Notes()
    memories = [OnlineEWC(1.0, 2), EWC(1.0, 2), SynapticIntelligence(0.1, 2), HistoricalAveraging(0.1, 0.1)]
    train(ring_gan(), 6, callbacks=[*every_probe(2), *memories], logger=notes, log_every_n_steps=1)
    logged = {key for _, row in notes.rows for key in row} | {"classes/covered"}  # which is of labelled images
    shown = {key for part in SECTIONS.values() for keys in part.numbers.values() for key in keys}
    assert shown <= logged
    names = {probe.name for probe in every_probe(1)}
    assert {name for part in SECTIONS.values() for name in (*part.pictures, *part.films)} <= names


def test_the_dashboard_is_made_without_a_network():
    made = workspace("some-project", "someone")._to_model()
    sections = made.spec.section.panel_bank_config.sections
    assert [section.name for section in sections] == list(SECTIONS)
    lines = [panel.config for section in sections for panel in section.panels if hasattr(panel.config, "metrics")]
    assert {line.x_axis for line in lines} == {STEP}
    assert ["d/adversarial", "g/adversarial"] in [line.metrics for line in lines]


def test_without_an_account_the_dashboard_is_refused(capsys, monkeypatch):
    def refuse(self):
        raise UsageError("No API key configured")

    monkeypatch.setattr(Workspace, "save", refuse)
    with pytest.raises(SystemExit):
        main(["dashboard", "--project", "x"])
    assert "the dashboard could not be sent: No API key configured" in capsys.readouterr().err


def test_without_a_project_the_dashboard_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["dashboard"])
    assert "--project" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ sweeps


def commands(path):
    """What an agent would run: each combination of a sweep's values, as W&B puts it in the place of `${args}`."""
    sweep = yaml.safe_load(path.read_text())
    assert sweep["method"] == "grid"
    names, values = sweep["parameters"].keys(), [each["values"] for each in sweep["parameters"].values()]
    for combination in itertools.product(*values):
        given = [f"--{name}={value}" for name, value in zip(names, combination, strict=True)]
        yield [part for word in sweep["command"] for part in (given if word == "${args}" else [word])]


SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_command_of_a_sweep_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    short = ["--trainer.logger=false", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"]
    short += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--data.batch_size=8"]
    played = 0
    for program, *arguments in commands(path):
        assert program == "lit-gans"
        if "--model.seeds=[0]" not in arguments:  # other seeds run as this one does
            continue
        main([*arguments, *short])
        played += 1
    assert played == 4 * 4
    assert [left.name for left in tmp_path.iterdir()] == ["configs"]
