"""Image sets that torchvision can fetch, read from wherever their files already lie."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from .images import ImageDataModule


class DownloadedDataModule(ImageDataModule):
    """Images in files that torchvision knows how to fetch. A subclass also gives `missing` and `read`.

    Args:
        data_dir: Where to look, and where to download to.
        download: Fetch the files by torchvision if they are found nowhere.
        **settings: As of `ImageDataModule`.

    Attributes:
        torchvision_name: The class in `torchvision.datasets`.
        own_way: How to bring files of one's own, one of the cures that an error names.
    """

    torchvision_name: ClassVar[str]
    own_way: ClassVar[str]

    def __init__(self, data_dir: str = "data", download: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.data_dir = data_dir
        self.download = download

    @abstractmethod
    def missing(self) -> bool:
        """Whether the files are found nowhere."""

    def prepare_data(self) -> None:
        """Downloads the files by torchvision, if asked to and if they are found nowhere."""
        if not self.download or not self.missing():
            return
        from torchvision import datasets

        try:
            getattr(datasets, self.torchvision_name)(self.data_dir, download=True)
        except (RuntimeError, OSError) as error:
            raise RuntimeError(f"{self.torchvision_name} cannot be fetched: {error}\n{self.cures()}") from error

    def not_found(self, looked_for: Sequence[Path], how: str = "") -> FileNotFoundError:
        """What to raise where files are missing: every path, and what to do.

        Args:
            looked_for: The paths.
            how: What else was tried of each, for example another ending.
        """
        lines = [f"{self.torchvision_name} was not found; looked for{how}:"]
        lines += [f"  {path} ({'found' if self.is_there(path) else 'missing'})" for path in looked_for]
        return FileNotFoundError("\n".join([*lines, self.cures()]))

    def is_there(self, path: Path) -> bool:
        """Whether a file or folder that was looked for is there."""
        return path.exists()

    def cures(self) -> str:
        """What to do where files are missing."""
        name = self.torchvision_name
        python = f"from torchvision.datasets import {name}; {name}({self.data_dir!r}, download=True)"
        ways = ["add `--data.download true` to the command", f'run `python -c "{python}"`', *self.more_ways()]
        return "Do one of these:" + "".join(f"\n  - {way}" for way in [*ways, self.own_way])

    def more_ways(self) -> list[str]:
        """Other cures."""
        return []
