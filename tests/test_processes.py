"""Several processes play the game that one plays: GANStrategy, and what is refused beside it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, SingleDeviceStrategy
from torch import nn

from callbacks import (
    GradientClipping,
    HistoricalAveraging,
    InstanceNoise,
    OldFakeReplay,
    OnlineEWC,
    SampleWriter,
    SynapticIntelligence,
    WeightClipping,
)
from datamodules import RingDataModule
from lit_gans import GAN, DiscriminatorHook, GANStrategy, strategy
from lit_gans.losses import LeastSquares, Wasserstein
from lit_gans.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from lit_gans.penalties import R1, WGANGP
from lit_gans.streams import stream
from lit_gans.terms import ModeRegularizer
from tests.test_accumulation import InOrder
from tests.toys import Batches, assert_same, ring_gan, state, train

ROOT = Path(__file__).parent.parent
B, ITERATIONS = 16, 50
ACROSS = {"start_method": "fork", "process_group_backend": "gloo"}


def place():
    """This process's number, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class Shared(InOrder):
    """The numbers of the whole batch, drawn by every process, of which each takes those of its own rows."""

    def _fill(self, values, fill):
        rank, world = place()
        for seed, batch in zip(self.seeds, values, strict=True) if self.seeds else [(0, values)]:
            whole = batch.new_empty(world * len(batch), *batch.shape[1:])
            getattr(whole, fill)(generator=self.streams[fill, seed])
            batch.copy_(whole[rank * len(batch) : (rank + 1) * len(batch)])
        return values


class SharedDraws(DiscriminatorHook):
    """Puts `Shared` draws into a game."""

    def on_train_batch_start(self, trainer, gan, batch, batch_idx):
        if batch_idx == 0:
            gan.draws = Shared(gan.seeds)


class SharedBatches(Batches):
    """Real batches `(n_critic * S, B, 2)`, of each of which a process takes its rows."""

    def __iter__(self):
        rank, world = place()
        return (batch.chunk(world, 1)[rank].flatten(0, 1) for batch in self.batches)


class SharedData(pl.LightningDataModule):
    """Batches that are shared out, and reals that all look at."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def train_dataloader(self):
        return SharedBatches(*self.batches)

    def reals(self, n):
        return self.batches[0, 0, :n]


def played(hook=None, processes=1, n_critic=2, seeds=None, iterations=ITERATIONS, **settings):
    pl.seed_everything(0, verbose=False)
    if settings.get("encoder"):
        settings["encoder"] = MLPEncoder((2,), 2, hidden=(8,))
    gan = ring_gan(n_critic=n_critic, seeds=seeds, **settings).double()
    before = state(gan)
    shape = (iterations, n_critic * len(seeds or [0]), B, 2)
    reals = torch.randn(shape, generator=stream(1, "reals"), dtype=torch.float64)
    across = {"devices": processes, "strategy": GANStrategy(**ACROSS)} if processes > 1 else {}
    hooks = [SharedDraws(), *([hook] if hook else [])]
    train(gan, iterations, data=SharedData(reals), callbacks=hooks, **across)
    moved = {name for name, value in state(gan).items() if not torch.equal(value, before[name])}
    assert {name.partition(".")[0] for name in moved} >= {"generator", "discriminator"}
    return state(gan)


GAMES = {
    "plain": {},
    "penalty with draws": {"penalties": {"gp": WGANGP(2.0)}, "loss": Wasserstein()},
    "lazy penalty, EMA": {"penalties": {"r1": R1(2.0, interval=3)}, "loss": LeastSquares(), "ema": 0.9},
    "in parts": {"penalties": {"r1": R1(2.0)}, "accumulate": 2},  # a draw would meet other reals
    "seeds": {"seeds": [3, 4], "penalties": {"gp": WGANGP(2.0)}},
    "encoder": {"generator_terms": {"modes": ModeRegularizer()}, "encoder": True},
}
HOOKS = {
    "EWC": lambda: OnlineEWC(10.0, 10),
    "synaptic intelligence": lambda: SynapticIntelligence(0.5, 10),
    "historical averaging": lambda: HistoricalAveraging(0.1, 0.1),
    "weight clipping": lambda: WeightClipping(0.3),
    "gradient clipping": lambda: GradientClipping(0.1),
}


@pytest.mark.parametrize("game", GAMES)
def test_two_processes_play_the_game_that_one_plays_on_the_whole_batch(game):
    assert_same(played(processes=2, **GAMES[game]), played(**GAMES[game]), 1e-11)


@pytest.mark.parametrize("hook", HOOKS)
def test_and_so_they_do_with_a_hook(hook):
    game = {"penalties": {"gp": WGANGP(2.0)}}
    alone = played(HOOKS[hook](), **game)
    assert_same(played(HOOKS[hook](), processes=2, **game), alone, 1e-11)
    plain = played(**game)
    assert max((plain[name] - value).abs().max() for name, value in alone.items()) > 1e-4


class Different(pl.Callback):
    """Gives each process other networks, as it has them where nobody has set a seed."""

    def setup(self, trainer, gan, stage):
        with torch.no_grad():
            for value in [*gan.parameters(), *gan.buffers()]:
                value += trainer.global_rank


class Compared(pl.Callback):
    """At the end, which parts of the game are the same in both processes, as the first one writes it down."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, gan):
        held = {name: value.contiguous() for name, value in gan.state_dict().items()}
        same = {name: torch.equal(*trainer.strategy.all_gather(value)) for name, value in held.items()}
        if trainer.is_global_zero:
            torch.save(same, self.path)


def test_all_processes_hold_the_same_bits_of_parameters_and_buffers(tmp_path):
    pl.seed_everything(0, verbose=False)
    hooks = [OnlineEWC(10.0, 8), SynapticIntelligence(0.1, 6), OldFakeReplay(0.5), HistoricalAveraging(0.1, 0.1)]
    gan = ring_gan("Adam", batch_norm=True, n_critic=2, ema=0.9, loss=Wasserstein())
    callbacks = [*hooks, InstanceNoise(0.1), Different(), Compared(tmp_path / "same.pt")]
    train(gan, 500, callbacks=callbacks, devices=2, strategy=GANStrategy(**ACROSS))
    same = torch.load(tmp_path / "same.pt")
    assert any("running_mean" in name for name in same)
    assert all(same.values()), [name for name, equal in same.items() if not equal]


# ------------------------------------------------------------------------------------------------------- resuming


class Dropping(nn.Module):
    """A D with dropout, whose numbers are torch's own."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_resumed_run_goes_on_with_the_random_numbers_of_every_process(processes, tmp_path):
    def run(iterations, **settings):
        pl.seed_everything(0, verbose=False)
        gan = GAN(MLPGenerator(2, (2,), hidden=(16,)), Dropping(), 2, penalties={"gp": WGANGP(2.0)})
        callbacks = [OldFakeReplay(0.5), InstanceNoise(0.1)]
        across = {"devices": 2, "strategy": GANStrategy(**ACROSS)} if processes > 1 else {}
        data = RingDataModule(batch_size=8, samples_per_epoch=160)
        return gan, train(gan, iterations, data=data, callbacks=callbacks, **across, **settings)

    whole, _ = run(35)
    run(17, default_root_dir=tmp_path, enable_checkpointing=True)
    (path,) = tmp_path.rglob("*.ckpt")
    resumed, _ = run(35, ckpt_path=path)
    assert_same(state(resumed), state(whole))


def test_a_checkpoint_of_another_number_of_processes_is_told(tmp_path):
    pl.seed_everything(0, verbose=False)
    train(ring_gan(), 5, callbacks=[OldFakeReplay(0.5)], default_root_dir=tmp_path, enable_checkpointing=True)
    (path,) = tmp_path.rglob("*.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["processes"] *= 2
    torch.save(checkpoint, path)
    with pytest.warns(UserWarning, match="of a run of 2 processes, this one has 1: .* not with the same"):
        train(ring_gan(), 8, callbacks=[OldFakeReplay(0.5)], ckpt_path=path)


# -------------------------------------------------------------------------------------------------- what is refused


def test_strategies_that_wait_for_all_players_are_refused_before_anything_moves():
    gan = ring_gan()
    before = state(gan)
    ddp = DDPStrategy(start_method="fork", process_group_backend="gloo")
    with pytest.raises(Exception, match=r'DDPStrategy waits for gradients of all.*Trainer\(strategy="gan"\)'):
        train(gan, 1, devices=2, strategy=ddp)
    assert_same(state(gan), before)


def test_strategies_that_shard_parameters_are_refused():
    with pytest.raises(ValueError, match=r'FSDPStrategy shards parameters.*Trainer\(strategy="gan"\)'):
        strategy.check(FSDPStrategy())
    without_its_library = DeepSpeedStrategy.__new__(DeepSpeedStrategy)
    with pytest.raises(ValueError, match="DeepSpeedStrategy shards parameters"):
        strategy.check(without_its_library)
    strategy.check(DDPStrategy(find_unused_parameters=True))
    strategy.check(SingleDeviceStrategy())


def test_settings_of_the_wrapper_are_refused():
    with pytest.raises(ValueError, match="cannot take static_graph; leave it out"):
        GANStrategy(static_graph=True)


def test_the_trainer_knows_it_by_name():
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="gan", logger=False)
    assert isinstance(trainer.strategy, GANStrategy)


def test_a_game_can_be_sent_to_processes_that_are_spawned(tmp_path):
    gan = GAN(MLPGenerator(2, (2,), (4,)), MLPDiscriminator((2,), (4,)), 2, penalties={"r1": R1(1.0)}, seeds=[0, 1])
    train(gan, 2, devices=2, strategy="gan_spawn", callbacks=[SaveAtEnd(tmp_path / "end.ckpt")])
    assert torch.load(tmp_path / "end.ckpt", weights_only=True)["global_step"] == 2


class SaveAtEnd(pl.Callback):
    """A checkpoint of the end."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, gan):
        trainer.save_checkpoint(self.path)


def test_the_command_line_takes_it_where_there_are_several_devices(tmp_path):
    command = [sys.executable, "-m", "lit_gans", "fit", "--config", str(ROOT / "configs" / "ring.yaml")]
    command += [
        "--trainer.callbacks+=NumbersOnly",
        "--trainer.accelerator=cpu",
        "--trainer.devices=2",
        "--trainer.max_steps=4",
        "--data.batch_size=16",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pictures and tables:") == 1
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    assert len(torch.load(checkpoint, weights_only=True)["processes"]) == 2


@pytest.mark.parametrize(("seeds", "n"), [(None, 37), ([3, 4], 37)])
def test_two_processes_predict_what_one_predicts(seeds, n, tmp_path):
    def predicted(folder, **across):
        pl.seed_everything(0, verbose=False)
        settings = {"accelerator": "cpu", "enable_progress_bar": False, "default_root_dir": tmp_path / folder}
        trainer = pl.Trainer(logger=False, callbacks=[SampleWriter()], enable_model_summary=False, **settings, **across)
        trainer.predict(ring_gan(seeds=seeds), datamodule=RingDataModule(n_predict=n), return_predictions=False)
        return torch.load(tmp_path / folder / "samples.pt")

    assert torch.equal(predicted("two", devices=2, strategy=GANStrategy(**ACROSS)), predicted("one"))


@pytest.mark.parametrize("starter", ["torchrun", "SLURM"])
def test_two_nodes_play_together(starter, tmp_path):
    port = free_port()
    command = ["-m", "lit_gans", "fit", "--config", str(ROOT / "configs" / "ring.yaml"), "--trainer.num_nodes=2"]
    command += ["--trainer.devices=1", "--trainer.accelerator=cpu", "--trainer.max_steps=4", "--data.batch_size=16"]
    command += ["--trainer.callbacks+=NumbersOnly", "--trainer.enable_progress_bar=false"]
    nodes = []
    for node in range(2):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if starter == "torchrun":
            way = ["-m", "torch.distributed.run", "--nnodes=2", f"--node_rank={node}", "--master_addr=127.0.0.1"]
            start = [sys.executable, *way, f"--master_port={port}"]
        else:
            start = [sys.executable]
            environment |= {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "gan", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
            environment |= {"SLURM_PROCID": str(node), "SLURM_NODEID": str(node), "SLURM_NODELIST": "127.0.0.1"}
            environment |= {"SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        nodes.append(
            subprocess.Popen(
                [*start, *command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    told = [node.communicate(timeout=300)[0].decode() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], told
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    assert len(torch.load(checkpoint, weights_only=True)["processes"]) == 2


def free_port():
    """One that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
