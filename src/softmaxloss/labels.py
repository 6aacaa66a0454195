"""Targets in every form that people pass → checked class indices or probabilities.

Labels count from 0 unless `first_class=1` says otherwise; nothing is guessed. What each form gets
is in docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import BFLOAT16, Array, as_array, as_floats, is_float
from .errors import LabelError, OptionError
from .logits import without_classes
from .options import Options
from .rows import blocks, class_last, outer_classes_inner
from .text import few, shown

# How far from 1 the probabilities of a row may sum: what rounding them, or computing them in that
# type, may leave, with room. It only tells rounding from several labels on one example; the
# probabilities themselves are used as they are.
SUM_TOLERANCE = {"bfloat16": 0.1, "float16": 0.02, "float32": 1e-4}
SUM_TOLERANCE_OTHERS = 1e-6


@dataclass(slots=True)  # frozen=True would take three times as long to make
class ClassIndices:
    """One class per example, counted from 0. An example with `ignore_index` does not count.

    `may_ignore` is False where the range of the labels shows that every example counts.
    """

    values: Array
    ignore_index: int
    may_ignore: bool

    def counted(self) -> Array:
        """Which examples count, as booleans."""
        return np.asarray(self.values != self.ignore_index)

    def counted_weights(
        self, weight: NDArray[np.float64] | None, sample_weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """The weights of the examples that count; at least one of the two is given."""
        counted = self.counted().ravel() if self.may_ignore else slice(None)
        each: Any = 1.0 if sample_weight is None else sample_weight[counted]
        if weight is not None:
            each = each * weight[self.values.ravel()[counted]]
        return np.asarray(each)

    def true_classes(self) -> ClassIndices:
        """The class of each example that its rank and its probability are of."""
        return self

    def at(self, place: Any) -> ClassIndices:
        """The labels of some examples."""
        return ClassIndices(self.values[place], self.ignore_index, self.may_ignore)

    def in_place(self) -> ClassIndices:
        """The labels as kernels read them, (rows,). They are few, so they may be copied."""
        y = self.values
        if not (y.flags.c_contiguous and y.flags.aligned and y.dtype.isnative):
            y = np.require(y, y.dtype.newbyteorder("="), ["C", "A"])
        elif y.ndim == 1:
            return self
        return ClassIndices(y.reshape(-1), self.ignore_index, self.may_ignore)

    def block(self, place: Any) -> ClassIndices:
        """The labels of some examples as kernels read them."""
        return self.at(place).in_place()


@dataclass(slots=True)
class ClassProbabilities:
    """Probabilities per example, in the shape of the logits and the caller's dtype. `divisors`, in
    the shape of the examples, are the sums by which each row is still to be divided."""

    ignore_index: ClassVar[int] = -1  # no class

    values: Array
    divisors: NDArray[np.float64] | None = None

    def true_classes(self) -> ClassIndices:
        """The class with the largest probability of each example, the first of several."""
        return ClassIndices(np.asarray(class_last(as_floats(self.values)).argmax(-1)), -1, False)

    def at(self, place: Any) -> ClassProbabilities:
        """The probabilities of some examples, the classes in the last axis."""
        divisors = None if self.divisors is None else self.divisors[place]
        return ClassProbabilities(class_last(self.values)[place], divisors)

    def in_place(self) -> ClassProbabilities | None:
        """The probabilities as kernels read them, (outer, classes, inner), in place; None where
        that takes a copy."""
        q = self.values
        if self.divisors is not None or q.dtype != self._dtype() or not q.flags.aligned:
            return None
        view = outer_classes_inner(q)
        return None if view is None else ClassProbabilities(view)

    def block(self, place: Any) -> ClassProbabilities:
        """The probabilities of some examples as kernels read them, (rows, classes, 1)."""
        part = self.at(place)
        q = as_floats(part.values)
        q = q if part.divisors is None else q / part.divisors[..., None]
        q = np.require(q, self._dtype(), ["C", "A"])
        return ClassProbabilities(q.reshape(-1, q.shape[-1], 1))

    def _dtype(self) -> np.dtype[Any]:
        """What kernels read the values in: float32 where that holds them exactly."""
        exact = self.values.dtype == BFLOAT16 or np.can_cast(self.values.dtype, np.float32)
        narrow = self.divisors is None and exact
        return np.dtype(np.float32 if narrow else np.float64)


Target = ClassIndices | ClassProbabilities


def read_target(target: ArrayLike, logits_shape: tuple[int, ...], options: Options) -> Target:
    """The checked target for logits of this shape. Raises LabelError before anything is computed.

    >>> read_target([2, 0], (2, 3), Options()).values
    array([2, 0])
    >>> read_target([[0, 0, 1], [1, 0, 0]], (2, 3), Options()).values.shape
    (2, 3)
    >>> read_target([1, 3], (2, 3), Options())
    Traceback (most recent call last):
        ...
    softmaxloss.errors.LabelError: the label of row 1 is 3, outside 0..2; all labels lie in 1..3: \
if they count from one, pass first_class=1
    """
    index_shape, classes = without_classes(logits_shape)
    try:
        y = target if type(target) is np.ndarray else as_array(target, "target")
    except ValueError as error:
        raise LabelError(str(error)) from None
    if y.shape == index_shape:
        return read_indices(y, classes, options)
    if y.shape == logits_shape:
        if options.ignore_index >= 0:
            raise OptionError(
                f"ignore_index={options.ignore_index} needs class indices as target; this target "
                f"has a value for each class, shape {y.shape}"
            )
        return _read_probabilities(y, options)
    one_too_many = y.shape == (*index_shape, 1)
    hint = ": remove its last axis, e.g. target[..., 0]" if one_too_many else ""
    raise LabelError(
        f"target has shape {y.shape}; logits of shape {logits_shape} need class indices of shape "
        f"{index_shape} or probabilities of shape {logits_shape}{hint}"
    )


def read_indices(y: Array, classes: int, options: Options) -> ClassIndices:
    """Checked class indices, of the caller's integer dtype where labels count from 0.

    Each must lie in 0..classes−1 (1..classes with first_class=1) or be `ignore_index`, which is
    compared with the label as the caller wrote it.
    """
    ignore_index, first = options.ignore_index, options.first_class
    if y.size == 0:
        return ClassIndices(np.zeros(y.shape, np.int64), -1, False)
    if y.dtype.kind not in "iu":
        raise LabelError(_not_integers(y, classes))
    if first == 0 and not 0 <= ignore_index < classes and _all_are_classes(y, classes):
        return ClassIndices(y, -1, False)
    low, high = first, first + classes - 1
    least, most = int(y.item(y.argmin())), int(y.item(y.argmax()))
    may_ignore = least <= ignore_index <= most
    if least < low or most > high:
        counted = y != ignore_index
        outside = counted & ((y < low) | (y > high))
        if outside.any():
            raise LabelError(_outside(y, counted, outside, low, high))
    kernels_hold_it = -(2**63) <= ignore_index < 2**63
    if first == 0 and (not may_ignore or kernels_hold_it):
        return ClassIndices(y, ignore_index if may_ignore else -1, may_ignore)
    zero_based = np.where(y == ignore_index, -1, y.astype(np.int64) - first)
    return ClassIndices(np.asarray(zero_based), -1, may_ignore)


def _all_are_classes(y: Array, classes: int) -> bool:
    """Whether every label lies in 0..classes−1."""
    if y.size == 1:
        return 0 <= int(y.item()) < classes
    # Read as unsigned, negative labels are the largest: one pass shows both ends. And NumPy's
    # argmax of a few numbers takes a fifth of the time that its max does.
    unsigned, end = _unsigned(y.dtype)
    y = y.view(unsigned)
    return int(y.item(y.argmax())) < min(classes, end)


@cache
def _unsigned(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """The unsigned integers of the same width, and how many of them are not negative in `dtype`."""
    return np.dtype(f"{dtype.byteorder}u{dtype.itemsize}"), int(np.iinfo(dtype).max) + 1


def _not_integers(y: Array, classes: int) -> str:
    if y.dtype.kind == "b":
        return (
            "target is boolean: pass class indices (converted to integers, if False is class 0 and "
            "True is class 1), or one row of 0/1 per example"
        )
    if is_float(y.dtype):
        return (
            f"target has the shape of class indices but dtype {y.dtype}: pass integers, "
            "target.astype(int) of NumPy, target.long() of PyTorch"
        )
    if y.dtype.kind in "OUS":
        names = [label for label in y.ravel().tolist() if not isinstance(label, int)]
        if not names:
            too_large = next((label for label in y.flat if not -(2**63) <= label < 2**64), None)
            if too_large is None:
                return "target has dtype object: pass integers, e.g. target.astype(int)"
            return f"target holds {too_large}, which no integer dtype holds"
        # Numbers among names were made text by NumPy: the first real name tells more.
        name = next((n for n in names if not str(n).lstrip("-").isdecimal()), names[0])
        return (
            f"target holds {shown(name)}: pass class indices 0..{classes - 1}, e.g. "
            "classes.index(name) for class names"
        )
    return f"target must be integers, got dtype {y.dtype}"


def _outside(y: Array, counted: Array, outside: Array, low: int, high: int) -> str:
    position = np.unravel_index(int(np.argmax(outside)), y.shape)
    label = int(y[position])
    used = y[counted]
    hint = ""
    if low == high:
        hint = "; the logits are of one class, and need a column for each"
    elif low == 0 and used.min() >= 1 and used.max() == high + 1:
        hint = f"; all labels lie in 1..{high + 1}: if they count from one, pass first_class=1"
    elif label < 0 and position:
        hint = f"; if it marks rows that do not count, pass ignore_index={label}"
    return f"the label{_of_row(position)} is {label}, outside {low}..{high}{hint}"


def _read_probabilities(q: Array, options: Options) -> ClassProbabilities:
    if q.dtype.kind not in "biuf" and not is_float(q.dtype):
        raise LabelError(f"target probabilities must be real numbers, got dtype {q.dtype}")
    exact, rows = q.dtype.kind in "biu", class_last(q)
    sums, lowest = _sums(rows)
    if not (lowest >= 0 and np.isfinite(sums).all()):
        wide = as_floats(rows)
        bad = ~(np.isfinite(wide) & (wide >= 0))
        position = np.unravel_index(int(np.argmax(bad)), wide.shape)
        raise LabelError(
            f"the target{_of_row(position[:-1])} has {wide[position]} for class "
            f"{position[-1] + options.first_class}; "
            "probabilities must be finite and not negative"
        )
    if options.multi_label == "sum":
        return ClassProbabilities(q)
    if options.multi_label == "mean":
        bad = sums == 0
    else:
        name = "bfloat16" if q.dtype == BFLOAT16 else q.dtype.name
        tolerance = 0.0 if exact else SUM_TOLERANCE.get(name, SUM_TOLERANCE_OTHERS)
        bad = np.abs(sums - 1) > tolerance
    if bad.any():
        position = np.unravel_index(int(np.argmax(bad)), sums.shape)
        total = float(sums[position])
        labels = as_floats(rows[position])
        raise LabelError(_not_one_label(position, labels, total, options.first_class))
    return ClassProbabilities(q, sums if options.multi_label == "mean" else None)


def _sums(rows: Array) -> tuple[Array, Any]:
    """The float64 sum of each row, and the lowest number or 0; a block at a time is copied."""
    sums, lowest = np.empty(rows.shape[:-1]), 0
    with np.errstate(invalid="ignore", over="ignore"):
        for block in blocks(rows.shape[:-1], rows.shape[-1]):
            # In the order of the classes, whatever the layout: the bits of a sum depend on it.
            part = np.ascontiguousarray(as_floats(rows[block.place]))
            sums[block.place] = part.sum(axis=-1, dtype=np.float64)
            lowest = np.minimum(lowest, part.min(initial=0))
    return sums, lowest


def _not_one_label(position: tuple[Any, ...], q: Array, total: float, first_class: int) -> str:
    row = _of_row(position)
    if total == 0:
        return (
            f'the target{row} is all zeros: no class is true; with multi_label="sum" such a row '
            "has loss 0"
        )
    if np.isin(q, (0, 1)).all():
        labels = (np.flatnonzero(q) + first_class).tolist()
        what = f"the target{row} has {len(labels)} labels (classes {few(labels)})"
    else:
        what = f"the target{row} sums to {total:.9g}, not 1"
    return (
        f"{what}: the softmax loss expects one true class, or probabilities that sum to 1, since "
        'its classes exclude each other; pass multi_label="sum" or "mean" to add or average over '
        "the labels, or use a sigmoid loss if several classes can be true at once"
    )


def _of_row(position: tuple[Any, ...]) -> str:
    row = ", ".join(str(int(i)) for i in position)
    return f" of row ({row})" if len(position) > 1 else f" of row {row}" if position else ""
