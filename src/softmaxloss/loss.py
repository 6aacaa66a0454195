"""The loss, its gradient and its scores over any number of examples: check, run a kernel, reduce.

The maths is in `formula`; the loops are in `kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, is_float
from .errors import LabelError, OptionError
from .kernels import kernel_for
from .labels import ClassIndices, ClassProbabilities, read_target
from .logits import class_last, compute_dtype, read_logits
from .options import MultiLabel, Options, Reduction, checked_options, class_weights
from .pieces import Piece, is_plain, pieces, rows_of

__all__ = ["Scores", "cross_entropy", "cross_entropy_with_grad", "score"]

Array = NDArray[Any]


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | None = None,
    first_class: int = 0,
) -> Any:
    """The softmax cross-entropy loss, in nats; the names are those of PyTorch's function.

    For one example with logits z and true class y:  J = −log a_y = −z_y + log Σ_n exp(z_n), where
    a = softmax(z). For probabilities q as target:  J = Σ_n q_n·(−log a_n).

    Args:
        logits: (C,), (N, C) or (N, C, d1, …). float32 and float64 are computed as they are,
            float16 and bfloat16 in float32, integers in float64. −inf masks a class out.
        target: class indices, of any integer dtype, in the shape of logits without the class axis;
            or one-hot rows or probabilities in the shape of logits.
        weight: (C,) weights of the classes, ≥ 0.
        ignore_index: examples with this label do not count.
        reduction: "mean", "sum" or "none" over the examples. The mean divides by the number of
            examples that count, with `weight` and class indices by the sum of their weights.
        label_smoothing: ε in [0, 1]: the target becomes (1−ε)·q + ε/C.
        multi_label: what several labels on one example mean: "error", the "sum" of their losses, as
            PyTorch and TensorFlow give, or the "mean" of them.
        denominator: what "mean" divides by instead, for gradient accumulation.
        first_class: 1 if the labels count from one.

    Returns:
        A NumPy scalar; with reduction="none" an array of one loss per example. float64 for float64
        and integer logits, else float32.

    Raises:
        LabelError: a label outside the classes, probabilities that do not sum to 1, a wrong shape.
        OptionError: an option with no meaning. Both are ValueErrors.
        TypeError: logits, labels or options of a wrong type.

    >>> cross_entropy([2.0, 1.0, 0.1, -1.2], 0)
    np.float64(0.443537896...)
    >>> cross_entropy([[2.0, 1.0], [0.0, 3.0]], [0, 0], reduction="none")
    array([0.31326169, 3.04858735])

    Source: docs/maths.md; accuracy: docs/numerics.md.
    """
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    call = _Call(logits, target, weight, options)
    return call.reduced(call.run(_ONE, None))


def cross_entropy_with_grad(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | None = None,
    first_class: int = 0,
    grad_output: ArrayLike | None = None,
    out: Array | None = None,
) -> tuple[Any, Array]:
    """The loss as `cross_entropy` gives it, and its gradient by the logits, in one go.

    For one example with true class y:  ∂J/∂z_n = a_n for n ≠ y, and a_y − 1 for n = y. The entries
    sum to 0.

    Args:
        grad_output: the derivative of what comes after by this loss, 1 by default: a number, with
            reduction="none" also one per example. The gradient is multiplied by it.
        out: the array to write the gradient to: of the logits' shape and dtype. It may be the
            logits themselves, which are then overwritten. After an error or Ctrl-C in the middle
            its content is undefined.
        The others: as in `cross_entropy`.

    Returns:
        (loss, gradient); the gradient has the logits' shape and dtype, float64 for integers.

    >>> loss, grad = cross_entropy_with_grad([0.0, 0.0, 0.0, 0.0], 3)
    >>> grad
    array([ 0.25,  0.25,  0.25, -0.75])
    """
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    if out is not None:
        logits, target, weight, grad_output = _apart_from(out, logits, target, weight, grad_output)
    call = _Call(logits, target, weight, options)
    grad = call.gradient_array(out)
    loss = call.run(call.factor(grad_output), grad)
    return call.reduced(loss), grad


class Scores(NamedTuple):
    """What `score` gives for each example; every array has the shape of the target."""

    loss: Array  #: −log a_y, in nats
    probability: Array  #: a_y, of the true class
    predicted: Array  #: the class with the largest logit, the first of several; int64
    rank: Array  #: 1 + the number of classes with a larger logit than the true one; int64
    entropy: Array  #: −Σ a_n log a_n, in nats
    logsumexp: Array  #: log Σ exp(z_n)


def score(
    logits: ArrayLike, target: ArrayLike, *, ignore_index: int = -100, first_class: int = 0
) -> Scores:
    """How each example does, from one reading of its logits.

    Args:
        logits: (C,), (N, C) or (N, C, d1, …), as in `cross_entropy`.
        target: class indices in the shape of logits without the class axis.
        ignore_index: an example with this label has loss 0, probability NaN and rank 0.
        first_class: 1 if the labels count from one; `predicted` then does too.

    An example whose logits have no softmax (a NaN, +inf, nothing but −inf) has NaN for its numbers,
    rank 0, and first_class − 1 as the predicted class.

    Raises: as `cross_entropy`.

    >>> s = score([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], [0, 2])
    >>> s.predicted, s.rank
    (array([0, 1]), array([1, 2]))
    >>> s.loss
    array([0.40760596, 2.16984602])
    """
    options = Options(ignore_index=ignore_index, first_class=first_class)
    call = _Call(logits, target, None, options)
    if not isinstance(call.target, ClassIndices):
        raise LabelError(
            "score takes class indices as target; for one-hot rows pass target.argmax(axis=1)"
        )
    kinds = (call.dtype, call.dtype, np.int64, np.int64, call.dtype, call.dtype)
    scores = Scores(*(np.empty(call.lead_shape, kind) for kind in kinds))
    flat = [array.reshape(-1) for array in scores]
    for piece in call.pieces():
        call.kernel.score(
            rows_of(call.logits[piece.place], call.storage),
            call.target_rows(piece),
            call.target.ignore_index,
            *(array[piece.rows] for array in flat),
        )
    np.add(scores.predicted, first_class, out=scores.predicted)
    return Scores(*(array[()] for array in scores))


_ONE = np.ones(1)


class _Call:
    """The checked arguments of one call, and how kernels get to see them."""

    def __init__(
        self, logits: ArrayLike, target: ArrayLike, weight: ArrayLike | None, options: Options
    ) -> None:
        self.options = options
        self.given = read_logits(logits)
        self.logits = class_last(self.given)
        self.lead_shape, self.classes = self.logits.shape[:-1], self.logits.shape[-1]
        self.weight = class_weights(weight, self.classes)
        self.target = read_target(target, self.given.shape, options)
        self.dtype = compute_dtype(self.given.dtype)  # of the loss
        self.kernel, self.storage = kernel_for("cpu", self.given.dtype, self.dtype)
        self.target_dtype = self._target_dtype()
        self.divisor = self._divisor() if options.reduction == "mean" else 1.0

    def _target_dtype(self) -> np.dtype[Any]:
        """What kernels get probabilities in: float32 where that holds them as they are."""
        target = self.target
        as_they_are = isinstance(target, ClassProbabilities) and target.divisors is None
        narrow = as_they_are and np.can_cast(target.values.dtype, np.float32)
        return np.dtype(np.float32 if narrow else np.float64)

    def pieces(self) -> Iterable[Piece]:
        whole = is_plain(self.logits, self.storage)
        if not isinstance(self.target, ClassIndices):
            whole &= self.target.divisors is None and is_plain(
                self.target.values, self.target_dtype
            )
        return pieces(self.lead_shape, self.classes, whole)

    def target_rows(self, piece: Piece) -> Array:
        values = self.target.values[piece.place]
        if isinstance(self.target, ClassIndices):
            if not (values.flags.c_contiguous and values.dtype.isnative):
                values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
            return values.reshape(-1)
        if self.target.divisors is not None:
            values = values / self.target.divisors[piece.place][..., None]
        return rows_of(values, self.target_dtype)

    def run(self, factor: Array, grad: Array | None) -> Array:
        """The loss of each example. `grad`, in the logits' shape, is filled if there is one."""
        reduced = self.options.reduction != "none"
        # What is still to be added up is not rounded to float32 first.
        loss = np.empty(math.prod(self.lead_shape), np.float64 if reduced else self.dtype)
        grad = None if grad is None else class_last(grad)
        ignore_index = self.target.ignore_index if isinstance(self.target, ClassIndices) else -1
        for piece in self.pieces():
            rows = rows_of(self.logits[piece.place], self.storage)
            part = None if grad is None else grad[piece.place]
            direct = part is None or is_plain(part, self.storage)
            if part is None:
                grad_rows = None
            else:
                grad_rows = (
                    rows_of(part, self.storage) if direct else np.empty(rows.shape, rows.dtype)
                )
            self.kernel.cross_entropy(
                rows,
                self.target_rows(piece),
                self.weight,
                float(self.options.label_smoothing),
                ignore_index,
                factor if factor.size == 1 else factor[piece.rows],
                loss[piece.rows],
                grad_rows,
            )
            if part is not None and grad_rows is not None and not direct:
                part[...] = grad_rows.reshape(part.shape)
        return loss

    def _divisor(self) -> float:
        """What the mean divides the sum of the losses by."""
        if self.options.denominator is not None:
            return float(self.options.denominator)
        if not isinstance(self.target, ClassIndices):
            return float(math.prod(self.lead_shape))
        labels = self.target.values
        if self.target.may_ignore:
            labels = labels[self.target.counted()]
        return float(labels.size if self.weight is None else self.weight[labels].sum())

    def reduced(self, loss: Array) -> Any:
        if self.options.reduction == "none":
            return loss.reshape(self.lead_shape)[()]
        total = loss.item() if loss.size == 1 else float(loss.sum())
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            return self.dtype.type(_ratio(total, self.divisor, math.nan))

    def factor(self, grad_output: ArrayLike | None) -> Array:
        """The derivative of the result by the loss of each example: one number, or one for each."""
        if grad_output is None:
            return _ONE if self.divisor == 1.0 else np.array([_ratio(1.0, self.divisor, 0.0)])
        upstream = as_array(grad_output, "grad_output")
        if not (is_float(upstream.dtype) or upstream.dtype.kind in "iu"):
            raise TypeError(f"grad_output must be real numbers, got {grad_output!r}")
        upstream = upstream.astype(np.float64)
        per_example = self.options.reduction == "none" and upstream.shape == self.lead_shape
        if upstream.ndim and not per_example:
            fits = f" or shape {self.lead_shape}" if self.options.reduction == "none" else ""
            raise OptionError(
                f"grad_output has shape {upstream.shape}; with reduction="
                f"{self.options.reduction!r} it must be one number{fits}"
            )
        # Nothing counts where the divisor is 0: the loss is NaN, but no logit has a part in it.
        return np.ravel(_ratio(upstream, self.divisor, np.zeros_like(upstream)))

    def gradient_array(self, out: Array | None) -> Array:
        dtype = self.given.dtype.newbyteorder("=")
        if dtype.kind in "iu":
            dtype = self.dtype
        if out is None:
            return np.empty(self.given.shape, dtype)
        if out.shape != self.given.shape or out.dtype != dtype:
            raise OptionError(
                f"out has shape {out.shape} and dtype {out.dtype}; the gradient needs shape "
                f"{self.given.shape} and dtype {dtype}"
            )
        if not out.flags.writeable:
            raise OptionError("out is read-only; the gradient is written to it")
        if any(step == 0 and size > 1 for step, size in zip(out.strides, out.shape, strict=True)):
            raise OptionError(
                "out has rows that share memory; the gradient needs memory of its own"
            )
        return out


def _ratio(value: Any, divisor: float, of_zero: Any) -> Any:
    return value / divisor if divisor else of_zero


def _apart_from(out: Array, logits: Any, *others: Any) -> tuple[Any, ...]:
    """The arguments, those copied that `out` would overwrite before they are read."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")

    # What is no array yet, a tensor say, may become a view of the same memory: it becomes one now.
    x = as_array(logits, "logits")
    rest = [
        value if value is None else as_array(value, name)
        for name, value in zip(("target", "weight", "grad_output"), others, strict=True)
    ]
    # Row for row the same memory is fine: a kernel writes a row after it has read it.
    in_place = (
        x.__array_interface__["data"] == out.__array_interface__["data"]
        and x.strides == out.strides
    )
    if np.may_share_memory(x, out) and not in_place:
        x = x.copy()
    return (
        x,
        *(v.copy() if v is not None and np.may_share_memory(v, out) else v for v in rest),
    )
