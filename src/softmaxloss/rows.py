"""Arrays as kernels read them: contiguous rows of one dtype, whole where possible, else in pieces.

What a kernel cannot read as it stands (classes in the middle, another dtype, byte order or
alignment) is copied piece by piece, so that memory stays bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Piece", "Place", "pieces", "rows_in_place", "rows_of"]

Array = NDArray[Any]

PIECE = 1 << 20  # elements: a few MB, so that a piece is still in cache when the kernel reads it


Place = tuple[slice | int, ...]


class Piece(NamedTuple):
    """Some of the examples: where they are in (N, d1, …), and which rows those are, in order."""

    place: Place
    rows: slice


def pieces(shape: tuple[int, ...], classes: int) -> Iterator[Piece]:
    """The examples of a shape (N, d1, …), in order.

    >>> [piece.rows for piece in pieces((3,), 1 << 19)]
    [slice(0, 2, None), slice(2, 3, None)]
    """
    return _split(shape, max(1, PIECE // max(classes, 1)), (), 0)


def _split(shape: tuple[int, ...], most: int, place: Place, start: int) -> Iterator[Piece]:
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


def rows_in_place(x: Array, dtype: np.dtype[Any]) -> Array | None:
    """x, (…, C), as rows (n, C) in the same memory, where a kernel for `dtype` can read (or write)
    them; else None.

    >>> rows_in_place(np.zeros(3), np.dtype(np.float64))
    array([[0., 0., 0.]])
    >>> rows_in_place(np.zeros((2, 6))[:, ::2], np.dtype(np.float64)) is None
    True
    """
    flags = x.flags
    if x.dtype != dtype or not flags.aligned:
        return None
    if x.ndim == 2:
        return x if flags.c_contiguous or x.strides[1] == x.itemsize else None
    if not flags.c_contiguous:
        return None
    return x[None] if x.ndim == 1 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def rows_of(x: Array, dtype: np.dtype[Any]) -> Array:
    """x, (…, C), as rows (n, C): `rows_in_place`, or a contiguous copy."""
    rows = rows_in_place(x, dtype)
    if rows is None:
        copy = np.ascontiguousarray(x, dtype=dtype)
        rows = copy.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return rows
