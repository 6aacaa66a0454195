"""The formats that scores are written in: .csv, .npy and .parquet, block by block."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
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


class Texts:
    """The columns of text beside the scores: ids of the rows, names of classes.

    Args:
        ids: what the rows are called, N names or numbers, or None.
        classes: C names, or None.
        first_class: the number of the first class in the labels.

    >>> texts = Texts(["a.png", "b.png"], ["cat", "dog"])
    >>> texts.columns(0, np.array([1, -100]), np.array([0, -1]))
    {'id': ['a.png', 'b.png'], 'label_name': ['dog', ''], 'predicted_name': ['cat', '']}
    """

    def __init__(
        self,
        ids: Sequence[object] | Array | None = None,
        classes: Sequence[str] | None = None,
        first_class: int = 0,
    ) -> None:
        self._ids, self._first = ids, first_class
        # Text of another program may hold half of a surrogate pair, which UTF-8 does not have.
        self._names = None if classes is None else [*map(_encodable, classes)]
        self.names = [] if ids is None else ["id"]
        self.names += [] if classes is None else ["label_name", "predicted_name"]

    def columns(self, start: int, labels: Array, predicted: Array) -> dict[str, list[str]]:
        """The columns of the rows from `start` on; a label that is no class has no name."""
        found = {}
        if self._ids is not None:
            ids = self._ids[start : start + len(labels)]
            found["id"] = [_encodable(str(id)) for id in ids]
        if self._names is not None:
            known = range(self._first, self._first + len(self._names))
            for name, numbers in (("label_name", labels), ("predicted_name", predicted)):
                found[name] = [
                    self._names[n - self._first] if n in known else "" for n in numbers.tolist()
                ]
        return found


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class ScoresFile(ABC):
    """A file of scores that is being written. Opened by `softmaxloss.files.open_scores`.

    Args:
        path: the file, for messages.
        file: where the bytes go.
        rows: the number of rows that will be appended.
        texts: the columns of text; .npy has numbers only.
    """

    def __init__(self, path: Path, file: BinaryIO, rows: int, texts: Texts) -> None:
        self.path, self.rows, self.written = path, rows, 0
        self._file, self._texts = file, texts
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
        texts = self._texts.columns(start, labels, scores.predicted)
        with writing(self.path):
            self._write(columns, texts)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _write(self, columns: dict[str, Array], texts: dict[str, list[str]]) -> None: ...

    def close(self) -> None:
        """Write what the format adds after the last row; may be called twice."""
        return


class CsvScores(ScoresFile):
    """Text: the shortest digits that give the same float of the scores' width again."""

    def _begin(self) -> None:
        self._file.write((",".join([*COLUMNS, *self._texts.names]) + "\n").encode())

    def _write(self, columns: dict[str, Array], texts: dict[str, list[str]]) -> None:
        text = [columns[name].astype(str).tolist() for name in COLUMNS]
        text += [[_csv_cell(cell) for cell in column] for column in texts.values()]
        self._file.write("".join(",".join(row) + "\n" for row in zip(*text, strict=True)).encode())


def _csv_cell(text: str) -> str:
    """Text as a cell, in quotes where it needs them."""
    if any(c in text for c in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


class NpyScores(ScoresFile):
    """A structured array: `numpy.load(path)["loss"]`."""

    _dtype = np.dtype(list(COLUMNS.items()))

    def _begin(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _write(self, columns: dict[str, Array], texts: dict[str, list[str]]) -> None:
        block = np.rec.fromarrays([columns[name] for name in COLUMNS], dtype=self._dtype)
        self._file.write(block.data)


class ParquetScores(ScoresFile):
    """A table of pyarrow, in groups of at least 65536 rows."""

    def _begin(self) -> None:
        import pyarrow.parquet

        self._arrow = pyarrow
        kinds = {name: pyarrow.from_numpy_dtype(dtype) for name, dtype in COLUMNS.items()}
        kinds |= dict.fromkeys(self._texts.names, pyarrow.string())
        schema = pyarrow.schema([*kinds.items()])
        self._writer = pyarrow.parquet.ParquetWriter(self._file, schema)
        self._waiting: list[Any] = []

    def _write(self, columns: dict[str, Array], texts: dict[str, list[str]]) -> None:
        arrays: list[Any] = [columns[name].astype(dtype) for name, dtype in COLUMNS.items()]
        arrays += [self._arrow.array(column, self._arrow.string()) for column in texts.values()]
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
