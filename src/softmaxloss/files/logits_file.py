"""A file of logits, which is read in blocks of rows."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..probabilities import log_of_probabilities, look_like_probabilities
from .errors import BadFileError, FileError
from .formats import readable
from .linear import STATES, Linear, LinearSource
from .source import ArraySource, Ask, Source


class LogitsFile(contextlib.AbstractContextManager["LogitsFile"]):
    """Logits in a file, one row per example; a context manager. Opened by `open_logits`.

    Attributes:
        path: the file.
        shape: (rows, classes); rows is None for text, which has to be read to know. One example,
            an array of shape (C,), is (1, C).
        class_names: the column names of a table, or None. They may hold anything: escape them
            before they reach a terminal or a page.
        left_out: the names of the columns of a table that are not taken for logits.
        from_probabilities: whether the file holds probabilities, of which the logarithms are given.
        look_like_probabilities: whether all rows that were read so far are probabilities that are
            taken for logits: no number is negative, and each row sums to 1.
        progress: (done, total) of the running `blocks`: rows, or bytes where rows are not known.
    """

    def __init__(self, path: Path, source: Source, *, from_probabilities: bool = False) -> None:
        self.path = path
        self.class_names, self.left_out = source.names, source.left_out
        self.from_probabilities = from_probabilities
        *rows, classes = source.shape
        if len(rows) > 1 or classes is None:
            raise BadFileError(
                f"has shape {source.shape}; logits are (examples, classes), or (classes,) for one "
                "example"
            )
        if classes == 0:
            raise BadFileError(f"has shape {source.shape}: no classes")
        kind, name = source.dtype.kind, source.dtype.name
        if kind not in "fiu" and name != "bfloat16":
            raise BadFileError(f"holds {name}; logits are floats or integers")
        self._source: Source | None = source if rows else ArraySource(source.whole()[np.newaxis])
        self.shape: tuple[int | None, int] = (rows[0] if rows else 1, classes)
        self.progress = (0, 0)
        self._seen: bool | None = None

    @classmethod
    def in_memory(cls, logits: npt.NDArray[Any]) -> Self:
        """An array of shape (N, C) in the place of a file."""
        return cls(Path("memory"), ArraySource(logits))

    @property
    def look_like_probabilities(self) -> bool:
        return self._seen is True

    def blocks(self, *, max_elements: int = 1 << 22) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """All logits in order: (number of the first row, array (rows, classes)).

        Args:
            max_elements: a block holds at most so many numbers, but at least one row.

        Raises:
            FileError: the file turns out to be damaged while it is read.
        """
        rows, classes = self.shape
        start = 0
        with self._reading() as source:
            for block in source.blocks(max(1, max_elements // classes)):
                end = start + len(block)
                self.progress = source.bytes_read or (end, rows or end)
                yield start, self._as_logits(block, start)
                start = end

    def row(self, index: int) -> npt.NDArray[Any]:
        """The logits of one example, shape (classes,).

        Raises:
            FileError: the file has no such row; rows are counted from 0.
        """
        with self._reading() as source:
            row = source.row(index) if index >= 0 else None
            if row is not None:
                return np.asarray(self._as_logits(row[np.newaxis], index)[0])
        rows = self.shape[0]
        known = f"rows 0 to {rows - 1}" if rows else "fewer rows" if rows is None else "no rows"
        raise FileError(self.path, f"has no row {index}: it has {known}")

    def close(self) -> None:
        """Release the file."""
        self._source = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def _as_logits(self, block: npt.NDArray[Any], start: int) -> npt.NDArray[Any]:
        if not self.from_probabilities:
            if self._seen is not False and len(block):
                self._seen = look_like_probabilities(block)
            return block
        try:
            return log_of_probabilities(block, start)
        except ValueError as error:
            raise BadFileError(str(error)) from None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Source]:
        try:
            if self._source is None:
                raise BadFileError("is already closed")
            yield self._source
        except BadFileError as error:
            raise FileError(self.path, str(error)) from None


def open_logits(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    apart: Sequence[str] = (),
    from_probabilities: bool = False,
    linear: Linear | None = None,
) -> LogitsFile:
    """Open a file of logits, shape (examples, classes), or (classes,) for one example.

    `FORMATS` lists the formats. float16 is passed on as it is; bfloat16 as float32.

    A table is a text file with a line of column names, or a .parquet file. Its logits are all
    columns but those that are named as labels (label, labels, target, y, …) or as an index (id,
    index, or no name); or, if there are any, those whose names begin with "logit".

    Args:
        path: the file; its suffix gives the format, and that of a compression of text. "-" is
            standard input.
        key: the name of the array, of the column of lists, or of the field in JSON. Without it the
            only one is taken, or the one named "logits" or "predictions". For the columns of a
            table: their names with commas between, or a pattern such as "logit_*".
        apart: names of columns of a table that are no logits.
        from_probabilities: whether the file holds probabilities: the logits are their logarithms.
        linear: the last layer, from `read_linear`: the file then holds hidden states x, shape
            (examples, features), and the logits are W·x + b.

    Raises:
        FileError: missing, unreadable, damaged, or not logits.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "logits.csv"
    >>> _ = path.write_text("cat,dog\\n2.0,1.0\\n0.5,NaN\\n")
    >>> with open_logits(path) as logits:
    ...     print(logits.shape, logits.class_names, logits.row(0))
    (None, 2) ['cat', 'dog'] [2. 1.]
    """
    file = readable(path)
    with file.faults():
        names = ("logits", "predictions") if linear is None else STATES
        source = file.format.logits(file.path, Ask(key, names, tuple(apart)))
        if linear is not None:
            source = LinearSource(source, linear)
        return LogitsFile(file.name, source, from_probabilities=from_probabilities)
