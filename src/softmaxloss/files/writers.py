"""Scores of every example to a file: .csv, .npy or .parquet, block by block.

The file appears under its name only when it is complete: it is written beside it under another
name and moved into place at the end, or removed on any error.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from ..scores import Scores
from . import FileError
from .atomic import places
from .source import import_extra, one_line, quoted, shown

__all__ = ["COLUMNS", "ScoresFile", "open_scores"]

#: Name and type of every column. `row` counts from 0; loss, entropy and logsumexp are in nats.
COLUMNS = {
    "row": np.int64,
    "label": np.int64,
    "loss": np.float64,
    "probability": np.float64,
    "predicted": np.int64,
    "rank": np.int64,
    "entropy": np.float64,
    "logsumexp": np.float64,
}

_PARQUET_GROUP = 1 << 16  # rows: smaller groups make a large and slow file


class ScoresFile(ABC):
    """A file of scores that is being written; a context manager. Opened by `open_scores`."""

    def __init__(self, path: Path, rows: int) -> None:
        self.path = path
        self._rows = rows
        self._written = 0
        self._target, self._part = places(path)
        try:
            self._file: BinaryIO = open(self._part, "xb")  # noqa: SIM115 (closed by __exit__)
        except FileNotFoundError:
            raise FileError(path, f"no such directory: {shown(str(path.parent), 4096)}") from None
        except OSError as error:
            raise self._failed(error) from None
        try:
            self._begin()
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise self._failed(error) from None
            raise

    def append(self, start: int, labels: npt.NDArray[Any], scores: Scores) -> None:
        """Write the scores of the rows from `start` on; rows come in order, without a gap.

        Raises:
            FileError: the disk is full, or what else the system says.
            ValueError: `start` does not follow the rows written so far.
        """
        if start != self._written:
            raise ValueError(f"rows must come in order: expected row {self._written}, got {start}")
        self._written += len(labels)
        columns = {"row": np.arange(start, self._written), "label": labels, **scores._asdict()}
        try:
            self._write(columns)
        except OSError as error:
            raise self._failed(error) from None

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _write(self, columns: dict[str, npt.NDArray[Any]]) -> None: ...

    def _end(self) -> None:
        """What a format adds after the last row."""
        return

    def _close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        if self._written != self._rows:
            raise FileError(self.path, f"not written: {self._written} rows of {self._rows} came")
        try:
            self._end()
            self._close()
            os.replace(self._part, self._target)
        except OSError as error:
            raise self._failed(error) from None

    def _discard(self) -> None:
        """Remove what is not finished; nothing to do after a success."""
        # A full disk fails here again: that error has been raised already.
        with contextlib.suppress(OSError):
            self._close()
        self._part.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> FileError:
        return FileError(self.path, f"cannot be written: {error.strerror or one_line(error)}")


class _CsvScores(ScoresFile):
    def _begin(self) -> None:
        self._file.write((",".join(COLUMNS) + "\n").encode())

    def _write(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        # astype(str) writes the shortest digits that give the same float of this width again.
        text = [columns[name].astype(str).tolist() for name in COLUMNS]
        self._file.write("".join(",".join(row) + "\n" for row in zip(*text, strict=True)).encode())


class _NpyScores(ScoresFile):
    """A structured array: `numpy.load(path)["loss"]`."""

    def _begin(self) -> None:
        self._dtype = np.dtype(list(COLUMNS.items()))
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows,),
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def _write(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        block = np.empty(len(columns["row"]), self._dtype)
        for name in COLUMNS:
            block[name] = columns[name]
        self._file.write(block.data)


class _ParquetScores(ScoresFile):
    _writer: Any = None

    def _begin(self) -> None:
        self._arrow = import_extra(self.path, "pyarrow", "pyarrow")
        parquet = import_extra(self.path, "pyarrow.parquet", "pyarrow")
        schema = self._arrow.schema(
            [(name, self._arrow.from_numpy_dtype(dtype)) for name, dtype in COLUMNS.items()]
        )
        self._writer = parquet.ParquetWriter(self._file, schema)
        self._waiting: list[Any] = []

    def _write(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        self._waiting.append(
            self._arrow.table(
                [columns[name].astype(dtype) for name, dtype in COLUMNS.items()],
                schema=self._writer.schema,
            )
        )
        if sum(table.num_rows for table in self._waiting) >= _PARQUET_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.concat_tables(self._waiting))
            self._waiting = []

    def _end(self) -> None:
        self._flush()

    def _close(self) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            super()._close()


_FORMATS: dict[str, type[_CsvScores | _NpyScores | _ParquetScores]] = {
    ".csv": _CsvScores,
    ".npy": _NpyScores,
    ".parquet": _ParquetScores,
}


def open_scores(path: str | os.PathLike[str], rows: int) -> ScoresFile:
    """Open a file for the scores of `rows` examples; the suffix says the format.

    Columns: row, label, loss, probability, predicted, rank, entropy, logsumexp, as `score` gives
    them; an ignored row has loss 0, probability NaN and rank 0. A .npy file is a structured array.
    The directory gets a hidden file at once, so that what cannot be written fails before any work.

    Raises:
        FileError: unknown suffix, missing or unwritable directory, pyarrow missing for .parquet.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from softmaxloss.api import score
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "scores.npy"
    >>> labels = np.array([0, 1])
    >>> with open_scores(path, rows=2) as scores:
    ...     scores.append(0, labels, score(np.zeros((2, 4)), labels))
    >>> np.load(path)["probability"]
    array([0.25, 0.25])
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise FileError(path, f"unknown suffix {quoted(suffix)}; {', '.join(_FORMATS)} fit")
    return _FORMATS[suffix](path, rows)
