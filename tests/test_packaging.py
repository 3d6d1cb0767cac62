"""The wheel holds the three packages whole and nothing else; installed, all three lie in one folder."""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("lit_gans", "callbacks", "datamodules")

LOCATE = """
import importlib.util, json, sys
print(json.dumps({name: importlib.util.find_spec(name).origin for name in sys.argv[1:]}))
"""
IMPORT = """
import importlib, json, sys
from lit_gans.cli import main
assert callable(main)
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


def call(*command, cwd):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def parents(printed):
    """The folders that hold the packages, from the last line of LOCATE or IMPORT."""
    files = json.loads(printed.splitlines()[-1])
    assert set(files) == set(PACKAGES)
    return {Path(file).parents[1].resolve() for file in files.values()}


def sources():
    """Every Python file of the three packages, as it should stand in the wheel."""
    return {path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that no build folder is left in the checkout nor found there."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_every_folder_of_code_is_listed_as_a_package():
    folders = {name.rpartition("/")[0].replace("/", ".") for name in sources()}
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (archive.read(name) for name in names if name.endswith("/entry_points.txt"))
    info = {name for name in names if ".dist-info/" in name}
    assert names - info == sources() | {f"{name}/py.typed" for name in PACKAGES} | {"lit_gans/compare/page.html"}
    assert any(name.endswith("licenses/LICENSE") for name in info)
    assert b"lit-gans = lit_gans.cli:main" in entry_points


def test_installed_wheel_imports_from_one_folder(wheel, tmp_path, monkeypatch):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "install", "--no-index", "--no-deps")
    call(*pip, "--target", target, wheel, cwd=elsewhere)
    for name in PACKAGES:
        assert (target / name / "py.typed").is_file()
    monkeypatch.setenv("PYTHONPATH", str(target))  # with -P the first entry of sys.path
    assert parents(call(sys.executable, "-P", "-c", IMPORT, *PACKAGES, cwd=elsewhere)) == {target.resolve()}


def test_this_installation_finds_the_packages_in_one_folder(tmp_path):
    """`callbacks` and `datamodules` are generic names: a foreign package could be taken instead."""
    found = parents(call(sys.executable, "-P", "-c", LOCATE, *PACKAGES, cwd=tmp_path))
    assert len(found) == 1, f"packages of that name come from elsewhere: {sorted(map(str, found))}"
