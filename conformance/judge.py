"""The verdict on a result: it is compared with the exact one, within a bound on rounding errors."""

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

#: the kinds of verdict, the worst first
KINDS = ("crashes", "wrong", "raises", "accepts", "other", "right", "not offered", "not asked")


@dataclass(frozen=True)
class Verdict:
    kind: str
    #: the text after the kind in the cell of the table
    detail: str = ""
    #: the kind of mistake, for the list of findings
    mistake: str = ""


RIGHT = Verdict("right")


def judge(trial: Trial, result: dict[str, Any]) -> Verdict:
    """The verdict on a result of worker.ask: on the loss and, if that is right, on the gradient."""
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
        # The mean of no examples is 0/0; a gradient of 0 is one convention, NaN another.
        return Verdict("other", "gradient nan")
    if not trial.by_index and not _fault(grad, *_without_sum(trial, _eps(trial, result))):
        return Verdict("other", f"gradient a − q, {fault[0]}", "gradient a − q")
    return Verdict("wrong", f"gradient {fault[0]}", f"gradient: {fault[1]}")


# --- conventions ------------------------------------------------------------------------------


def _known_convention(trial: Trial, result: dict[str, Any]) -> Verdict | None:
    """Another convention for the same call, by which the loss is right."""
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
    """The gradient a − q, which is that of the loss where q sums to 1, and its tolerance.

    It is computed from the true gradient ((Σ q)·a − q)·f, whose parts follow from it and `size`.
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
    """A bound on the rounding errors of −log_softmax(z)_y.

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
    # As many terms as examples: the mean divides by their weights or by the case's denominator.
    return np.asarray(np.sum(tolerance))


def _gradient_tolerance(trial: Trial, size: Array, eps: float) -> Array:
    """exp of the rounded log-softmax has the same error, relative to a_n; c_n and the product with
    the upstream gradient add eps. An entry is the difference of two parts; `size` is their sum."""
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
    """The first wrong number, as "got for wanted", and the kind of mistake."""
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
    # The distance of neighbouring numbers near 0: no result can be closer.
    least = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    # However small the number, its first digit must be right: 0 is not a rounding of 1e-14. An
    # exact 0 is the difference of two equal numbers, of which only their rounding errors remain.
    first_digit = abs(exact) / 2 if exact else mp.inf
    if distance <= max(least, min(tolerance, first_digit)):
        return ""
    return "0 for a number" if value == 0 else "digits lost"


def _other_shape(got: Array, want: Any) -> Verdict | None:
    if got.shape == np.shape(want):
        return None
    return Verdict("wrong", f"shape {got.shape} for {np.shape(want)}", "another shape")


def _nothing_counts(trial: Trial) -> bool:
    """Whether the loss is NaN as the mean of no examples, 0/0, and not due to a NaN logit."""
    return _is_nan(trial.truth.loss) and all(entry == 0 for entry in trial.truth.grad.ravel())


def _is_nan(want: Any) -> bool:
    return np.ndim(want) == 0 and bool(mp.isnan(want))


def _array(result: dict[str, Any]) -> Array:
    return np.array(result["values"], float).reshape(result["shape"]).astype(_dtype(result))


def _eps(trial: Trial, result: dict[str, Any]) -> float:
    """The eps of the logits' or of the result's dtype, whichever is larger: a float64 computed from
    a float32 softmax has the digits of float32."""
    kinds = [_dtype(result), np.asarray(trial.arguments[0]).dtype]
    return max(float(ml_dtypes.finfo(kind).eps) for kind in kinds if kind.kind not in "iu")


def _dtype(result: dict[str, Any]) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, result["dtype"], result["dtype"]))


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}".replace("-", "−")


def _apart(value: float, exact: Any) -> str:
    """The wanted number with enough digits to differ from the result, three or more."""
    for digits in range(3, 18):
        text = f"{float(exact):.{digits}g}"
        if text != f"{value:.{digits}g}":
            return text.replace("-", "−")
    return number(float(exact))
