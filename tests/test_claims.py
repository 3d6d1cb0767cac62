"""The claims command: runs, measures, judges."""

import csv
import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lit_gans import claims
from lit_gans.claims import claim, monitoring
from lit_gans.cli import main

ROOT = Path(__file__).parents[1]


def table(path: Path, key: str, rows: dict[int, list[float]]) -> None:
    """Writes a probe's table with two seeds, 3 and 5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", key, f"{key}/seed_3", f"{key}/seed_5"])
        writer.writerows([t, np.mean(values), *values] for t, values in rows.items())


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (claim.second_half, [0.3, 0.6]),
        (claim.trained, [2.4, 2.3]),
        (claim.at_end, [0.4, 0.8]),
        (claim.highest, [9, 7]),
        (claim.untrained, [2, 4]),
        (claim.end_over_start, [0.2, 0.2]),
        (claim.between(400, 1000), [4.5, 4]),
        (claim.between(3000, 4000), [0.4, 0.8]),
        (claim.at(1000), [0, 1]),
        (claim.at(1400), [0, 1]),
        (claim.at(9000), [0.4, 0.8]),
    ],
)
def test_a_column_is_summed_up_over_the_run(over, expected, tmp_path):
    rows = {0: [2, 4], 500: [9, 7], 1000: [0, 1], 1500: [0.2, 0.4], 2000: [0.4, 0.8]}
    table(tmp_path / "some_probe.csv", "some/key", rows)
    read = claim.column_of("some_probe", "some/key", "words", over).read
    assert read(tmp_path, [3, 5]) == pytest.approx(expected, abs=1e-12)
    assert read(tmp_path, [5]) == pytest.approx(expected[1:], abs=1e-12)


@pytest.mark.parametrize(
    ("numbers", "verdicts"),
    [
        ({"non-saturating, SGD": [1, 2], "imbalanced": [3, 3], "R1, Adam": [8, 8]}, [True, True]),
        ({"non-saturating, SGD": [1, 2], "imbalanced": [3, 2], "R1, Adam": [8, 7]}, [False, False]),
    ],
)
def test_relations_of_cf_2(numbers, verdicts):
    arrays = {"modes": {name: np.array(values, float) for name, values in numbers.items()}}
    assert [relation(arrays) for relation in claims.CLAIMS["CF-2"].relations.values()] == verdicts


@pytest.mark.parametrize("key", sorted(claims.CLAIMS))
def test_every_claim_names_configs_that_exist_and_judges_each_way(key):
    claim = claims.CLAIMS[key]
    for base in {claim.base, claim.full_size or claim.base}:
        assert (ROOT / f"configs/{base}.yaml").is_file()
    for variants in claim.runs.values():
        for name in variants:
            assert (ROOT / f"configs/variants/{name}.yaml").is_file()
    rng = np.random.default_rng(0)
    judged = []
    for _ in range(400):  # measures of every size, alone and together
        scale = rng.choice([0.01, 1, 100])
        numbers = {name: {run: np.full(2, rng.normal(0, scale)) for run in claim.runs} for name in claim.measures}
        if rng.random() < 0.5:
            numbers = {name: {run: np.full(2, rng.choice([-1, 0, 1, 8])) for run in claim.runs} for name in numbers}
        judged.append([relation(numbers) for relation in claim.relations.values()])
    for verdicts in zip(*judged, strict=True):
        assert set(map(bool, verdicts)) == {True, False}  # no relation is always true, and none is never


def test_cf_2_runs_end_to_end_and_finished_runs_are_not_repeated(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    args = ["claims", "CF-2", "--seeds=0,1", "--iterations=4", f"--folder={tmp_path}", "--data.samples_per_epoch=1024"]
    main(args)
    out = capfd.readouterr().out
    assert out.count("+ -m lit_gans fit") == 3
    assert "| imbalanced |" in out
    assert (tmp_path / "CF-2.png").stat().st_size > 0
    main(args)
    assert "+ -m lit_gans fit" not in capfd.readouterr().out


@pytest.fixture
def short_claim(tmp_path, monkeypatch):
    """One run in a folder of its own; what would train notes its command, and fails if it is told to."""
    (tmp_path / "configs/variants").mkdir(parents=True)
    (tmp_path / "configs/ring.yaml").write_text("a: 1")
    (tmp_path / "configs/variants/r1.yaml").write_text("b: 1")
    only = dataclasses.replace(claims.CLAIMS["CF-1"], runs={"R1": ("r1",)}, relations={})
    monkeypatch.setattr(claims.command, "CLAIMS", {"CF-1": only})
    commands = []

    def run(command, **_):
        commands.append(command)
        table(tmp_path / "runs/claims/ring-r1/vector_field.csv", "field/cosine", {500: [1, 1]})
        return subprocess.CompletedProcess(command, "--fail" in command)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.mark.parametrize("file", ["configs/ring.yaml", "configs/variants/r1.yaml"])
def test_a_finished_run_is_repeated_when_a_config_has_changed(file, short_claim):
    for runs, text in ((1, None), (1, None), (2, "a: 2"), (2, None)):
        if text is not None:
            Path(file).write_text(text)
        claims.main(["CF-1", "--seeds=3,5"])
        assert len(short_claim) == runs


def test_a_failed_run_says_where_its_log_is_and_does_not_count_as_finished(short_claim):
    for runs in (1, 2):
        with pytest.raises(SystemExit, match=r"error: the run ring-r1 failed; see runs/claims/ring-r1/log\.txt"):
            claims.main(["CF-1", "--seeds=3,5", "--fail"])
        assert len(short_claim) == runs


@pytest.mark.parametrize("table_is_there", [False, True])
def test_a_run_too_short_to_be_judged_is_told(table_is_there, short_claim, monkeypatch):
    def run(command, **_):
        if table_is_there:
            table(Path("runs/claims/ring-r1/vector_field.csv"), "field/cosine", {})
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match=r"CF-1 cannot be judged: .*vector_field.csv holds no field/cosine.*--iter"):
        claims.main(["CF-1", "--seeds=3,5", "--iterations=400"])


def test_what_a_claim_needs_is_made_once_and_before_its_runs(short_claim, monkeypatch):
    needy = dataclasses.replace(claims.command.CLAIMS["CF-1"], needs={"judges/some.pt": ("judge", "--data=Some")})
    monkeypatch.setattr(claims.command, "CLAIMS", {"CF-1": needy})
    claims.main(["CF-1", "--seeds=3,5"])
    assert short_claim[0][1:] == ["-m", "lit_gans", "judge", "--data=Some", "--file=judges/some.pt"]
    assert [command[3] for command in short_claim] == ["judge", "fit"]
    Path("judges").mkdir()
    Path("judges/some.pt").touch()
    claims.main(["CF-1", "--seeds=3,5"])
    assert len(short_claim) == 2


def test_what_a_claim_needs_and_cannot_be_made_stops_it(short_claim, monkeypatch):
    needy = dataclasses.replace(claims.command.CLAIMS["CF-1"], needs={"judges/some.pt": ("judge", "--fail")})
    monkeypatch.setattr(claims.command, "CLAIMS", {"CF-1": needy})
    with pytest.raises(SystemExit, match=r"judges/some\.pt, which the runs need, could not be made"):
        claims.main(["CF-1"])


def test_a_jump_is_measured_against_what_was_usual_before_it():
    steady = np.ones((60, 3))
    steady[:, 1] = 0.9 ** np.arange(60)  # falls for good
    steady[45:, 2] = 7  # jumps, and is usual from then on
    steady[30, 0] = 2.5
    found = monitoring.largest_jump(np.arange(60), steady)
    before_last = np.median(0.9 ** -np.arange(1, 21))
    assert found == pytest.approx([2.5, 1 / before_last, 7])
    assert np.isnan(monitoring.largest_jump(np.arange(20), steady[:20])).all()


def test_the_last_sixth_of_a_run_and_the_loggers_own_table(tmp_path):
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "some/key/seed_3", "other"])
        for t in range(0, 601, 50):
            writer.writerows([[t, "", 1.0], [t, 1.0 if t <= 500 else t, ""]])  # several rows per step
    measure = claim.column_of("metrics", "some/key", "words", monitoring.last_sixth)
    assert measure.read(tmp_path, [3]) == pytest.approx([575])


def test_several_claims_are_summed_up_in_a_table_and_may_be_named_by_what_they_begin_with(
    short_claim, monkeypatch, capsys
):
    low = dataclasses.replace(
        claims.command.CLAIMS["CF-1"], relations={"above 3": lambda n: bool(n["cosine"]["R1"].mean() > 3)}
    )
    high = dataclasses.replace(low, relations={"above 0": lambda n: bool(n["cosine"]["R1"].mean() > 0)})
    monkeypatch.setattr(claims.command, "CLAIMS", {"AB-1": low, "AB-2": high, "ABC-3": low, "CF-4": low})
    claims.main(["AB", "AB-2", "--seeds=3,5"])
    assert len(short_claim) == 1  # both are of the same run
    head, _, *rows = Path("runs/claims/summary.md").read_text().splitlines()
    assert head == "| claim | what it says | measure | without | with | verdict |"
    assert [row.split(" | ")[0] for row in rows] == ["| AB-1", "| AB-2"]
    assert rows[0].endswith("| R1: 1.00 |  | does not hold: above 3 |")
    assert rows[1].endswith("| R1: 1.00 |  | holds |")
    assert rows[1] in capsys.readouterr().out


def test_an_unknown_claim_is_refused_with_the_names_there_are():
    with pytest.raises(SystemExit, match=r"CF-9000.*CF-1"):
        claims.main(["CF-9000"])
