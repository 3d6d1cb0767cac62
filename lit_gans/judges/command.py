"""`lit-gans judge`: trains a judge of a DataModule's images, for `SQDLogger`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from .classifier import ClassifierJudge
from .faces import FaceJudge

WORDS = {
    "classes": "test images of which it tells the class",
    "images": "test images that it takes to be of the domain",
    "noise": "uniform noise that it does not take so",
    "shuffled": "images with shuffled pixels",
    "blends": "blends of two classes",
    "patches": "patches of a photograph",
}


def main(data_type: type, args: Sequence[str] | None = None) -> None:
    """Trains, writes the file, and prints how good the judge is.

    Args:
        data_type: The class below which data are looked for, by bare names, too.
        args: Of the command line; None takes the process's own.
    """
    parser = ArgumentParser("lit-gans judge", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_subclass_arguments(data_type, "data", required=True, help="whose labelled images to learn from")
    parser.add_argument("--file", type=Path, required=True, help="where to write the judge, such as judges/digits.pt")
    parser.add_argument("--n_train", type=int, default=10_000, help="at most so many training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--embedder", type=Path, help="an ONNX file, such as ArcFace's: for a FaceJudge, from all images"
    )
    options = parser.parse_args(args)
    if options.n_train < 2:
        parser.error(f"--n_train must be at least 2 images, got {options.n_train}")
    data = parser.instantiate_classes(options).data
    if not hasattr(data, "labelled"):
        sys.exit(
            f"error: a judge learns from labelled images (`labelled(split)`, as DigitsDataModule and MNISTDataModule "
            f"have), {type(data).__name__} has none"
        )
    data.prepare_data()
    train, test = data.labelled("train"), data.labelled("test")
    try:
        if options.embedder is not None:
            identities = FaceJudge.train(options.file, train[0], train[1], options.embedder)
            print(f"mean embeddings of {len(identities)} identities: {options.file}")
            return
        judge = ClassifierJudge.train(options.file, train, test, options.n_train, options.seed)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for kind, share in judge.accuracy.items():
        print(f"{share:7.1%}  {WORDS[kind]}")
    print(f"judge of {judge.n_modes} classes: {options.file}")
