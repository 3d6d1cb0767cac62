"""What every test shares: one thread, a quiet Lightning, and a folder of its own to write into."""

import logging
from concurrent.futures import Future

import pytest
import pytorch_lightning  # noqa: F401  it sets the level of its loggers when imported
import torch
from matplotlib.figure import Figure
from PIL import Image

from callbacks import pictures
from datamodules import DigitsDataModule
from lit_gans.judges import ClassifierJudge

torch.set_num_threads(1)  # small networks: more threads cost more than they bring
for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)  # banners, tips and "`max_steps` reached"

# True of every small run, and of no use here.
LIGHTNING_ADVICE = (
    "The '.*_dataloader' does not have many workers",
    "The number of training batches .* is smaller than the logging interval",
    "The `srun` command is available",
    ".*exists and is not empty",
    "GPU available but not used",
    "`trainer.init_module` cannot fully support",
    "The dirpath has changed from",
    "You defined a `validation_step` but have no `val_dataloader`",
    "Using ModelCheckpoint with manual optimization",  # after the optimizer's step is what we want
    "\\s*(By default only one Jsonarg|``|skip_none parameter)",  # Lightning's calls into jsonargparse
    "Couldn't infer the batch indices",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
)


def pytest_configure(config):
    for message in LIGHTNING_ADVICE:
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Runs write where they are started from; and every test starts from one random state."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def digits_judge(tmp_path_factory):
    """A judge of the digits, as the command trains it, and its file."""
    data, file = DigitsDataModule(), tmp_path_factory.mktemp("judges") / "deep" / "digits.pt"
    return ClassifierJudge.train(file, data.labelled("train"), data.labelled("test"), 10_000, seed=0), file


class AtOnce:
    """Draws pictures in this process, so that tests can look at what is drawn."""

    def submit(self, function, *args):
        done = Future()
        try:
            done.set_result(function(*args))
        except Exception as error:
            done.set_exception(error)
        return done


@pytest.fixture(autouse=True)
def pictures_at_once(monkeypatch):
    """Pictures are drawn where they are asked for; what runs beside the game has tests of its own."""
    monkeypatch.setattr(pictures, "_worker", AtOnce)


@pytest.fixture
def unwritten(monkeypatch):
    """Figures are made, but not drawn into files, which takes a quarter of a second each."""
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Image.new("L", (2, 2)).save(path))
