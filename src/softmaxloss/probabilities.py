"""Probabilities that people have in the place of logits or of labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Array

# How far from 1 a row of probabilities may sum: they are often written with two or four digits.
ROUNDING = 0.02


def look_like_probabilities(logits: Array) -> bool:
    """Whether each row of logits, shape (rows, C), has the form of probabilities.

    It is ≥ 0 everywhere and sums to 1, as rows of logits do only by chance.

    >>> look_like_probabilities(np.array([[0.2, 0.8]])), look_like_probabilities(np.array([[2, 1]]))
    (True, False)
    """
    if logits.shape[-1] < 2:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        # Mostly the first row tells; a copy of all rows in float64 takes as long as their scores.
        return all(
            bool(_fit(rows.astype(np.float64, copy=False)).all()) for rows in (logits[:1], logits)
        )


def log_of_probabilities(a: Array, start: int = 0) -> NDArray[Any]:
    """The logits of probabilities, z = log a, of shape (rows, C); softmax(z) gives a again.

    They are float32 for floats of up to 32 bits, else float64. A probability of 0 gives −inf.

    Raises:
        ValueError: a row is negative somewhere or does not sum to 1; rows count from `start`.

    >>> log_of_probabilities(np.array([[0.5, 0.5, 0.0]]))
    array([[-0.69314718, -0.69314718,        -inf]])
    """
    _require(a, start)
    narrow = a.dtype.itemsize <= 4 and a.dtype.kind not in "iub"
    with np.errstate(divide="ignore"):
        return np.log(a, dtype=np.float32 if narrow else np.float64)


def normalised(a: Array, start: int = 0) -> NDArray[np.float64]:
    """Rows of probabilities without the rounding that they were written with: each sums to 1.

    Raises:
        ValueError: as `log_of_probabilities`.

    >>> normalised(np.array([[0.33, 0.33, 0.33]]))
    array([[0.33333333, 0.33333333, 0.33333333]])
    """
    _require(a, start)
    a = a.astype(np.float64)
    return np.asarray(a / a.sum(axis=-1, keepdims=True))


def _fit(a: Array) -> NDArray[np.bool_]:
    """Which rows are probabilities."""
    sums = a.sum(axis=-1, dtype=np.float64)
    return np.asarray((np.abs(sums - 1) <= ROUNDING) & (a >= 0).all(axis=-1))


def _require(a: Array, start: int) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = np.flatnonzero(~_fit(a.astype(np.float64, copy=False)))
    if wrong.size:
        row = a[wrong[0]].astype(np.float64)
        what = f"sums to {row.sum():.6g}" if (row >= 0).all() else f"has {row[~(row >= 0)][0]:.6g}"
        raise ValueError(
            f"row {start + wrong[0]} {what}: probabilities are not negative and sum to 1"
        )
