"""The formats that scores are written in: .csv, .npy and .parquet, block by block."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..arrays import Array
from ..scores import Scores, empty_scores
from .atomic import writing

#: Name and type of every column. `row` counts from 0; loss, entropy and logsumexp are in nats.
COLUMNS = {"row": np.dtype(np.int64), "label": np.dtype(np.int64)} | {
    name: column.dtype
    for name, column in empty_scores((0,), np.dtype(np.float64))._asdict().items()
}

_PARQUET_GROUP = 1 << 16  # rows: smaller groups make a large and slow file


class ScoresFile(ABC):
    """A file of scores that is being written. Opened by `softmaxloss.files.open_scores`.

    Args:
        path: the file, for messages.
        file: where the bytes go.
        rows: the number of rows that will be appended.
    """

    def __init__(self, path: Path, file: BinaryIO, rows: int) -> None:
        self.path, self.rows, self.written = path, rows, 0
        self._file = file
        self._begin()

    def append(self, start: int, labels: Array, scores: Scores) -> None:
        """Write the scores of the rows from `start` on; rows come in order, without a gap.

        Raises:
            FileError: the disk is full, or the system reports another error.
            ValueError: `start` does not follow the rows written so far.
        """
        if start != self.written:
            raise ValueError(f"rows must come in order: expected row {self.written}, got {start}")
        self.written += len(labels)
        columns = {"row": np.arange(start, self.written), "label": labels, **scores._asdict()}
        with writing(self.path):
            self._write(columns)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _write(self, columns: dict[str, Array]) -> None: ...

    def close(self) -> None:
        """Write what the format adds after the last row; may be called twice."""
        return


class CsvScores(ScoresFile):
    """Text: the shortest digits that give the same float of the scores' width again."""

    def _begin(self) -> None:
        self._file.write((",".join(COLUMNS) + "\n").encode())

    def _write(self, columns: dict[str, Array]) -> None:
        text = [columns[name].astype(str).tolist() for name in COLUMNS]
        self._file.write("".join(",".join(row) + "\n" for row in zip(*text, strict=True)).encode())


class NpyScores(ScoresFile):
    """A structured array: `numpy.load(path)["loss"]`."""

    _dtype = np.dtype(list(COLUMNS.items()))

    def _begin(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _write(self, columns: dict[str, Array]) -> None:
        block = np.rec.fromarrays([columns[name] for name in COLUMNS], dtype=self._dtype)
        self._file.write(block.data)


class ParquetScores(ScoresFile):
    """A table of pyarrow, in groups of at least 65536 rows."""

    def _begin(self) -> None:
        import pyarrow.parquet

        self._arrow = pyarrow
        schema = pyarrow.schema(
            [(name, pyarrow.from_numpy_dtype(dtype)) for name, dtype in COLUMNS.items()]
        )
        self._writer = pyarrow.parquet.ParquetWriter(self._file, schema)
        self._waiting: list[Any] = []

    def _write(self, columns: dict[str, Array]) -> None:
        arrays = [columns[name].astype(dtype) for name, dtype in COLUMNS.items()]
        self._waiting.append(self._arrow.table(arrays, schema=self._writer.schema))
        if sum(table.num_rows for table in self._waiting) >= _PARQUET_GROUP:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._writer.write_table(self._arrow.concat_tables(waiting))

    def close(self) -> None:
        self._flush()
        self._writer.close()
