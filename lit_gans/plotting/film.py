"""Films: pictures in a row."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def film(frames: Sequence[Path], path: Path, seconds: float = 0.3) -> Path:
    """Joins picture files into a looping GIF; the last one stays three times as long."""
    first, *rest = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    durations = [int(1000 * seconds)] * len(rest) + [int(3000 * seconds)]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
    return path
