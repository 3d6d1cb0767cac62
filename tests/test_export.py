"""Generators without training: plain modules, and files that other programs read."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lit_gans import GAN, networks
from lit_gans.cli import main
from lit_gans.export import export, load_generator
from lit_gans.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator, ResNetGenerator
from tests.test_cli import QUICK, RING
from tests.toys import ring_gan, train

LATENTS = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A run of the command line, and its last checkpoint."""
    monkeypatch.chdir(tmp_path)

    def run(**settings):
        given = {**QUICK, "trainer.callbacks": "[]", **settings}
        main(["fit", "--config", str(RING), *(f"--{key}={value}" for key, value in given.items())])
        return max(tmp_path.rglob("last.ckpt"), key=lambda file: file.stat().st_mtime_ns)

    return run


@pytest.mark.parametrize("averaged", [True, False])
def test_a_checkpoint_is_a_plain_generator_in_two_lines(averaged, checkpoint):
    path = checkpoint(**{"model.ema": 0.5})
    generator = GAN.load_from_checkpoint(path).plain_generator(averaged=averaged)
    gan = GAN.load_from_checkpoint(path)
    assert type(generator) is MLPGenerator
    assert torch.equal(generator(LATENTS), gan.generate(LATENTS, averaged))
    assert not torch.equal(gan.generate(LATENTS, True), gan.generate(LATENTS, False))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("ema", [None, 0.5])
def test_each_seed_has_a_generator_of_its_own(batch_norm, ema):
    gan = ring_gan(seeds=[4, 7], ema=ema, batch_norm=batch_norm)
    train(gan, 3)
    together = gan.generate(LATENTS)
    for place, seed in enumerate(gan.seeds):
        generator = gan.plain_generator(seed)
        torch.testing.assert_close(generator(LATENTS), together[place], rtol=1e-5, atol=1e-6)
        assert not generator.training
        with torch.no_grad():
            next(generator.parameters()).zero_()
    assert torch.equal(gan.generate(LATENTS), together)
    with pytest.raises(ValueError, match=r"the seeds \[4, 7\], and seed=None is none of them"):
        gan.plain_generator()


@pytest.mark.parametrize("ending", ["safetensors", "pt2"])
def test_the_command_writes_a_file_that_makes_the_same_samples(ending, checkpoint, tmp_path, capsys):
    path = checkpoint(**{"model.seeds": "[3, 5]"})
    main(["export", "--ckpt_path", str(path), "--file", str(tmp_path / f"g.{ending}"), "--seed", "5"])
    assert "generator: " in capsys.readouterr().out
    expected = GAN.load_from_checkpoint(path).generate(LATENTS)[1]
    if ending == "pt2":
        generator = torch.export.load(tmp_path / "g.pt2").module()
    else:
        generator = load_generator(tmp_path / "g.safetensors")
    for n in (1, 3, 7):
        torch.testing.assert_close(generator(LATENTS[:n]), expected[:n], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("generator", [DCGANGenerator(4, (3, 32, 32), 8), ResNetGenerator(4, (3, 32, 32), 8)])
def test_convolutions_can_be_exported_for_batches_of_any_size(generator, tmp_path):
    gan = GAN(generator, DCGANDiscriminator((3, 32, 32), 8), 4)
    export(gan, tmp_path / "g.pt2")
    program = torch.export.load(tmp_path / "g.pt2").module()
    for n in (1, 5):
        latents = torch.randn(n, 4)
        torch.testing.assert_close(program(latents), gan.generate(latents), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["virtual_batch_norm", "mixture_generators", "batch_norm_generator", "spectral_norm"])
def test_every_network_of_points_comes_back_from_its_file(kind, checkpoint, tmp_path, capsys):
    variant = RING.parent / "variants" / f"{kind}.yaml"
    path = checkpoint(config=variant)
    main(["export", "--ckpt_path", str(path), "--file", str(tmp_path / "g.safetensors")])
    expected = GAN.load_from_checkpoint(path).generate(LATENTS)
    torch.testing.assert_close(load_generator(tmp_path / "g.safetensors")(LATENTS), expected, rtol=1e-5, atol=1e-6)
    try:
        main(["export", "--ckpt_path", str(path), "--file", str(tmp_path / "g.pt2")])
    except SystemExit:
        assert kind == "mixture_generators"
        assert "no graph for batches of any size" in capsys.readouterr().err
        return
    program = torch.export.load(tmp_path / "g.pt2").module()
    torch.testing.assert_close(program(LATENTS), expected, rtol=1e-5, atol=1e-6)


class Mine(nn.Module):
    """A generator of a user's."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, z):
        return self.layer(z)


def test_what_was_loaded_can_be_saved_and_loaded_again(checkpoint, tmp_path):
    gan = GAN.load_from_checkpoint(checkpoint())
    train(gan, 1).save_checkpoint(tmp_path / "again.ckpt")
    again = GAN.load_from_checkpoint(tmp_path / "again.ckpt")
    assert torch.equal(again.generate(LATENTS), gan.generate(LATENTS))


def test_a_network_of_ones_own_is_given_where_it_is_loaded(tmp_path):
    gan = GAN(Mine(), MLPDiscriminator((2,)), 2)
    export(gan, tmp_path / "g.safetensors")
    with pytest.raises(ValueError, match=r"a network that was built in Python, which is not one of lit_gans\.networks"):
        load_generator(tmp_path / "g.safetensors")
    assert torch.equal(load_generator(tmp_path / "g.safetensors", Mine())(LATENTS), gan.generate(LATENTS))


@pytest.mark.parametrize("kind", ["os.system", "lit_gans.networks.mlp.MLPGenerator", "lit_gans.networks.nothing", ""])
def test_a_file_cannot_have_anything_else_built(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a file has run a command"))
    header = {"generator": json.dumps({"class_path": kind, "init_args": {"command": "true"}})}
    save_file({"x": torch.zeros(1)}, tmp_path / "g.safetensors", header)
    with pytest.raises(ValueError, match=r"which is not one of lit_gans\.networks"):
        load_generator(tmp_path / "g.safetensors")


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of \.safetensors, \.pt2"):
        export(ring_gan(), tmp_path / "g.onnx")


def test_the_tensors_have_the_names_of_the_network(tmp_path):
    gan = ring_gan(seeds=[1])
    export(gan, tmp_path / "g.safetensors")
    assert load_file(tmp_path / "g.safetensors").keys() == dict(MLPGenerator(2, (2,)).named_parameters()).keys()
    assert set(networks.__all__) > {"MLPGenerator"}


@pytest.mark.parametrize("ending", ["safetensors", "pt2"])
def test_a_file_can_be_read_by_whoever_reads_other_files(ending, tmp_path):
    export(ring_gan(), tmp_path / f"g.{ending}")
    (tmp_path / "other").write_text("")
    assert (tmp_path / f"g.{ending}").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_game_that_was_built_in_python_asks_for_what_it_was_built_of(tmp_path):
    train(ring_gan(), 1).save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(TypeError) as refusal:
        GAN.load_from_checkpoint(tmp_path / "a.ckpt")
    assert "give what the game was built of" in refusal.value.__notes__[0]


def test_a_file_that_is_not_there_is_told(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["export", "--ckpt_path", str(tmp_path / "nix.ckpt"), "--file", "g.pt2"])
    assert f"there is no checkpoint {tmp_path / 'nix.ckpt'}; give --ckpt_path one" in capsys.readouterr().err
