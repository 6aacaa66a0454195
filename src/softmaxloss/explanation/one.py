"""`explain`: checks its arguments and computes the numbers of an explanation."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import formula
from ..api import cross_entropy, cross_entropy_with_grad, score
from ..arrays import as_array, is_float
from ..errors import LabelError, OptionError
from ..logits import read_logits
from ..options import Options
from .explanation import (
    Explanation,
    Layer,
    Path,
    State,
    choices,
    class_names,
    frozen,
    strongest,
    whole_number,
)
from .several import SeveralLabels, several_labels

__all__ = ["explain"]

Vector = NDArray[np.float64]

ENOUGH = 0.99  # of the probability for the true class: there a path ends
RECORDED = 12  # classes of a path
# How far logits may be from W·x + b, relative to |W|·|x| + |b|: operands and result rounded to
# bfloat16, of 8 digits, are 3·2⁻⁸ off at most.
LOGITS_TOLERANCE = 2.0**-6


@overload
def explain(
    logits: ArrayLike | None,
    target: SupportsIndex,
    *,
    classes: Sequence[str] | None = ...,
    step: float = ...,
    steps: int = ...,
    first_class: int = ...,
    features: ArrayLike | None = ...,
    linear_weight: ArrayLike | None = ...,
    linear_bias: ArrayLike | None = ...,
) -> Explanation: ...
@overload
def explain(
    logits: ArrayLike | None,
    target: ArrayLike,
    *,
    classes: Sequence[str] | None = ...,
    step: float = ...,
    steps: int = ...,
    first_class: int = ...,
    features: ArrayLike | None = ...,
    linear_weight: ArrayLike | None = ...,
    linear_bias: ArrayLike | None = ...,
) -> Explanation | SeveralLabels: ...


def explain(
    logits: ArrayLike | None,
    target: SupportsIndex | ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    step: float = 0.1,
    steps: int = 1000,
    first_class: int = 0,
    features: ArrayLike | None = None,
    linear_weight: ArrayLike | None = None,
    linear_bias: ArrayLike | None = None,
) -> Explanation | SeveralLabels:
    """Explain the loss of one example: J = −log softmax(logits)[target], its gradient, its descent.

    Args:
        logits: shape (C,), computed in float64. None where the layer below gives them.
        target: the number of the true class; or a value for each class, shape (C,): one-hot, or
            several labels or probabilities, which give `SeveralLabels`.
        classes: C names.
        step: the size of a descent step, z − step·∂J/∂z.
        steps: how many of them the path takes at most; it ends where a_y comes to 0.99.
        first_class: 1 when labels are counted from 1.
        features: x, shape (D,), where the logits are those of a linear layer, z = W·x + b, with
        linear_weight: W, shape (C, D) as in torch.nn.Linear, and
        linear_bias: b, shape (C,), or None.

    Raises:
        ValueError: the logits are not one row.
        LabelError: the target is no class.
        OptionError: an option does not fit. Both are ValueErrors.
        TypeError: the logits are no real numbers.

    >>> why = explain([2.0, 1.0, 0.1, -1.2], 2)
    >>> round(why.before.loss, 4), why.rank, round(why.uniform_loss, 4)
    (2.3435, 3, 1.3863)
    >>> why.gradient.round(4)                       # only the true class is pushed up
    array([ 0.6418,  0.2361, -0.904 ,  0.0262])
    >>> round(why.after.loss, 4)                    # smaller than before
    2.2161
    """
    first_class = Options(first_class=first_class).first_class
    step, steps = _positive("step", step), whole_number("steps", steps)
    given = _layer(features, linear_weight, linear_bias)
    z = _logits_of(given) if logits is None else _one_row(logits)
    if logits is not None and given is not None:
        _require_same_logits(z, given)
    names = class_names(classes, z.size)
    y = _position(target, z.size, first_class)
    if not isinstance(y, int):
        return several_labels(z, y, names, step, first_class)
    loss, gradient = cross_entropy_with_grad(z, y)
    scores = score(z, y)
    a = formula.softmax(z)
    terms = formula.neg_log_softmax(z)
    terms[y] = loss
    defined = int(scores.rank) > 0
    largest = float(z.max()) if defined else math.nan
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        shifted = z - largest
        exponentials = np.exp(shifted)
        # 1/a_y as exp(J), which is right where a_y rounds to 0.
        by_probability = -float(np.exp(loss))
        z_after = z - step * gradient
        loss_from_logits = float(-z[y] + scores.logsumexp)
    loss_after = float(cross_entropy(z_after, y))
    return Explanation(
        before=State(frozen(z), frozen(a), float(loss)),
        target=y,
        largest=largest,
        shifted=frozen(shifted),
        exponentials=frozen(exponentials),
        denominator=math.fsum(exponentials) if defined else math.nan,
        terms=frozen(terms),
        logsumexp=float(scores.logsumexp),
        loss_from_logits=loss_from_logits,
        gradient=frozen(gradient),
        gradient_sum=math.fsum(gradient) if defined else math.nan,
        gradient_by_probability=by_probability,
        jacobian_row=frozen(-a[y] * gradient),  # a_y·(1[n = y] − a_n), without its cancellation
        step=step,
        after=State(frozen(z_after), frozen(formula.softmax(z_after)), loss_after),
        path=_path(z, y, step, steps) if defined and z[y] > -math.inf else None,
        predicted=int(scores.predicted) if defined else None,
        rank=int(scores.rank),
        uniform_loss=math.log(choices(z, y)),
        layer=None if given is None else Layer(*given, frozen(gradient), step, y),
        classes=names,
        first_class=first_class,
    )


def _path(z: Vector, y: int, step: float, steps: int) -> Path:
    """Descent from z, at most so many steps."""
    shown = _integers(strongest(z, y, RECORDED) if z.size > RECORDED else range(z.size))
    recorded = []
    kept = {0, steps} | {n * 10**k for n in (1, 2, 5) for k in range(len(str(steps)))}
    taken, reached = 0, False
    while True:
        loss, gradient = cross_entropy_with_grad(z, y)
        a_y = math.exp(-loss)
        reached = a_y >= ENOUGH
        with np.errstate(over="ignore", invalid="ignore"):
            z_after = z - step * gradient
        # Where float64 shows no change, or the numbers overflow, there will be no other.
        stuck = bool((z_after == z).all()) or not np.isfinite(z_after[y])
        last = reached or stuck or taken >= steps
        if last or taken in kept:
            recorded.append((taken, loss, a_y, z[shown], formula.softmax(z)[shown]))
        if last:
            break
        z, taken = z_after, taken + 1
    at, losses, of_target, logits, probabilities = zip(*recorded, strict=True)
    return Path(
        steps=_integers(at),
        loss=frozen(losses),
        target_probability=frozen(of_target),
        classes=shown,
        logits=frozen(logits),
        probabilities=frozen(probabilities),
        reached=reached,
    )


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    array = np.array(list(values), np.int64)
    array.flags.writeable = False
    return array


def _one_row(logits: ArrayLike) -> Vector:
    z = read_logits(logits)
    if z.ndim != 1:
        raise ValueError(
            f"explain takes the logits of one example, shape (C,); got shape {z.shape}: pass one "
            "row of it"
        )
    return z.astype(np.float64)


def _position(target: Any, classes: int, first_class: int) -> int | Vector:
    """The true class, counted from 0; or a value for each class where they are several."""
    label = None
    if not isinstance(target, bool | np.bool_):
        with contextlib.suppress(TypeError):
            label = operator.index(target)
    if label is None:
        return _of_each_class(target, classes)
    last = first_class + classes - 1
    if not first_class <= label <= last:
        hint = ""
        if first_class == 0 and label == classes:
            hint = "; if labels count from one, pass first_class=1"
        raise LabelError(f"the label is {label}, outside {first_class}..{last}{hint}")
    return label - first_class


def _of_each_class(target: Any, classes: int) -> int | Vector:
    """The one class of a one-hot target, else the checked values."""
    q = np.asarray(None) if np.isscalar(target) else as_array(target, "target")
    if q.ndim == 0:
        given = repr(target) if np.isscalar(target) else type(target).__name__
        raise LabelError(f"target must be the number of the true class, an integer; got {given}")
    if q.shape != (classes,):
        raise LabelError(
            f"target has shape {q.shape}; it must be the number of the true class, or a value for "
            f"each class, shape ({classes},)"
        )
    if not (is_float(q.dtype) or q.dtype.kind in "biu"):
        raise LabelError(f"target probabilities must be real numbers, got dtype {q.dtype}")
    q = q.astype(np.float64)
    used = np.flatnonzero(q)
    return int(used[0]) if used.size == 1 and q[used[0]] == 1.0 else q


# --- the linear layer -----------------------------------------------------------------------------

_Given = tuple[Vector, Vector, Vector | None]


def _layer(features: Any, weight: Any, bias: Any) -> _Given | None:
    """The checked arrays x, W and b; None where none was given."""
    if features is None or weight is None:
        if features is bias is weight is None:
            return None
        raise OptionError("the layer takes both features, x, and linear_weight, W: z = W·x + b")
    x = _numbers(features, "features", 1)
    W = _numbers(weight, "linear_weight", 2)
    if W.shape[1] != x.size:
        hint = ": pass linear_weight.T" if W.shape[0] == x.size else ""
        raise OptionError(
            f"linear_weight has shape {W.shape}; {x.size} features need shape (C, {x.size}), as in "
            f"torch.nn.Linear{hint}"
        )
    if W.shape[0] == 0:
        raise OptionError(f"linear_weight has shape {W.shape}: no classes")
    b = None if bias is None else _numbers(bias, "linear_bias", 1)
    if b is not None and b.size != W.shape[0]:
        raise OptionError(
            f"linear_bias has shape {b.shape}; {W.shape[0]} classes need shape ({W.shape[0]},)"
        )
    return x, W, b


def _numbers(value: Any, name: str, ndim: int) -> Vector:
    array = as_array(value, name)
    if not (is_float(array.dtype) or array.dtype.kind in "iu"):
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        wanted = "(D,)" if name == "features" else "(C, D)" if ndim == 2 else "(C,)"
        raise OptionError(f"{name} must have shape {wanted}, got {array.shape}")
    return frozen(array)


def _logits_of(given: _Given | None) -> Vector:
    if given is None:
        raise ValueError("logits are missing: pass them, or features and linear_weight")
    x, W, b = given
    with np.errstate(over="ignore", invalid="ignore"):
        z: Vector = W @ x if b is None else W @ x + b
    return z


def _require_same_logits(z: Vector, given: _Given) -> None:
    x, W, b = given
    computed = _logits_of(given)
    if computed.shape != z.shape:
        raise OptionError(f"linear_weight has {computed.size} classes, the logits have {z.size}")
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(W) @ np.abs(x) + (0.0 if b is None else np.abs(b))
        far = np.flatnonzero(np.abs(z - computed) > LOGITS_TOLERANCE * size)
    if far.size:
        n = far[0]
        raise OptionError(
            f"the logits are not those of the layer: z[{n}] is {z[n]:.6g}, W·x + b gives "
            f"{computed[n]:.6g}; pass logits=None to take those"
        )


def _positive(name: str, value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if 0 < float(value) < math.inf:
                return float(value)
    raise OptionError(f"{name} must be a positive number, got {repr(value)[:40]}")
