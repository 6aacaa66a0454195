"""Arrays as kernels see them: (outer, classes, inner), with a row for each pair (outer, inner).

(N, C) is (N, C, 1), (N, C, H, W) is (N, C, H·W), one example (C,) is (1, C, 1): views of the memory
as it lies. What has no such view, or a dtype that a kernel does not read, is copied block by block,
so that memory stays bounded.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array

_INNER = np.s_[:, :, None]
BLOCK = 1 << 20  # elements: a few MB, which are still in cache when a kernel reads them


def outer_classes_inner(x: Array) -> Array | None:
    """A view of x, (C,), (N, C) or (N, C, d1, …), as (outer, classes, inner); None if it has none.

    >>> outer_classes_inner(np.zeros((2, 3, 4, 5))).shape
    (2, 3, 20)
    >>> outer_classes_inner(np.zeros((2, 3, 4, 5))[..., :4]) is None
    True
    """
    if x.ndim == 2:
        return x[_INNER]
    if x.ndim == 1:
        return x[None, :, None]
    if x.ndim == 3 or _merges(x, 2):
        return x.reshape(*x.shape[:2], -1) if x.size else x.reshape(*x.shape[:2], 0)
    return None


def _merges(x: Array, first: int) -> bool:
    """Whether the axes from `first` on are one axis in memory."""
    if x.flags.c_contiguous:
        return True
    extent = None  # of the axes so far, from the last one on
    for n, step in zip(x.shape[: first - 1 : -1], x.strides[: first - 1 : -1], strict=True):
        if n > 1:
            if extent is not None and step != extent:
                return False
            extent = n * step
    return True


def class_last(x: Array) -> Array:
    """A view with the classes in the last axis: (C,), (N, C) or (N, d1, …, C)."""
    return x if x.ndim <= 2 else np.moveaxis(x, 1, -1)


def in_shape(values: Array, shape: tuple[int, ...]) -> Any:
    """(rows,) values in the shape of the examples; that of one example as a scalar."""
    return values.reshape(shape) if shape else values[0]


Place = tuple[slice | int, ...]


class Block(NamedTuple):
    """Some of the examples: their place in (N, d1, …), and which rows they are, in order."""

    place: Place
    rows: slice


def blocks(shape: tuple[int, ...], classes: int, most: int = BLOCK) -> Iterator[Block]:
    """The examples of a shape (N, d1, …) in order, in blocks of at most `most` logits or one row.

    >>> [block.rows for block in blocks((3,), 1 << 19)]
    [slice(0, 2, None), slice(2, 3, None)]
    """
    rows = math.prod(shape)
    if 0 < rows * classes <= most:
        return iter([Block((), slice(0, rows))])
    return _split(shape, max(1, most // max(classes, 1)), (), 0)


def _split(shape: tuple[int, ...], most: int, place: Place, start: int) -> Iterator[Block]:
    if not shape:
        yield Block(place, slice(start, start + 1))
        return
    inner = math.prod(shape[1:])
    if inner > most:
        for i in range(shape[0]):
            yield from _split(shape[1:], most, (*place, i), start + i * inner)
    elif inner:
        step = most // inner
        for i in range(0, shape[0], step):
            end = min(i + step, shape[0])
            yield Block((*place, slice(i, end)), slice(start + i * inner, start + end * inner))
