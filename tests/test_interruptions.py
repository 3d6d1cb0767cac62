"""Interruptions: files that are always whole, and runs that go on to the same bits."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.trainer.connectors import signal_connector
from pytorch_lightning.utilities.exceptions import SIGTERMException

from callbacks import Checkpoints, pictures
from datamodules import RingDataModule
from lit_gans import plotting
from lit_gans.checkpoints import WholeFiles, newest, read
from lit_gans.penalties import R1
from tests.toys import Notes, assert_same, ring_gan, state, train

ROOT = Path(__file__).parent.parent


# ---------------------------------------------------------------------------------------------------------- files


def test_a_checkpoint_is_written_whole_and_nothing_is_left_beside_it(tmp_path):
    WholeFiles().save_checkpoint({"x": torch.arange(3)}, tmp_path / "new" / "a.ckpt")
    assert torch.load(tmp_path / "new" / "a.ckpt")["x"].tolist() == [0, 1, 2]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.ckpt"]


def write_more_than_there_is_room_for(path, told):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        WholeFiles().save_checkpoint({"x": torch.zeros(100_000)}, path)
    except OSError as error:
        told.send(str(error))


def test_a_disk_that_fills_costs_no_earlier_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"x": torch.ones(3)}, path)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=write_more_than_there_is_room_for, args=(path, there))
    process.start()
    process.join(60)
    assert here.poll()
    assert "last.ckpt could not be written" in (told := here.recv())
    assert "those before it are as they were" in told
    assert torch.load(path)["x"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_run_that_is_killed_while_it_writes_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"x": torch.ones(3)}, path)
    monkeypatch.setattr(os, "fsync", lambda _: os._exit(9))  # all is written, nothing is in its place
    process = multiprocessing.get_context("fork").Process(
        target=WholeFiles().save_checkpoint, args=({"x": torch.zeros(3)}, path)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert torch.load(path)["x"].tolist() == [1, 1, 1]


def test_a_checkpoint_that_was_cut_short_is_named_and_the_one_before_is_offered(tmp_path):
    gan = ring_gan()
    trainer = train(gan, 2)
    trainer.save_checkpoint(tmp_path / "step=2.ckpt")
    whole = (tmp_path / "step=2.ckpt").read_bytes()
    (tmp_path / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"last\.ckpt is not a checkpoint, or was cut short; give .*step=2\.ckpt, which is whole"
    ):
        read(tmp_path / "last.ckpt")
    (tmp_path / "step=2.ckpt").unlink()
    with pytest.raises(ValueError, match="cut short; give --ckpt_path one that a run has left"):
        read(tmp_path / "last.ckpt")


def test_a_checkpoint_tells_what_it_was_made_with(tmp_path):
    train(ring_gan(), 1).save_checkpoint(tmp_path / "a.ckpt")
    assert read(tmp_path / "a.ckpt")["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    trainer = train(ring_gan(), 1, default_root_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint below .* to go on from"):
        newest(trainer)
    for number, name in enumerate(("b", "a", "broken")):
        path = tmp_path / name / f"{name}.ckpt"
        trainer.save_checkpoint(path)
        os.utime(path, (number, number))
    path.write_bytes(b"half")
    assert newest(trainer) == tmp_path / "a" / "a.ckpt"


# ------------------------------------------------------------------------------------------------------- exceptions


class Raising(pl.Callback):
    """Raises at the end of an iteration."""

    def __init__(self, at, error):
        self.at, self.error = at, error

    def on_train_batch_end(self, trainer, gan, *_):
        if trainer.global_step == self.at:
            raise self.error


class Signalling(pl.Callback):
    """Sends this process a signal in the midst of an iteration."""

    def __init__(self, at, number):
        self.at, self.number = at, number

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        if trainer.global_step == self.at - 1:
            os.kill(os.getpid(), self.number)


def run(folder, iterations, *callbacks, **settings):
    pl.seed_everything(0, verbose=False)
    gan = ring_gan("Adam", n_critic=2)
    checkpoints = Checkpoints(dirpath=folder, every_n_train_steps=4, save_last=True, filename="{step}")
    train(gan, iterations, callbacks=[*callbacks, checkpoints], enable_checkpointing=True, **settings)
    return gan


@pytest.mark.parametrize(
    ("number", "error", "kept"), [(signal.SIGINT, SystemExit, 7), (signal.SIGTERM, SIGTERMException, 7)]
)
def test_a_signal_ends_the_run_after_the_iteration_which_is_kept(number, error, kept, tmp_path):
    whole = run(tmp_path / "whole", 12)
    with pytest.raises(error):
        run(tmp_path / "ended", 12, Signalling(7, number))
    assert torch.load(tmp_path / "ended" / "last.ckpt")["global_step"] == kept
    again = run(tmp_path / "again", 12, ckpt_path=tmp_path / "ended" / "last.ckpt")
    assert_same(state(again), state(whole))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_job_whose_time_is_up_ends_after_the_iteration_and_goes_on_when_slurm_starts_it_again(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", 12)
    asked = []
    monkeypatch.setattr(signal_connector, "call", lambda command: asked.append(command) or 0)
    for name, value in {"JOB_ID": "7", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    job = {"default_root_dir": tmp_path, "plugins": [SLURMEnvironment(auto_requeue=True)]}
    with pytest.raises(SIGTERMException):
        run(tmp_path / "ended", 12, Signalling(7, signal.SIGUSR1), **job)
    assert asked == [["scontrol", "requeue", "7"]]
    for kept in (tmp_path / "hpc_ckpt_1.ckpt", tmp_path / "ended" / "last.ckpt"):
        assert torch.load(kept)["global_step"] == 7
    by_itself = run(tmp_path / "again", 12, **job)
    by_last = run(tmp_path / "once more", 12, ckpt_path=tmp_path / "ended" / "last.ckpt", **job)
    assert_same(state(by_itself), state(whole))
    assert_same(state(by_last), state(whole))


def test_what_an_exception_leaves_half_done_is_not_kept(tmp_path):
    whole = run(tmp_path / "whole", 12)
    with pytest.raises(RuntimeError, match="stumbled"):
        run(tmp_path / "ended", 12, Raising(7, RuntimeError("stumbled")))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert torch.load(tmp_path / "ended" / "last.ckpt")["global_step"] == 4
    again = run(tmp_path / "again", 12, ckpt_path=tmp_path / "ended" / "last.ckpt")
    assert_same(state(again), state(whole))


def test_a_lazy_penalty_is_in_the_log_of_a_resumed_run_before_it_is_due_again(tmp_path):
    def logged(iterations, **settings):
        pl.seed_everything(0, verbose=False)
        notes = Notes()
        gan = ring_gan(penalties={"r1": R1(1.0, interval=4)})
        return train(gan, iterations, logger=notes, log_every_n_steps=1, **settings), notes.of("d/r1")

    _, whole = logged(8)
    logged(6)[0].save_checkpoint(tmp_path / "six.ckpt")
    _, resumed = logged(8, ckpt_path=tmp_path / "six.ckpt")
    assert resumed == {7: whole[7], 8: whole[8]}


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    class Twice(pl.Callback):
        def on_train_batch_start(self, trainer, gan, batch, batch_idx):
            if trainer.global_step == 6:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit):
        run(tmp_path, 12, Twice())
    assert torch.load(tmp_path / "last.ckpt")["global_step"] == 4


def test_runs_in_one_folder_leave_each_other_s_last_checkpoint(tmp_path):
    for iterations in (8, 5):
        pl.seed_everything(0, verbose=False)
        checkpoints = Checkpoints(dirpath=tmp_path, every_n_train_steps=4, save_last=True, filename="{step}")
        trainer = train(ring_gan(), iterations, callbacks=[checkpoints], enable_checkpointing=True)
        checkpoints.keep(trainer)
    ends = {path.name: torch.load(path)["global_step"] for path in tmp_path.glob("last*")}
    assert ends == {"last.ckpt": 8, "last-v1.ckpt": 5}


def test_a_trial_run_leaves_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(dirpath=tmp_path, every_n_train_steps=1, save_last=True)
    train(ring_gan(), 2, callbacks=[checkpoints], enable_checkpointing=True, fast_dev_run=2)
    assert list(tmp_path.iterdir()) == []


def test_a_new_run_after_a_look_at_a_checkpoint_has_random_numbers_of_its_own(tmp_path):
    train(ring_gan(), 3).save_checkpoint(tmp_path / "a.ckpt")

    def begun(seed):
        gan = ring_gan()
        trainer = pl.Trainer(max_steps=1, logger=False, enable_checkpointing=False, accelerator="cpu")
        trainer.validate(gan, datamodule=RingDataModule(batch_size=8), ckpt_path=tmp_path / "a.ckpt", verbose=False)
        pl.seed_everything(seed, verbose=False)
        trainer.fit(gan, datamodule=RingDataModule(batch_size=8))
        return torch.rand(())

    assert begun(5) != begun(6)


# ------------------------------------------------------------------------------------------------------- whole runs


def test_killed_runs_with_everything_on_end_with_the_same_bits(tmp_path):
    script = [sys.executable, str(ROOT / "benchmarks" / "interruptions.py")]
    done = subprocess.run(
        [*script, "--kills=4", "--iterations=80", f"--folder={tmp_path / 'runs'}"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 end with the bits of the run that was never stopped" in done.stdout


PLAYER = """
import os, sys
from pathlib import Path
import pytorch_lightning as pl
from callbacks import Checkpoints
from lit_gans import GANStrategy
from tests.toys import ring_gan, train

class Told(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 10:
            Path(f"process_{trainer.global_rank}").write_text(str(os.getpid()))

folder, iterations, checkpoint = sys.argv[1:]
pl.seed_everything(0)
train(
    ring_gan("Adam"), int(iterations), devices=2, enable_checkpointing=True, ckpt_path=checkpoint or None,
    callbacks=[Told(), Checkpoints(dirpath=folder, every_n_train_steps=7, save_last=True)],
    strategy=GANStrategy(process_group_backend="gloo"),
)
"""


@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_process_is_killed_the_other_ends_and_says_why_and_the_run_goes_on(killed, tmp_path):
    (tmp_path / "player.py").write_text(PLAYER)
    output = (tmp_path / "output").open("w")

    def start(folder, iterations, checkpoint=""):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "player.py", folder, str(iterations), str(checkpoint)]
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=tmp_path)

    first = start("killed", 10**5)  # it ends some day, should nobody kill it
    numbers = [tmp_path / f"process_{rank}" for rank in (0, 1)]
    until(lambda: all(path.exists() and path.read_text() for path in numbers), 240)
    processes = [psutil.Process(int(path.read_text())) for path in numbers]
    processes[killed].kill()
    until(lambda: not any(runs(each.pid) for each in processes), 60)
    assert first.wait() != 0
    assert "another process of this run has ended" in (tmp_path / "output").read_text()
    last = tmp_path / "killed" / "last.ckpt"
    through = torch.load(last)["global_step"] + 14
    assert start("resumed", through, last).wait(240) == start("whole", through).wait(240) == 0
    ends = [torch.load(tmp_path / name / "last.ckpt") for name in ("resumed", "whole")]
    assert ends[0]["global_step"] == ends[1]["global_step"] == through
    assert_same(*(end["state_dict"] for end in ends))


def draw_and_be_killed(folder):
    pictures.draw(partial(plotting.points, np.zeros((1, 3, 2)), [""]), folder / "a.png").result()
    drawing = [child for child in psutil.Process().children() if "loky" in " ".join(child.cmdline())]
    (folder / "drawing").write_text(" ".join(str(child.pid) for child in drawing))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_draws_ends_with_the_game(tmp_path):
    game = multiprocessing.get_context("spawn").Process(target=draw_and_be_killed, args=(tmp_path,))
    game.start()
    game.join(60)
    assert game.exitcode == -signal.SIGKILL
    drawing = [int(number) for number in (tmp_path / "drawing").read_text().split()]
    assert drawing
    until(lambda: not any(map(runs, drawing)), 20)


STOPPED = """
import os, signal, sys
from pathlib import Path
import pytorch_lightning as pl
from callbacks import Checkpoints
from lit_gans import GANStrategy
from tests.toys import ring_gan, train

class Told(pl.Callback):
    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        if trainer.global_rank == int(sys.argv[2]) and trainer.global_step == 33:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))

checkpoints = Checkpoints(dirpath=Path(__file__).parent, every_n_train_steps=10**6, save_last=True)
train(
    ring_gan(), 10**9, callbacks=[Told(), checkpoints], devices=2, enable_checkpointing=True,
    strategy=GANStrategy(process_group_backend="gloo"),
)
"""


@pytest.mark.parametrize(("name", "told"), [("SIGTERM", 0), ("SIGTERM", 1), ("SIGINT", 0)])
def test_two_processes_stop_together_where_one_is_told_to(name, told, tmp_path):
    (tmp_path / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "stopped.py"), name, str(told)]
    subprocess.run(command, env=environment, capture_output=True, timeout=240)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 40
    assert len(checkpoint["processes"]) == 2


def runs(number):
    """Whether a process is there and has not ended, if nobody has asked how."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(true, seconds):
    """Waits for something to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it has not come true within {seconds} s"
        time.sleep(0.1)
