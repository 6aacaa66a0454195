"""The rows of one array in a file, block by block, as every reader gives them."""

import contextlib
import math
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..arrays import BFLOAT16, Array, float32_of_bits
from ..text import few, shorten, shown
from .class_numbers import ClassNumbers
from .errors import BadFileError

_READ_AT_ONCE = 1 << 20  # bytes

#: What is wrong with a file whose name is an address.
ADDRESS = "is an address; files are read from folders: copy it to one, or mount it there"


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether a name is an address, of which `Path` keeps one slash.

    >>> is_address("s3://bucket/z.npy"), is_address(Path("s3://bucket/z.npy")), is_address("C:/z")
    (True, True, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)) is not None


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
        raise BadFileError(ADDRESS if is_address(path) else "no such file") from None
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from None
    if info.st_size == 0:
        raise BadFileError("is empty (0 bytes)")


class Ask(NamedTuple):
    """What is asked of a file.

    Attributes:
        key: the name of the array or column; None for the only one, or one named in `defaults`.
        defaults: the names that are taken without a key.
        apart: columns of a table that are no logits, beside those that are known by their names.
        classes: the classes, for labels that are names.
        beside: whether the labels stand in the file of the logits: then only a name tells them.
        option: the option of the command line that names the array.
    """

    key: str | None
    defaults: tuple[str, ...]
    apart: tuple[str, ...] = ()
    classes: ClassNumbers = ClassNumbers()
    beside: bool = False
    option: str = "--logits-key"

    def choose(self, names: Sequence[str]) -> str:
        """The array of the key; without a key the only one, or the first of the defaults."""
        if self.key is None and len(names) == 1 and not self.beside:
            return names[0]
        for name in self.defaults if self.key is None else [self.key]:
            if name in names:
                return name
        listed = few([shorten(name, 40) for name in names[:21]], most=20)
        if self.key is not None:
            raise BadFileError(f"has no {shown(self.key, 40)}; it has: {listed or 'nothing'}")
        what = self.defaults[0]
        if not names:
            raise BadFileError(f"holds nothing that could be the {what}")
        raise BadFileError(
            f"holds {'several arrays' if len(names) > 1 else 'one array'}: {listed}; name the "
            f"{what} by {self.option} (key= in Python)"
        )

    def refuse_names(self, lacks: str) -> None:
        """Raise where the file has no names, and one is needed: `lacks` says what is missing."""
        if self.key is not None:
            raise BadFileError(f"{lacks} to find {shown(self.key, 40)} in")
        if self.beside:
            raise BadFileError(f"{lacks} to find the labels in: give LABELS, a file of labels")


class Source(ABC):
    """The rows (slices along the first axis) of one array in a file, front to back.

    Attributes:
        shape: the array's shape; `shape[0]` is None where the whole file must be read to know it.
        dtype: the array's dtype.
        names: the names of the columns, where the file has them.
        left_out: the names of the other columns.
        bytes_read: (done, total) of the running `blocks`, where the rows are not known.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    names: list[str] | None = None
    left_out: Sequence[str] = ()
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
    """Rows of an array in memory."""

    shape: tuple[int, ...]

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def blocks(self, rows: int) -> Iterator[Array]:
        for start in range(0, self.shape[0], rows):
            yield self._array[start : start + rows]

    def row(self, index: int) -> Array | None:
        return np.array(self._array[index]) if index < self.shape[0] else None

    def whole(self) -> Array:
        return self._array


class RawSource(Source):
    """Rows of an array whose bytes lie in a file from an offset on, in C or Fortran order.

    They are read, not mapped: when a mapped file is cut short meanwhile, the process is killed.
    bfloat16, as its bits, becomes float32, which holds it exactly.
    """

    shape: tuple[int, ...]

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        fortran: bool = False,
    ) -> None:
        self._path, self._offset, self._stored, self.shape = path, offset, dtype, shape
        self._bfloat16 = dtype.names == BFLOAT16.names
        self.dtype = np.dtype(np.float32) if self._bfloat16 else dtype
        # Both orders store the same bytes where at most one axis is longer than 1.
        self._fortran = fortran and sum(n > 1 for n in shape) > 1

    def blocks(self, rows: int) -> Iterator[Array]:
        with self._opened() as file:
            for start in range(0, self.shape[0], rows):
                yield self._read(file, start, min(rows, self.shape[0] - start))

    def row(self, index: int) -> Array | None:
        if index >= self.shape[0]:
            return None
        with self._opened() as file:
            return np.array(self._read(file, index, 1)[0])

    def whole(self) -> Array:
        return next(self.blocks(self.shape[0])) if self.shape[0] else super().whole()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with open(self._path, "rb", buffering=0) as file:
                yield file
        except OSError as error:
            raise BadFileError(f"cannot be read: {error.strerror or error}") from None

    def _read(self, file: BinaryIO, start: int, rows: int) -> Array:
        """Rows from `start` on. In Fortran order every column is a stretch of its own."""
        total, *rest = self.shape
        if not self._fortran:
            block = np.empty((rows, *rest), self._stored)
            self._fill(file, start * math.prod(rest), block)
            return float32_of_bits(block) if self._bfloat16 else block
        columns = np.empty((math.prod(rest), rows), self._stored)
        for j, column in enumerate(columns):
            self._fill(file, j * total + start, column)
        return columns.T.reshape((rows, *rest), order="F")

    def _fill(self, file: BinaryIO, position: int, array: Array) -> None:
        """Read the numbers from `position` on, which is counted in numbers, into an array."""
        file.seek(self._offset + position * self._stored.itemsize)
        fill(file, array)


def fill(file: Any, array: Array) -> None:
    """Fill a contiguous array with the next bytes of a binary file, which must have them."""
    if not array.nbytes:
        return
    view = array.reshape(-1).view(np.uint8)
    done = 0
    while done < view.size:
        # One large read of a compressed file would hold all its bytes a second time.
        got = file.readinto(view[done : done + _READ_AT_ONCE])
        if not got:
            raise BadFileError("is cut short: it ended while it was read")
        done += got
