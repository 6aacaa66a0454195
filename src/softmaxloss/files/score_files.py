"""Files of scores, which are written block by block."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..arrays import Array
from .atomic import atomic_write, writing
from .errors import FileError
from .formats import FORMATS, WRITERS, entry
from .writers import Beside, ScoresFile


@contextlib.contextmanager
def open_scores(
    path: str | os.PathLike[str],
    rows: int,
    *,
    ids: Sequence[object] | Array | None = None,
    classes: Sequence[str] | None = None,
    first_class: int = 0,
    files: Sequence[tuple[int, str]] | None = None,
) -> Iterator[ScoresFile]:
    """Open a file for the scores of `rows` examples, for a `with` statement.

    The columns are row, label, loss, probability, predicted, rank, entropy and logsumexp, as
    `score` gives them: an ignored row has predicted class first_class − 1 and 0 in the other
    columns. With `ids` there is a column id, with `classes` there are label_name and
    predicted_name, with `files` file and file_row; none of these in .npy, which has numbers only.
    The file appears once it is complete; a folder that cannot be written to raises before any work.

    Args:
        path: the file: .npy (a structured array), .csv or .parquet.
        rows: the number of rows that will be appended.
        ids: what the rows are called, names or numbers.
        classes: C names.
        first_class: the number of the first class in the labels.
        files: of the scores of several files, the number of the first row and the name of each.

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
    writer = entry(WRITERS, path)
    with atomic_write(path) as file:
        with writing(path):
            try:
                scores = writer(path, file, rows, Beside(ids, classes, first_class, files))
            except ImportError:
                needs = FORMATS[path.suffix.lower()].needs
                raise FileError(
                    path, f"this {path.suffix} file needs {needs}: pip install {needs}"
                ) from None
        try:
            yield scores
            if scores.written != rows:
                raise FileError(path, f"not written: {scores.written} rows of {rows} were given")
            with writing(path):
                scores.close()
        finally:
            with contextlib.suppress(OSError):  # a full disk fails again, and was raised above
                scores.close()
