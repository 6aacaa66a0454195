"""The shapes in which people write the softmax loss, and how each is called.

A form says what is passed (index or one-hot labels, one example or a batch, examples in rows or in
columns, arrays or tensors) and what comes back. `call` turns a probe into that, and what comes back
into `Results` of a batch with examples in rows.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import frameworks
from .frameworks import Framework
from .probes import Probe
from .steps import Results
from .terms import Terms

__all__ = ["NOTHING", "Besides", "Form", "ShapeError", "candidates", "options_of"]

Array = NDArray[Any]


class Besides(NamedTuple):
    """What is passed besides logits and labels.

    options   keyword arguments, by the names that the function has for them
    upstream  what each loss is multiplied by before automatic differentiation; None: 1
    half      whether the logits are rounded to bfloat16
    reg       the last argument of f(W, X, y, reg)
    """

    options: Mapping[str, Any] = {}
    upstream: Array | None = None
    half: bool = False
    reg: float = 0.0


NOTHING = Besides()

#: The options of `torch.nn.functional.cross_entropy`, and what else people call them.
OPTIONS = {
    "weight": ("weight", "weights", "class_weight", "class_weights"),
    "ignore_index": ("ignore_index", "ignore_label"),
    "label_smoothing": ("label_smoothing", "smoothing"),
    "reduction": ("reduction",),
}


class ShapeError(ValueError):
    """What came back has none of the shapes that this form has."""


@dataclass(frozen=True)
class Form:
    """One way to call a function.

    labels      "none" where only logits are passed, else "index" or "one-hot"
    batch       whether all examples are passed at once
    columns     whether the examples are columns: (C, N)
    first       which argument comes first
    framework   what the arrays are
    weights     for f(W, X, y, reg) → (loss, ∂J/∂W), the layout of W, examples being rows or columns
    """

    labels: Literal["none", "index", "one-hot"] = "index"
    batch: bool = True
    columns: bool = False
    first: Literal["logits", "labels"] = "logits"
    framework: Framework = "numpy"
    weights: Literal["none", "(D, C)", "(C, D)"] = "none"

    def __str__(self) -> str:
        if self.weights != "none":
            X = "(N, D)" if self.weights == "(D, C)" else "(D, N)"
            return f"f(W, X, y, reg) with W {self.weights} and X {X}"
        z = ("(C, N)" if self.columns else "(N, C)") if self.batch else "(C,)"
        array = {"numpy": "an array", "torch": "a tensor", "jax": "a JAX array"}[self.framework]
        if self.labels == "none":
            return f"f(z) with z {array} {z}"
        index = "(N,)" if self.batch else "a number"
        y = index if self.labels == "index" else z
        call = "f(z, y)" if self.first == "logits" else "f(y, z)"
        kind = "class indices" if self.labels == "index" else "one-hot"
        return f"{call} with z {array} {z} and y {kind} {y}"

    def call(
        self, function: Callable[..., Any], probe: Probe, besides: Besides = NOTHING
    ) -> Results:
        """The results for a probe. Raises what the function raises, and ShapeError."""
        if self.weights != "none":
            loss, slope = function(*self.arguments(probe.z, probe.y, besides.reg))
            slope = np.asarray(slope).T if self.weights == "(C, D)" else np.asarray(slope)
            results = _collected((loss, slope), probe.z.shape, columns=False)
            if results.gradient is None or results.loss is None:
                raise ShapeError("it must return the loss and the gradient by the weights")
            # ∂J/∂W = Xᵀ·∂J/∂z, and X is a permutation.
            return results._replace(gradient=_features(len(probe.z), slope.dtype) @ slope)
        if self.batch:
            value = self.one_call(function, probe.z, probe.y, besides)
            return _collected(value, probe.z.shape, self.columns)
        rows = [
            self.one_call(function, z, y, besides) for z, y in zip(probe.z, probe.y, strict=True)
        ]
        parts = [_of_one(row, probe.z.shape[1]) for row in rows]
        joined = [
            None if any(part[k] is None for part in parts) else np.array([p[k] for p in parts])
            for k in range(3)
        ]
        softmax, losses, gradient = joined
        loss = None if losses is None else losses.mean()
        return Results(softmax, loss, None if gradient is None else gradient / len(rows))

    def one_call(self, function: Callable[..., Any], z: Array, y: Array, besides: Besides) -> Any:
        """What the function gives for arguments made from z and y, as arrays."""
        arguments = self.arguments(z, y)
        by = self.named(arguments).index("logits") if self.labels != "none" else None
        return frameworks.call(
            self.framework, function, arguments, by, besides.options,
            upstream=besides.upstream, half=besides.half,
        )  # fmt: skip

    def arguments(self, z: Array, y: Array, reg: float = 0.0) -> tuple[Any, ...]:
        """Fresh arguments for logits and labels, in the form's order."""
        labels: Any = np.asarray(y).copy()
        if self.weights != "none":
            X = _features(len(z), z.dtype)
            W = X.T @ z  # so that X·W is z, to the bit
            if self.weights == "(D, C)":
                return W, X, labels, reg
            return W.T.copy(), X.T.copy(), labels, reg
        logits = z.T.copy() if self.columns else z.copy()
        if self.labels == "one-hot":
            labels = np.eye(z.shape[-1], dtype=z.dtype)[y]
            labels = labels.T.copy() if self.columns else labels
        elif not self.batch:
            labels = int(y)
        if self.labels == "none":
            return (logits,)
        return (logits, labels) if self.first == "logits" else (labels, logits)

    def named(self, arguments: Sequence[Any]) -> list[str]:
        """What each of the arguments is: "logits", "labels", "weights", "features" or "reg"."""
        if self.weights != "none":
            return ["weights", "features", "labels", "reg"]
        names = ["logits", "labels"][: len(arguments)]
        return names if self.first == "logits" else names[::-1]


def candidates(function: Callable[..., Any], terms: Terms) -> Iterator[Form]:
    """The forms in which a function may be meant to be called, the likeliest first."""
    required, most = _positional(function)
    if 3 <= required <= 4 and most >= 4 and terms.kind in (None, "loss+gradient"):
        if terms.layout in (None, "rows"):
            yield Form(weights="(D, C)")
        if terms.layout in (None, "columns"):
            yield Form(weights="(C, D)", columns=True)
        return
    labels = ["index", "one-hot"] if most >= 2 and terms.kind != "softmax" else ["none"]
    if terms.kind is None and required <= 1 and most >= 2:
        labels.append("none")
    first = ["logits", "labels"]
    names = _names(function)
    if names and names[0].lower() in ("y", "t", "target", "targets", "labels", "y_true", "label"):
        first.reverse()
    # One example last: a function of columns, given one, may take it for a batch.
    layouts = [terms.layout] if terms.layout is not None else ["rows", "columns", "one"]
    for framework, layout, kinds, order in itertools.product(
        frameworks.frameworks_of(function), layouts, labels, first
    ):
        if kinds != "none" or order == "logits":
            yield Form(kinds, layout != "one", layout == "columns", order, framework)  # type: ignore[arg-type]


def options_of(function: Callable[..., Any]) -> dict[str, str]:
    """The options that a function takes, and its names for them.

    >>> options_of(lambda z, y, class_weight=None: 0)
    {'weight': 'class_weight'}
    """
    names = _names(function)[1:]
    found = {option: [n for n in names if n in known] for option, known in OPTIONS.items()}
    return {option: given[0] for option, given in found.items() if given}


def _collected(value: Any, shape: tuple[int, ...], columns: bool) -> Results:
    """What a call for a batch gave, by its shape."""
    rows, classes = shape
    matrix = (classes, rows) if columns else (rows, classes)
    losses = ((), (1,), (rows,), (rows, 1), (1, rows), (rows, rows))

    def is_a(array: Array) -> str | None:
        return "gradient" if array.shape == matrix else "loss" if array.shape in losses else None

    loss, gradient, alone = _parts_of(value, is_a)
    if loss is not None:
        if loss.shape in ((), (1,)):
            loss = loss.reshape(())[()]
        elif loss.shape != (rows, rows) or rows == 1:
            loss = loss.reshape(-1)
    if gradient is not None and columns:
        gradient = gradient.T
    return Results(gradient if alone else None, loss, gradient)


def _of_one(value: Any, classes: int) -> tuple[Any, Any, Any]:
    """What a call for one example gave: softmax, loss, gradient."""

    def is_a(array: Array) -> str | None:
        if array.size == classes and 0 < array.ndim < 3 and classes > 1:
            return "gradient"
        return "loss" if array.size == 1 else None

    loss, gradient, alone = _parts_of(value, is_a)
    if loss is not None:
        loss = loss.reshape(())[()]
    if gradient is not None:
        gradient = gradient.reshape(-1)
    return gradient if alone else None, loss, gradient


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
    several = list(value.values()) if isinstance(value, dict) else list(value)
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


def _features(count: int, dtype: Any) -> Array:
    """X: the examples in another order, a permutation that is not its own inverse."""
    return np.roll(np.eye(count, dtype=dtype), 1, axis=0)


def _positional(function: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments a function needs, and takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2, 2
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return sum(p.default is p.empty for p in plain), 4 if many else len(plain)


def _names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
