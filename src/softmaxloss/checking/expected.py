"""What is right, and how far from it is rounding.

The expected values are the library's, in float64, for the inputs as they were rounded to the
implementation's dtype. Any way to compute them is fine: the bounds are those of the least careful
right one. Its error has these parts, each in units ε of the last place of 1:

    z − m, log Σ exp z, z − log Σ exp z   each rounded: ε·max abs(z), a relative error after exp
    the sum of C terms                    ε·C
    exp, log, the quotient, the product   a few ε

The entry of the true class, a_y − 1, has the absolute error of a_y, and no better relative one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..api import cross_entropy_with_grad
from .probes import Probe

__all__ = ["FEW", "SINGLE", "Expected", "agree", "expected", "is_right", "precision"]

Array = NDArray[Any]

SINGLE = float(np.finfo(np.float32).eps)
FEW = 32  # of ε: exp, log, a quotient, and the same again for those who compute in two steps


class Expected(NamedTuple):
    """The right values for a probe, and how far from each may be right still."""

    softmax: Array
    loss: float
    gradient: Array
    losses: Array
    losses_error: Array
    softmax_error: Array
    loss_error: float
    gradient_error: Array


def precision(given: Any, values: Sequence[Any]) -> float:
    """ε of the precision in which results are computed: that of the logits that were given, or
    float32 where all of the results are narrower than float64.

    >>> precision(np.float64, [np.float32(1.0), None]) == SINGLE
    True
    """
    narrow = [np.asarray(v).dtype.itemsize < 8 for v in values if v is not None]
    single = np.dtype(given) == np.float32 or (bool(narrow) and all(narrow))
    return SINGLE if single else float(np.finfo(np.float64).eps)


def _last_place(value: Array, size: Any) -> Any:
    """What the rounding of a result to its own dtype costs a number of this size."""
    if value.dtype.kind != "f":
        return 0.0
    info = np.finfo(value.dtype)
    return info.eps * np.abs(size) + float(info.tiny)


def expected(probe: Probe, epsilon: float) -> Expected:
    """What is right for a probe, in a precision."""
    z, y = probe.z.astype(np.float64), probe.y
    rows, classes = z.shape
    losses, by_row = cross_entropy_with_grad(z, y, reduction="none")
    a = np.exp(z - z.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    largest = np.abs(z).max(axis=1)
    relative = epsilon * (FEW + classes + 4 * largest)
    # Below the smallest normal number, where precision is lost, much hardware gives 0.
    tiny = np.finfo(np.float32 if epsilon == SINGLE else np.float64).tiny
    softmax_error = relative[:, None] * a + tiny
    gradient_error = softmax_error / rows
    of_true = relative * a[np.arange(rows), y] + 2 * epsilon
    gradient_error[np.arange(rows), y] = of_true / rows
    loss_errors = epsilon * (FEW + classes + 4 * largest + 4 * losses)
    return Expected(
        softmax=a,
        loss=float(losses.mean()),
        gradient=by_row / rows,
        losses=losses,
        losses_error=loss_errors,
        softmax_error=softmax_error,
        loss_error=float(loss_errors.mean()),
        gradient_error=gradient_error,
    )


def is_right(part: str, got: Any, want: Expected, factor: float = 1.0) -> bool:
    """Whether a part of the results is right, or the right one times a factor."""
    value = np.asarray(got)
    wanted = factor * np.asarray(getattr(want, part))
    if value.shape != wanted.shape or not np.issubdtype(value.dtype, np.floating):
        return False
    error = factor * getattr(want, f"{part}_error") + _last_place(value, wanted)
    with np.errstate(invalid="ignore"):
        return bool((np.abs(value - wanted) <= error).all())


def agree(got: Any, candidate: Any, epsilon: float, size: float, *, tight: bool = False) -> bool:
    """Whether a result is what a wrong implementation gives. Wider than rounding, for its order of
    operations is not known: mistakes differ by far more. size: that of the logits. tight: no wider
    than what rounding costs, for what is to excuse the numbers, and not to explain them.

    Where one has an overflow the other may have NaN: what is not finite counts as the same, but
    +∞ and −∞.
    """
    if got is None or candidate is None:
        return got is candidate
    x, y = np.asarray(got), np.asarray(candidate)
    if x.shape != y.shape:
        return False
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)):
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        if (np.isinf(x) & np.isinf(y) & (x * y < 0)).any():
            return False
        x, y = x[finite], y[finite]
        if tight:
            relative = 4 * epsilon * (FEW + x.shape[-1] + 4 * size)
            return bool((np.abs(x - y) <= relative * (1 + np.abs(y)) + _last_place(x, y)).all())
        bound = 1000 * epsilon * (1 + size)
        error = bound * np.maximum(1e-3, np.abs(y)) + 2 * _last_place(x, y)
        return bool((np.abs(x - y) <= error).all())
