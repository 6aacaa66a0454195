"""What a function returned, read as results: which array is the loss, which the gradient.

The parts are found once for each form, from a result for a small input of which all right values
are known. Arrays are told apart by their names, if they have any, by their shapes, and where two
parts have one shape, by their values.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ..inputs import Input, image_shape, sequence_shape
from ..reference import MOST_SQUARE, Results
from .arguments import arguments_for
from .forms import Form
from .frameworks import Differentiated

#: The part of the results by the name of a value.
KEYS = {
    **dict.fromkeys(("loss", "cost", "j", "value", "losses", "nll", "ce", "data_loss", "l",
                     "total_loss", "avg_loss", "error"), "loss"),
    **dict.fromkeys(("grad", "gradient", "grads", "dz", "dx", "dw", "dlogits", "dscores", "g",
                     "w_grad", "grad_w", "dl_dz", "delta", "dout", "grad_z", "dtheta"), "gradient"),
    **dict.fromkeys(("softmax", "probs", "probabilities", "prob", "p", "a", "y_hat", "yhat",
                     "scores_softmax", "softmax_output", "output", "y_pred", "preds"), "softmax"),
    "feature_gradient": "feature_gradient",
    **dict.fromkeys(("db", "grad_b", "b_grad", "grads_b", "d_b", "dbias", "bias_grad"),
                    "bias_gradient"),
    **dict.fromkeys(("acc", "accuracy", "correct", "n_correct", "cache", "b"), ""),
}  # fmt: skip


class ShapeError(ValueError):
    """The result has none of the shapes that the form allows."""


class Value(NamedTuple):
    """One number or array that was returned, and its name if it has one."""

    array: Array
    name: str = ""


def values_of(returned: Any, *, labelled: bool = True) -> list[Value]:
    """The numbers and arrays in what was returned, in order.

    A tuple of numbers is one array if the function was passed no labels, else several results.

    Raises:
        ShapeError: There are none.
    """
    if isinstance(returned, tuple) and not labelled and not any(map(np.ndim, returned)):
        returned = list(returned)
    found = list(_values(returned))
    if not found:
        raise ShapeError(f"it returned {_description(returned)}")
    return found


def _values(value: Any, name: str = "", depth: int = 0) -> Iterator[Value]:
    if isinstance(value, Differentiated):
        yield from _values({"loss": value.loss, "gradient": value.gradient}, depth=depth)
        return
    array = _numbers(value)
    if array is not None and not (isinstance(value, tuple) and depth == 0):
        yield Value(array, name)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and depth < 3:
        for field in dataclasses.fields(value):
            yield from _values(getattr(value, field.name), field.name, depth + 1)
    elif isinstance(value, Mapping) and depth < 3:
        for key, one in value.items():
            yield from _values(one, str(key), depth + 1)
    elif isinstance(value, tuple | list) and depth < 3:
        names = getattr(value, "_fields", ("",) * len(value))
        for key, one in zip(names, value, strict=True):
            yield from _values(one, key, depth + 1)


def parts_of(
    values: Sequence[Value],
    form: Form,
    input: Input,
    right: Results,
    names: Sequence[str],
    asked: Sequence[str] = (),
    title: str = "",
) -> tuple[str, ...]:
    """Which part of the results each returned value is: "" for none.

    `right` are the right results for the input, (N, C) in rows, for one example (C,); `names` are
    those in the function's return statement; `asked` are the parts that were asked for, if any,
    and `title` is what the function is called.

    Raises:
        ShapeError: None of the values has the shape of a part.
    """
    fits = [_fitting(value.array, form, input) for value in values]
    if not any(fits):
        listed = ", ".join(_description(value.array) for value in values)
        raise ShapeError(
            f"it returned {listed}"
            + ("" if len(values) == 1 else ", none of which is a loss or a gradient")
        )
    labelled = "labels" in form.order
    arguments: set[int] = set()
    if labelled:
        # Logits that are returned, beside a loss or alone, are no part of the results.
        given = [one for one in arguments_for(form, input) if isinstance(one, np.ndarray)]
        for k, value in enumerate(values):
            if value.array.ndim > 0 and any(np.array_equal(value.array, one) for one in given):
                fits[k] = []
                arguments.add(k)
        if len(arguments) == len(values):
            raise ShapeError("it returned what it was passed")
    chosen = [""] * len(values)
    named = [KEYS.get(value.name.lower()) for value in values]
    if not any(named) and len(names) == len(values):
        named = [KEYS.get(name.lower()) for name in names]

    for k, part in enumerate(named):
        if part == "feature_gradient" and "matrix" in fits[k]:
            chosen[k] = part  # it is never taken for one by its numbers
        if part == "bias_gradient":
            named[k], fits[k] = "", []
            if form.is_layer and form.batch and labelled and values[k].array.dtype.kind == "f":
                chosen[k] = part

    rows = len(np.atleast_2d(input.z))

    def near(k: int, part: str) -> bool:
        return is_near(read(values[k].array, part, form, input), getattr(right, part), rows)

    matrices = ["gradient", "softmax", "log_softmax"]
    if "gradient" in asked:
        matrices = ["gradient"]
    for kind, parts in (("loss", ["loss"]), ("matrix", matrices)):
        of_kind = [k for k, fit in enumerate(fits) if kind in fit and not chosen[k]]
        if kind == "loss" and not labelled:
            continue
        if kind == "matrix" and not labelled:
            # Without labels a matrix is a softmax or its log.
            for k in of_kind[:1]:
                chosen[k] = _meant(title, asked) or (
                    "log_softmax" if near(k, "log_softmax") else "softmax"
                )
            continue
        for part in parts:
            taken = [k for k in of_kind if not chosen[k]]
            at = next((k for k in taken if near(k, part) and named[k] in (None, part)), None)
            if at is None:
                at = next((k for k in taken if named[k] == part), None)
            if at is not None and part not in chosen:
                chosen[at] = part
        left = [k for k in of_kind if not chosen[k] and named[k] is None]
        if kind == "loss" and "loss" not in chosen and left:
            chosen[left[0]] = "loss"
        if kind == "matrix" and "gradient" not in chosen and left:
            odd = [k for k in left if not _is_softmax(values[k].array, form)]
            if len(odd) > 1 and "loss" in chosen:
                continue  # what was kept for later
            at = (odd or left)[0]
            if odd or "loss" not in chosen or "gradient" in asked:
                chosen[at] = "gradient"
            elif "softmax" not in chosen:
                chosen[at] = "softmax"
    if labelled and "gradient" not in chosen:
        size = _gradient_size(form, input)
        for k, value in enumerate(values):
            is_free = not chosen[k] and named[k] != "" and k not in arguments
            if "matrix" in fits[k]:
                continue  # it could have been chosen
            if is_free and value.array.size == size > 1:
                chosen[k] = "gradient"  # of a wrong shape
                break
    for value, part in zip(values, chosen, strict=True):
        if value.name == "loss" and part != "loss" and labelled:
            raise ShapeError(f"its loss has the {_description(value.array)}")
    if not set(chosen) - {"", "bias_gradient"}:
        raise ShapeError(f"it returned {_description(values[0].array)}")
    return tuple(chosen)


def _meant(title: str, asked: Sequence[str]) -> str:
    """Whether a softmax or its log was asked for, or is what the name says; empty: neither.

    >>> _meant("stable_softmax", ()), _meant("LogSoftmax", ()), _meant("Catalog.softmax", ())
    ('softmax', 'log_softmax', '')
    """
    for part in ("softmax", "log_softmax"):
        if part in asked:
            return part
    name = title.lower()
    if re.search("log_?(softmax|sum_?exp)", name):
        return "log_softmax"
    return "softmax" if "softmax" in name and not re.search("log(?!its?|istic)", name) else ""


def read_results(values: Sequence[Value], form: Form, input: Input) -> Results:
    """The results of one call, in rows. Raises ShapeError if they are not of the form's parts."""
    returns = form.returns
    if len(values) == 1 and returns == ("loss", "gradient"):
        returns = ("loss",)  # a loss of tensors that has no gradient here
    if len(values) != len(returns):
        raise ShapeError(f"it returned {len(values)} values, not {len(form.returns)}")
    parts: dict[str, Any] = {}
    for value, part in zip(values, returns, strict=True):
        if part:
            array = read(value.array, part, form, input)
            if array is None:
                raise ShapeError(f"it returned {_description(value.array)}")
            parts[part] = array
    return Results(**parts)


def in_one(returned: Any, form: Form, input: Input) -> Any:
    """A loss of each sequence as the mean of them, with its gradient by automatic differentiation,
    which is that of their sum."""
    if not isinstance(returned, Differentiated) or form.layout != "sequences":
        return returned
    sequences, steps = sequence_shape(len(input.z))
    if np.shape(returned.loss) != (sequences,) or steps == 1:
        return returned
    return Differentiated(np.mean(returned.loss), returned.gradient / sequences)


def read(array: Array, part: str, form: Form, input: Input) -> Any:
    """An array as this part of the results, with examples in rows; None if its shape is not one.

    The gradient of a layer is that with respect to its weights, (D, C), or, by mistake, to the
    logits.
    """
    if part == "bias_gradient":
        return array.ravel() if array.ndim else array
    kind = "loss" if part == "loss" else "matrix"
    if kind not in _fitting(array, form, input):
        wrong_shape = part == "gradient" and array.size == _gradient_size(form, input)
        return array if wrong_shape else None
    if part == "loss":
        if array.size == 1:
            return array.reshape(())[()]
        if form.layout == "sequences" and array.shape == sequence_shape(len(input.z))[:1]:
            return array.mean()  # one for each sequence
        square = form.batch and array.shape == (len(input.z),) * 2
        return array[:MOST_SQUARE, :MOST_SQUARE] if square else array.reshape(-1)
    rows, classes = np.atleast_2d(input.z).shape
    if form.is_layer and form.batch and array.shape != _matrix_shape(form, input):
        if part != "gradient":
            return None
        shape = (rows + 1, classes)
        if form.weights_by_class:
            return array.reshape(shape[::-1]).T
        return array.reshape(shape)
    if form.layout == "columns":
        array = array.T
    if form.layout == "images":
        array = np.moveaxis(array, 1, -1)
    return array.reshape(input.z.shape)


def _gradient_size(form: Form, input: Input) -> int:
    rows, classes = np.atleast_2d(input.z).shape
    return int((rows + form.is_layer) * classes)


def _matrix_shape(form: Form, input: Input) -> tuple[int, ...]:
    """The shape of the probabilities of a batch in the layout of the form."""
    rows, classes = input.z.shape
    return (classes, rows) if form.columns else (rows, classes)


def _fitting(array: Array, form: Form, input: Input) -> list[str]:
    """The kinds of parts that an array can be by its shape: a loss, a matrix."""
    if array.dtype.kind not in "fiu":
        return []
    fit = []
    z = input.z
    rows, classes = np.atleast_2d(z).shape
    if not form.batch:
        if array.size == 1 and array.ndim <= 2:
            fit.append("loss")
        if form.is_layer and "labels" in form.order:
            return fit
        if array.size == classes and classes > 1 and 0 < array.ndim < 3:
            fit.append("matrix")
        return fit
    losses = [(), (1,), (1, 1)]
    if not form.is_layer:
        losses += [(rows,), (rows, 1), (1, rows)]
        losses += [(rows, rows)] if rows != classes else []
    if form.layout == "sequences":
        losses += [sequence_shape(rows), sequence_shape(rows)[:1]]
    if form.layout == "images":
        losses += [image_shape(rows)]
    if array.shape in losses:
        fit.append("loss")
    matrices = [_matrix_shape(form, input)]
    if form.is_layer:
        shape = (rows + 1, classes)
        matrices += [shape[::-1] if form.weights_by_class else shape, (shape[0] * shape[1],)]
    elif form.layout == "sequences":
        matrices.append((*sequence_shape(rows), classes))
    elif form.layout == "images":
        images, *pixels = image_shape(rows)
        matrices = [(images, classes, *pixels)]
    elif form.layout == "heads":
        matrices = [(*image_shape(rows), classes)]
    elif form.layout == "rows" and "labels" in form.order:
        matrices += [(rows * classes,), (rows * classes, 1)]  # flat, as in gradient boosting
    if array.shape in matrices:
        fit.append("matrix")
    return fit


def _is_softmax(array: Array, form: Form) -> bool:
    """Whether it has the look of probabilities: not negative, and each example sums to 1."""
    axis = 0 if form.columns else -1
    with np.errstate(all="ignore"):
        return bool((array >= 0).all() and np.allclose(array.sum(axis=axis), 1.0, atol=1e-3))


def is_near(got: Any, want: Any, rows: int) -> bool:
    """Whether it is right to a few digits: a mean, a sum over N rows, a sum over each sequence and
    a mean over these, or a loss for each."""
    if got is None or want is None:
        return False
    x, y = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if y.ndim == 0 and x.ndim == 1:
        x = x.mean()
    with np.errstate(all="ignore"):
        return x.shape == y.shape and any(
            np.allclose(x, factor * y, rtol=1e-3, atol=1e-5)
            for factor in (1, rows, sequence_shape(rows)[1])
        )


def _description(value: Any) -> str:
    """A returned value in a few words."""
    array = _numbers(value)
    if array is None:
        return "None" if value is None else f"a {type(value).__name__}"
    return f"shape {array.shape}" if array.ndim else "a number"


def _numbers(value: Any) -> Array | None:
    """The value as an array of numbers; None if it is not one."""
    if value is None or isinstance(value, str | bytes | Mapping):
        return None
    if isinstance(value, np.ma.MaskedArray):
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    try:
        array = np.asarray(value)
    except Exception:  # rows of different lengths, or whatever its __array__ raises
        return None
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return array if array.dtype.kind in "fiu" and array.size else None
