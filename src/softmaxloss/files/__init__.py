"""Logits and labels from files, and scores to files; `FORMATS` lists what is read and written.

Logits are read in blocks of rows, so a file may be larger than memory (.json alone is read whole).
Nothing is unpickled. A bad file raises `FileError` at once: one line that says what is wrong.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ..text import shown
from .atomic import atomic_write, writing
from .npy import open_npy, open_npz
from .parquet import open_parquet, open_parquet_labels
from .safetensors import open_safetensors
from .source import ArraySource, BadFileError, FileError, Source, check_file
from .text_files import CsvSource, open_csv_labels, open_json, open_json_labels
from .writers import CsvScores, NpyScores, ParquetScores, ScoresFile

__all__ = [
    "FORMATS",
    "WRITERS",
    "FileError",
    "LogitsFile",
    "listed",
    "open_logits",
    "open_scores",
    "read_labels",
]

T = TypeVar("T")
Opener = Callable[[Path, str | None, Sequence[str]], Source]


class Format(NamedTuple):
    """How the files of one suffix are read and written.

    Attributes:
        holds: what a file of logits holds.
        logits: opens the logits: (path, key, names that are taken without a key).
        labels: opens the labels, in the same way.
        scores: writes scores; None where only reading is supported.
        needs: the optional packages for it, as pip names them.
    """

    holds: str
    logits: Opener
    labels: Opener
    scores: type[ScoresFile] | None = None
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.holds} (needs {self.needs})" if self.needs else self.holds


#: Every suffix that is read; those with `scores` are written, too.
FORMATS = {
    ".npy": Format("an array", open_npy, open_npy, NpyScores),
    ".npz": Format("arrays by name", open_npz, open_npz),
    ".csv": Format("numbers, below class names or without", CsvSource, open_csv_labels, CsvScores),
    ".json": Format("a list of lists, or such lists by name", open_json, open_json_labels),
    ".parquet": Format(
        "numeric columns, or a column of lists",
        open_parquet,
        open_parquet_labels,
        ParquetScores,
        needs="pyarrow",
    ),
    ".safetensors": Format(
        "tensors by name", open_safetensors, open_safetensors, needs="safetensors ml_dtypes"
    ),
}
WRITERS = {suffix: known.scores for suffix, known in FORMATS.items() if known.scores is not None}


def listed(suffixes: Iterable[str]) -> str:
    """The suffixes as part of a sentence.

    >>> listed(FORMATS)
    '.npy, .npz, .csv, .json, .parquet or .safetensors'
    """
    *most, last = suffixes
    return f"{', '.join(most)} or {last}"


class LogitsFile(contextlib.AbstractContextManager["LogitsFile"]):
    """Logits in a file, one row per example; a context manager. Opened by `open_logits`.

    Attributes:
        path: the file.
        shape: (rows, classes); rows is None for .csv, which has to be read to know. One example,
            an array of shape (C,), is (1, C).
        class_names: the first line of a .csv file, the column names of a .parquet file, or None.
            They may hold anything: escape them before they reach a terminal or a page.
        progress: (done, total) of the running `blocks`: rows, or bytes where rows are not known.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self.class_names = source.names
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

    @classmethod
    def in_memory(cls, logits: npt.NDArray[Any]) -> Self:
        """An array of shape (N, C) in the place of a file."""
        return cls(Path("memory"), ArraySource(logits))

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
                yield start, block
                start = end

    def row(self, index: int) -> npt.NDArray[Any]:
        """The logits of one example, shape (classes,).

        Raises:
            FileError: the file has no such row; rows are counted from 0.
        """
        with self._reading() as source:
            row = source.row(index) if index >= 0 else None
        if row is None:
            rows = self.shape[0]
            known = f"rows 0 to {rows - 1}" if rows else "fewer rows" if rows is None else "no rows"
            raise FileError(self.path, f"has no row {index}: it has {known}")
        return row

    def close(self) -> None:
        """Release the file."""
        self._source = None

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Source]:
        with _faults_of(self.path):
            if self._source is None:
                raise BadFileError("is already closed")
            yield self._source


def open_logits(path: str | os.PathLike[str], *, key: str | None = None) -> LogitsFile:
    """Open a file of logits, shape (examples, classes), or (classes,) for one example.

    `FORMATS` lists the formats. float16 and bfloat16 are passed on as they are.

    Args:
        path: the file; its suffix gives the format.
        key: the name of the array, or of the column of lists in a .parquet file. Without it the
            only array is taken, or the one named "logits".

    Raises:
        FileError: missing, unreadable, damaged, or not logits.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "logits.csv"
    >>> _ = path.write_text("cat,dog\\n2.0,1.0\\n0.5,NaN\\n")
    >>> with open_logits(path) as logits:
    ...     print(logits.shape, logits.class_names, logits.row(0))
    (None, 2) ['cat', 'dog'] [2. 1.]
    """
    path = Path(path)
    opener = _entry(FORMATS, path).logits
    with _faults_of(path):
        check_file(path)
        return LogitsFile(path, opener(path, key, ("logits",)))


def read_labels(path: str | os.PathLike[str], *, key: str | None = None) -> npt.NDArray[Any]:
    """The labels in a file: one whole number per example, shape (examples,), any integer dtype.

    The formats are those of `open_logits`; a .npy file is memory-mapped and read-only.

    Args:
        path: the file; its suffix gives the format.
        key: the name of the array or column. Without it the only one is taken, or the one named
            "labels" or "label".

    Raises:
        FileError: missing, unreadable, damaged, or not labels.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("label\\n2\\n0\\n")
    >>> read_labels(path)
    array([2, 0])
    """
    path = Path(path)
    opener = _entry(FORMATS, path).labels
    with _faults_of(path):
        check_file(path)
        source = opener(path, key, ("labels", "label"))
        if source.shape[1:] not in ((), (1,)):
            raise BadFileError(
                f"has shape {source.shape}; labels are one number per example: for one row of "
                "scores or 0/1 per example pass its argmax(axis=1)"
            )
        if source.dtype.kind not in "iu":
            raise BadFileError(f"holds {source.dtype}; labels are integers, 0 for the first class")
        return source.whole().reshape(-1)


@contextlib.contextmanager
def open_scores(path: str | os.PathLike[str], rows: int) -> Iterator[ScoresFile]:
    """Open a file for the scores of `rows` examples, for a `with` statement.

    The columns are row, label, loss, probability, predicted, rank, entropy and logsumexp, as
    `score` gives them: an ignored row has predicted class first_class − 1 and 0 in the other
    columns. The file appears once it is complete; a folder that cannot be written
    to raises before any work.

    Args:
        path: the file: .npy (a structured array), .csv or .parquet.
        rows: the number of rows that will be appended.

    Raises:
        FileError: unknown suffix, missing or unwritable folder, pyarrow missing for .parquet, or
            at the end fewer rows than promised.

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
    writer = _entry(WRITERS, path)
    with atomic_write(path) as file:
        with _faults_of(path), writing(path):
            scores = writer(path, file, rows)
        try:
            yield scores
            if scores.written != rows:
                raise FileError(path, f"not written: {scores.written} rows of {rows} were given")
            with writing(path):
                scores.close()
        finally:
            with contextlib.suppress(OSError):  # a full disk fails again, and was raised above
                scores.close()


def _entry(table: Mapping[str, T], path: Path) -> T:
    suffix = path.suffix.lower()
    if suffix not in table:
        raise FileError(path, f"unknown suffix {shown(suffix, 40)}; use {listed(table)}")
    return table[suffix]


@contextlib.contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Add the file's name to what a reader says, or tell which optional package to install."""
    try:
        yield
    except BadFileError as error:
        raise FileError(path, str(error)) from None
    except ImportError as error:
        needs = FORMATS[path.suffix.lower()].needs
        package = (error.name or needs).partition(".")[0]
        raise FileError(
            path, f"this {path.suffix} file needs {package}: pip install {needs}"
        ) from None
