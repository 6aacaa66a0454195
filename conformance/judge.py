"""Whether an answer is right: against the exact one, with what rounding may cost allowed for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from truth import mp

from .trials import Trial

Array = NDArray[Any]

#: what a verdict can be, the worst first
KINDS = ("crashes", "wrong", "raises", "accepts", "other", "right", "not offered", "not asked")


@dataclass(frozen=True)
class Verdict:
    kind: str
    #: what stands behind the kind in the cell
    detail: str = ""
    #: which mistake it is, for the list of findings
    mistake: str = ""


RIGHT = Verdict("right")


def judge(trial: Trial, result: dict[str, Any]) -> Verdict:
    """The verdict on what worker.ask gives: on the loss, and where it is right on the gradient."""
    for kind in ("not asked", "not offered", "crashes"):
        if kind in result:
            return Verdict(kind, str(result[kind]) if kind == "not offered" else "")
    if "raises" in result:
        return RIGHT if trial.wants_error else Verdict("raises", result["raises"])
    loss = _array(result["loss"])
    if trial.wants_error:
        value = number(float(loss.ravel()[0])) if loss.size else "an empty array"
        if result["classes last"] == "as given":
            return Verdict("other", "classes last")
        return Verdict("accepts", value, "accepts NaN" if value == "nan" else "accepts")
    if verdict := _other_shape(loss, trial.truth.loss):
        return verdict
    fault = _fault(loss, trial.truth.loss, _loss_tolerance(trial, _eps(trial, result["loss"])))
    if fault:
        return _known_convention(trial, result) or Verdict("wrong", *fault)
    if result["grad"] is not None:
        verdict = _judge_gradient(trial, result["grad"])
        if verdict != RIGHT:
            return verdict
    return _small_convention(trial, result) or RIGHT


def _judge_gradient(trial: Trial, result: dict[str, Any]) -> Verdict:
    grad = _array(result)
    want, size = trial.truth.grad, trial.truth.size
    if verdict := _other_shape(grad, want):
        return verdict
    fault = _fault(grad, want, _gradient_tolerance(trial, size, _eps(trial, result)))
    if not fault:
        return RIGHT
    if _nothing_counts(trial) and np.any(np.isnan(grad)):
        # The mean of nothing is 0/0; that its gradient is 0 is a choice, NaN is another.
        return Verdict("other", "gradient nan")
    if not trial.by_index and not _fault(grad, *_without_sum(trial, _eps(trial, result))):
        return Verdict("other", f"gradient a − q, {fault[0]}", "gradient a − q")
    return Verdict("wrong", f"gradient {fault[0]}", f"gradient: {fault[1]}")


# --- conventions ------------------------------------------------------------------------------


def _known_convention(trial: Trial, result: dict[str, Any]) -> Verdict | None:
    """Another meaning that people give to the same call, where the loss is right by it."""
    loss = _array(result["loss"])
    if loss.ndim == 0 and loss == 0 and _nothing_counts(trial):
        return Verdict("other", "0")
    if trial.arguments[2].get("reduction", "mean") != "mean" or loss.ndim:
        return None
    tolerance = _loss_tolerance(trial, _eps(trial, result["loss"]))
    for other in trial.means_over_n:
        if not _is_nan(other.loss) and not _fault(loss, other.loss, tolerance):
            return Verdict("other", "mean divides by N")
    return None


def _without_sum(trial: Trial, eps: float) -> tuple[Any, Array]:
    """The gradient a − q, which is that of the loss where q sums to 1, and what rounding may cost.

    Written from the true one, ((Σ q)·a − q)·f, whose parts are the half sums with `size`.
    """
    grad, size = trial.truth.grad, trial.truth.size
    logits, target, _ = trial.arguments
    total = np.sum(np.asarray(target).astype(float), axis=_axis(logits), keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (size + grad) / 2, (size - grad) / 2
        want = np.where(total == 0, grad, first / np.where(total == 0, 1, total) - second)
    return want, _gradient_tolerance(trial, size, eps)


def _small_convention(trial: Trial, result: dict[str, Any]) -> Verdict | None:
    """What differs from docs/semantics.md where the numbers are right."""
    dtype = result["loss"]["dtype"]
    if _dtype(result["loss"]).itemsize < 4:
        return Verdict("other", f"loss in {dtype}")
    if result["classes last"]:
        return Verdict("other", "classes last")
    loss = _array(result["loss"])
    if trial.case.get("expect", {}).get("positive_zero") and np.any(np.signbit(loss)):
        return Verdict("other", "−0")
    return None


# --- numbers ----------------------------------------------------------------------------------


def _loss_tolerance(trial: Trial, eps: float) -> Array:
    """What the rounding of −log_softmax(z)_y may cost.

    (m − z_y) + log Σ exp(z_n − m) rounds numbers of the size of the spread of the row and of log C,
    each by eps; the offset that all logits of a row have in common does not come into it. Each loss
    counts with its weights and its probabilities, and a sum of N of them has N such errors. 4 times
    that, so that an implementation may take some steps more.
    """
    size = _sizes(trial)
    _, target, options = trial.arguments
    scale = float(np.max([float(w) for w in options.get("weight", [1.0])], initial=0.0))
    if not trial.by_index:
        scale *= float(np.max(np.sum(np.asarray(target, float), axis=_axis(target)), initial=1.0))
    tolerance: Array = 4 * eps * size * max(scale, 1.0)
    if options.get("reduction", "mean") == "none":
        return tolerance
    # As many terms as examples: the mean divides by their weights, or by what the case says.
    return np.asarray(np.sum(tolerance))


def _gradient_tolerance(trial: Trial, size: Array, eps: float) -> Array:
    """exp of the rounded log-softmax is off by as much, relative to a_n; c_n and the product with
    what comes from upstream by eps. `size` is that of the two, whose difference an entry is."""
    logits = np.asarray(trial.arguments[0])
    of_row = np.expand_dims(_sizes(trial), _axis(logits))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(4 * eps * of_row * size.astype(float), nan=0.0, posinf=np.inf)


def _axis(array: Any) -> int:
    return 0 if np.ndim(array) == 1 else 1


def _sizes(trial: Trial) -> Array:
    """2 + the spread of the finite logits of each row + log C."""
    z = np.asarray(trial.arguments[0]).astype(float)
    axis = _axis(z)
    if z.size == 0:
        return np.zeros(tuple(np.delete(z.shape, axis)))
    finite = np.isfinite(z)
    highest = np.max(z, axis=axis, where=finite, initial=-np.inf)
    lowest = np.min(z, axis=axis, where=finite, initial=np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.nan_to_num(highest - lowest, nan=0.0, posinf=np.inf, neginf=0.0)
    return 2.0 + spread + math.log(z.shape[axis])


def _fault(got: Array, want: Any, tolerance: Array) -> tuple[str, str] | None:
    """The first number that is wrong, as "got for wanted", and which mistake that is."""
    want = np.asarray(want, object)
    tolerance = np.broadcast_to(tolerance, want.shape)
    for i in np.ndindex(want.shape):
        value, exact = float(got[i]), want[i]
        mistake = _mistake(value, exact, float(tolerance[i]), got.dtype)
        if mistake:
            return f"{number(value)} for {_apart(value, exact)}", mistake
    return None


def _mistake(value: float, exact: Any, tolerance: float, dtype: Any) -> str:
    if mp.isnan(exact):
        return "" if math.isnan(value) else "a number for NaN"
    if math.isnan(value):
        return "NaN for a number"
    infinite = abs(exact) > float(ml_dtypes.finfo(dtype).max)
    if infinite and math.isinf(value):
        return "" if (value > 0) == (exact > 0) else "another infinity"
    if infinite or math.isinf(value):
        return "finite for infinite" if infinite else "infinite for finite"
    distance = abs(mp.mpf(value) - exact)
    # Near 0 the numbers of a type are this far apart, and no result is nearer than the next.
    least = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    # However small it is, an answer whose first digit is lost is none: 0 is no rounding of 1e-14.
    # But an entry of 0 that is the difference of two equal numbers has nothing but their rounding.
    first_digit = abs(exact) / 2 if exact else mp.inf
    if distance <= max(least, min(tolerance, first_digit)):
        return ""
    return "0 for a number" if value == 0 else "digits lost"


def _other_shape(got: Array, want: Any) -> Verdict | None:
    if got.shape == np.shape(want):
        return None
    return Verdict("wrong", f"shape {got.shape} for {np.shape(want)}", "another shape")


def _nothing_counts(trial: Trial) -> bool:
    """Whether the loss is NaN as the mean of nothing, 0/0, and not by a NaN among the logits."""
    return _is_nan(trial.truth.loss) and all(entry == 0 for entry in trial.truth.grad.ravel())


def _is_nan(want: Any) -> bool:
    return np.ndim(want) == 0 and bool(mp.isnan(want))


def _array(result: dict[str, Any]) -> Array:
    return np.array(result["values"], float).reshape(result["shape"]).astype(_dtype(result))


def _eps(trial: Trial, result: dict[str, Any]) -> float:
    """How far apart the numbers of a dtype are at 1: that of the logits or of the result, whichever
    is coarser (a float64 computed from a softmax in float32 has the digits of float32)."""
    kinds = [_dtype(result), np.asarray(trial.arguments[0]).dtype]
    return max(float(ml_dtypes.finfo(kind).eps) for kind in kinds if kind.kind not in "iu")


def _dtype(result: dict[str, Any]) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, result["dtype"], result["dtype"]))


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}".replace("-", "−")


def _apart(value: float, exact: Any) -> str:
    """The wanted number with as many digits as tell it from what was given, three or more."""
    for digits in range(3, 18):
        text = f"{float(exact):.{digits}g}"
        if text != f"{value:.{digits}g}":
            return text.replace("-", "−")
    return number(float(exact))
