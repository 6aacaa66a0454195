"""The formats that scores are written in: .csv, .npy and .parquet, block by block."""

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from ..arrays import Array
from ..scores import Scores, empty_scores
from .atomic import writing

T = TypeVar("T")

#: Name and type of every column. `row` counts from 0; loss, entropy and logsumexp are in nats.
COLUMNS = {"row": np.dtype(np.int64), "label": np.dtype(np.int64)} | {
    name: column.dtype
    for name, column in empty_scores((0,), np.dtype(np.float64))._asdict().items()
}

_PARQUET_GROUP = 1 << 16  # rows: smaller groups make a large and slow file


class Beside:
    """The columns beside the scores: ids of the rows, names of classes, where a row comes from.

    Args:
        ids: what the rows are called, N names or numbers, or None.
        classes: C names, or None.
        first_class: the number of the first class in the labels.
        files: where the logits of several files are scored, the number of the first row and the
            name of each, in order.

    >>> beside = Beside(["a.png", "b.png"], ["cat", "dog"])
    >>> beside.columns(0, np.array([1, -100]), np.array([0, -1]))
    {'id': ['a.png', 'b.png'], 'label_name': ['dog', ''], 'predicted_name': ['cat', '']}
    >>> Beside(files=[(0, "a.npy"), (5, "b.npy")]).columns(4, np.array([1, 0]), np.array([0, 0]))
    {'file': ['a.npy', 'b.npy'], 'file_row': [4, 0]}
    """

    def __init__(
        self,
        ids: Sequence[object] | Array | None = None,
        classes: Sequence[str] | None = None,
        first_class: int = 0,
        files: Sequence[tuple[int, str]] | None = None,
    ) -> None:
        self._ids, self._first = ids, first_class
        # Text of another program may hold half of a surrogate pair, which UTF-8 does not have.
        self._names = None if classes is None else [*map(_encodable, classes)]
        self._files = None if files is None else [(row, _encodable(name)) for row, name in files]
        self.kinds: dict[str, type] = {} if ids is None else {"id": str}
        self.kinds |= {} if classes is None else {"label_name": str, "predicted_name": str}
        self.kinds |= {} if files is None else {"file": str, "file_row": int}

    def columns(self, start: int, labels: Array, predicted: Array) -> dict[str, list[Any]]:
        """The columns of the rows from `start` on; a label that is no class has no name."""
        found: dict[str, list[Any]] = {}
        if self._ids is not None:
            ids = self._ids[start : start + len(labels)]
            found["id"] = [_encodable(str(id)) for id in ids]
        if self._names is not None:
            known = range(self._first, self._first + len(self._names))
            for name, numbers in (("label_name", labels), ("predicted_name", predicted)):
                found[name] = [
                    self._names[n - self._first] if n in known else "" for n in numbers.tolist()
                ]
        if self._files is not None:
            first, names = np.array([row for row, _ in self._files]), [n for _, n in self._files]
            rows = np.arange(start, start + len(labels))
            places = np.searchsorted(first, rows, side="right") - 1
            found["file"] = [names[place] for place in places.tolist()]
            found["file_row"] = (rows - first[places]).tolist()
        return found


def file_of(files: Sequence[tuple[int, T]], row: int) -> tuple[T, int]:
    """The file of a row of several files, and the row in it. files: the number of the first row
    and the name, or anything else, of each in order.

    >>> file_of([(0, "a.npy"), (5, "b.npy")], 7)
    ('b.npy', 2)
    """
    first, name = files[bisect(files, row, key=lambda file: file[0]) - 1]
    return name, row - first


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class ScoresFile(ABC):
    """A file of scores that is being written. Opened by `softmaxloss.files.open_scores`.

    Args:
        path: the file, for messages.
        file: where the bytes go.
        rows: the number of rows that will be appended.
        beside: the columns beside the scores; .npy has none of them.
    """

    def __init__(self, path: Path, file: BinaryIO, rows: int, beside: Beside) -> None:
        self.path, self.rows, self.written = path, rows, 0
        self._file, self._beside = file, beside
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
        beside = self._beside.columns(start, labels, scores.predicted)
        with writing(self.path):
            self._write(columns, beside)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _write(self, columns: dict[str, Array], beside: dict[str, list[Any]]) -> None: ...

    def close(self) -> None:
        """Write what the format adds after the last row; may be called twice."""
        return


class CsvScores(ScoresFile):
    """Text: the shortest digits that give the same float of the scores' width again."""

    def _begin(self) -> None:
        self._file.write((",".join([*COLUMNS, *self._beside.kinds]) + "\n").encode())

    def _write(self, columns: dict[str, Array], beside: dict[str, list[Any]]) -> None:
        text = [columns[name].astype(str).tolist() for name in COLUMNS]
        text += [[_csv_cell(str(cell)) for cell in column] for column in beside.values()]
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

    def _write(self, columns: dict[str, Array], beside: dict[str, list[Any]]) -> None:
        block = np.rec.fromarrays([columns[name] for name in COLUMNS], dtype=self._dtype)
        self._file.write(block.data)


class ParquetScores(ScoresFile):
    """A table of pyarrow, in groups of at least 65536 rows."""

    def _begin(self) -> None:
        import pyarrow.parquet

        self._arrow = pyarrow
        kinds = {name: pyarrow.from_numpy_dtype(dtype) for name, dtype in COLUMNS.items()}
        known = {str: pyarrow.string(), int: pyarrow.int64()}
        kinds |= {name: known[kind] for name, kind in self._beside.kinds.items()}
        schema = pyarrow.schema([*kinds.items()])
        self._writer = pyarrow.parquet.ParquetWriter(self._file, schema)
        self._waiting: list[Any] = []

    def _write(self, columns: dict[str, Array], beside: dict[str, list[Any]]) -> None:
        arrays: list[Any] = [columns[name].astype(dtype) for name, dtype in COLUMNS.items()]
        schema = self._writer.schema
        arrays += [self._arrow.array(beside[name], schema.field(name).type) for name in beside]
        self._waiting.append(self._arrow.table(arrays, schema=schema))
        if sum(table.num_rows for table in self._waiting) >= _PARQUET_GROUP:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._writer.write_table(self._arrow.concat_tables(waiting))

    def close(self) -> None:
        self._flush()
        self._writer.close()
