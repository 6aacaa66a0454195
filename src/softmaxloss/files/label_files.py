"""Files of labels: class numbers, names of classes, one-hot rows or probabilities."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..probabilities import normalised
from ..text import few, shorten
from .class_numbers import ClassNumbers
from .columns import LABELS
from .errors import BadFileError, FileError
from .formats import Readable, readable
from .source import Ask, Source

_NUMBERS = 1 << 22  # at a time, where there is a column for each class


class TargetFile:
    """A file with a probability for each example and class. Opened by `read_target`.

    Attributes:
        path: the file.
        shape: (rows, classes).
    """

    def __init__(self, file: Readable, source: Source, rows: int) -> None:
        self.path = file.name
        self.shape = (rows, _classes(source))
        self._file, self._source = file, source

    def row(self, index: int) -> npt.NDArray[np.float64]:
        """The probabilities of one example, shape (classes,), which sum to 1."""
        with self._file.faults():
            row = self._source.row(index)
            if row is None:
                raise BadFileError(f"has {self.shape[0]} rows, none for row {index}")
            return np.asarray(_probabilities(row[np.newaxis], index, self._source)[0])

    def reader(self) -> "_Reader":
        """Reads the rows from the first one on, as many at a time as asked for."""
        return _Reader(self._blocks())

    def _blocks(self) -> Iterator[npt.NDArray[np.float64]]:
        with self._file.faults():
            yield from _checked_blocks(self._source)


class _Reader:
    """The rows of blocks, in parts of another length."""

    def __init__(self, blocks: Iterator[npt.NDArray[np.float64]]) -> None:
        self._blocks = blocks
        self._parts: list[npt.NDArray[np.float64]] = []

    def take(self, rows: int) -> npt.NDArray[np.float64]:
        """The next rows; fewer at the end."""
        while sum(map(len, self._parts)) < rows and (block := next(self._blocks, None)) is not None:
            self._parts.append(block)
        joined = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        self._parts = [joined[rows:]]
        return joined[:rows]


def read_target(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    classes: Sequence[str] | None = None,
    first_class: int = 0,
    beside_logits: bool = False,
) -> Array | TargetFile:
    """The target in a file: class indices, or a file of probabilities that is read in blocks.

    One-hot rows become class indices. Arguments and errors are those of `read_labels`, and:

    Args:
        beside_logits: whether the file is that of the logits, in which only a name tells the
            labels from them.
    """
    file = readable(path)
    with file.faults():
        source = file.format.labels(
            file.path,
            Ask(
                key,
                LABELS,
                classes=ClassNumbers(classes, first_class),
                beside=beside_logits,
                option="--labels-key",
            ),
        )
        if len(source.shape) == 2 and source.shape[1] != 1 and source.dtype.kind in "biuf":
            return _one_hot_or_file(file, source, first_class)
        if source.shape[1:] not in ((), (1,)):
            raise BadFileError(
                f"has shape {source.shape}; labels are one number per example, or one row of "
                "numbers, one-hot or probabilities"
            )
        if source.dtype.kind in "US":
            return _numbers_of(source, classes, first_class)
        if source.dtype.kind not in "iu":
            raise BadFileError(f"holds {source.dtype}; labels are integers, 0 for the first class")
        return source.whole().reshape(-1)


def read_labels(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    classes: Sequence[str] | None = None,
    first_class: int = 0,
) -> npt.NDArray[Any]:
    """The labels in a file: one whole number per example, shape (examples,), any integer dtype.

    The formats are those of `open_logits`. Names of classes and one-hot rows become numbers.

    Args:
        path: the file; its suffix gives the format. "-" is standard input.
        key: the name of the array, column or field. Without it the only one is taken, or the one
            named "labels", "label", "target", "y" or so.
        classes: the names of the classes, in their order, for labels that are names.
        first_class: the number of the first of them.

    Raises:
        FileError: missing, unreadable, damaged, or not labels.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("label\\nfox\\ncat\\n")
    >>> read_labels(path, classes=["cat", "dog", "fox"])
    array([2, 0])
    """
    target = read_target(path, key=key, classes=classes, first_class=first_class)
    if isinstance(target, TargetFile):
        raise FileError(target.path, "holds probabilities, and class indices are needed here")
    return target


def _one_hot_or_file(file: Readable, source: Source, first_class: int) -> Array | TargetFile:
    """The class indices of one-hot rows; a file of probabilities if one row is not one-hot."""
    labels: list[Array] = []
    one_hot, rows = True, 0
    for block in _checked_blocks(source):
        rows += len(block)
        one_hot = one_hot and bool((block.max(axis=1) == 1).all())
        if one_hot:
            labels.append(block.argmax(axis=1) + first_class)
    if not one_hot:
        return TargetFile(file, source, rows)
    return np.concatenate(labels) if labels else np.empty(0, np.int64)


def _checked_blocks(source: Source) -> Iterator[npt.NDArray[np.float64]]:
    """All rows as probabilities that sum to 1."""
    start = 0
    for block in source.blocks(max(1, _NUMBERS // max(1, _classes(source)))):
        yield _probabilities(block, start, source)
        start += len(block)


def _probabilities(block: Array, start: int, source: Source) -> npt.NDArray[np.float64]:
    try:
        return normalised(block, start)
    except ValueError as error:
        if source.names is not None:
            columns = few([shorten(name, 40) or "''" for name in source.names[:9]], most=8)
            raise BadFileError(
                f"holds several columns, {columns}: name the one with the labels by --labels-key "
                f"(key= in Python); as one-hot rows or probabilities they do not fit: {error}"
            ) from None
        raise BadFileError(
            f"has several numbers per example, and {error}; if these are the logits, they come "
            "first: LOGITS LABELS"
        ) from None


def _numbers_of(source: Source, classes: Sequence[str] | None, first_class: int) -> Array:
    """The class numbers of an array of text."""
    numbers = ClassNumbers(classes, first_class)
    texts, first, places = np.unique(
        source.whole().reshape(-1), return_index=True, return_inverse=True
    )
    known = np.empty(len(texts), np.int64)
    for place in np.argsort(first):  # the first wrong one in the file is the one to name
        text = texts[place].item()
        try:
            known[place] = numbers.of(text.decode() if isinstance(text, bytes) else text)
        except (BadFileError, UnicodeDecodeError) as error:
            raise BadFileError(f"row {first[place]}: {error}") from None
    return known[places]


def _classes(source: Source) -> int:
    classes = source.shape[-1]
    assert classes is not None
    return classes
