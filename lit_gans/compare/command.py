"""`lit-gans compare`: one page that shows runs side by side, from their folders alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from .page import write_page
from .runs import find_run, read_run


def main(args: Sequence[str] | None = None) -> None:
    """Writes the page, and says where it is."""
    parser = argparse.ArgumentParser("lit-gans compare", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one that holds one run")
    parser.add_argument("--file", type=Path, default=Path("compare.html"), help="where to write the page")
    parser.add_argument("--names", nargs="+", help="what to call the runs; else, what differs in their paths")
    options = parser.parse_args(args)
    if not options.file.parent.is_dir():
        parser.error(f"there is no folder {options.file.parent} for {options.file.name}; make it, or name another file")
    try:
        folders = [find_run(path) for path in options.runs]
    except ValueError as error:
        parser.error(str(error))
    names = options.names or distinct_names(folders)
    if len(names) != len(folders) or len(set(names)) < len(names):
        parser.error(f"names must be one for each of {len(folders)} runs, and differ; got {', '.join(names)}")
    write_page([read_run(folder, name) for folder, name in zip(folders, names, strict=True)], options.file)
    print(f"page: {options.file} ({options.file.stat().st_size / 2**20:.1f} MiB)")


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Of each path the shortest end that tells it from the others, from the first part on that differs."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        return [str(folder) for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(each[-length:]) for each in parts]
        if len(set(ends)) == len(ends):
            return _without_common_end(ends)
    raise AssertionError("different paths have different ends")


def _without_common_end(ends: list[str]) -> list[str]:
    """`ring/version_0` and `ring-r1/version_0` are ring and ring-r1."""
    while len(ends) > 1 and all("/" in end for end in ends) and len({end.rpartition("/")[2] for end in ends}) == 1:
        ends = [end.rpartition("/")[0] for end in ends]
    return ends
