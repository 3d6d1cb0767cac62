"""Any folder of images."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lit_gans.streams import stream

from .image_files import ImageFiles, ImageFilesDataModule, check_image, in_threads

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


class ImageFolderDataModule(ImageFilesDataModule):
    """All images in a folder and in the folders below, as squares of one size.

    If every image lies in a subfolder, the subfolders are the classes, in the order of their names; otherwise there are
    no labels. A share of the images, always the same for the same folder, is held out for validation and test. Links to
    folders are followed; files and folders whose name starts with a dot are not looked at.

    Args:
        folder: Where the images are: bmp, jpg, jpeg, png or webp, in upper or lower case.
        held_out: The share of images that training never sees, in (0, 1); at least one image.
        **settings: As of `ImageFilesDataModule`.

    Raises:
        ValueError: If `held_out` is no such share. In `setup`: an image is broken (named), or there are fewer than two.
        FileNotFoundError: In `setup`: there is no such folder.
    """

    def __init__(self, folder: str, held_out: float = 0.1, **settings: Any) -> None:
        super().__init__(**settings)
        if not 0 < held_out < 1:
            raise ValueError(f"held_out is a share of the images and must lie between 0 and 1, not {held_out}")
        self.folder, self.held_out = folder, held_out

    def files(self, split: str) -> ImageFiles:
        """Those trained on, or those held out, in random order: the first few show all classes."""
        paths, labels = self.everything
        n_held_out = min(max(round(self.held_out * len(paths)), 1), len(paths) - 1)
        order = torch.randperm(len(paths), generator=stream(0, "data/held out"))
        chosen = order[n_held_out:] if split == "train" else order[:n_held_out]
        return ImageFiles([paths[i] for i in chosen.tolist()], None if labels is None else labels[chosen])

    @cached_property
    def everything(self) -> ImageFiles:
        """All images, none of them broken, in the order of their paths."""
        root = Path(self.folder)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}; name one that holds images by `--data.folder`")
        paths = _images_below(root)
        if len(paths) < 2:
            raise ValueError(
                f"{root} holds {len(paths)} images, and at least two are needed, one of them to be held out; looked "
                f"for files ending in {', '.join(SUFFIXES)}, there and in all folders below"
            )
        in_threads(check_image, paths)
        labels = None
        folders = [path.relative_to(root).parts[0] for path in paths]
        if all(path.parent != root for path in paths):
            self.class_names = tuple(sorted(set(folders)))
            labels = torch.tensor([self.class_names.index(name) for name in folders])
        return ImageFiles(paths, labels)


def _images_below(root: Path) -> list[Path]:
    found = []
    seen = {os.path.realpath(root)}
    for folder, below, names in os.walk(root, followlinks=True):
        # Each real folder once: a link may lead back to one above.
        real = {name: os.path.realpath(Path(folder, name)) for name in below if not name.startswith(".")}
        below[:] = [name for name, path in sorted(real.items()) if path not in seen]
        seen |= set(real.values())
        found += [Path(folder, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)
