"""Reductions: what the mean divides by, the reduced loss, and the factor of each row's gradient."""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Array, as_array, is_real
from .errors import OptionError
from .kernels import direct_on
from .labels import ClassIndices, Target
from .options import Options
from .text import shown

Number = TypeVar("Number")


def divisor_for(
    options: Options, rows: int, counted_weight: Callable[[], Number] | None
) -> float | Number:
    """What the sum of all losses is divided by: 1 unless reduction is "mean".

    Args:
        options: `reduction` and `denominator` of them.
        rows: The number of examples.
        counted_weight: Gives the sum of the weights of the examples that count; None where the mean
            divides by the number of examples, as with probabilities as targets and no sample
            weights.
    """
    if options.reduction != "mean":
        return 1.0
    if options.denominator is not None:
        return options.denominator
    return float(rows) if counted_weight is None else counted_weight()


def mean_divisor(
    target: Target,
    weight: NDArray[np.float64] | None,
    sample_weight: NDArray[np.float64] | None,
    rows: int,
    options: Options,
) -> float:
    """`divisor_for` a checked target. The weight of an example is w_y·s, with probabilities s.

    Raises OptionError where these weights sum to more than float64 holds: the loss would be ∞/∞.

    >>> target = ClassIndices(np.array([2, 0]), ignore_index=-1, may_ignore=False)
    >>> mean_divisor(target, np.array([1.0, 2.0, 4.0]), None, 2, Options())
    5.0
    >>> mean_divisor(target, np.array([1.0, 2.0, 4.0]), np.array([0.5, 3.0]), 2, Options())
    5.0
    """

    def counted_weight() -> float:
        if not isinstance(target, ClassIndices):
            return float(rows) if sample_weight is None else total(sample_weight)
        if weight is None and sample_weight is None:
            return float(np.count_nonzero(target.counted()) if target.may_ignore else rows)
        return total(target.counted_weights(weight, sample_weight))

    return finite_divisor(float(divisor_for(options, rows, counted_weight)))


def finite_divisor(divisor: float) -> float:
    """The divisor of a mean. OptionError for ∞: the loss would be ∞/∞.

    >>> finite_divisor(2.0)
    2.0
    """
    if divisor == math.inf:
        raise OptionError(
            "the weights of the examples sum to more than float64 holds: divide all of them by the "
            "same number, which does not change the mean"
        )
    return divisor


def reduced(losses: Array, divisor: float) -> float:
    """The sum of the losses, (rows,) float64, over the divisor; NaN where that is 0, because no
    example counts.

    >>> reduced(np.array([1.0, 2.0]), 2.0)
    1.5
    """
    return total(losses) / divisor if divisor else math.nan


def total(values: Array) -> float:
    """The sum of losses or weights, (n,) float64, ≥ 0, within 1 ulp.

    NumPy's sum of equal numbers is off by several: their rounding errors have one sign.

    >>> total(np.full(10, 0.1))
    1.0
    """
    return direct_on().sum(np.ascontiguousarray(values))


def gradient_factor(upstream: float | Array, divisor: float) -> float | Array:
    """The derivative of the result with respect to the loss of each row: one number, or one each.

    Where no example counts the divisor is 0 and the loss NaN; the gradient is 0.
    """
    if isinstance(upstream, np.ndarray):  # one for each row: there is no divisor then
        return upstream
    return upstream / divisor if divisor else 0.0


def read_upstream(
    grad_output: ArrayLike | None, lead_shape: tuple[int, ...], options: Options
) -> float | Array:
    """The checked upstream gradient ∂L/∂loss: one number, or one for each example, (rows,).

    >>> read_upstream(2, (3,), Options())
    2.0
    """
    if grad_output is None:
        return 1.0
    upstream = as_array(grad_output, "grad_output")
    if not is_real(upstream.dtype):
        raise TypeError(f"grad_output must be real numbers, got {shown(grad_output)}")
    upstream = upstream.astype(np.float64)
    if upstream.ndim == 0:
        number: float = upstream.item()
        return number
    if options.reduction == "none" and upstream.shape == lead_shape:
        return upstream.reshape(-1)
    fits = f" or shape {lead_shape}" if options.reduction == "none" else ""
    raise OptionError(
        f"grad_output has shape {upstream.shape}; with reduction="
        f"{options.reduction!r} it must be one number{fits}"
    )
