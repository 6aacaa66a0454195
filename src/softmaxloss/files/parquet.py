"""Parquet files, streamed by batches of rows; needs pyarrow, imported when a file is opened."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..text import first_line, shown
from .source import BadFileError, Source, choose_key, refuse_labels


def open_parquet(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """Logits: one column of lists (among others), or numeric columns only, one for each class."""
    fields, rows = _schema(path)
    lists = {field.name: field for field in fields if hasattr(field.type, "value_type")}
    if lists or key is not None:
        return _ListColumn(path, rows, lists[choose_key(list(lists), key, defaults)])
    for field in fields:
        if _number_dtype(field.type) is None:
            kind = first_line(field.type, 40)
            raise BadFileError(f"{_column(field.name)} is {kind}, not float or integer")
    if not fields:
        raise BadFileError("has no columns")
    refuse_labels([field.name for field in fields])
    return _Columns(path, rows, fields)


def open_parquet_labels(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """Labels: one column."""
    fields, rows = _schema(path)
    by_name = {field.name: field for field in fields}
    field = by_name[choose_key(list(by_name), key, defaults)]
    dtype = _number_dtype(field.type)
    if dtype is None or dtype.kind == "f":
        kind = f"{_column(field.name)} is {first_line(field.type, 40)}"
        raise BadFileError(f"{kind}; labels are integers, 0 for the first class")
    return _Columns(path, rows, [field])


class _Columns(Source):
    """Columns of numbers."""

    def __init__(self, path: Path, rows: int, fields: Sequence[Any]) -> None:
        self._path = path
        self._columns = [field.name for field in fields]
        self.names = self._columns
        self.dtype = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
        self.shape = (rows, len(fields))

    def blocks(self, rows: int) -> Iterator[Array]:
        import pyarrow

        start = 0
        try:
            with _parquet_file(self._path) as file:
                for batch in file.iter_batches(rows, columns=self._columns):
                    if batch.num_rows:
                        yield self._block(batch, start)
                        start += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise BadFileError(f"cannot be decoded: {first_line(error)}") from None

    def _block(self, batch: Any, start: int) -> Array:
        block = np.empty((batch.num_rows, batch.num_columns), self.dtype)
        for j, column in enumerate(batch.columns):
            _refuse_nulls(column, self._columns[j], start)
            block[:, j] = column.to_numpy(zero_copy_only=False)
        return block


class _ListColumn(_Columns):
    """One column of lists, all of the length of the first."""

    def __init__(self, path: Path, rows: int, field: Any) -> None:
        self._path, self._columns = path, [field.name]
        dtype = _number_dtype(field.type.value_type)
        if dtype is None:
            raise BadFileError(f"{_column(field.name)} holds no lists of floats or integers")
        self.dtype, self.shape = dtype, (rows, None)
        first = next(self.blocks(1), None)
        if first is None:
            raise BadFileError("holds no rows")
        self.shape = (rows, first.shape[1])

    def _block(self, batch: Any, start: int) -> Array:
        import pyarrow.compute

        (name,), column = self._columns, batch.column(0)
        _refuse_nulls(column, name, start)
        lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
        width = self.shape[1] or int(lengths[0])
        if (lengths != width).any():
            row = int(np.flatnonzero(lengths != width)[0])
            raise BadFileError(f"row {start + row} has {lengths[row]} numbers, row 0 has {width}")
        values = column.flatten()
        _refuse_nulls(values, name, start, width)
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(lengths), width)


def _schema(path: Path) -> tuple[list[Any], int]:
    """The columns and the number of rows."""
    with _parquet_file(path) as file:
        return list(file.schema_arrow), file.metadata.num_rows


def _parquet_file(path: Path) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise BadFileError(f"is no .parquet file or is cut short: {first_line(error)}") from None


def _number_dtype(arrow_type: Any) -> np.dtype[Any] | None:
    """The dtype of a column of floats or integers; None for any other."""
    from pyarrow import types

    number = types.is_integer(arrow_type) or types.is_floating(arrow_type)
    return np.dtype(arrow_type.to_pandas_dtype()) if number else None


def _refuse_nulls(values: Any, name: str, start: int, width: int = 1) -> None:
    """Raise for a missing value; `width` values make a row, `start` is the first row."""
    if values.null_count:
        position = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        row = start + position // width
        raise BadFileError(f"{_column(name)}, row {row} holds a missing value")


def _column(name: str) -> str:
    return f"column {shown(name, 40)}"
