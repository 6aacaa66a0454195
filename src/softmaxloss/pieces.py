"""Arrays as kernels read them: contiguous rows of one dtype, whole where possible, else in pieces.

What a kernel cannot read as it stands (classes in the middle, another dtype, byte order or
alignment) is copied piece by piece, so that memory stays bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Piece", "is_plain", "pieces", "rows_of"]

Array = NDArray[Any]

PIECE = 1 << 20  # elements: a few MB, so that a piece is still in cache when the kernel reads it


class Piece(NamedTuple):
    """Some of the examples: where they are in (N, d1, …), and which rows those are, in order."""

    place: tuple[slice | int, ...]
    rows: slice


def pieces(shape: tuple[int, ...], classes: int, whole: bool) -> Iterable[Piece]:
    """The examples of a shape (N, d1, …), in order; in one piece if `whole`.

    >>> [piece.rows for piece in pieces((3,), 1 << 19, whole=False)]
    [slice(0, 2, None), slice(2, 3, None)]
    """
    if whole:
        return (Piece((), slice(0, math.prod(shape))),)
    return _split(shape, max(1, PIECE // max(classes, 1)), (), 0)


def _split(
    shape: tuple[int, ...], most: int, place: tuple[slice | int, ...], start: int
) -> Iterator[Piece]:
    if not shape:
        yield Piece(place, slice(start, start + 1))
        return
    inner = math.prod(shape[1:])
    if inner > most:
        for i in range(shape[0]):
            yield from _split(shape[1:], most, (*place, i), start + i * inner)
    elif inner:
        step = most // inner
        for i in range(0, shape[0], step):
            end = min(i + step, shape[0])
            yield Piece((*place, slice(i, end)), slice(start + i * inner, start + end * inner))


def is_plain(x: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a kernel for `dtype` can read (or write) the rows of x where they are."""
    if x.dtype != dtype or not (x.dtype.isnative and x.flags.aligned):
        return False
    return x.flags.c_contiguous or (x.ndim == 2 and x.strides[-1] == x.itemsize)


def rows_of(x: Array, dtype: np.dtype[Any]) -> Array:
    """x, (…, C), as rows (n, C): the same memory where `is_plain`, else a contiguous copy."""
    if not is_plain(x, dtype):
        x = np.ascontiguousarray(x, dtype=dtype)
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
