"""The command line: every shipped config runs, configs compose, and mistakes are told in a few lines."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.callbacks import EarlyStopping

from callbacks import (
    EWC,
    DivergenceGuard,
    FixedFakeSet,
    GradientClipping,
    HistoricalAveraging,
    InstanceNoise,
    OldFake,
    OldFakeReplay,
    OnlineEWC,
    Probe,
    ProgressBar,
    SampleWriter,
    SynapticIntelligence,
    WeightClipping,
)
from datamodules import MNISTDataModule
from lit_gans import GAN, DiscriminatorHook, cli
from lit_gans.judges import ClassifierJudge
from lit_gans.penalties import R1, ZeroGP
from tests.idx_files import write_mnist
from tests.image_sets import PEOPLE, write_celeba, write_cifar10, write_folder
from tests.toys import assert_same

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "sweeps")
RING, DIGITS, R1_VARIANT = CONFIGS / "ring.yaml", CONFIGS / "digits.yaml", CONFIGS / "variants" / "r1.yaml"
ITERATIONS = 3
QUICK = {
    "trainer.max_steps": ITERATIONS,
    "trainer.log_every_n_steps": 1,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": False,
    "trainer.limit_val_batches": 1,
    "checkpoint.every_n_train_steps": 2,
}


@pytest.fixture(autouse=True)
def own_process(monkeypatch):
    """The command reads what it was called with, and adds the folder it works in to the path."""
    monkeypatch.setattr(sys, "argv", ["lit-gans"])
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def run(monkeypatch):
    """Runs a command in this process; returns the `GANCLI`, which knows what was built."""
    kept = []

    class Kept(cli.GANCLI):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            kept.append(self)

    monkeypatch.setattr(cli, "GANCLI", Kept)

    def call(command, *configs, **settings):
        given = [argument for config in configs for argument in ("--config", str(config))]
        assert cli.main([command, *given, *[f"--{key}={value}" for key, value in settings.items()]]) is None
        return kept[-1]

    return call


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail; returns its message."""

    def call(command, *configs, **settings):
        given = [argument for config in configs for argument in ("--config", str(config))]
        with pytest.raises(SystemExit) as stop:
            cli.main([command, *given, *[f"--{key}={value}" for key, value in settings.items()]])
        assert stop.value.code == 2
        message = capsys.readouterr().err
        assert "Traceback" not in message
        assert message.count("\n") < 30
        assert max(len(line) for line in message.splitlines() if "Known here" not in line) < 400
        return message

    return call


def composed(path):
    """What a shipped file runs with: a base alone, a variant on the base that it names, on digits, or on the ring."""
    text = path.read_text()
    if "model" in yaml.safe_load(text) and "data" in yaml.safe_load(text):
        return [path]
    named = re.search(r"configs/(\w+\.yaml)", text)
    return [CONFIGS / named[1] if named else DIGITS if "images" in text else RING, path]


def shortened(path, folder):
    """A config whose tasks end, and whose looks are taken, within the few iterations of a test."""
    text = path.read_text()
    if "task_length" not in text and "Movement" not in text:
        return path
    (folder / path.name).write_text(re.sub(r"(task_length|every_n_iterations): \d+", r"\1: 1", text))
    return folder / path.name


# ------------------------------------------------------------------------------------------------ every shipped config


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_shipped_config_runs_with_everything_on(path, run, tmp_path, monkeypatch, digits_judge):
    configs = [shortened(config, tmp_path) for config in composed(path)]
    if configs[0] != path:  # drawing the ring's figures once is enough
        monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Image.new("L", (2, 2)).save(path))
    fired = Counter()
    for kind, method in (
        (WeightClipping, "discriminator_updated"),
        (OldFake, "mix_fakes"),
        (FixedFakeSet, "mix_fakes"),
        (OldFakeReplay, "mix_fakes"),
        (InstanceNoise, "perturb"),
        (GradientClipping, "on_before_optimizer_step"),
        (DivergenceGuard, "look"),
        *((kind, "discriminator_terms") for kind in (EWC, OnlineEWC, SynapticIntelligence, HistoricalAveraging)),
    ):
        monkeypatch.setattr(kind, method, counted(getattr(kind, method), fired))
    settings = dict(QUICK)
    if "MNISTDataModule" in configs[0].read_text():
        write_mnist(tmp_path / "images", n_train=320, n_test=64)
        settings["data.data_dir"] = tmp_path / "images"
    if "CIFAR10DataModule" in configs[0].read_text():
        write_cifar10(tmp_path / "images", n=72)
        settings["data.data_dir"] = tmp_path / "images"
    if "CelebADataModule" in configs[0].read_text():
        write_celeba(tmp_path / "images", PEOPLE * 10)
        settings |= {"data.data_dir": tmp_path / "images", "data.num_workers": 1}
    if "ImageFolderDataModule" in configs[0].read_text():
        write_folder(tmp_path / "images", [f"{i}.png" for i in range(80)])
        settings |= {"data.folder": tmp_path / "images", "data.num_workers": 1}
    if "ResNetGenerator" in path.read_text():  # of the papers' width an iteration takes ten seconds
        settings |= {f"model.{player}.init_args.width": 8 for player in ("generator", "discriminator")}
    if "StackedMNISTDataModule" in configs[0].read_text():
        settings["data.n_images"] = 300
        digits = MNISTDataModule(str(tmp_path / "images"))
        ClassifierJudge.train("judges/mnist.pt", digits.labelled("train"), digits.labelled("test"), 300, seed=0)
    if any("judges/digits.pt" in config.read_text() for config in configs):
        monkeypatch.setenv("HOME", str(tmp_path))  # where features of real samples are kept
        Path("judges").mkdir()
        shutil.copy(digits_judge[1], "judges/digits.pt")

    done = run("fit", *configs, **settings)

    assert done.trainer.global_step == ITERATIONS
    folder = Path(done.trainer.log_dir)
    assert folder.is_relative_to("runs")
    assert (folder / "metrics.csv").stat().st_size > 0
    assert (folder / "config.yaml").exists()
    assert {"step=2.ckpt", "last.ckpt"} & {file.name for file in (folder / "checkpoints").iterdir()}
    assert torch.load(folder / "checkpoints" / "last.ckpt")["global_step"] == ITERATIONS
    loaded = GAN.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert torch.equal(loaded.sample(2, seed=0), done.model.sample(2, seed=0))
    asked = [name for config in configs for name in _callbacks_of(config)]
    ours = [each for each in done.trainer.callbacks if type(each).__name__ in asked]
    assert len(ours) == len(asked)
    for callback in ours:
        if isinstance(callback, DiscriminatorHook | GradientClipping | DivergenceGuard):
            assert fired[type(callback)] >= ITERATIONS * done.model.n_critic
        elif isinstance(callback, EarlyStopping):
            assert callback.best_score.isfinite()
        else:
            assert isinstance(callback, Probe), f"say how to see that {type(callback).__name__} fired"
            assert callback._last_look == ITERATIONS
            assert list(folder.glob(f"{callback.name}*")), callback.name


def counted(method, calls):
    def call(self, *arguments):
        calls[type(self)] += 1
        return method(self, *arguments)

    return call


def _callbacks_of(path):
    trainer = yaml.safe_load(path.read_text()).get("trainer", {})
    given = trainer.get("callbacks", []) + trainer.get("callbacks+", [])
    return [each["class_path"].rpartition(".")[2] if isinstance(each, dict) else each for each in given]


def test_there_are_configs():
    assert len(FILES) > 10
    assert {RING, R1_VARIANT} <= set(FILES)


# ---------------------------------------------------------------------------------------------------- the four commands


@pytest.mark.parametrize("switch", ["enable_progress_bar", "enable_checkpointing", "fast_dev_run"])
def test_the_trainer_s_switches_work(switch, run):
    done = run("fit", RING, **{**QUICK, f"trainer.{switch}": switch == "fast_dev_run"})
    assert done.trainer.global_step == (1 if switch == "fast_dev_run" else ITERATIONS)
    if switch == "enable_checkpointing":
        assert list(Path().rglob("*.ckpt")) == []


@pytest.mark.parametrize("seeds", ["null", "[0,1]"])
def test_fit_then_validate_test_predict(seeds, run, capsys):
    fitted = run("fit", RING, **QUICK, **{"model.seeds": seeds})
    checkpoint = Path(fitted.trainer.log_dir, "checkpoints", "last.ckpt")
    assert f"pictures and tables: {fitted.trainer.log_dir}" in capsys.readouterr().out
    quiet = {"trainer.enable_progress_bar": False, "trainer.accelerator": "cpu", "model.seeds": seeds}
    for command, stage in (("validate", "val"), ("test", "test")):
        done = run(command, RING, ckpt_path=checkpoint, **quiet)
        numbers = done.trainer.callback_metrics
        assert {f"{stage}/d/adversarial", f"{stage}/g/adversarial", "modes/covered"} <= numbers.keys()
        output = capsys.readouterr().out
        assert "modes covered: " in output
        assert "of 8" in output

    done = run("predict", RING, ckpt_path=checkpoint, **quiet)
    folder = Path(done.trainer.log_dir)
    shape = (64, 2) if seeds == "null" else (2, 64, 2)
    assert torch.load(folder / "samples.pt").shape == shape
    assert str(folder / "samples.png") in capsys.readouterr().out
    with Image.open(folder / "samples.png") as picture:
        picture.verify()
    assert sum(isinstance(each, SampleWriter) for each in done.trainer.callbacks) == 1

    for weights_only in (None, True):  # two lines, and nothing but the file
        gan = GAN.load_from_checkpoint(checkpoint, weights_only=weights_only)
        torch.testing.assert_close(gan.sample(4, seed=0), fitted.model.sample(4, seed=0), rtol=0, atol=0)


def test_a_run_resumed_from_its_checkpoint_goes_on(run):
    half = run("fit", RING, R1_VARIANT, **QUICK)
    checkpoint = Path(half.trainer.log_dir, "checkpoints", "last.ckpt")
    resumed = run("fit", RING, R1_VARIANT, **{**QUICK, "trainer.max_steps": 5}, ckpt_path=checkpoint)
    whole = run("fit", RING, R1_VARIANT, **{**QUICK, "trainer.max_steps": 5})
    assert resumed.trainer.global_step == 5
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_the_module_is_the_command(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lit_gans", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in ("fit", "validate", "test", "predict"))


def test_help_of_a_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", "--help"])
    assert stop.value.code == 0
    assert "--model.n_critic" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------------- composition


def built(run, *configs, **settings):
    slim = {**QUICK, "trainer.max_steps": 1, "trainer.callbacks": "null", "trainer.logger": "false"}
    return run("fit", *configs, **slim, **settings).model


def test_a_later_file_and_a_single_key_override(run):
    plain = built(run, RING)
    assert dict(plain.penalties) == {}
    assert built(run, RING, R1_VARIANT).penalties["r1"].weight == 10
    changed = built(run, RING, R1_VARIANT, **{"model.penalties.r1.weight": 7})
    assert changed.penalties["r1"].weight == 7
    assert isinstance(changed.penalties["r1"], R1)
    assert changed.hparams["generator"] == plain.hparams["generator"]


def test_a_second_dict_replaces_and_a_key_on_the_command_line_adds(run):
    zero_gp = CONFIGS / "variants" / "zero_gp.yaml"
    assert list(built(run, RING, R1_VARIANT, zero_gp).penalties) == ["zero_gp"]
    both = built(run, RING, R1_VARIANT, **{"model.penalties.gp": "ZeroGP", "model.penalties.gp.weight": 2})
    assert list(both.penalties) == ["r1", "gp"]
    assert isinstance(both.penalties["gp"], ZeroGP)
    assert (both.penalties["r1"].weight, both.penalties["gp"].weight) == (10, 2)


def test_a_penalty_from_the_user_s_own_file(run, tmp_path):
    (tmp_path / "my_own_penalties.py").write_text(
        "from lit_gans.penalties import Penalty\n\n\n"
        "class Modesty(Penalty):\n"
        "    def forward(self, step):\n"
        "        return step.real_logits.square()\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "model:\n  penalties:\n    modesty:\n"
        "      class_path: my_own_penalties.Modesty\n      init_args:\n        weight: 0.5\n"
    )
    gan = built(run, RING, tmp_path / "mine.yaml")
    assert type(gan.penalties["modesty"]).__name__ == "Modesty"
    assert gan.penalties["modesty"].weight == 0.5


def test_a_resumed_run_keeps_to_the_settings_that_are_given(run):
    first = run("fit", RING, **QUICK)
    checkpoint = Path(first.trainer.log_dir, "checkpoints", "last.ckpt")
    settings = {**QUICK, "trainer.max_steps": 5, "model.penalties.r1.weight": 7, "model.n_critic": 2}
    again = run("fit", RING, R1_VARIANT, **settings, ckpt_path=checkpoint)
    assert (again.model.penalties["r1"].weight, again.model.n_critic, again.trainer.global_step) == (7, 2, 5)


def test_a_run_with_nothing_left_to_do_leaves_what_it_goes_on_from(run, capsys):
    steps = {**QUICK, "model.seeds": "[0,1]", "trainer.callbacks+": "OldFakeReplay", "trainer.logger.name": "idle"}
    whole = run("fit", RING, **{**steps, "trainer.logger.name": "whole", "trainer.max_steps": 6})
    run("fit", RING, **steps)
    idle = run("fit", RING, **steps, ckpt_path="last")
    assert f"nothing was left to do: the checkpoint is of iteration {ITERATIONS}" in capsys.readouterr().out
    assert list(Path(idle.trainer.log_dir).rglob("*.ckpt")) == []
    resumed = run("fit", RING, **{**steps, "trainer.max_steps": 6}, ckpt_path="last")
    assert_same(resumed.model.state_dict(), whole.model.state_dict())


def test_classes_of_the_user_s_own_folder_are_found_from_everywhere(run, tmp_path, capsys):
    Path("ours.py").write_text(
        "from lit_gans.networks import MLPGenerator\nfrom lit_gans.penalties import R1\n\n\n"
        "class G(MLPGenerator):\n    pass\n\n\nclass Own(R1):\n    pass\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ours.yaml").write_text(
        "model:\n  generator: ours.G\n  penalties: {own: {class_path: ours.Own, init_args: {weight: 1}}}\n"
    )
    done = run("fit", RING, tmp_path / "sub" / "ours.yaml", **QUICK)
    folder = Path(done.trainer.log_dir)
    last = folder / "checkpoints" / "last.ckpt"
    sys.path, path = [each for each in sys.path if each != os.getcwd()], sys.path
    sys.modules.pop("ours")
    again = run("fit", folder / "config.yaml", **{"trainer.max_steps": 5}, ckpt_path=last)
    assert type(again.model.penalties["own"]).__name__ == "Own"
    sys.path = [each for each in path if each != os.getcwd()]
    sys.modules.pop("ours")
    cli.main(["export", f"--ckpt_path={last}", "--file=g.pt2"])
    assert "generator: g.pt2" in capsys.readouterr().out


def test_networks_of_the_user_s_own_without_arguments_train_and_load(run, tmp_path):
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n\n\n"
        "class G(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n\n\n"
        "class D(nn.Linear):\n    def __init__(self, width: int = 1):\n        super().__init__(2, width)\n"
    )
    own = {"model.generator": "my_networks.G", "model.discriminator": "my_networks.D"}
    done = run("fit", RING, **{**QUICK, **own})
    loaded = GAN.load_from_checkpoint(Path(done.trainer.log_dir, "checkpoints", "last.ckpt"))
    assert torch.equal(loaded.sample(3, seed=1), done.model.sample(3, seed=1))


# ----------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("key", "value", "meant", "others"),
    [
        ("data", "RingDataModul", "RingDataModule", ["MNISTDataModule", "DiracDataModule"]),
        ("model.loss", "NonSaturatin", "NonSaturating", ["Hinge", "Wasserstein"]),
        ("model.generator", "MLPGenerater", "MLPGenerator", ["DCGANGenerator"]),
        ("model.discriminator", "MLPDiscriminater", "MLPDiscriminator", ["DCGANDiscriminator"]),
        ("model.penalties.gp", "WGANPG", "WGANGP", ["R1", "DRAGAN"]),
        ("model.generator_optimizer", "torch.optim.SDG", "torch.optim.SGD", ["torch.optim.Adam"]),
        ("model.discriminator_optimizer", "RMSProp", "torch.optim.RMSprop", ["torch.optim.SGD"]),
        ("trainer.callbacks+", "SampleGird", "SampleGrid", ["VectorField", "ModelCheckpoint"]),
        ("model.update", "Alternate", "Alternating", []),
    ],
)
def test_a_misspelt_class_is_told_with_the_names_that_are_valid(key, value, meant, others, refused):
    message = refused("fit", RING, **{key: value})
    assert f"There is no class {value}. Did you mean {meant}?" in message
    known = message.split("Known here: ")[1]
    assert all(name in known for name in [meant, *others])


@pytest.mark.parametrize(
    ("key", "base", "below"),
    [
        ("model.loss", "Objective", "Hinge"),
        ("model.penalties.gp", "GradientPenalty", "WGANGP"),
        ("model.update", "Update", "Unrolled"),
        ("trainer.callbacks+", "Probe", "SampleGrid"),
    ],
)
def test_a_base_is_refused_with_the_names_of_those_below_it(key, base, below, refused):
    message = refused("fit", RING, **{key: base})
    assert f"{base} is only the base of others." in message
    assert below in (known := message.split("Known here: ")[1])
    assert base not in known.split(", ")


def test_a_class_that_is_not_named_is_told_by_its_key(refused, tmp_path):
    (tmp_path / "wrong.yaml").write_text(RING.read_text().replace("loss: NonSaturating", "loss: {}"))
    assert 'Parser key "model.loss"' in refused("fit", tmp_path / "wrong.yaml")


@pytest.mark.parametrize(
    ("callback", "own_words"),
    [
        (
            "{class_path: OldFakeReplay, init_args: {replay_ratio: 3}}",
            "OldFakeReplay: replay_ratio is a share and must",
        ),
        ("{class_path: SQDLogger, init_args: {n_samples: 1}}", "SQDLogger: n_samples must be at least 2"),
        (
            "{class_path: OldFakeReplay, init_args: {buffer: {class_path: FIFO, init_args: {capacity: 0}}}}",
            "FIFO: capacity must be at least 1 fake, got 0",
        ),
    ],
)
def test_what_a_callback_refuses_is_told_last_in_its_own_words(callback, own_words, refused):
    message = refused("fit", RING, **{"trainer.callbacks": f"[{callback}]"})
    assert message.rstrip().splitlines()[-1].strip().startswith(own_words)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("model.loss", "model:\n  loss: NonSaturatin\n"),
        ("model.penalties", "model:\n  penalties:\n    gp:\n      class_path: WGANPG\n      init_args: {weight: 1}\n"),
        ("trainer.callbacks", "trainer:\n  callbacks:\n    - class_path: SampleGird\n"),
        ("data", "data:\n  class_path: RingDataModul\n"),
    ],
)
def test_a_misspelt_class_in_a_file(place, text, refused, tmp_path):
    (tmp_path / "wrong.yaml").write_text(text)
    message = refused("fit", RING, tmp_path / "wrong.yaml")
    assert "Did you mean" in message
    assert place in message


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model.n_critic": 0}, "n_critic must be at least 1, got 0"),
        ({"model.seeds": "[1,1]"}, "seeds must be a list of different integers, got [1, 1]"),
        ({"data.std": -1}, "std must be a finite number above 0, not -1.0"),
        ({"model.discriminator.init_args.hidden": "null"}, "MLPDiscriminator cannot be made with sample_shape=(2,), "),
        ({"model.penalties.r1": "R1", "model.penalties.r1.weight": -1}, "R1: weight must be at least 0, got -1.0"),
    ],
)
def test_a_value_that_makes_no_sense_is_told(settings, told, refused):
    assert told in refused("fit", RING, **settings)


def test_a_negative_weight_in_a_file_is_told(refused, tmp_path):
    (tmp_path / "wrong.yaml").write_text(R1_VARIANT.read_text().replace("10.0", "-3.0"))
    assert "R1: weight must be at least 0, got -3.0" in refused("fit", RING, tmp_path / "wrong.yaml")


@pytest.mark.parametrize(
    ("wrong", "by", "told"),
    [
        (r"betas: \[.*\]", "betas: [{}, 0.9]", "discriminator_optimizer: Adam cannot be made with lr=0.0003, betas="),
        (r"max_steps: \d+", "max_steps: null", "Trainer cannot be made with "),
        (
            r"hidden: \[.*\]",
            "hidden: null",
            "MLPDiscriminator cannot be made with sample_shape=(2,), hidden=None: ",
        ),
    ],
)
def test_what_a_class_stumbles_over_is_told_with_what_it_was_given(wrong, by, told, refused, tmp_path):
    text = (CONFIGS / "grid.yaml").read_text()
    assert re.search(wrong, text)
    (tmp_path / "wrong.yaml").write_text(re.sub(wrong, by, text))
    assert told in refused("fit", tmp_path / "wrong.yaml", **{"trainer.fast_dev_run": 2})


def test_an_unknown_data_folder_is_told_with_the_cure(tmp_path, refused):
    nowhere = tmp_path / "nowhere"
    message = refused("fit", CONFIGS / "mnist.yaml", **{"data.data_dir": nowhere, "trainer.accelerator": "cpu"})
    assert str(nowhere / "MNIST" / "raw" / "train-images-idx3-ubyte") in message
    assert "--data.download true" in message
    assert "python -c " in message


def test_a_checkpoint_is_named_after_its_iteration_also_after_validations(run):
    often = {**QUICK, "trainer.max_steps": 7, "trainer.val_check_interval": 2, "checkpoint.every_n_train_steps": 3}
    done = run("fit", RING, **often, **{"checkpoint.save_top_k": -1})
    saved = {file.name: torch.load(file)["global_step"] for file in Path(done.trainer.log_dir, "checkpoints").iterdir()}
    assert saved == {"step=3.ckpt": 3, "step=6.ckpt": 6, "last.ckpt": 7}


def test_an_interrupted_run_keeps_what_it_has(run, monkeypatch):
    def stop(self, trainer, *_):
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(WeightClipping, "on_train_batch_end", stop)
    clipping = CONFIGS / "variants" / "wgan_clipping.yaml"
    with pytest.raises(SystemExit):
        run("fit", RING, clipping, **{**QUICK, "trainer.max_steps": 9, "checkpoint.every_n_train_steps": 1000})
    assert torch.load(next(Path("runs").rglob("last.ckpt")))["global_step"] == 5


def test_a_run_that_diverges_is_told_without_a_traceback_and_keeps_its_checkpoint(refused):
    guard = CONFIGS / "variants" / "divergence_guard.yaml"
    rates = {f"model.{player}_optimizer.init_args.lr": 1e30 for player in ("generator", "discriminator")}
    often = {"trainer.max_steps": 50, "checkpoint.every_n_train_steps": 1}
    message = refused("fit", RING, guard, **{**QUICK, **often, **rates})
    assert re.search(r"iteration \d+: the .* is (NaN|infinite)", message)
    for path in Path("runs").rglob("*.ckpt"):
        assert all(value.isfinite().all() for value in torch.load(path)["state_dict"].values())


def test_a_key_of_a_penalty_that_is_not_there_is_told_so(refused):
    message = refused("fit", RING, **{"model.penalties.r1.weight": 1})
    assert "This config has no penalty r1; add it first" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.accumulate": 3}, "accumulate is 3, but a real batch holds 256 samples"),
        ({"data.batch_size": 10**7}, "but one pass holds only"),
        ({"trainer.gradient_clip_val": 1.0}, "gradient clipping is not supported for manual optimization"),
    ],
)
def test_what_is_refused_when_the_trainer_has_begun_is_told_without_a_traceback(settings, message, refused):
    assert message in refused("fit", RING, **QUICK, **settings)


def test_another_optimizer_cannot_go_on_from_a_checkpoint(run, refused):
    first = run("fit", RING, **QUICK)
    last = Path(first.trainer.log_dir, "checkpoints", "last.ckpt")
    message = refused(
        "fit", RING, CONFIGS / "variants" / "adam.yaml", **{**QUICK, "trainer.max_steps": 5}, ckpt_path=last
    )
    assert "discriminator_optimizer: the checkpoint's is SGD, this run's is Adam" in message


def test_the_bar_of_a_run_without_a_last_epoch_names_none():
    bar = ProgressBar()
    bar._trainer = pl.Trainer(max_steps=3, logger=False, barebones=True)
    assert bar._get_train_description(4).strip() == "Epoch 4"
    bar._trainer = pl.Trainer(max_epochs=7, logger=False, barebones=True)
    assert bar._get_train_description(4).strip() == "Epoch 4/6"


def test_what_goes_wrong_in_a_callback_of_the_user_s_own_keeps_its_traceback(run):
    Path("broken.py").write_text(
        "import pytorch_lightning as pl\n\n\nclass Broken(pl.Callback):\n"
        "    def on_train_batch_end(self, *_):\n        open('/nowhere/x')\n"
    )
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run("fit", RING, **QUICK, **{"trainer.callbacks+": "broken.Broken"})


def test_a_folder_that_is_a_file_is_told(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused("fit", RING, **QUICK, **{"trainer.logger.save_dir": tmp_path / "file"})


def test_a_run_that_was_refused_leaves_its_number_to_the_next(refused, tmp_path):
    settings = {"trainer.logger.save_dir": tmp_path, "trainer.callbacks+": "DiracPortrait"}
    assert "DiracPortrait needs one-dimensional data" in refused("fit", RING, **QUICK, **settings)
    assert list(tmp_path.glob("ring/*")) == []
    here = Path.cwd()
    refused("fit", RING, **{**QUICK, "trainer.logger": "false", "trainer.callbacks+": "DiracPortrait"})
    assert here.is_dir()
