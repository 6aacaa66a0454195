"""What a function returned, read as results by the shapes of its arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import Array
from ..reference import Results

#: The part of the results by its key in a dict.
KEYS = {
    **dict.fromkeys(("loss", "cost", "j", "value"), "loss"),
    **dict.fromkeys(("grad", "gradient", "grads", "dz", "dx", "dw", "dlogits"), "gradient"),
}


class ShapeError(ValueError):
    """The result has none of the shapes that the form allows."""


def of_batch(
    value: Any,
    shape: tuple[int, int],
    columns: bool,
    *,
    one_loss: bool = False,
    or_rows: int = 0,
) -> Results:
    """The results of a call for a batch: a gradient of this shape, or with so many rows, or the
    transposed one where the examples are columns; and one loss or, if allowed, one for each
    example."""
    rows = shape[0]
    matrices = [shape, (or_rows, shape[1])]
    if columns:
        matrices = [matrix[::-1] for matrix in matrices]
    losses = [(), (1,), (1, 1)]
    if not one_loss:
        losses += [(rows,), (rows, 1), (1, rows), (rows, rows)]

    def is_a(array: Array) -> str | None:
        return "gradient" if array.shape in matrices else "loss" if array.shape in losses else None

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
    """The results of a call for each example, as those of a batch with a mean."""

    def is_a(array: Array) -> str | None:
        if array.size == classes and 0 < array.ndim < 3 and classes > 1:
            return "gradient"
        return "loss" if array.size == 1 else None

    losses, gradients, softmax = [], [], []
    for value in values:
        loss, gradient, alone = _parts_of(value, is_a)
        losses.append(None if loss is None else loss.reshape(())[()])
        gradients.append(None if gradient is None else gradient.reshape(-1))
        softmax.append(gradients[-1] if alone else None)

    def batch(parts: list[Any]) -> Array | None:
        return None if any(part is None for part in parts) else np.array(parts)

    loss, gradient = batch(losses), batch(gradients)
    return Results(
        batch(softmax),
        None if loss is None else loss.mean(),
        None if gradient is None else gradient / len(values),
    )


def _parts_of(
    value: Any, is_a: Callable[[Array], str | None]
) -> tuple[Array | None, Array | None, bool]:
    """The loss, the gradient, and whether the gradient was returned alone: then it may be a softmax
    instead. A list may be one array. From a dict or more than two values, the only loss and the
    only gradient are taken."""
    if isinstance(value, list):
        array = _numbers(value)
        if array is not None and is_a(array):
            value = array
    if not isinstance(value, tuple | list | dict):
        array = _numbers(value)
        if array is None:
            raise ShapeError(f"it returned {_description(value)}")
        part = is_a(array)
        if part is None:
            raise ShapeError(f"it returned shape {array.shape}")
        return (array, None, False) if part == "loss" else (None, array, True)
    values = list(value)
    if isinstance(value, dict):
        named = {KEYS.get(str(key).lower(), str(key)): one for key, one in value.items()}
        known = {"loss", "gradient"} <= set(named)
        values = [named["loss"], named["gradient"]] if known else list(value.values())
    arrays = [array for array in map(_numbers, values) if array is not None]
    losses = [array for array in arrays if is_a(array) == "loss"]
    gradients = [array for array in arrays if is_a(array) == "gradient"]
    if len(losses) == 1 and len(gradients) == 1:
        return losses[0], gradients[0], False
    listed = ", ".join(map(_description, values))
    raise ShapeError(f"it returned {len(values)} values ({listed}), not a loss and a gradient")


def _description(value: Any) -> str:
    """A returned value in a few words."""
    array = _numbers(value)
    if array is None:
        return "None" if value is None else f"a {type(value).__name__}"
    return f"shape {array.shape}" if array.ndim else "a number"


def _numbers(value: Any) -> Array | None:
    """The value as an array of numbers; None if it is not one."""
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
