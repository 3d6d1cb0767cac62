"""Imports run one way, files stay small, and no warning is silenced without saying which."""

import ast
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lit_gans", "callbacks", "datamodules")
LIGHTNING = ("pytorch_lightning", "lightning", "lightning_fabric")
MOST_LINES = 350


@dataclass(frozen=True)
class Rule:
    """Files matching `where`, save those in `unless`, import none of `forbidden` but what is `allowed`."""

    where: str
    forbidden: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    unless: frozenset[str] = frozenset()


RULES = (
    Rule(
        "lit_gans/**/*.py",
        forbidden=("callbacks", "datamodules"),
        unless=frozenset({"lit_gans/cli.py", "lit_gans/__main__.py"}),
    ),
    Rule("callbacks/**/*.py", forbidden=("datamodules",)),
    Rule("datamodules/**/*.py", forbidden=("lit_gans", "callbacks"), allowed=("lit_gans.streams",)),
    Rule("lit_gans/losses/*.py", forbidden=LIGHTNING),
    Rule("lit_gans/penalties.py", forbidden=LIGHTNING),
    Rule("lit_gans/plotting/*.py", forbidden=(*LIGHTNING, "torch", "torchvision", "torchmetrics")),
)


def imports(file, root):
    """Pairs (line, full dotted name) of everything a file imports, under `if TYPE_CHECKING` too."""
    folders = file.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = folders[: len(folders) - level + 1] if level else ()
                for name in names:
                    yield node.lineno, ".".join([*base, *filter(None, [module]), name.name])
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def within(name, modules):
    """Whether `name` is one of the modules or lies inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def wrong_imports(root):
    """Every import under `root` that breaks a rule, as "file:line imports name"."""
    found = []
    for rule in RULES:
        files = {file.relative_to(root).as_posix(): file for file in root.glob(rule.where)}
        assert files, f"no file matches {rule.where}: the rule watches nothing"
        for path in sorted(files.keys() - rule.unless):
            found += [
                f"{path}:{line} imports {name}"
                for line, name in imports(files[path], root)
                if within(name, rule.forbidden) and not within(name, rule.allowed)
            ]
    return found


@pytest.fixture
def house(tmp_path):
    """A copy of the three packages, to be spoilt."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def add(file, text):
    """Appends a text and returns the number of its first line."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(f"{before}\n{text}\n", encoding="utf-8")
    return before.count("\n") + 2


def test_imports_run_one_way():
    assert wrong_imports(ROOT) == []


@pytest.mark.parametrize(
    ("file", "statement", "name"),
    [
        ("lit_gans/losses/classic.py", "import callbacks", "callbacks"),
        ("lit_gans/losses/classic.py", "import callbacks.probes as probes", "callbacks.probes"),
        ("lit_gans/losses/classic.py", "from ... import callbacks", "callbacks"),
        ("lit_gans/losses/classic.py", "if False:\n    from datamodules import X", "datamodules.X"),
        ("lit_gans/losses/classic.py", "import importlib; importlib.import_module('datamodules')", "datamodules"),
        ("lit_gans/networks/new.py", "from ...callbacks import X", "callbacks.X"),
        ("lit_gans/losses/classic.py", "from pytorch_lightning import Trainer", "pytorch_lightning.Trainer"),
        ("lit_gans/penalties.py", "import lightning.pytorch", "lightning.pytorch"),
        ("lit_gans/plotting/curves.py", "from torch import Tensor", "torch.Tensor"),
        ("callbacks/new.py", "from datamodules import X", "datamodules.X"),
        ("datamodules/new.py", "import lit_gans", "lit_gans"),
        ("datamodules/new.py", "from lit_gans import GAN", "lit_gans.GAN"),
        ("datamodules/new.py", "from lit_gans.streamsets import X", "lit_gans.streamsets.X"),
        ("datamodules/new.py", "from callbacks import X", "callbacks.X"),
    ],
)
def test_a_wrong_import_is_found(house, file, statement, name):
    before = wrong_imports(house)
    line = add(house / file, statement) + statement.count("\n")
    assert set(wrong_imports(house)) - set(before) == {f"{file}:{line} imports {name}"}


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("lit_gans/cli.py", "import callbacks, datamodules"),
        ("lit_gans/losses/classic.py", "from .. import streams"),
        ("lit_gans/losses/classic.py", "import callbacks_of_another_kind"),
        ("callbacks/new.py", "from lit_gans.hooks import DiscriminatorHook"),
        ("datamodules/new.py", "from lit_gans.streams import stream"),
        ("datamodules/new.py", "from lit_gans import streams"),
        ("datamodules/new.py", "from .base import X"),
    ],
)
def test_a_right_import_is_left_alone(house, file, statement):
    before = wrong_imports(house)
    add(house / file, statement)
    assert wrong_imports(house) == before


def long_files(root):
    """Files of the three packages with more than `MOST_LINES` lines."""
    lengths = {
        file.relative_to(root).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for name in PACKAGES
        for file in (root / name).rglob("*.py")
    }
    return {file: lines for file, lines in lengths.items() if lines > MOST_LINES}


def test_a_file_fits_in_the_head():
    assert long_files(ROOT) == {}


def test_a_long_file_is_found(tmp_path):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks/just.py").write_text("x = 1\n" * MOST_LINES)
    (tmp_path / "callbacks/over.py").write_text("x = 1\n" * (MOST_LINES + 1))
    assert long_files(tmp_path) == {"callbacks/over.py": MOST_LINES + 1}


BLANKET = re.compile(
    r"#\s*(ruff:\s*)?noqa(?!:\s*[A-Z]+[0-9]+)|#\s*(type|pyright):\s*ignore(?!\[)|#\s*mypy:\s*ignore-errors",
    re.IGNORECASE,
)


def blanket_silences(root):
    """Lines that silence a tool without naming what is silenced, in the project's text files."""
    ours = (*PACKAGES, "tests", "benchmarks", "configs", "docs", ".ci")
    files = [path for path in root.iterdir() if path.is_file()]
    files += [path for name in ours for path in (root / name).rglob("*") if path.is_file()]
    found = []
    for file in sorted(files):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture, or compiled code
        for number, line in enumerate(lines, 1):
            if BLANKET.search(line):
                found.append(f"{file.relative_to(root).as_posix()}:{number}")
    return found


def test_no_tool_is_silenced_without_a_code():
    assert blanket_silences(ROOT) == []


@pytest.mark.parametrize("silence", ["noqa", "NOQA", "ruff: noqa", "type: ignore", "mypy: ignore-errors"])
def test_a_blanket_silence_is_found(tmp_path, silence):
    (tmp_path / "docs").mkdir()
    line = add(tmp_path / "docs/new.md", f"x = 1  # {silence}")
    assert blanket_silences(tmp_path) == [f"docs/new.md:{line}"]


@pytest.mark.parametrize("silence", ["noqa: E501", "ruff: noqa: D102", "type: ignore[arg-type]"])
def test_a_silence_with_a_code_is_left_alone(tmp_path, silence):
    add(tmp_path / "new.py", f"x = 1  # {silence}")
    assert blanket_silences(tmp_path) == []
