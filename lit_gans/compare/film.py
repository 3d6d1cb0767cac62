"""One film of several runs."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_TITLE = 24
_MOST_FRAMES, _WIDEST = 40, 1100


def shared_iterations(pictures: Sequence[Mapping[int, Path]]) -> list[int]:
    """The iterations of which every run has a picture; of many, 40 evenly chosen with the first and the last."""
    shared = sorted(set.intersection(*(set(each) for each in pictures)))
    chosen = np.linspace(0, len(shared) - 1, min(len(shared), _MOST_FRAMES)).round().astype(int)
    return [shared[i] for i in chosen]


def together(pictures: Mapping[str, Path]) -> Image.Image:
    """Pictures with their runs' names above, beside each other, or below each other if that is too wide to be read."""
    images = {name: _titled(Image.open(path).convert("RGB"), name) for name, path in pictures.items()}
    sizes = [image.size for image in images.values()]
    beside = sum(width for width, _ in sizes) <= _WIDEST
    width = sum(w for w, _ in sizes) if beside else max(w for w, _ in sizes)
    height = max(h for _, h in sizes) if beside else sum(h for _, h in sizes)
    frame, left, top = Image.new("RGB", (width, height), "white"), 0, 0
    for image in images.values():
        frame.paste(image, (left, top))
        left, top = (left + image.width, 0) if beside else (0, top + image.height)
    return frame


def film(pictures: Mapping[str, Mapping[int, Path]], seconds: float = 0.4) -> bytes:
    """A looping GIF: the runs' pictures together, at each iteration that all have.

    Args:
        pictures: By the run's name, then by iteration; at least two iterations are shared.
        seconds: How long each frame stays; the last stays three times as long.
    """
    iterations = shared_iterations(list(pictures.values()))
    frames = [together({name: of[i] for name, of in pictures.items()}) for i in iterations]
    size = frames[-1].size  # pictures of one probe may differ by a pixel as their titles grow
    first, *rest = [frame.resize(size).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    durations = [int(1000 * seconds)] * len(rest) + [int(3000 * seconds)]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return file.getvalue()


def _titled(image: Image.Image, name: str) -> Image.Image:
    if image.width > _WIDEST:
        image = image.resize((_WIDEST, round(image.height * _WIDEST / image.width)), Image.Resampling.LANCZOS)
    titled = Image.new("RGB", (image.width, image.height + _TITLE), "white")
    titled.paste(image, (0, _TITLE))
    ImageDraw.Draw(titled).text((8, 4), name, fill="black", font=ImageFont.load_default(size=14))
    return titled
