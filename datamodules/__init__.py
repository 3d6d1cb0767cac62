"""Data for the games: toy distributions and images, laid out by seed and by D update."""

from .base import GANDataModule
from .celeba import CelebADataModule
from .cifar10 import CIFAR10DataModule
from .gaussian_pair import GaussianPairDataModule
from .image_files import ImageFilesDataModule
from .image_folder import ImageFolderDataModule
from .images import DigitsDataModule, ImageDataModule
from .loader import GameLoader
from .mixtures import GridDataModule, MixtureDataModule, RingDataModule
from .mnist import FashionMNISTDataModule, MNISTDataModule
from .ordered import OrderedLoader
from .sources import Batch, DrawnSource, Source, StoredSource
from .stacked_mnist import StackedMNISTDataModule
from .toy import DiracDataModule, SwissRollDataModule, ToyDataModule

__all__ = [
    "Batch",
    "CIFAR10DataModule",
    "CelebADataModule",
    "DigitsDataModule",
    "DiracDataModule",
    "DrawnSource",
    "FashionMNISTDataModule",
    "GANDataModule",
    "GameLoader",
    "GaussianPairDataModule",
    "GridDataModule",
    "ImageDataModule",
    "ImageFilesDataModule",
    "ImageFolderDataModule",
    "MNISTDataModule",
    "MixtureDataModule",
    "OrderedLoader",
    "RingDataModule",
    "Source",
    "StackedMNISTDataModule",
    "StoredSource",
    "SwissRollDataModule",
    "ToyDataModule",
]
