"""Logits in every form people pass → an array that the library understands, or one clear line."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, is_float

__all__ = ["class_last", "compute_dtype", "gradient_dtype", "read_logits", "without_classes"]

Array = NDArray[Any]


def read_logits(logits: ArrayLike) -> Array:
    """The checked logits: an array of shape (C,), (N, C) or (N, C, d1, …), C ≥ 1, of real numbers.

    Its dtype is the caller's. `compute_dtype` says what it is computed in.

    >>> read_logits([[1, 2], [3, 4]]).shape
    (2, 2)
    >>> read_logits(["cat", "dog"])
    Traceback (most recent call last):
        ...
    TypeError: logits must be real numbers, got dtype <U3
    """
    x = as_array(logits, "logits")
    if not (is_float(x.dtype) or x.dtype.kind in "iu"):
        raise TypeError(f"logits must be real numbers, got dtype {x.dtype}")
    if x.ndim == 0:
        raise ValueError(
            f"logits must have shape (C,), (N, C) or (N, C, d1, …), got one number: {x}"
        )
    if x.size == 0 and without_classes(x.shape)[1] == 0 and not (x.ndim > 1 and x.shape[0] == 0):
        raise ValueError(f"logits of shape {x.shape} have no classes (C = 0)")
    return x


@cache
def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What logits of this dtype are computed in: float32 for float32 and narrower floats, float64
    for float64, wider floats and integers (those beyond 2^53 are rounded to the nearest float64).

    >>> compute_dtype(np.dtype("float16")), compute_dtype(np.dtype("int64"))
    (dtype('float32'), dtype('float64'))
    """
    narrow = is_float(dtype) and dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


@cache
def gradient_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the gradient by logits of this dtype comes in: the same, in this machine's byte order;
    float64 for integers.

    >>> gradient_dtype(np.dtype(">f2")), gradient_dtype(np.dtype("int64"))
    (dtype('float16'), dtype('float64'))
    """
    return dtype.newbyteorder("=") if is_float(dtype) else compute_dtype(dtype)


def without_classes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The shape of logits without the class axis, and the number of classes. Those are the only
    axis of (C,), axis 1 of (N, C, …), as in PyTorch.

    >>> without_classes((5,)), without_classes((2, 5, 3))
    (((), 5), ((2, 3), 5))
    """
    return (shape[:1] + shape[2:], shape[1]) if len(shape) > 1 else ((), shape[0])


def class_last(x: Array) -> Array:
    """A view with the classes in the last axis: (C,), (N, C) or (N, d1, …, C)."""
    return x if x.ndim <= 2 else np.moveaxis(x, 1, -1)
