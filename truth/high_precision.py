"""The loss and its gradient from their definitions, in arithmetic with 50 digits.

    J = Σ_n c_n·(−log a_n),   ∂J/∂z_n = (Σ_j c_j)·a_n − c_n,   a_n = exp(z_n) / Σ_j exp(z_j)

No shift by the maximum, no log1p, nothing rearranged: mpmath's numbers have exponents without
bound, and each row is computed with 50 digits beyond those that its own cancellations lose. The
code under test shares nothing with this but the definition. Inputs are exact: each float is the
number that it represents.

`cross_entropy` is the public call once more, written from the tables of docs/semantics.md.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import ml_dtypes
import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

DIGITS = 50
# exp(−800) is below half of the least float64: what is smaller is 0 in every type tested.
WIDEST = 800

Array = NDArray[Any]
Number = Any  # an mpmath number

mp = mpmath.mp.clone()
mp.dps = DIGITS  # the clone starts with 15
NAN, INF = mp.nan, mp.inf


class Truth(NamedTuple):
    """Arrays of mpmath numbers; the last two have the shape of the logits."""

    loss: Any
    grad: Array
    size: Array  # the sum of the two parts whose difference is an entry of the gradient


def exact(value: Any) -> Number:
    """The number that a float (or integer) represents."""
    return mp.mpf(int(value)) if isinstance(value, int | np.integer) else mp.mpf(float(value))


def coefficients(
    y: int | ArrayLike,
    classes: int,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    sample_weight: float = 1.0,
) -> list[Number]:
    """c_n = s·w_n·((1 − ε)·q_n + ε/C)."""
    if np.ndim(y) == 0:
        q = [mp.mpf(n == y) for n in range(classes)]
    else:
        q = [exact(value) for value in np.asarray(y)]
    epsilon, s = exact(label_smoothing), exact(sample_weight)
    w = [mp.one] * classes if weight is None else [exact(value) for value in np.asarray(weight)]
    return [s * w[n] * ((1 - epsilon) * q[n] + epsilon / classes) for n in range(classes)]


def example(z: ArrayLike, c: list[Number]) -> tuple[Number, list[Number], list[Number]]:
    """One example with coefficients c_n: its loss, its gradient, and for each entry of the gradient
    the size of its two parts, (Σ_j c_j)·a_n + c_n."""
    z = [float(value) for value in np.asarray(z)]
    if not any(c):
        return mp.zero, [mp.zero] * len(z), [mp.zero] * len(z)
    if any(math.isnan(value) or value == math.inf for value in z) or max(z) == -math.inf:
        return NAN, [NAN] * len(z), [mp.zero] * len(z)
    finite = [value for value in z if value != -math.inf]
    cancelled = min(max(finite) - min(finite), WIDEST) / math.log(10)
    with mp.workdps(DIGITS + math.ceil(cancelled)):
        a = softmax(z)
        total = mp.fsum(c)
        loss = mp.fsum(
            INF if a_n == 0 else c_n * -mp.log(a_n) for a_n, c_n in zip(a, c, strict=True) if c_n
        )
        grad = [total * a_n - c_n for a_n, c_n in zip(a, c, strict=True)]
        return loss, grad, [total * a_n + c_n for a_n, c_n in zip(a, c, strict=True)]


def softmax(z: list[float]) -> list[Number]:
    powers = {value: mp.exp(mp.mpf(value)) for value in set(z)}  # exp(−inf) is 0
    denominator = mp.fsum(powers[value] for value in z)
    ratios = {value: power / denominator for value, power in powers.items()}
    return [ratios[value] for value in z]


def cross_entropy(
    logits: Array,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    multi_label: str = "error",
    denominator: float | None = None,
    first_class: int = 0,
    grad_output: ArrayLike = 1.0,
) -> Truth:
    """The results of `cross_entropy_with_grad` for valid arguments."""
    logits, target = np.asarray(logits), np.asarray(target)
    axis = 0 if logits.ndim == 1 else 1
    rows = np.moveaxis(logits, axis, -1)
    lead, classes = rows.shape[:-1], rows.shape[-1]
    by_index = target.shape == lead
    targets = target if by_index else np.moveaxis(target, axis, -1)
    losses, grads, sizes = (np.empty(shape, object) for shape in (lead, rows.shape, rows.shape))
    divisor = mp.zero
    samples = np.asarray(1.0 if sample_weight is None else sample_weight)
    for i in np.ndindex(lead):
        s = samples[i[: samples.ndim]]
        if s == 0 or (by_index and int(targets[i]) == ignore_index):
            losses[i], grads[i], sizes[i] = mp.zero, [mp.zero] * classes, [mp.zero] * classes
            continue
        if by_index:
            y: Any = int(targets[i]) - first_class
            divisor += exact(s) * (1 if weight is None else exact(np.asarray(weight)[y]))
        else:
            y = targets[i]
            divisor += exact(s)
        with mp.workdps(DIGITS + WIDEST):  # `example` subtracts c from numbers near it
            c = coefficients(y, classes, weight, label_smoothing, s)
            if not by_index and multi_label == "mean":
                c = [c_n / mp.fsum(exact(q) for q in targets[i]) for c_n in c]
        losses[i], grads[i], sizes[i] = example(rows[i], c)
    if reduction != "mean":
        divisor = mp.one
    elif denominator is not None:
        divisor = exact(denominator)
    upstream = np.broadcast_to(np.asarray(grad_output, np.float64), lead)
    for i in np.ndindex(lead):
        factor = exact(upstream[i]) / divisor if divisor else mp.zero
        grads[i] = [entry * factor for entry in grads[i]]
        sizes[i] = [size * abs(factor) for size in sizes[i]]
    loss: Any = losses[()]
    if reduction != "none":
        loss = mp.fsum(losses.ravel()) / divisor if divisor else NAN
    return Truth(loss, np.moveaxis(grads, -1, axis), np.moveaxis(sizes, -1, axis))


def ulps(got: ArrayLike, want: Any, dtype: Any, of: Any = None) -> Array:
    """The distance of each number from the wanted one, in units in the last place (ulp) of the
    wanted one, or of the number `of`.

    The unit never falls below the smallest subnormal. The distance is 0 where both are NaN or the
    same infinity, or where `got` is the infinity to which the wanted number rounds; it is inf where
    only one of them is NaN or infinite.
    """
    got, want = np.asarray(got), np.asarray(want, object)
    assert got.shape == want.shape, f"shape {got.shape}, wanted {want.shape}"
    info = ml_dtypes.finfo(dtype)  # NumPy's, and bfloat16's
    of = want if of is None else np.asarray(of, object)
    distances = np.empty(got.shape)
    for i in np.ndindex(got.shape):
        distances[i] = _distance(float(got[i]), want[i], of[i], info)
    return distances


def _distance(got: float, want: Number, of: Number, info: Any) -> float:
    if mp.isnan(want) or math.isnan(got):
        return 0.0 if mp.isnan(want) and math.isnan(got) else math.inf
    if want == got:
        return 0.0
    least, bits = int(info.minexp), int(info.nmant)
    top = mp.ldexp(2 - mp.ldexp(1, -bits - 1), int(info.maxexp) - 1)  # rounds to infinity
    if math.isinf(got) or mp.isinf(want):
        return 0.0 if math.isinf(got) and (got > 0) == (want > 0) and abs(want) >= top else math.inf
    exponent = least if of == 0 else max(mp.frexp(of)[1] - 1, least)
    return float(mp.ldexp(abs(mp.mpf(got) - want), bits - exponent))
