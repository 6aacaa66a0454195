"""What is right: the loss as a chain of steps, the loss with options, and the rounding allowed.

The steps are one function each, so that a named mistake can replace one of them:

    z ─ softmax ─→ a, log a ─ log ─→ log a ─ losses(·, q) ─→ J_i ─ reduce ─→ J
    y ─ target ──→ q                       ─ gradient ───→ G_i ─ scale ──→ ∂J/∂z ─ weights ─→ ∂J/∂W

z, a, q and the gradient have shape (N, C), y and the losses (N,); float64 unless the logits are
narrower. ∂J/∂W is that of a linear layer, `inputs.layer_for`.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..api import cross_entropy_with_grad
from ..arrays import Array
from .guard import Guard
from .inputs import Input, gradient_wrt_weights

Shape = tuple[int, int]

MOST_SQUARE = 64  # rows and columns that are kept of an (N, N) loss, which is wrong

# --- the steps ------------------------------------------------------------------------------------


class Results(NamedTuple):
    """What an implementation returns for a batch; a part that raised an error is None."""

    softmax: Array | None = None
    loss: Any = None
    gradient: Array | None = None  # with respect to the logits; of a layer, to its weights
    log_softmax: Array | None = None
    # With respect to the features of one example; kept as the gradient of the logits behind it.
    feature_gradient: Array | None = None
    bias_gradient: Array | None = None  # with respect to the bias of a layer, (C,)

    @property
    def probabilities(self) -> Any:
        """The probabilities, also of a log softmax alone; None if there are neither."""
        if self.softmax is not None or self.log_softmax is None:
            return self.softmax
        with np.errstate(all="ignore"):
            return np.exp(self.log_softmax)


def softmax(z: Array) -> tuple[Array, Array]:
    """a = exp(z − m) / Σ exp(z − m), and its log, which is not computed from a."""
    shifted = z - z.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    return np.exp(shifted) / total, shifted - np.log(total)


def target(y: Array, shape: Shape) -> Array:
    """q = onehot(y), one row per example."""
    q = np.zeros(shape)
    q[np.arange(shape[0]), y] = 1.0
    return q


def log(a: Array, log_a: Array) -> Array:
    """The log of the probabilities, as the softmax has it."""
    return log_a


def losses(a: Array, log_a: Array, q: Array) -> Array:
    """J_i = −log a_iy, selected rather than multiplied, so that 0·∞ does not occur."""
    return np.asarray(np.where(q != 0, -q * log_a, 0.0).sum(axis=1))


#: The step from the probabilities and the target to the gradient, by what it is a gradient with
#: respect to.
BY_SCORES: dict[str, Callable[[Array, Array], Array]] = {
    "logits": lambda a, q: a - q,
    "probabilities": lambda a, q: np.where(q != 0, -q / a, 0.0),
    "log-probabilities": lambda a, q: -q,
}


def jacobian_product(a: Any, g: Any) -> Any:
    """The gradient with respect to z of what follows a softmax: a_n·(g_n − Σ_k a_k·g_k)."""
    return a * (g - (a * g).sum(axis=1, keepdims=True))


def masked_softmax(z: Array, mask: Array) -> Array:
    """The softmax over the outputs that the mask leaves; 0 for the others."""
    return softmax(np.where(mask, z, -np.inf))[0]


#: The parts of the results that come from the gradient of each example.
OF_GRADIENT = {"gradient", "feature_gradient", "bias_gradient"}


class Steps(NamedTuple):
    """One function per step; the defaults are right."""

    softmax: Callable[[Array], tuple[Array, Array]] = softmax
    target: Callable[[Array, Shape], Array] = target
    log: Callable[[Array, Array], Array] = log
    losses: Callable[[Array, Array, Array], Array] = losses
    reduce: Callable[[Array, Shape], Any] = lambda losses, shape: losses.mean()
    gradient: Callable[[Array, Array], Array] = lambda a, q: a - q
    scale: Callable[[Array, Shape], Array] = lambda gradient, shape: gradient / shape[0]
    weights: Callable[[Array], Array] = gradient_wrt_weights
    bias: Callable[[Array], Array] = lambda gradient: gradient.sum(axis=0)

    def run(
        self,
        z: Array,
        y: Array,
        parts: Collection[str] = Results._fields,
        *,
        layer: bool = False,
        known: dict[Any, Any] | None = None,
    ) -> Results:
        """The results of these steps; None for a part that raises, as a wrong index does.

        Of a layer, the gradient is that with respect to its weights. Only these parts are computed,
        and of them no step that is `known` from a call before, with the same z, y and steps so far.

        >>> total = Steps(reduce=lambda losses, shape: losses.sum())
        >>> total.run(np.zeros((2, 4)), np.array([3, 0])).loss.round(4)
        np.float64(2.7726)
        """
        shape = (z.shape[0], z.shape[1])
        known = {} if known is None else known
        a = log_a = loss = gradient = of_bias = None
        unless_raised = contextlib.suppress(IndexError, ValueError)

        def once(so_far: tuple[Any, ...], *given: Any) -> Any:
            if so_far not in known:
                known[so_far] = so_far[-1](*given)
            return known[so_far]

        with np.errstate(all="ignore"), unless_raised:
            a, log_a = once((self.softmax,), z)
            q = once((self.target,), y, shape)
            if "loss" in parts or "log_softmax" in parts:
                with unless_raised:
                    log_a = once((self.softmax, self.log), a, log_a)
            if "loss" in parts:
                with unless_raised:
                    each = once((self.softmax, self.target, self.log, self.losses), a, log_a, q)
                    loss = self.reduce(each, shape)
                    if np.ndim(loss) == 2:
                        loss = loss[:MOST_SQUARE, :MOST_SQUARE]
            if not OF_GRADIENT.isdisjoint(parts):
                with unless_raised:
                    of_each = (self.softmax, self.target, self.gradient)
                    gradient = once((*of_each, self.scale), once(of_each, a, q), shape)
                    if "bias_gradient" in parts:
                        of_bias = self.bias(gradient)
                    gradient = self.weights(gradient) if layer else gradient
        return Results(a, loss, gradient, log_a, gradient, of_bias)


# --- with options ---------------------------------------------------------------------------------


class LossParts(NamedTuple):
    """The losses, (N,), and gradients, (N, C), of the examples, before the reduction.

    The mean is Σ losses / divisor, its gradient gradients / divisor.
    """

    losses: Array
    gradients: Array
    divisor: float


def plain(z: Array, y: Array, _: Any = None) -> LossParts:
    """J_i = −log a_y, and a − q."""
    return smoothed(z, y, 0.0)


def weighted(z: Array, y: Array, weight: Array) -> LossParts:
    """w_y·J_i, and the mean divides by Σ w_y, as in PyTorch."""
    return times(plain(z, y), weight[y].astype(np.float64))


def times(parts: LossParts, w: Array) -> LossParts:
    """Each example times its weight, and the mean divides by Σ w."""
    return LossParts(w * parts.losses, w[:, None] * parts.gradients, w.sum())


def masked(z: Array, y: Array, mask: Array) -> LossParts:
    """Examples that are not in the mask have no loss and no gradient, and do not count."""
    return times(plain(z, y), mask.astype(np.float64))


def ignoring(z: Array, y: Array, index: int) -> LossParts:
    """Examples with that label have no loss and no gradient, and do not count in the mean."""
    kept = y != index
    parts = plain(z, np.where(kept, y, 0))  # the ignored label may be no class
    losses = np.where(kept, parts.losses, 0.0)
    return LossParts(losses, np.where(kept[:, None], parts.gradients, 0.0), kept.sum())


def smoothed(z: Array, y: Array, epsilon: float) -> LossParts:
    """The target (1 − ε)·q + ε/C."""
    return with_target(z, (1 - epsilon) * target(y, (len(y), z.shape[1])) + epsilon / z.shape[1])


def with_target(z: Array, q: Array) -> LossParts:
    """J_i = −Σ q·log a, and its gradient a·Σq − q."""
    a, log_a = softmax(z)
    return LossParts(losses(a, log_a, q), a * q.sum(axis=1, keepdims=True) - q, len(q))


def with_upstream(z: Array, y: Array, upstream: Array) -> LossParts:
    """The gradient of each example times its upstream gradient."""
    parts = plain(z, y)
    return parts._replace(gradients=upstream[:, None] * parts.gradients)


#: By what an input is about.
WITH_OPTION: dict[str, Callable[[Array, Array, Any], LossParts]] = {
    "weight": weighted,
    "ignore_index": ignoring,
    "label_smoothing": smoothed,
    "reduction": plain,
    "mask": masked,
    "upstream": with_upstream,
    "bfloat16": plain,
}

# --- the rounding allowed -------------------------------------------------------------------------
#
# The expected values are this library's, in float64, for the inputs as rounded to the dtype of the
# implementation. Any way to compute them is accepted: the bounds are those of the least careful
# right one. Its error has these parts, in units ε of the last place of 1:
#
#     z − m, log Σ exp z, z − log Σ exp z   each rounded: ε·max|z|, a relative error after exp
#     the sum of C terms                    ε·C
#     exp, log, the quotient, the product   a few ε
#
# The entry of the true class, a_y − 1, has the absolute error of a_y, and no better relative one.
# Where sums are formed in another order (dz minus the mean of its row, which is 0), all entries of
# a row have such an error: a few ε of its largest term, 1/N.

SINGLE = float(np.finfo(np.float32).eps)
SIZE = 10.0  # the logits of the inputs with options are below this
FEW = 32  # of ε: exp, log, a quotient, and as much again for a computation in two steps


class Expected(NamedTuple):
    """The right softmax, losses, loss and gradient for an input, and the error allowed for each.

    "gradient" is that with respect to the logits, "weights" that with respect to W of a layer.
    """

    values: dict[str, Any]
    errors: dict[str, Any]


def precision(given: Any, values: Sequence[Any]) -> float:
    """ε of the precision in which results are computed: that of the logits' dtype, or float32 where
    all results are narrower than float64.

    >>> precision(np.float64, [np.float32(1.0), None]) == SINGLE
    True
    """
    narrow = [np.asarray(v).dtype.itemsize < 8 for v in values if v is not None]
    single = np.dtype(given) == np.float32 or (bool(narrow) and all(narrow))
    return SINGLE if single else float(np.finfo(np.float64).eps)


def _last_place(value: Array, size: Any) -> Any:
    """The error of rounding a number of this size to the dtype of the value."""
    if value.dtype.kind != "f":
        return 0.0
    epsilon, tiny = _limits(value.dtype)
    return epsilon * np.abs(size) + tiny


@cache
def _limits(dtype: Any) -> tuple[Any, float]:
    """ε and the smallest normal number of a dtype."""
    info = np.finfo(dtype)
    return info.eps, float(info.tiny)


def expected(
    input: Input, epsilon: float, by: str = "logits", guard: Guard | None = None
) -> Expected:
    """What is right for an input, computed in the precision ε; the gradient is `by` the logits, the
    probabilities or the log-probabilities. With a guard, what is right with it."""
    z, y = input.z.astype(np.float64), input.y
    rows, classes = z.shape
    losses, by_row = cross_entropy_with_grad(z, y, reduction="none")
    a = softmax(z)[0]
    if guard is not None:
        losses = -np.log(guard(a[np.arange(rows), y]))
    largest = np.abs(z).max(axis=1)
    relative = epsilon * (FEW + classes + 4 * largest)
    # Much hardware flushes to 0 what is below the smallest normal number.
    tiny = np.finfo(np.float32 if epsilon == SINGLE else np.float64).tiny
    softmax_error = relative[:, None] * a + tiny
    gradient_error = softmax_error / rows
    of_true = relative * a[np.arange(rows), y] + 2 * epsilon
    gradient_error[np.arange(rows), y] = of_true / rows
    gradient_error += 4 * epsilon / rows
    gradient = by_row / rows
    losses_error = epsilon * (FEW + classes + 4 * largest + 4 * losses)
    loss, loss_error = losses.mean(), losses_error.mean()
    if by != "logits":
        changed = a if guard is None else guard(a)
        gradient = BY_SCORES[by](changed, target(y, (rows, classes))) / rows
        gradient_error = relative[:, None] * np.abs(gradient)
    return Expected(
        {"softmax": a, "losses": losses, "loss": loss, "gradient": gradient,
         "log_softmax": softmax(z)[1], "weights": gradient_wrt_weights(gradient),
         "feature_gradient": gradient, "bias_gradient": gradient.sum(axis=0)},
        {"softmax": softmax_error, "losses": losses_error, "loss": loss_error,
         "gradient": gradient_error, "feature_gradient": gradient_error,
         "weights": np.abs(gradient_wrt_weights(gradient_error)),
         "bias_gradient": gradient_error.sum(axis=0),
         "log_softmax": epsilon * (FEW + classes + 4 * largest[:, None] + 4 * np.abs(z))},
    )  # fmt: skip


def is_right(part: str, got: Any, want: Expected, factor: float = 1.0) -> bool:
    """Whether a part of the results is right, or the right one times a factor."""
    value = np.asarray(got)
    wanted = factor * np.asarray(want.values[part])
    if value.shape != wanted.shape or not np.issubdtype(value.dtype, np.floating):
        return False
    error = factor * want.errors[part] + _last_place(value, wanted)
    with np.errstate(invalid="ignore"):
        return bool((np.abs(value - wanted) <= error).all())


def agree(
    got: Any,
    candidate: Any,
    epsilon: float,
    size: float,
    *,
    tight: bool = False,
    of_logs: bool = False,
) -> bool:
    """Whether a result is that of a wrong implementation.

    The bound is wider than rounding, because the order of its operations is unknown; mistakes
    differ by far more. Where one of the two overflows the other may be NaN: all values that are not
    finite count as equal, except +∞ and −∞.

    None is the result of an error; `size` is the largest absolute logit. Tight: no wider than
    rounding, for weaknesses and conventions, which excuse the numbers. Of logs: the entries of a
    matrix are logs of probabilities, or losses.
    """
    if got is None or candidate is None:
        return got is candidate
    x, y = np.asarray(got), np.asarray(candidate)
    if x.shape != y.shape:
        return False
    finite, other_finite = np.isfinite(x), np.isfinite(y)
    with np.errstate(invalid="ignore", over="ignore"):
        if finite.all() and other_finite.all():
            x, y = x.ravel(), y.ravel()
        elif (finite != other_finite).any() or (np.isinf(x) & np.isinf(y) & (x * y < 0)).any():
            return False
        else:
            x, y = x[finite], y[finite]
        if tight:
            relative = 4 * epsilon * (FEW + x.shape[-1] + 4 * size)
            # A loss near 0 is a difference of large numbers, an entry of another matrix is not.
            absolute = relative if np.ndim(got) < 2 or of_logs else 8 * epsilon / len(got)
            error = absolute + relative * np.abs(y) + _last_place(x, y)
            return bool((np.abs(x - y) <= error).all())
        bound = 1000 * epsilon * (1 + size)
        error = bound * np.maximum(1e-3, np.abs(y)) + 2 * _last_place(x, y)
        return bool((np.abs(x - y) <= error).all())


def near(got: Any, want: Any, epsilon: float) -> bool:
    """Right up to rounding, for the inputs with options.

    Their logits are below 10, so that each entry has an absolute error of a few ε, or a relative
    one where options made it large. An entry of 0 must be exactly 0.
    """
    if got is None:
        return False
    x, y = np.asarray(got), np.asarray(want)
    if x.shape != y.shape or x.dtype.kind != "f":
        return False
    bound = epsilon * (FEW + 4 * SIZE) * (1 + np.abs(y))
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(x - y) <= bound) & ((y != 0) | (x == 0))).all())
