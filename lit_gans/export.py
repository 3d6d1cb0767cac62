"""Generators as files for other programs: `lit-gans export --ckpt_path FILE --file G.safetensors|G.pt2`."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from . import checkpoints, networks
from .gan import GAN

FORMATS = (".safetensors", ".pt2")


def export(gan: GAN, path: str | Path, seed: int | None = None, averaged: bool = True) -> None:
    """Writes G to a file that holds no code of Python.

    `.safetensors` holds the parameters, and in its header how to build the network, which `load_generator` does;
    `.pt2` holds the network too, as a graph (`torch.export`) for batches of any size, which `torch.export.load` reads
    without this library.

    Args:
        gan: The game, as `GAN.load_from_checkpoint` gives it.
        path: The file; its ending says which of the two.
        seed: Of a game with several seeds, whose G.
        averaged: Whether the average of G, where there is one, or G as it plays.

    Raises:
        ValueError: If the ending is another, there are several seeds and none was given, or a network's flow depends on
            the size of its batch, as that of a mixture does, so that it is no graph.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path} must end in one of {', '.join(FORMATS)}, which says how G is written")
    generator = gan.plain_generator(seed, averaged)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        build = gan.hparams.get("generator")  # of a game that was built in Python nothing is known but its tensors
        header = {"generator": json.dumps(build), "latent_dim": str(gan.latent_dim)}
        path.write_bytes(save({name: value.contiguous() for name, value in generator.state_dict().items()}, header))
        return
    dtype = next((parameter.dtype for parameter in generator.parameters()), None)
    batch = torch.export.Dim("batch", min=1)
    # Two rows in the example: of a batch of one, torch would take that it is always one.
    example = (torch.zeros(2, gan.latent_dim, dtype=dtype),)
    try:
        program = torch.export.export(generator, example, dynamic_shapes=({0: batch},))
    except Exception as error:  # torch has many kinds of them
        kind, reason = type(generator).__name__, next(iter(str(error).splitlines()), "")
        raise ValueError(f"a {kind} is no graph for batches of any size ({reason}); write .safetensors") from error
    torch.export.save(program, path)


def load_generator(path: str | Path, generator: nn.Module | None = None) -> nn.Module:
    """G from a `.safetensors` file, in eval mode: latents `(n, latent_dim)` to samples.

    Args:
        path: What `export` has written.
        generator: The network, where its class is not one of `lit_gans.networks`: no other is built from what a file
            says.

    Raises:
        ValueError: If the file names another class and no network was given.
    """
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if generator is None:
        generator = _builder(json.loads(header.get("generator", "null")), str(path))()
    generator.load_state_dict(state)
    return generator.eval().requires_grad_(False)


def _builder(build: Any, path: str) -> Callable[..., nn.Module]:
    """What builds a network of `lit_gans.networks` by its config; a network inside it is built by it, of its sizes."""
    name = build.get("class_path", "") if isinstance(build, Mapping) else ""
    module, _, kind = name.rpartition(".")
    if module != networks.__name__ or kind not in networks.__all__:
        raise ValueError(
            f"{path} holds the parameters of {name or 'a network that was built in Python'}, which is not one of "
            f"lit_gans.networks; build it yourself: load_generator(path, generator=…)"
        )
    settings = {
        key: _builder(value, path) if isinstance(value, Mapping) and "class_path" in value else value
        for key, value in build.get("init_args", {}).items()
    }
    return partial(getattr(networks, kind), **settings)


def main(args: Sequence[str] | None = None) -> None:
    """Writes the file, and says how to read it."""
    parser = argparse.ArgumentParser("lit-gans export", description=__doc__)
    parser.add_argument("--ckpt_path", type=Path, required=True, help="a checkpoint of the command line")
    parser.add_argument("--file", type=Path, required=True, help=f"what to write; it ends in {' or '.join(FORMATS)}")
    parser.add_argument("--seed", type=int, help="of a game with several seeds, whose G")
    parser.add_argument("--as_it_plays", action="store_true", help="G itself, where there is an average of it")
    given = parser.parse_args(args)
    try:
        if "hyper_parameters" not in checkpoints.read(given.ckpt_path):
            raise ValueError(
                f"{given.ckpt_path} is of a game that was built in Python; call lit_gans.export.export there"
            )
        gan = GAN.load_from_checkpoint(given.ckpt_path, map_location="cpu")
        export(gan, given.file, given.seed, averaged=not given.as_it_plays)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    reads = "lit_gans.export.load_generator" if given.file.suffix == ".safetensors" else "torch.export.load"
    print(
        f"generator: {given.file} ({given.file.stat().st_size / 2**20:.2f} MiB), read by {reads}({str(given.file)!r})"
    )
