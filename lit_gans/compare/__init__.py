"""Runs side by side, from their folders alone: `lit-gans compare`."""

from .command import main
from .page import write_page
from .runs import Run, find_run, read_run

__all__ = ["Run", "find_run", "main", "read_run", "write_page"]
