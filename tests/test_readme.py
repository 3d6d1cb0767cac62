"""The README's text is true: its files are the ones that run, its commands are the ones that are run."""

import re
import shutil
from pathlib import Path

import pytest

import callbacks
from lit_gans import losses, penalties
from lit_gans.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def named_files(section: str) -> dict[str, str]:
    """The files that a section spells out: their names in backticks, then a fenced block."""
    text = README[README.index(f"## {section}") :].split("\n## ")[0]
    return dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL))


def test_a_new_penalty_in_ten_lines_runs_as_printed(tmp_path, monkeypatch):
    files = named_files("A new penalty in ten lines")
    assert set(files) == {"my_penalties.py", "my_penalties.yaml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    few = ["--trainer.max_steps=4", "--trainer.log_every_n_steps=2", "--data.samples_per_epoch=1024"]
    main(["fit", "--config", "configs/ring.yaml", "--config", "my_penalties.yaml", *few])
    logged = (tmp_path / "runs/ring/version_0/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"d/drift", "d/midpoints"} <= set(logged)


def test_a_penalty_takes_about_ten_lines():
    for body in named_files("A new penalty in ten lines")["my_penalties.py"].split("\n\n\n")[1:]:
        assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_a_new_probe_in_ten_lines_runs_as_printed(tmp_path, monkeypatch):
    files = named_files("A new probe in ten lines")
    assert set(files) == {"my_probes.py", "my_probes.yaml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert len([line for line in files["my_probes.py"].split("\n\n\n")[1].splitlines() if line.strip()]) <= 10
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    few = ["--trainer.max_steps=4", "--data.samples_per_epoch=1024", "--model.seeds=[3,4]"]
    main(["fit", "--config", "configs/ring.yaml", "--config", "my_probes.yaml", *few])
    run = tmp_path / "runs/ring/version_0"
    columns = (run / "logit_spread.csv").read_text().splitlines()[0].split(",")
    assert columns == ["iteration", "fakes/logit_std", "fakes/logit_std/seed_3", "fakes/logit_std/seed_4"]
    assert (run / "logit_spread/00000004.png").is_file()


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"\*\*In Python:\*\*\n\n```python\n(.*?)```", README, flags=re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec(code[1].replace("max_steps=1000", "max_steps=3"), namespace)
    assert namespace["fakes"].shape == (64, 2)
    assert "modes covered" in capsys.readouterr().out


def test_ci_runs_exactly_the_readme_test_command():
    command = re.search(r"## Test it\n\n```bash\n(.*?)\n```", README, flags=re.DOTALL)
    assert command is not None
    assert command[1] in (ROOT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"configs/[\w/]+\.yaml", README))))
def test_configs_that_the_readme_names_exist(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\((docs/[\w/.]+|[A-Z]+\.md)(?:#[\w-]+)?\)", README))))
def test_pages_and_pictures_that_the_readme_shows_exist(path):
    assert (ROOT / path).is_file()


def test_the_tables_name_every_objective_and_penalty():
    for module, base, abstract in (
        (losses, losses.Objective, {"Objective", "SeparableObjective"}),
        (penalties, penalties.Penalty, {"Penalty", "GradientPenalty"}),
    ):
        names = {k for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, base)} - abstract
        for name in names:
            assert f"| `{name}` |" in README


def test_every_callback_is_named():
    for name in set(callbacks.__all__) - {"Observation", "Probe", "ProgressBar", "Verdict", "SampleWriter"}:
        assert f"`{name}`" in README
