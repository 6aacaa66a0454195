"""Parquet and Arrow files, streamed by batches of rows; pyarrow is imported when one is opened.

An Arrow file (.arrow: Arrow's own format, as a file or as a stream) does not say how many rows it
has without being read.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..arrays import Array
from ..text import first_line, shown
from .columns import NAME_THEM, Columns, label_columns
from .errors import BadFileError
from .source import ArraySource, Ask, Source

_MAGIC = b"ARROW1"


def open_parquet(path: Path, ask: Ask) -> Source:
    """Logits: one column of lists (among others), or columns of numbers, one for each class."""
    fields, rows = _schema(path)
    names = [field.name for field in fields]
    lists = {field.name: field for field in fields if hasattr(field.type, "value_type")}
    lists = {name: field for name, field in lists.items() if not _is_dictionary(field.type)}
    if not fields:
        raise BadFileError("has no columns")
    if ask.key in lists or (lists and ask.key is None):
        name = ask.choose([name for name in lists if name not in ask.apart])
        return _ListColumn(path, rows, lists[name])
    columns = Columns(names, ask.key, ask.apart)
    source = _Columns(path, rows, [fields[j] for j in columns.positions], f"; {NAME_THEM}")
    source.names, source.left_out = columns.class_names, columns.left_out
    return source


def open_parquet_labels(path: Path, ask: Ask) -> Source:
    """Labels: one column of class numbers, of names or of lists; or a column for each class."""
    fields, rows = _schema(path)
    chosen = [fields[j] for j in label_columns([field.name for field in fields], ask)]
    if len(chosen) > 1:
        source = _Columns(path, rows, chosen)
        source.names = [field.name for field in chosen]
        return source
    (field,) = chosen
    kind = field.type
    if hasattr(kind, "value_type") and not _is_dictionary(kind):
        return _ListColumn(path, rows, field)
    if _is_text(kind.value_type if _is_dictionary(kind) else kind):
        return ArraySource(_named(path, field.name, ask))
    return _Columns(path, rows, [field])


def _named(path: Path, name: str, ask: Ask) -> Array:
    """The class numbers of a column of names."""
    labels = array("q")
    with _batches(path, 1 << 16, [name]) as (_, batches):
        for batch in batches:
            _refuse_nulls(batch.column(0), name, len(labels))
            for text in batch.column(0).to_pylist():
                try:
                    labels.append(ask.classes.of(text))
                except BadFileError as error:
                    raise BadFileError(f"{_column(name)}, row {len(labels)}: {error}") from None
    return np.frombuffer(labels, np.int64) if labels else np.empty(0, np.int64)


class _Columns(Source):
    """Columns of numbers."""

    def __init__(self, path: Path, rows: int | None, fields: Sequence[Any], hint: str = "") -> None:
        self._path = path
        self._columns = [field.name for field in fields]
        dtypes = []
        for field in fields:
            dtype = _number_dtype(field.type)
            if dtype is None:
                kind = f"{_column(field.name)} is {first_line(field.type, 40)}"
                raise BadFileError(f"{kind}, not float or integer{hint}")
            dtypes.append(dtype)
        self.dtype = np.result_type(*dtypes)
        self.shape = (rows, len(fields))

    def blocks(self, rows: int) -> Iterator[Array]:
        start = 0
        with _batches(self._path, rows, self._columns) as (file, batches):
            for batch in batches:
                if self.shape[0] is None:
                    self.bytes_read = file.progress
                if batch.num_rows:
                    yield self._block(batch, start)
                    start += batch.num_rows

    def _block(self, batch: Any, start: int) -> Array:
        block = np.empty((batch.num_rows, batch.num_columns), self.dtype)
        for j, column in enumerate(batch.columns):
            _refuse_nulls(column, self._columns[j], start)
            block[:, j] = column.to_numpy(zero_copy_only=False)
        return block


class _ListColumn(_Columns):
    """One column of lists, all of the length of the first."""

    def __init__(self, path: Path, rows: int | None, field: Any) -> None:
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


def _schema(path: Path) -> tuple[list[Any], int | None]:
    """The columns and the number of rows, where the file says it."""
    with _opened(path) as file:
        rows = None if isinstance(file, _ArrowFile) else file.metadata.num_rows
        return list(file.schema_arrow), rows


@contextmanager
def _batches(path: Path, rows: int, columns: list[str]) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The file, and the rows of some columns, at most `rows` at a time."""
    import pyarrow

    try:
        with _opened(path) as file:
            yield file, file.iter_batches(rows, columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise BadFileError(f"cannot be decoded: {first_line(error)}") from None


class _ArrowFile:
    """Arrow's own format, read as pyarrow reads Parquet; a context manager.

    progress  the bytes read so far and all bytes
    """

    def __init__(self, path: Path) -> None:
        import pyarrow

        self._size = path.stat().st_size
        self.progress = (0, self._size)
        self._file = pyarrow.OSFile(str(path))
        start = self._file.read(len(_MAGIC))
        self._file.seek(0)
        # In a file the batches of a stream lie between a magic word and a table of contents, which
        # a stream has not.
        self._stream = start != _MAGIC
        open_it = pyarrow.ipc.open_stream if self._stream else pyarrow.ipc.open_file
        self._reader = open_it(self._file)
        self.schema_arrow = self._reader.schema

    def iter_batches(self, rows: int, columns: list[str]) -> Iterator[Any]:
        for batch in self._stored():
            chosen = batch.select(columns)
            chosen.validate(full=True)  # damaged offsets would read other memory
            for start in range(0, chosen.num_rows, rows):
                yield chosen.slice(start, rows)

    def _stored(self) -> Iterator[Any]:
        """The batches as they are stored; one is read ahead, which tells the last one."""
        if self._stream:
            batches = iter(self._reader)
        else:
            batches = map(self._reader.get_batch, range(self._reader.num_record_batches))
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            done = self._size if following is None else self._file.tell()
            self.progress = (done, self._size)
            yield batch
            batch = following

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _opened(path: Path) -> Any:
    import pyarrow.parquet

    arrow = path.suffix.lower() == ".arrow"
    try:
        return _ArrowFile(path) if arrow else pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        kind = ".arrow" if arrow else ".parquet"
        raise BadFileError(f"is no {kind} file or is cut short: {first_line(error)}") from None


def _number_dtype(arrow_type: Any) -> np.dtype[Any] | None:
    """The dtype of a column of floats or integers; None for any other."""
    from pyarrow import types

    if types.is_floating(arrow_type):
        return np.dtype(f"f{arrow_type.bit_width // 8}")
    if not types.is_integer(arrow_type):
        return None
    return np.dtype(str(arrow_type))  # "int8" to "uint64", as NumPy names them


def _is_dictionary(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(types.is_dictionary(arrow_type))


def _is_text(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type))


def _refuse_nulls(values: Any, name: str, start: int, width: int = 1) -> None:
    """Raise for a missing value; `width` values make a row, `start` is the first row."""
    if values.null_count:
        position = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        row = start + position // width
        raise BadFileError(f"{_column(name)}, row {row} holds a missing value")


def _column(name: str) -> str:
    return f"column {shown(name, 40)}"
