"""The scores of the rows of one shard, as they are kept until all shards are scored.

An .npy file with a field for the label and for each score, in the dtype that it was computed in.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..files.atomic import atomic_write
from ..files.writers import Beside, ScoresFile
from ..scores import Scores

_TOGETHER = 1 << 16  # rows


class _Rows(ScoresFile):
    """Written as the rows come; the dtype is that of the first block."""

    def _begin(self) -> None:
        self._dtype: np.dtype[Any] | None = None

    def _write(self, columns: dict[str, Array], beside: dict[str, list[Any]]) -> None:
        names = ("label", *Scores._fields)
        if self._dtype is None:
            kinds = {name: columns[name].dtype for name in names} | {"label": np.dtype(np.int64)}
            self._dtype = np.dtype([*kinds.items()])
            descr = np.lib.format.dtype_to_descr(self._dtype)
            header = {"descr": descr, "fortran_order": False, "shape": (self.rows,)}
            np.lib.format.write_array_header_1_0(self._file, header)
        block = np.empty(len(columns["label"]), self._dtype)
        for name in names:
            block[name] = columns[name]
        self._file.write(block.data)


@contextlib.contextmanager
def rows_file(path: Path, rows: int) -> Iterator[ScoresFile]:
    """The file for the scores of `rows` rows, written atomically."""
    with atomic_write(path) as file:
        yield _Rows(path, file, rows, Beside())


def read_rows(path: Path) -> Iterator[tuple[int, Array, Scores]]:
    """The number of the first row, the labels and the scores, block by block.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows.npy"
    >>> with rows_file(path, 2) as file:
    ...     one = np.ones(2)
    ...     file.append(0, np.array([1, 0]), Scores(one, one, one, one, one, one))
    >>> [(start, labels.tolist()) for start, labels, _ in read_rows(path)]
    [(0, [1, 0])]
    """
    if not path.stat().st_size:  # of no rows
        return
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    for start in range(0, len(table), _TOGETHER):
        block = table[start : start + _TOGETHER]
        columns = [np.ascontiguousarray(block[name]) for name in ("label", *Scores._fields)]
        yield start, columns[0], Scores(*columns[1:])
