"""The IDX format of MNIST's files, plain or gzipped: a magic number, the sizes, then the bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

UNSIGNED_BYTE = 8


def read_idx(path: Path, n_dims: int) -> Tensor:
    """Reads a file of unsigned bytes.

    Layout, big endian: two zero bytes, the type (8: unsigned byte), the number of dimensions, one 32-bit size
    per dimension, the data. Source: LeCun, "The MNIST database of handwritten digits".

    Args:
        path: The file; it is unzipped when its name ends in `.gz`.
        n_dims: The dimensions it must have: 3 for images, 1 for labels.

    Returns:
        A uint8 tensor of the shape the file states.

    Raises:
        ValueError: The file is not of this format, or its length is not the one it states.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, f"it cannot be unzipped ({error})") from error
    header = 4 * (1 + n_dims)
    if len(content) < header:
        raise _damaged(path, f"it holds {len(content)} bytes, fewer than the {header} of its header")
    expected = bytes([0, 0, UNSIGNED_BYTE, n_dims])
    if content[:4] != expected:
        raise _damaged(path, f"it starts with bytes {content[:4].hex()}, not {expected.hex()}")
    shape = struct.unpack(f">{n_dims}I", content[4:header])
    stated, held = math.prod(shape), len(content) - header
    if held != stated:
        sizes = " * ".join(str(size) for size in shape)
        raise _damaged(path, f"it states {sizes} = {stated} bytes of data and holds {held}")
    # The copy into a bytearray makes the tensor writable; the header goes by slicing.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[header:].reshape(shape)


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"{path} is damaged, or no IDX file of bytes: {what}; delete it and fetch it again")
