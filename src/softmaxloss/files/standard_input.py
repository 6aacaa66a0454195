"""Standard input as a file: copied to a temporary one, which is removed at the end.

Readers seek, and read a file twice where it holds labels, too. What it holds is told by its first
bytes.
"""

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from .errors import BadFileError
from .unpacked import COMPRESSIONS, Unpacked

#: What messages call it.
STANDARD_INPUT = Path("standard input")

_MAGIC = {b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}

_copied: tuple[Any, Any, Path] | None = None  # what was standard input, the folder, the copy


def copy_of_standard_input() -> Path:
    """The copy, with the suffix that fits; the same one each time."""
    global _copied
    if sys.stdin is None:
        raise BadFileError("is closed")
    if _copied is None or _copied[0] is not sys.stdin:
        folder = tempfile.TemporaryDirectory(prefix="softmaxloss-")
        copy = Path(folder.name, "data")
        try:
            with open(copy, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise BadFileError(f"cannot be copied: {error.strerror or error}") from None
        _copied = sys.stdin, folder, copy.rename(copy.with_name(f"data{_suffix(copy)}"))
    return _copied[2]


def _suffix(path: Path) -> str:
    """The suffix of a file with this content."""
    with open(path, "rb") as file:
        head = file.read(9)
    for magic, suffix in _MAGIC.items():
        if head.startswith(magic):
            return suffix
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            arrays = any(name.endswith(".npy") for name in archive.namelist())
        return ".npz" if arrays else ".pt"
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return ".safetensors"
    for packing, (magic, _) in COMPRESSIONS.items():
        if head.startswith(magic):
            packed = path.rename(path.with_name(f"packed{packing}"))
            suffix = _text_suffix(packed) + packing
            packed.rename(path)
            return suffix
    return _text_suffix(path)


def _text_suffix(path: Path) -> str:
    """Of text: .json where the first line is no complete value, or a list of rows or such."""
    with Unpacked(path) as file:
        line = file.readline().removeprefix(b"\xef\xbb\xbf").strip()
        more = file.readline().strip()
    if line[:1] not in (b"[", b"{"):
        return ".txt"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ".jsonl" if more[:1] in (b"[", b"{") and line[-1:] in (b"]", b"}") else ".json"
    parts = list(value.values()) if isinstance(value, dict) else value
    if not more and any(isinstance(part, list | dict) for part in parts):
        # {"logits": [1, 2], "label": 0} is one example, {"logits": [[1, 2]], …} are several.
        rows = any(isinstance(part, list) and part and isinstance(part[0], list) for part in parts)
        return ".json" if isinstance(value, list) or rows else ".jsonl"
    return ".jsonl"
