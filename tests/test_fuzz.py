"""Configs that have gone wrong: they run, or the error names the key and says what to do."""

import contextlib
import copy
import io
import os
import re
import tempfile
import warnings
from pathlib import Path

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lit_gans.cli import main
from tests.test_cli import FILES, composed

NEED_FILES = (
    "mnist",
    "stacked",
    "fashion",
    "cifar10",
    "celeba",
    "image_folder",
    "more_data",
    "digits_sqd",
    "resnet",
    "quality",
)
SHIPPED = sorted(path for path in FILES if not path.stem.startswith(NEED_FILES))
WRONG = [None, -1, 0, 0.5, float("nan"), float("inf"), "nonsense", "", [], [1, "a"], {}, {"a": 1}, True, 3]
QUICK = ["--trainer.fast_dev_run=2", "--trainer.accelerator=cpu", "--data.batch_size=8"]
QUICK += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]

EVERYWHERE = {"data", "model", "trainer", "init_args", "class_path"}
"""Keys that stand above all others, and say nothing of which is meant."""
MUTATIONS = int(os.environ.get("MUTATIONS", "60"))
"""How many; `MUTATIONS=500 pytest tests/test_fuzz.py` takes its time."""


def leaves(tree, path=()):
    """The paths of all keys of a config."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


@st.composite
def mutations(draw):
    """A shipped config, of which one key is another, has another value, or is not there; and the keys it is about."""
    trees = [yaml.safe_load(path.read_text()) for path in composed(draw(st.sampled_from(SHIPPED)))]
    tree = draw(st.sampled_from(trees))
    path = draw(st.sampled_from(list(leaves(tree))))
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    kind = draw(st.sampled_from(["value", "key", "gone", "letter"]))
    leaf = parent[path[-1]]
    if kind == "value" or not isinstance(parent, dict):
        parent[path[-1]] = draw(st.sampled_from(WRONG))
    elif kind == "gone":
        del parent[path[-1]]
    elif kind == "key":
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
    elif isinstance(leaf, str) and leaf:
        place = draw(st.integers(0, len(leaf) - 1))
        parent[path[-1]] = leaf[:place] + leaf[place + 1 :]
    below = leaves(leaf) if isinstance(leaf, dict | list) else ()
    specific = [key for key in path if isinstance(key, str) and key not in EVERYWHERE]
    names = {*specific[-2:], *(key for keys in below for key in keys if isinstance(key, str) and key not in EVERYWHERE)}
    return trees, path, kind, names if specific else names | set(path)


def outcome(trees, folder):
    """What the command tells of configs; empty if they run."""
    files = []
    for place, tree in enumerate(trees):
        files.append(folder / f"{place}.yaml")
        files[-1].write_text(yaml.safe_dump(tree))
    told = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                main(["fit", *(f"--config={file}" for file in files), *QUICK])
        except SystemExit as end:
            return told.getvalue() if end.code == 2 else f"Traceback: the command ended with {end.code}"
    return ""


# Without shrinking: a smaller example is no clearer here, and would take minutes to find.
@settings(
    max_examples=MUTATIONS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(mutations())
def test_a_mutated_config_runs_or_is_refused_by_name(mutation):
    trees, path, kind, names = mutation
    with tempfile.TemporaryDirectory() as folder:
        told = outcome(copy.deepcopy(trees), Path(folder))
    if told:
        assert "Traceback" not in told
        assert any(re.search(rf"\b{re.escape(name.rstrip('+'))}", told) for name in names), (path, kind, told)
