"""Parquet files, streamed by batches of rows; needs pyarrow, imported when a file is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..text import first_line, shown
from .source import Array, BadFileError, Source, choose_key


def open_parquet(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """Logits: one column of lists (among others), or numeric columns only, one for each class."""
    file = _parquet_file(path)
    try:
        fields = list(file.schema_arrow)
        lists = [field.name for field in fields if hasattr(field.type, "value_type")]
        if lists or key is not None:
            return _ListColumn(file, choose_key(lists, key, defaults))
        for field in fields:
            if _number_dtype(field.type) is None:
                kind = first_line(field.type, 40)
                raise BadFileError(f"{_column(field.name)} is {kind}, not float or integer")
            if field.name.lower() in ("label", "labels", "__index_level_0__"):
                raise BadFileError(
                    f"{_column(field.name)} stands among the classes; write the logits alone"
                )
        if not fields:
            raise BadFileError("has no columns")
        return _Columns(file)
    except BaseException:
        file.close()
        raise


def open_parquet_labels(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """Labels: one column."""
    file = _parquet_file(path)
    try:
        fields = {field.name: field for field in file.schema_arrow}
        name = choose_key(list(fields), key, defaults)
        dtype = _number_dtype(fields[name].type)
        if dtype is None or dtype.kind == "f":
            kind = f"{_column(name)} is {first_line(fields[name].type, 40)}"
            raise BadFileError(f"{kind}; labels are integers, 0 for the first class")
        return _Columns(file, fields[name])
    except BaseException:
        file.close()
        raise


class _ParquetSource(Source):
    def __init__(self, file: Any, columns: list[str] | None) -> None:
        self._file, self._columns = file, columns  # None: all
        self._rows: int = file.metadata.num_rows

    def blocks(self, rows: int) -> Iterator[Array]:
        import pyarrow

        start = 0
        try:
            for batch in self._file.iter_batches(rows, columns=self._columns):
                if batch.num_rows:
                    block = self._block(batch, start)
                    start += len(block)
                    self.progress = (start, self._rows)
                    yield block
        except (pyarrow.ArrowException, OSError) as error:
            raise BadFileError(f"cannot be decoded: {first_line(error)}") from None

    def _block(self, batch: Any, start: int) -> Array:
        raise NotImplementedError

    def close(self) -> None:
        self._file.close()


class _Columns(_ParquetSource):
    """Numeric columns: all, or only one."""

    def __init__(self, file: Any, only: Any = None) -> None:
        super().__init__(file, None if only is None else [only.name])
        fields = list(file.schema_arrow) if only is None else [only]
        self.names = [field.name for field in fields]
        self.dtype = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
        self.shape = (self._rows, len(fields))

    def _block(self, batch: Any, start: int) -> Array:
        block = np.empty((batch.num_rows, batch.num_columns), self.dtype)
        for j, column in enumerate(batch.columns):
            _refuse_nulls(column, batch.schema.names[j], start)
            block[:, j] = column.to_numpy(zero_copy_only=False)
        return block


class _ListColumn(_ParquetSource):
    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file, [name])
        self._name = name
        self._width: int | None = None
        dtype = _number_dtype(file.schema_arrow.field(name).type.value_type)
        if dtype is None:
            raise BadFileError(f"{_column(name)} holds no lists of floats or integers")
        first = next(self.blocks(1), None)
        if first is None:
            raise BadFileError("holds no rows")
        self.dtype, self._width = dtype, first.shape[1]
        self.shape = (self._rows, self._width)

    def _block(self, batch: Any, start: int) -> Array:
        import pyarrow.compute

        column = batch.column(0)
        _refuse_nulls(column, self._name, start)
        lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
        width = int(lengths[0]) if self._width is None else self._width
        if (lengths != width).any():
            row = int(np.flatnonzero(lengths != width)[0])
            raise BadFileError(f"row {start + row} has {lengths[row]} numbers, row 0 has {width}")
        values = column.flatten()
        _refuse_nulls(values, self._name, start, width)
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, width)


def _parquet_file(path: Path) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise BadFileError(f"is no .parquet file or is cut short: {first_line(error)}") from None


def _number_dtype(arrow_type: Any) -> np.dtype[Any] | None:
    """The dtype of a column of floats or integers; None for any other."""
    from pyarrow import types

    if types.is_integer(arrow_type) or types.is_floating(arrow_type):
        dtype: np.dtype[Any] = np.dtype(arrow_type.to_pandas_dtype())
        return dtype
    return None


def _refuse_nulls(values: Any, name: str, start: int, width: int = 1) -> None:
    """Raise for a missing value; `width` values make a row, `start` is the first row."""
    if values.null_count:
        position = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        row = start + position // width
        raise BadFileError(f"{_column(name)}, row {row} holds a missing value")


def _column(name: str) -> str:
    return f"column {shown(name, 40)}"
