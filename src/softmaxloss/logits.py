"""Logits in every form that people pass → a checked array; what they are computed in."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, is_float, read_real


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
    x = read_real(logits, "logits")
    if x.ndim == 0:
        raise ValueError(
            f"logits must have shape (C,), (N, C) or (N, C, d1, …), got one number: {x}"
        )
    if x.size == 0 and without_classes(x.shape)[1] == 0 and not (x.ndim > 1 and x.shape[0] == 0):
        raise ValueError(f"logits of shape {x.shape} have no classes (C = 0)")
    return x


@cache
def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that logits of this dtype are computed in: float32 for float32 and narrower floats;
    float64 for float64, wider floats and integers, which are rounded to the nearest float64.

    >>> compute_dtype(np.dtype("float16")), compute_dtype(np.dtype("int64"))
    (dtype('float32'), dtype('float64'))
    """
    narrow = is_float(dtype) and dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


@cache
def gradient_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the gradient with respect to logits of this dtype: the same in native byte
    order; float64 for integers.

    >>> gradient_dtype(np.dtype(">f2")), gradient_dtype(np.dtype("int64"))
    (dtype('float16'), dtype('float64'))
    """
    return dtype.newbyteorder("=") if is_float(dtype) else compute_dtype(dtype)


def without_classes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The shape of logits without the class axis, and the number of classes. The class axis is
    axis 1, as in PyTorch; the only axis of one example, (C,).

    >>> without_classes((5,)), without_classes((2, 5, 3))
    (((), 5), ((2, 3), 5))
    """
    return (shape[:1] + shape[2:], shape[1]) if len(shape) > 1 else ((), shape[0])
