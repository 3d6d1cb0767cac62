"""MNIST and Fashion-MNIST, read from their IDX files wherever these already lie."""

from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from .idx import read_idx
from .images import ImageDataModule

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
NAMES = [name for pair in FILES.values() for name in pair]


class MNISTDataModule(ImageDataModule):
    """MNIST: 60 000 training and 10 000 test images of handwritten digits, 28 × 28 pixels.

    The four IDX files, plain or gzipped, are looked for in torchvision's layout, `data_dir/MNIST/raw`, and in
    `data_dir` itself. The first folder that has all four is used.

    Args:
        data_dir: Where to look, and where to download to.
        download: Fetch the files by torchvision if they are found nowhere.
        batch_size: Samples per D update, seed and process.
        max_samples: Train on the first so many images only; None takes all.
        n_predict: How many latents `predict` runs on.

    Raises:
        FileNotFoundError: In `setup`: no folder has all four files. Names every path, and the cures.
        ValueError: In `setup`: a file is damaged, or the files do not belong together.
    """

    class_names = tuple("0123456789")
    torchvision_name: ClassVar[str] = "MNIST"
    system_dirs: ClassVar[tuple[Path, ...]] = ()
    system_package: ClassVar[str | None] = None

    def __init__(
        self,
        data_dir: str = "data",
        download: bool = False,
        batch_size: int = 64,
        max_samples: int | None = None,
        n_predict: int = 64,
    ) -> None:
        super().__init__(batch_size=batch_size, max_samples=max_samples, n_predict=n_predict)
        self.data_dir = data_dir
        self.download = download

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(1, 28, 28)`."""
        return (1, 28, 28)

    def folders(self) -> list[Path]:
        """Where the files are looked for, in this order."""
        return [Path(self.data_dir, self.torchvision_name, "raw"), Path(self.data_dir), *self.system_dirs]

    def prepare_data(self) -> None:
        """Downloads the files by torchvision, if asked to and if they are found nowhere."""
        if not self.download or self._find() is not None:
            return
        from torchvision import datasets

        try:
            getattr(datasets, self.torchvision_name)(self.data_dir, download=True)
        except (RuntimeError, OSError) as error:
            raise RuntimeError(f"{self.torchvision_name} cannot be fetched: {error}\n{self._cures()}") from error

    def read(self, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
        """Reads bytes `(n, 1, 28, 28)` and labels `(n,)`."""
        found = self._find()
        if found is None:
            raise FileNotFoundError(self._not_found())
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

    def _find(self) -> dict[str, Path] | None:
        """The four files of the first folder that has them all."""
        for folder in self.folders():
            found = {name: path for name in NAMES if (path := _plain_or_zipped(folder / name)) is not None}
            if len(found) == len(NAMES):
                return found
        return None

    def _not_found(self) -> str:
        lines = [f"{self.torchvision_name} was not found; looked for, plain and with .gz at the end:"]
        for path in (folder / name for folder in self.folders() for name in NAMES):
            lines.append(f"  {path} ({'missing' if _plain_or_zipped(path) is None else 'found'})")
        return "\n".join([*lines, self._cures()])

    def _cures(self) -> str:
        name = self.torchvision_name
        python = f"from torchvision.datasets import {name}; {name}({self.data_dir!r}, download=True)"
        cures = ["add `--data.download true` to the command", f'run `python -c "{python}"`']
        if self.system_package is not None:
            cures.append(f"run `apt-get install {self.system_package}` (Debian, Ubuntu)")
        cures.append("put its four IDX files into one folder and name it by `--data.data_dir`")
        return "Do one of these:" + "".join(f"\n  - {cure}" for cure in cures)


def _plain_or_zipped(path: Path) -> Path | None:
    return next((each for each in (path, path.with_name(f"{path.name}.gz")) if each.is_file()), None)


class FashionMNISTDataModule(MNISTDataModule):
    """Fashion-MNIST: 60 000 training and 10 000 test images of clothes, 28 × 28 pixels.

    Looked for as MNIST is, in `data_dir/FashionMNIST/raw` and in `data_dir`, then in
    `/usr/share/datasets/fashion-mnist`, where the Debian package `dataset-fashion-mnist` puts it.

    Args:
        data_dir: Where to look, and where to download to.
        download: Fetch the files by torchvision if they are found nowhere.
        batch_size: Samples per D update, seed and process.
        max_samples: Train on the first so many images only; None takes all.
        n_predict: How many latents `predict` runs on.
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
