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
    parser.add_argument("--names", help="what to call the runs, with commas between; else, what differs in their paths")
    options = parser.parse_args(args)
    if not options.file.parent.is_dir() or options.file.is_dir():
        parser.error(f"{options.file} is no file that can be written in a folder that is there; name another --file")
    try:
        folders = [find_run(path) for path in options.runs]
        names = options.names.split(",") if options.names else distinct_names(folders)
        if options.names is None and len(set(names)) < len(names):
            raise ValueError(f"a run was given twice, among {', '.join(map(str, folders))}; leave one out")
        if len(names) != len(folders) or len(set(names)) < len(names):
            raise ValueError(f"names must be one for each of {len(folders)} runs, and differ; got {', '.join(names)}")
        write_page([read_run(folder, name) for folder, name in zip(folders, names, strict=True)], options.file)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"page: {options.file} ({options.file.stat().st_size / 2**20:.1f} MiB)")


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """What differs in the paths: `runs/ring/version_0` and `runs/ring-r1/version_0` are ring and ring-r1."""
    parts = [list(folder.resolve().parts) for folder in folders]
    if len(parts) == 1:
        return [parts[0][-1]]
    while all(len(each) > 1 for each in parts) and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    while all(len(each) > 1 for each in parts) and len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    return ["/".join(each) for each in parts]
