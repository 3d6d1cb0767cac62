"""MNIST and Fashion-MNIST, read from their IDX files wherever these already lie."""

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from .downloads import DownloadedDataModule
from .idx import read_idx

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
NAMES = [name for pair in FILES.values() for name in pair]


class MNISTDataModule(DownloadedDataModule):
    """MNIST: 60 000 training and 10 000 test images of handwritten digits, 28 × 28 pixels.

    The four IDX files, plain or gzipped, are looked for in torchvision's layout, `data_dir/MNIST/raw`, and in
    `data_dir` itself. The first folder that has all four is used. Arguments as of `DownloadedDataModule`.

    Raises:
        FileNotFoundError: In `setup`: no folder has all four files. Names every path, and the cures.
        ValueError: In `setup`: a file is damaged, or the files do not belong together.
    """

    class_names = tuple("0123456789")
    torchvision_name = "MNIST"
    own_way = "put its four IDX files into one folder and name it by `--data.data_dir`"
    system_dirs: ClassVar[tuple[Path, ...]] = ()
    system_package: ClassVar[str | None] = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(1, 28, 28)`."""
        return (1, 28, 28)

    def folders(self) -> list[Path]:
        """Where the files are looked for, in this order."""
        return [Path(self.data_dir, self.torchvision_name, "raw"), Path(self.data_dir), *self.system_dirs]

    def missing(self) -> bool:
        """Whether no folder has all four."""
        return self._find() is None

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Reads bytes `(n, 1, 28, 28)` and labels `(n,)`."""
        found = self._find()
        if found is None:
            raise self.not_found(
                [folder / name for folder in self.folders() for name in NAMES], ", plain and with .gz at the end"
            )
        images_path, labels_path = (found[name] for name in FILES[split])
        images, labels = read_idx(images_path, n_dims=3), read_idx(labels_path, n_dims=1)
        if images.shape[1:] != self.sample_shape[1:]:
            raise ValueError(f"{images_path} holds images of size {tuple(images.shape[1:])}, not (28, 28)")
        if len(images) != len(labels):
            raise ValueError(
                f"{images_path} holds {len(images)} images and {labels_path} {len(labels)} labels; "
                f"they do not belong together: fetch both again"
            )
        if len(labels) > 0 and (largest := int(labels.max())) >= self.n_classes:
            raise ValueError(f"{labels_path} holds label {largest}; labels run from 0 to {self.n_classes - 1}")
        return images.unsqueeze(1), labels.long()

    def is_there(self, path: Path) -> bool:
        """Plain or zipped."""
        return _plain_or_zipped(path) is not None

    def more_ways(self) -> list[str]:
        """The package of the system, where there is one."""
        return [] if self.system_package is None else [f"run `apt-get install {self.system_package}` (Debian, Ubuntu)"]

    def _find(self) -> dict[str, Path] | None:
        """The four files of the first folder that has them all."""
        for folder in self.folders():
            found = {name: path for name in NAMES if (path := _plain_or_zipped(folder / name)) is not None}
            if len(found) == len(NAMES):
                return found
        return None


def _plain_or_zipped(path: Path) -> Path | None:
    return next((each for each in (path, path.with_name(f"{path.name}.gz")) if each.is_file()), None)


class FashionMNISTDataModule(MNISTDataModule):
    """Fashion-MNIST: 60 000 training and 10 000 test images of clothes, 28 × 28 pixels.

    Looked for as MNIST is, in `data_dir/FashionMNIST/raw` and in `data_dir`, then in
    `/usr/share/datasets/fashion-mnist`, where the Debian package `dataset-fashion-mnist` puts it. Arguments as of
    `DownloadedDataModule`.
    """

    class_names = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    torchvision_name = "FashionMNIST"
    system_dirs = (Path("/usr/share/datasets/fashion-mnist"),)
    system_package = "dataset-fashion-mnist"
