"""Safetensors files, read by slices; needs safetensors, imported when a file is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..text import first_line, shown
from .source import ArraySource, BadFileError, Source, choose_key

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip


def open_safetensors(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """One tensor of a .safetensors file."""
    import safetensors

    try:
        file: Any = safetensors.safe_open(path, framework="numpy")
        name = choose_key(list(file.keys()), key, defaults)
        tensor = file.get_slice(name)
        shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
    except (safetensors.SafetensorError, OSError) as error:
        why = first_line(error)
        raise BadFileError(f"is no .safetensors file or is cut short: {why}") from None
    if dtype not in _DTYPES:
        raise BadFileError(f"tensor {shown(name, 40)} is {dtype}; {', '.join(_DTYPES)} fit")
    if dtype == "BF16":
        import ml_dtypes  # noqa: F401 (teaches NumPy the name of this dtype)
    if not shape:
        raise BadFileError("holds a single number; expected an array of them")
    return ArraySource(tensor, shape, _DTYPES[dtype])
