"""What every reader gives: the rows of one array in a file, in blocks. And the error they raise."""

from __future__ import annotations

import importlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "ArraySource",
    "FileError",
    "Source",
    "check_file",
    "choose_key",
    "import_extra",
    "one_line",
    "quoted",
    "shown",
]

Array = npt.NDArray[Any]


class FileError(ValueError):
    """A file cannot be read or written: one line that names the file, what is wrong and what fits.

    >>> print(FileError("scores.txt", "unknown suffix; .csv fits"))
    scores.txt: unknown suffix; .csv fits
    """

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{shown(os.fspath(path), 4096)}: {message}")


def shown(text: str, limit: int = 40) -> str:
    r"""Untrusted text for a one-line message: control characters escaped, cut at `limit`.

    >>> print(shown("cat\n\x1b[31m"))
    cat\n\x1b[31m
    """
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def quoted(text: str) -> str:
    """Untrusted text between quotation marks."""
    return f"'{shown(text)}'"


def one_line(error: Exception) -> str:
    """What another package's error says, on one line of bounded length."""
    return shown(" ".join(str(error).split()), 200) or type(error).__name__


def import_extra(path: Path, module: str, packages: str) -> Any:
    """A module that is an optional dependency, or a `FileError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise FileError(
            path,
            f"this {path.suffix} file needs {module.partition('.')[0]}: pip install {packages}",
        ) from None


def check_file(path: Path) -> int:
    """The size in bytes of a regular, non-empty file that may be read; else a `FileError`."""
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise FileError(path, "is a directory; give one file")
        if not stat.S_ISREG(info.st_mode):
            raise FileError(path, "is not a regular file (a pipe or a device); save to a file")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise FileError(path, "no such file") from None
    except OSError as error:
        raise FileError(path, f"cannot be opened: {error.strerror or error}") from None
    if info.st_size == 0:
        raise FileError(path, "is empty (0 bytes)")
    return info.st_size


def choose_key(path: Path, keys: Sequence[str], key: str | None, defaults: Sequence[str]) -> str:
    """The array asked for; without a key the only one there is, or the first of `defaults`."""
    listed = ", ".join(shown(k) for k in keys[:20]) + (", …" if len(keys) > 20 else "")
    if key is not None:
        if key not in keys:
            raise FileError(path, f"has no {quoted(key)}; it has: {listed or 'nothing'}")
        return key
    if len(keys) == 1:
        return keys[0]
    for name in defaults:
        if name in keys:
            return name
    if not keys:
        raise FileError(path, f"holds nothing that could be the {defaults[0]}")
    raise FileError(path, f"holds several arrays: {listed}; name one by key")


class Source(ABC):
    """The rows (slices along the first axis) of one array in a file, front to back.

    `shape[0]` is None where it is unknown before the file has been read. `progress` counts what
    the running `blocks` has read: (done, total), in rows or bytes.
    """

    path: Path
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    names: list[str] | None = None
    progress: tuple[int, int] = (0, 0)

    @abstractmethod
    def blocks(self, rows: int) -> Iterator[Array]:
        """All rows in order, at most `rows` of them at a time."""

    def row(self, index: int) -> Array | None:
        """One row, or None if there are not so many."""
        start = 0
        for block in self.blocks(max(1, 65536 // max(1, self.shape[-1] or 1))):
            if index < start + len(block):
                return np.array(block[index - start])
            start += len(block)
        return None

    def whole(self) -> Array:
        """All rows in one array."""
        parts = list(self.blocks(1 << 20))
        if not parts:
            return np.empty(tuple(n or 0 for n in self.shape), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @abstractmethod
    def close(self) -> None:
        """Release the file."""


class Sliceable(Protocol):
    """What `ArraySource` needs of an array: rows by slice."""

    def __getitem__(self, rows: slice, /) -> Array: ...


class ArraySource(Source):
    """Rows of an array that can be sliced: in memory, memory-mapped, or read at each slice."""

    def __init__(
        self, path: Path, array: Sliceable, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._array: Sliceable | None = array
        self._rows = shape[0]

    def blocks(self, rows: int) -> Iterator[Array]:
        for start in range(0, self._rows, rows):
            block = self._slice(start, start + rows)
            self.progress = (start + len(block), self._rows)
            yield block

    def row(self, index: int) -> Array | None:
        return np.array(self._slice(index, index + 1)[0]) if index < self._rows else None

    def whole(self) -> Array:
        return next(self.blocks(self._rows)) if self._rows else super().whole()

    def _slice(self, start: int, stop: int) -> Array:
        if self._array is None:
            raise FileError(self.path, "is already closed")
        return self._array[start : min(stop, self._rows)]

    def close(self) -> None:
        self._array = None
