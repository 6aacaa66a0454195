"""The rows of one array in a file, block by block, as every reader gives them; and `FileError`."""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..text import few, shorten, shown


class FileError(ValueError):
    """A file cannot be read or written: one line that names the file, what is wrong and what fits.

    >>> print(FileError("scores.txt", "unknown suffix; .csv fits"))
    scores.txt: unknown suffix; .csv fits
    """

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{shorten(os.fspath(path), 4096)}: {message}")


class BadFileError(ValueError):
    """What is wrong with a file; `softmaxloss.files` adds the name and raises `FileError`."""


def check_file(path: Path) -> None:
    """Raise unless `path` is a regular, non-empty file that may be read."""
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise BadFileError("is a directory; give one file")
        if not stat.S_ISREG(info.st_mode):
            raise BadFileError("is not a regular file (a pipe or a device); save to a file")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise BadFileError("no such file") from None
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from None
    if info.st_size == 0:
        raise BadFileError("is empty (0 bytes)")


def choose_key(keys: Sequence[str], key: str | None, defaults: Sequence[str]) -> str:
    """The array named by `key`; without a key the only array, or the first of `defaults` found."""
    if key is None and len(keys) == 1:
        return keys[0]
    for name in defaults if key is None else [key]:
        if name in keys:
            return name
    listed = few([shorten(name, 40) for name in keys[:21]], most=20)
    if key is not None:
        raise BadFileError(f"has no {shown(key, 40)}; it has: {listed or 'nothing'}")
    if not keys:
        raise BadFileError(f"holds nothing that could be the {defaults[0]}")
    raise BadFileError(f"holds several arrays: {listed}; name one by key")


def refuse_key(key: str | None) -> None:
    """Raise if a key is given for a file that holds one array without a name."""
    if key is not None:
        raise BadFileError(f"holds one array; the key {shown(key, 40)} has no meaning here")


def refuse_labels(names: Sequence[str]) -> None:
    """Raise if one of the columns of logits is named as labels, or as the index, of a table."""
    for name in names:
        if name.lower() in ("label", "labels", "__index_level_0__"):
            raise BadFileError(
                f"column {shown(name, 40)} stands among the classes; write the logits alone"
            )


class Source(ABC):
    """The rows (slices along the first axis) of one array in a file, front to back.

    Attributes:
        shape: the array's shape; `shape[0]` is None where the whole file must be read to know it.
        dtype: the array's dtype.
        names: the names of the columns, where the file has them.
        bytes_read: (done, total) of the running `blocks`, where the rows are not known.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    names: list[str] | None = None
    bytes_read: tuple[int, int] | None = None

    @abstractmethod
    def blocks(self, rows: int) -> Iterator[Array]:
        """All rows in order, at most `rows` of them at a time; opens the file anew."""

    def row(self, index: int) -> Array | None:
        """One row, or None if the array has fewer."""
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


class ArraySource(Source):
    """Rows of an array that can be sliced: in memory, memory-mapped, or, with the shape and dtype
    of what its slices make, read slice by slice."""

    shape: tuple[int, ...]

    def __init__(self, array: Any, shape: tuple[int, ...] = (), dtype: Any = None) -> None:
        self._array = array
        self.shape = shape or array.shape
        self.dtype = np.dtype(dtype or array.dtype)

    def blocks(self, rows: int) -> Iterator[Array]:
        for start in range(0, self.shape[0], rows):
            yield self._array[start : min(start + rows, self.shape[0])]

    def row(self, index: int) -> Array | None:
        return np.array(self._array[index : index + 1][0]) if index < self.shape[0] else None

    def whole(self) -> Array:
        return next(self.blocks(self.shape[0])) if self.shape[0] else super().whole()
