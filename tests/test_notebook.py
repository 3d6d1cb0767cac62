"""The teaching notebook: it runs from its first cell to its last, and what it shows is what it says."""

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture
def notebook():
    return nbformat.read(ROOT / "docs" / "ring.ipynb", as_version=4)


def outputs(notebook, kind):
    found = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output for output in found if output.output_type == kind]


def test_it_runs_from_first_to_last(notebook, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for cell in notebook.cells:
        shorter = re.sub(r"ITERATIONS = [\d_]+", "ITERATIONS = 20", cell.source).replace("[0, 1]", "[0]")
        cell.source = shorter.replace("task_length=1000", "task_length=10")
    stored = len(outputs(notebook, "display_data"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    pictures = outputs(notebook, "display_data")
    assert len(pictures) == stored
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture["data"]["image/png"]))).size[0] > 300
    assert "plain SGD          modes covered of 8, by seed: [" in outputs(notebook, "stream")[-1].text


def test_what_is_stored_was_run_in_full_and_shows_what_it_tells(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not outputs(notebook, "error")
    told = re.findall(r"^(\S.*?)  +modes .*: \[([\d, ]+)\]", outputs(notebook, "stream")[-1].text, re.MULTILINE)
    modes = {name: [int(number) for number in numbers.split(",")] for name, numbers in told}
    assert modes["R1 and Adam"] == [8, 8]
    assert sum(modes["plain SGD"]) < sum(modes["Adam"])
    assert (ROOT / "docs" / "ring.ipynb").stat().st_size < 800_000
