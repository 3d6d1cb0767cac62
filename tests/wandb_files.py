"""Reads what an offline run of Weights & Biases has written."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32_768, 7


def records(path: Path) -> Iterator[Any]:
    """The protocol buffers of a `.wandb` file: LevelDB's log, in blocks, of whole records or their parts."""
    data, place, parts = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:  # the end of a block is too short for a record
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def items(update: Any) -> dict[str, Any]:
    """Keys and values of a record's items."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in update}


def history(path: Path) -> list[dict[str, Any]]:
    """The rows that were logged."""
    return [items(record.history.item) for record in records(path) if record.WhichOneof("record_type") == "history"]


def config(path: Path) -> dict[str, Any]:
    """The config, as it ended."""
    found: dict[str, Any] = {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind in ("run", "config"):
            found |= items(record.run.config.update if kind == "run" else record.config.update)
    return found


def run_id(path: Path) -> str:
    """The run's."""
    return next(record.run.run_id for record in records(path) if record.WhichOneof("record_type") == "run")


def is_complete(path: Path) -> bool:
    """Whether the run has been written to its end."""
    return any(record.WhichOneof("record_type") == "exit" for record in records(path))
