"""Parquet files, streamed by batches of rows; needs pyarrow, imported when one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .source import (
    Array,
    FileError,
    Source,
    check_file,
    choose_key,
    import_extra,
    one_line,
    quoted,
    shown,
)

__all__ = ["open_parquet", "parquet_labels"]

_LABEL_ROWS = 1 << 20


def open_parquet(path: Path, key: str | None) -> Source:
    """Logits in a .parquet file.

    Either one column of lists, one list for each example (other columns may stand beside it), or
    nothing but numeric columns, one for each class.
    """
    file = _parquet_file(path)
    try:
        fields = list(file.schema_arrow)
        lists = [field.name for field in fields if hasattr(field.type, "value_type")]
        if lists or key is not None:
            return _ListColumn(path, file, choose_key(path, lists, key, ("logits",)))
        for field in fields:
            if _number_dtype(field.type) is None:
                raise FileError(
                    path,
                    f"column {quoted(field.name)} is {shown(str(field.type))}, "
                    "not float or integer",
                )
            if field.name.lower() in ("label", "labels", "__index_level_0__"):
                raise FileError(
                    path, f"column {field.name!r} stands among the classes; write the logits alone"
                )
        if not fields:
            raise FileError(path, "has no columns")
        return _ClassColumns(path, file)
    except BaseException:
        file.close()
        raise


def parquet_labels(path: Path, key: str | None) -> Array:
    """The one column of a .parquet file, or the one named `key`, as whole numbers."""
    file = _parquet_file(path)
    try:
        types = {field.name: field.type for field in file.schema_arrow}
        name = choose_key(path, list(types), key, ("labels", "label"))
        dtype = _number_dtype(types[name])
        if dtype is None or dtype.kind == "f":
            raise FileError(
                path,
                f"column {quoted(name)} is {shown(str(types[name]))}; "
                "labels are integers, 0 for the first class",
            )
        parts = [np.empty(0, dtype)]
        start = 0
        for batch in _batches(path, file, _LABEL_ROWS, [name]):
            parts.append(_numbers(path, batch.column(0), f"column {quoted(name)}", start))
            start += batch.num_rows
        return np.concatenate(parts)
    finally:
        file.close()


class _ParquetSource(Source):
    _columns: list[str] | None = None

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self._rows: int = file.metadata.num_rows

    def blocks(self, rows: int) -> Iterator[Array]:
        start = 0
        for batch in _batches(self.path, self._file, rows, self._columns):
            block = self._block(batch, start)
            start += len(block)
            self.progress = (start, self._rows)
            yield block

    def _block(self, batch: Any, start: int) -> Array:
        raise NotImplementedError

    def close(self) -> None:
        self._file.close()


class _ClassColumns(_ParquetSource):
    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path, file)
        fields = list(file.schema_arrow)
        self.names = [field.name for field in fields]
        self.dtype = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
        self.shape = (self._rows, len(fields))

    def _block(self, batch: Any, start: int) -> Array:
        block = np.empty((batch.num_rows, batch.num_columns), self.dtype)
        for j, column in enumerate(batch.columns):
            where = f"column {quoted(batch.schema.names[j])}"
            block[:, j] = _numbers(self.path, column, where, start)
        return block


class _ListColumn(_ParquetSource):
    def __init__(self, path: Path, file: Any, name: str) -> None:
        super().__init__(path, file)
        self._columns = [name]
        self._where = f"column {quoted(name)}"
        self._width: int | None = None
        dtype = _number_dtype(file.schema_arrow.field(name).type.value_type)
        if dtype is None:
            raise FileError(path, f"{self._where} holds no lists of floats or integers")
        first = next(self.blocks(1), None)
        if first is None:
            raise FileError(path, "holds no rows")
        self.dtype, self._width = dtype, first.shape[1]
        self.shape = (self._rows, self._width)

    def _block(self, batch: Any, start: int) -> Array:
        import pyarrow.compute

        column = batch.column(0)
        _no_nulls(self.path, column, self._where, start)
        lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
        width = int(lengths[0]) if self._width is None else self._width
        if (lengths != width).any():
            row = int(np.flatnonzero(lengths != width)[0])
            raise FileError(
                self.path, f"row {start + row} has {lengths[row]} numbers, row 0 has {width}"
            )
        values = column.flatten()
        if values.null_count:
            first = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise FileError(
                self.path, f"{self._where}, row {start + first // width} holds a missing value"
            )
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, width)


def _parquet_file(path: Path) -> Any:
    check_file(path)
    pq = import_extra(path, "pyarrow.parquet", "pyarrow")
    import pyarrow

    try:
        return pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise FileError(path, f"is no .parquet file or is cut short: {one_line(error)}") from None


def _batches(path: Path, file: Any, rows: int, columns: list[str] | None) -> Iterator[Any]:
    import pyarrow

    try:
        for batch in file.iter_batches(rows, columns=columns):
            if batch.num_rows:
                yield batch
    except (pyarrow.ArrowException, OSError) as error:
        raise FileError(path, f"cannot be decoded: {one_line(error)}") from None


def _number_dtype(arrow_type: Any) -> np.dtype[Any] | None:
    from pyarrow import types

    if types.is_integer(arrow_type) or types.is_floating(arrow_type):
        dtype: np.dtype[Any] = np.dtype(arrow_type.to_pandas_dtype())
        return dtype
    return None


def _numbers(path: Path, column: Any, where: str, start: int) -> Array:
    _no_nulls(path, column, where, start)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _no_nulls(path: Path, column: Any, where: str, start: int) -> None:
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise FileError(path, f"{where}, row {start + row}: the value is missing")
