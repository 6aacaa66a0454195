"""Safetensors files: a length, a header in JSON with the place of every tensor, their bytes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import BFLOAT16
from ..text import first_line, shown
from .errors import BadFileError
from .source import Ask, RawSource, Source

_HEADER_LIMIT = 100_000_000  # bytes, as of the format's own reader
_DTYPES: dict[str, Any] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16.newbyteorder("<"),
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip


def open_safetensors(path: Path, ask: Ask) -> Source:
    """One tensor of a .safetensors file. bfloat16 is read as float32, which holds it exactly."""
    tensors, offset = _header(path)
    name = ask.choose(list(tensors))
    try:
        kind, shape = tensors[name]["dtype"], tuple(tensors[name]["shape"])
        begin, end = tensors[name]["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise BadFileError(f"tensor {shown(name, 40)} has no valid dtype, shape and data_offsets")
    if kind not in _DTYPES:
        raise BadFileError(
            f"tensor {shown(name, 40)} is {first_line(kind, 20)}; {', '.join(_DTYPES)} fit"
        )
    dtype = np.dtype(_DTYPES[kind])
    if not shape:
        raise BadFileError("holds a single number; expected an array of them")
    promised, follow = math.prod(shape) * dtype.itemsize, path.stat().st_size - offset
    if promised != end - begin or end > follow:
        raise BadFileError(
            f"is cut short or damaged: tensor {shown(name, 40)} takes {promised} bytes, to be "
            f"found at {begin} to {end} of {follow}"
        )
    return RawSource(path, offset + begin, shape, dtype)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors by name, and where their bytes begin."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _HEADER_LIMIT):
            raise BadFileError("is no .safetensors file or is cut short: its header does not fit")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise BadFileError(
                f"is no .safetensors file: its header is not JSON ({first_line(error)})"
            ) from None
    if not isinstance(header, dict):
        raise BadFileError("is no .safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length
