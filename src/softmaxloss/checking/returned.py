"""What a function returned, as results: by the shapes of its arrays, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .steps import Results

__all__ = ["ShapeError", "of_batch", "of_examples", "of_layer"]

Array = NDArray[Any]


#: What people call the results in a dict.
KEYS = {
    **dict.fromkeys(("loss", "cost", "j", "value"), "loss"),
    **dict.fromkeys(("grad", "gradient", "grads", "dz", "dx", "dw", "dlogits"), "gradient"),
}


class ShapeError(ValueError):
    """What came back has none of the shapes that this form has."""


def of_batch(value: Any, shape: tuple[int, ...], columns: bool) -> Results:
    """What a call for a batch gave, by its shape."""
    rows, classes = shape
    matrix = (classes, rows) if columns else (rows, classes)
    losses = ((), (1,), (rows,), (rows, 1), (1, rows), (rows, rows))

    def is_a(array: Array) -> str | None:
        return "gradient" if array.shape == matrix else "loss" if array.shape in losses else None

    loss, gradient, alone = _parts_of(value, is_a)
    if loss is not None:
        if loss.size == 1:
            loss = loss.reshape(())[()]
        elif loss.shape != (rows, rows) or rows == 1:
            loss = loss.reshape(-1)
    if gradient is not None and columns:
        gradient = gradient.T
    return Results(gradient if alone else None, loss, gradient)


def of_examples(values: Sequence[Any], classes: int) -> Results:
    """What calls for one example each gave, as a batch with a mean."""
    rows = [_of_one(value, classes) for value in values]
    softmax, losses, gradient = (
        None if any(row[k] is None for row in rows) else np.array([row[k] for row in rows])
        for k in range(3)
    )
    loss = None if losses is None else losses.mean()
    return Results(softmax, loss, None if gradient is None else gradient / len(rows))


def of_layer(value: Any, shape: tuple[int, int], columns: bool) -> Results:
    """What a layer with its loss gave: the gradient is that by W, which has the shape `shape`, or
    where examples are columns the transposed one."""
    matrix = shape[::-1] if columns else shape

    def is_a(array: Array) -> str | None:
        return "gradient" if array.shape == matrix else "loss" if array.size == 1 else None

    loss, gradient, _ = _parts_of(value, is_a)
    if gradient is not None and columns:
        gradient = gradient.T
    return Results(None, None if loss is None else loss.reshape(())[()], gradient)


def _of_one(value: Any, classes: int) -> Results:
    """What a call for one example gave."""

    def is_a(array: Array) -> str | None:
        if array.size == classes and 0 < array.ndim < 3 and classes > 1:
            return "gradient"
        return "loss" if array.size == 1 else None

    loss, gradient, alone = _parts_of(value, is_a)
    if loss is not None:
        loss = loss.reshape(())[()]
    if gradient is not None:
        gradient = gradient.reshape(-1)
    return Results(gradient if alone else None, loss, gradient)


def _parts_of(
    value: Any, is_a: Callable[[Array], str | None]
) -> tuple[Array | None, Array | None, bool]:
    """The loss and the gradient in what was returned, and whether a gradient came alone: it may be
    softmax as well. A list may be one array. Of more than two values, and of a dict, the one loss
    and the one gradient are taken."""
    if isinstance(value, list):
        array = _numbers(value)
        if array is not None and is_a(array):
            return _parts_of(array, is_a)
    if not isinstance(value, tuple | list | dict):
        array = _numbers(value)
        if array is None:
            raise ShapeError(f"it returned {_what(value)}")
        part = is_a(array)
        if part is None:
            raise ShapeError(f"it returned shape {array.shape}")
        return (array, None, False) if part == "loss" else (None, array, True)
    if isinstance(value, dict):
        named = {KEYS.get(str(key).lower(), str(key)): one for key, one in value.items()}
        value = [named["loss"], named["gradient"]] if {"loss", "gradient"} <= set(named) else [
            *value.values()
        ]  # fmt: skip
    several = list(value)
    arrays = [array for array in map(_numbers, several) if array is not None]
    losses = [array for array in arrays if is_a(array) == "loss"]
    slopes = [array for array in arrays if is_a(array) == "gradient"]
    if len(losses) == 1 and len(slopes) == 1:
        return losses[0], slopes[0], False
    said = ", ".join(map(_what, several))
    raise ShapeError(f"it returned {len(several)} values ({said}), not a loss and a gradient")


def _what(value: Any) -> str:
    """A few words on something returned."""
    array = _numbers(value)
    if array is None:
        return "None" if value is None else f"a {type(value).__name__}"
    return f"shape {array.shape}" if array.ndim else "a number"


def _numbers(value: Any) -> Array | None:
    """An array of what are numbers, else None."""
    if value is None:
        return None
    if isinstance(value, np.ma.MaskedArray):
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return array if array.dtype.kind in "fiu" else None
