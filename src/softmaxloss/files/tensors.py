"""Safetensors files, read by slices; needs safetensors, imported when one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .source import (
    ArraySource,
    FileError,
    Source,
    check_file,
    choose_key,
    import_extra,
    one_line,
)

__all__ = ["open_safetensors"]

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip


def open_safetensors(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """One tensor of a .safetensors file."""
    check_file(path)
    safetensors = import_extra(path, "safetensors", "safetensors ml_dtypes")
    try:
        file = safetensors.safe_open(path, framework="numpy")
        name = choose_key(path, list(file.keys()), key, defaults)
        tensor = file.get_slice(name)
        shape, spelled = tuple(tensor.get_shape()), tensor.get_dtype()
    except (safetensors.SafetensorError, OSError) as error:
        raise FileError(
            path, f"is no .safetensors file or is cut short: {one_line(error)}"
        ) from None
    if spelled not in _DTYPES:
        raise FileError(path, f"tensor {name!r} is {spelled}; {', '.join(_DTYPES)} fit")
    if spelled == "BF16":  # NumPy learns the name of this dtype from that package
        import_extra(path, "ml_dtypes", "ml_dtypes")
    dtype = np.dtype(_DTYPES[spelled])
    if not shape:
        raise FileError(path, f"tensor {name!r} is a single number; expected an array of them")
    return ArraySource(path, tensor, shape, dtype)
