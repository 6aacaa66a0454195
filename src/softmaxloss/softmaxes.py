"""The softmax of a batch, its logarithm and logsumexp, from the kernels of the loss.

No kernel writes the softmax itself, but two of its results are made of it. The gradient of the loss
of class 0 is a_n for all other classes; the scores have a_0. And the loss of the class with the
largest logit is L = log1p(S), so that −log a_n = (m − z_n) + L, where nothing cancels.
"""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import engine
from .arrays import Array
from .errors import OptionError
from .logits import compute_dtype, gradient_dtype, read_logits, without_classes
from .options import Options
from .text import shown


def softmax(logits: ArrayLike, axis: int | None) -> Array:
    """The softmax, as `softmaxloss.softmax` describes it.

    >>> softmax([0.0, 0.0], None)
    array([0.5, 0.5])
    """
    given, axis = _read(logits, axis)
    z, first = _classes_second(given, axis), _first_class(given, axis)
    made = np.empty_like(given, gradient_dtype(given.dtype))
    a = _classes_second(made, axis)
    engine.cross_entropy_with_grad(z, first, None, None, _SUM, out=a)
    _classes_first(made, axis)[0] = engine.score(z, first, None, None, _EACH).probability
    return made


def log_softmax(logits: ArrayLike, axis: int | None) -> Array:
    """log softmax, as `softmaxloss.log_softmax` describes it.

    >>> log_softmax([0.0, 100.0], None)[1]
    np.float64(-3.720075976020836e-44)
    """
    given, axis = _read(logits, axis)
    z, dtype = _classes_first(given, axis), compute_dtype(given.dtype)
    k = z.argmax(0)  # which stops at a NaN
    m = np.take_along_axis(z, k[None], 0)
    L = engine.cross_entropy(_classes_second(given, axis), k, None, None, _EACH)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN: a row without a softmax
        made = np.empty_like(given, dtype)
        log_a = _classes_first(made, axis)
        np.subtract(z, m, out=log_a, dtype=dtype)
        log_a -= L
    return made.astype(gradient_dtype(given.dtype), copy=False)


def logsumexp(logits: ArrayLike, axis: int | None) -> Any:
    """log Σ exp(z_n), as `softmaxloss.logsumexp` describes it.

    >>> logsumexp([0.0, 0.0], None)
    np.float64(0.693147180...)
    """
    given, axis = _read(logits, axis)
    z, first = _classes_second(given, axis), _first_class(given, axis)
    made: Any = engine.score(z, first, None, None, _EACH).logsumexp
    undefined = np.isnan(made)
    if undefined.any():  # a row with a NaN, with +inf, or of nothing but −inf: its largest logit
        made = np.where(undefined, _classes_first(given, axis).max(0), made).astype(made.dtype)[()]
    return made


_SUM, _EACH = Options(reduction="sum"), Options(reduction="none")


def _read(logits: ArrayLike, axis: int | None) -> tuple[Array, int]:
    given = read_logits(logits)
    axis = checked_axis(given.shape, axis)
    if given.shape[axis] == 0:
        raise ValueError(f"logits of shape {given.shape} have no classes (C = 0)")
    return given, axis


def checked_axis(shape: tuple[int, ...], axis: int | None, name: str = "axis") -> int:
    """The axis of the classes, counted from 0; OptionError for one that there is not.

    >>> checked_axis((2, 3), None), checked_axis((2, 3), -2)
    (1, 0)
    >>> checked_axis((2, 3, 4), None)
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: which axis of logits of shape (2, 3, 4) has the classes? Pass \
axis=1 for (N, C, d1, …), axis=-1 for (…, C)
    """
    if axis is None:
        if len(shape) > 2:
            raise OptionError(
                f"which axis of logits of shape {shape} has the classes? Pass {name}=1 for "
                f"(N, C, d1, …), {name}=-1 for (…, C)"
            )
        return len(shape) - 1
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} must be an integer or None, got {shown(axis)}") from None
    if not -len(shape) <= index < len(shape):
        raise OptionError(f"{name} is {index}, but logits of shape {shape} have {len(shape)} axes")
    return index % len(shape)


def _classes_second(x: Array, axis: int) -> Array:
    """A view with the classes where the engine has them: in axis 1, or the only one."""
    return x if x.ndim == 1 else np.moveaxis(x, axis, 1)


def _classes_first(x: Array, axis: int) -> Array:
    return np.moveaxis(x, axis, 0)


def _first_class(logits: Array, axis: int) -> Array:
    """Class 0 for each example."""
    return np.zeros(without_classes(_classes_second(logits, axis).shape)[0], np.int8)
