"""Logits and labels from files: .npy, .npz, .csv, .json, .parquet, .safetensors.

Logits are read in blocks of rows, so that a file may be larger than memory (.json alone is read
whole). Nothing is unpickled. A file that cannot be right is one line, `FileError`, at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .npy import open_npy, open_npz
from .parquet import open_parquet, parquet_labels
from .source import FileError, Source, quoted
from .tensors import open_safetensors
from .text import CsvSource, csv_labels, json_labels, open_json

__all__ = ["FileError", "LogitsFile", "open_logits", "read_labels"]

SUFFIXES = (".npy", ".npz", ".csv", ".json", ".parquet", ".safetensors")


class LogitsFile:
    """Logits in a file, one row per example; a context manager. Opened by `open_logits`.

    Attributes:
        path: the file.
        shape: (rows, classes); rows is None for .csv, which has to be read to know. One example,
            an array of shape (C,), is (1, C).
        class_names: the first line of a .csv file, the column names of a .parquet file, or None.
            Text of unknown origin: escape it before it reaches a terminal or a page.
    """

    path: Path
    shape: tuple[int | None, int]
    class_names: list[str] | None

    def __init__(self, source: Source) -> None:
        self._source = source
        self.path = source.path
        self.class_names = source.names
        *rows, classes = source.shape
        if len(rows) > 1 or classes is None:
            raise FileError(
                source.path,
                f"has shape {source.shape}; logits are (examples, classes), or (classes,) for one",
            )
        if classes == 0:
            raise FileError(source.path, f"has shape {source.shape}: no classes")
        kind, name = source.dtype.kind, source.dtype.name
        if kind not in "fiu" and name != "bfloat16":
            raise FileError(source.path, f"holds {name}; logits are floats or integers")
        self._one_row = not rows
        self.shape = (rows[0] if rows else 1, classes)

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) of the running `blocks`: rows, or bytes where rows are not known."""
        return self._source.progress

    def blocks(self, *, max_elements: int = 1 << 22) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """All logits in order: (number of the first row, array (rows, classes)).

        A block holds at most `max_elements` numbers, but at least one row. May be called again.

        Raises:
            FileError: the file turns out to be damaged on the way.
        """
        if self._one_row:
            yield 0, self._source.whole()[np.newaxis]
            return
        start = 0
        for block in self._source.blocks(max(1, max_elements // self.shape[1])):
            yield start, block
            start += len(block)

    def row(self, index: int) -> npt.NDArray[Any]:
        """The logits of one example, shape (classes,).

        Raises:
            FileError: there is no such row; rows are counted from 0.
        """
        row = None
        if index >= 0:
            if not self._one_row:
                row = self._source.row(index)
            elif index == 0:
                row = next(self.blocks())[1][0]
        if row is None:
            rows = self.shape[0]
            known = f"rows 0 to {rows - 1}" if rows else "fewer rows" if rows is None else "no rows"
            raise FileError(self.path, f"has no row {index}: it has {known}")
        return row

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_logits(path: str | os.PathLike[str], *, key: str | None = None) -> LogitsFile:
    """Open a file of logits, shape (examples, classes), or (classes,) for one example.

    ============= ======================================= ==========================
    suffix        what it holds                           how it is read
    ============= ======================================= ==========================
    .npy          an array                                memory-mapped
    .npz          an array named by `key`                 inflated block by block
    .csv          numbers, with or without class names    line by line
                  on the first line
    .json         a list of lists, or an object with      whole
                  one under `key`
    .parquet      numeric columns only, or one column     by batches of rows
                  of lists, named by `key`
    .safetensors  a tensor named by `key`                 by slices
    ============= ======================================= ==========================

    Without `key` the only array is taken, or the one named "logits". float16 and bfloat16 are
    passed on as they are.

    Raises:
        FileError: missing, unreadable, damaged, or not logits; what is wrong and what fits.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "logits.csv"
    >>> _ = path.write_text("cat,dog\\n2.0,1.0\\n0.5,NaN\\n")
    >>> with open_logits(path) as logits:
    ...     print(logits.shape, logits.class_names, logits.row(0))
    (None, 2) ['cat', 'dog'] [2. 1.]
    """
    path = Path(path)
    match _suffix(path):
        case ".npy":
            source = open_npy(_without_key(path, key))
        case ".npz":
            source = open_npz(path, key, ("logits",))
        case ".csv":
            source = CsvSource(_without_key(path, key))
        case ".json":
            source = open_json(path, key)
        case ".parquet":
            source = open_parquet(path, key)
        case _:
            source = open_safetensors(path, key, ("logits",))
    try:
        return LogitsFile(source)
    except BaseException:
        source.close()
        raise


def read_labels(path: str | os.PathLike[str], *, key: str | None = None) -> npt.NDArray[Any]:
    """The labels in a file: one whole number per example, shape (examples,), any integer dtype.

    The formats of `open_logits`; a .csv file is one column, or the one headed `key`. Without `key`
    the only array or column is taken, or the one named "labels" or "label". A .npy file is
    memory-mapped and read-only.

    Raises:
        FileError: missing, unreadable, damaged, or not labels; what is wrong and what fits.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("label\\n2\\n0\\n")
    >>> read_labels(path)
    array([2, 0])
    """
    path = Path(path)
    match _suffix(path):
        case ".npy":
            return _labels(open_npy(_without_key(path, key)))
        case ".npz":
            return _labels(open_npz(path, key, ("labels", "label")))
        case ".csv":
            return csv_labels(path, key)
        case ".json":
            return json_labels(path, key)
        case ".parquet":
            return parquet_labels(path, key)
        case _:
            return _labels(open_safetensors(path, key, ("labels", "label")))


def _labels(source: Source) -> npt.NDArray[Any]:
    try:
        if source.shape[1:] not in ((), (1,)):
            raise FileError(
                source.path,
                f"has shape {source.shape}; labels are one number per example: for one row of "
                "scores or 0/1 per example pass its argmax(axis=1)",
            )
        if source.dtype.kind not in "iu":
            raise FileError(
                source.path, f"holds {source.dtype}; labels are integers, 0 for the first class"
            )
        return source.whole().reshape(-1)
    finally:
        source.close()


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise FileError(path, f"unknown suffix {quoted(suffix)}; {', '.join(SUFFIXES)} fit")
    return suffix


def _without_key(path: Path, key: str | None) -> Path:
    if key is not None:
        raise FileError(path, f"holds one array; the key {quoted(key)} has no meaning here")
    return path
