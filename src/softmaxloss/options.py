"""Every option of the loss: its default, its check, its message. The checked options as one value.

What an option means is in `formula.py`; what each input gets is in docs/semantics.md.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
from functools import lru_cache
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, is_float
from .errors import OptionError
from .text import shown

__all__ = [
    "OPTION_NAMES",
    "MultiLabel",
    "Options",
    "Reduction",
    "checked_options",
    "class_weights",
    "option_values",
]

Reduction = Literal["mean", "sum", "none"]
MultiLabel = Literal["error", "sum", "mean"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one call that do not depend on the logits. Raises when one has no meaning.

    ignore_index     examples with this label do not count; the class stays in the denominator
    reduction        "mean", "sum" or "none" over the examples
    label_smoothing  ε in [0, 1]: this share of the target goes to the uniform distribution
    multi_label      several labels on one example: an "error", their "sum" or their "mean"
    denominator      what "mean" divides by, in place of the number (or weight) of the examples
                     that count: for gradient accumulation and means over several processes
    first_class      the number of the first class in integer labels: 0, or 1 by this word only

    >>> Options(reduction="sum").reduction
    'sum'
    >>> Options(label_smoothing=1.5)
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: label_smoothing must be a number in [0, 1], got 1.5
    """

    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0
    multi_label: MultiLabel = "error"
    denominator: float | None = None
    first_class: int = 0

    def __post_init__(self) -> None:
        _require_integer("ignore_index", self.ignore_index)
        _require_integer("first_class", self.first_class)
        _require_one_of("reduction", self.reduction, get_args(Reduction))
        _require_one_of("multi_label", self.multi_label, get_args(MultiLabel))
        if self.first_class not in (0, 1):
            raise OptionError(f"first_class must be 0 or 1, got {self.first_class}")
        _require_number("label_smoothing", self.label_smoothing, "a number in [0, 1]")
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise OptionError(
                f"label_smoothing must be a number in [0, 1], got {self.label_smoothing}"
            )
        if self.denominator is not None:
            _require_number("denominator", self.denominator, "a positive number or None")
            if self.reduction != "mean":
                raise OptionError(
                    'denominator is what reduction="mean" divides by; it has no use with '
                    f"reduction={self.reduction!r}"
                )
            if not 0 < self.denominator < math.inf:
                raise OptionError(f"denominator must be positive, got {self.denominator}")
            self._keep("denominator", float(self.denominator))
        self._keep("ignore_index", operator.index(self.ignore_index))
        self._keep("first_class", operator.index(self.first_class))
        self._keep("label_smoothing", float(self.label_smoothing))

    def _keep(self, name: str, value: Any) -> None:
        """Set a field of this frozen value, in __post_init__: a number as Python's own."""
        object.__setattr__(self, name, value)


#: The fields of Options, in their order.
OPTION_NAMES = tuple(field.name for field in fields(Options))


def option_values(options: Options) -> tuple[Any, ...]:
    """The values of the fields, in their order.

    (dataclasses.astuple copies deeply, which takes longer than the loss of one example, and
    torch.compile follows no attrgetter.)

    >>> option_values(Options())
    (-100, 'mean', 0.0, 'error', None, 0)
    """
    return (
        options.ignore_index,
        options.reduction,
        options.label_smoothing,
        options.multi_label,
        options.denominator,
        options.first_class,
    )


_remembered = lru_cache(maxsize=256, typed=True)(Options)  # typed: True is not 1 here


def checked_options(*values: Any) -> Options:
    """`Options(*values)`, remembered: the same options come with every call of a training loop.

    >>> checked_options(-100, "sum").reduction
    'sum'
    """
    if len(values) > 4 and values[4] is not None:  # denominator: another one with every call, say
        return Options(*values)
    try:
        return _remembered(*values)
    except TypeError:  # a wrong type, or only a value that cannot be remembered, a list say
        pass
    return Options(*values)


def class_weights(weight: ArrayLike | None, classes: int) -> NDArray[np.float64] | None:
    """The checked class weights, shape (C,), float64; None stays None.

    >>> class_weights([1, 2], classes=2)
    array([1., 2.])
    >>> class_weights([1, -2], classes=2)
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: weight[1] is -2.0; weights must be finite and not negative
    """
    if weight is None:
        return None
    try:
        w = as_array(weight, "weight")
    except ValueError as error:
        raise OptionError(str(error)) from None
    if not (is_float(w.dtype) or w.dtype.kind in "iub"):
        raise TypeError(f"weight must be {classes} real numbers, got dtype {w.dtype}")
    if w.shape != (classes,):
        raise OptionError(
            f"weight has shape {w.shape}; logits with {classes} classes need shape ({classes},)"
        )
    w = np.ascontiguousarray(w, dtype=np.float64)
    if w.size and w.item(w.argmin()) >= 0 and w.item(w.argmax()) < math.inf:  # argmin finds a NaN
        return w
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if bad.size:
        raise OptionError(
            f"weight[{bad[0]}] is {w[bad[0]]}; weights must be finite and not negative"
        )
    return w


def _require_integer(name: str, value: Any) -> None:
    try:
        operator.index(value)
    except TypeError:
        hint = "; leave it out for its default" if value is None else ""
        raise TypeError(f"{name} must be an integer, got {shown(value)}{hint}") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")


def _require_number(name: str, value: Any, fits: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {fits}, got {shown(value)}")
    try:
        float(value)
    except OverflowError:
        raise OptionError(f"{name} must be {fits}, got an integer that no float holds") from None


def _require_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        listed = ", ".join(f'"{word}"' for word in known)
        raise OptionError(f"{name} must be one of {listed}; got {shown(value)}")
