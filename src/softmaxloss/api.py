"""The loss, its gradient and its scores over any number of examples: check, run a kernel, reduce.

The maths is in `formula`; the loops are in `kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, is_float, rounded
from .backends import face_of
from .errors import LabelError, OptionError
from .kernels import kernel_for
from .labels import ClassIndices, mean_divisor, read_target
from .logits import class_last, compute_dtype, gradient_dtype, read_logits, without_classes
from .options import MultiLabel, Options, Reduction, checked_options, class_weights
from .rows import Piece, pieces, rows_in_place, rows_of

__all__ = ["Scores", "cross_entropy", "cross_entropy_with_grad", "read_upstream", "score"]

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
    face = None if type(logits) is np.ndarray else face_of(logits)
    if face is not None:
        return face.cross_entropy(
            logits,
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            denominator=denominator,
            first_class=first_class,
        )
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    if options is _PLAIN and weight is None and _is_one_example(logits, target):
        loss = _of_one_example(logits, target, None)
        if loss is not None:
            return loss
    call = _Call(logits, target, weight, options)
    return call.reduced(call.run(1.0, None))


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
    face = None if type(logits) is np.ndarray else face_of(logits)
    if face is not None:
        pair: tuple[Any, Any] = face.cross_entropy_with_grad(
            logits,
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            denominator=denominator,
            first_class=first_class,
            grad_output=grad_output,
            out=out,
        )
        return pair
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    if options is _PLAIN and weight is grad_output is None and _is_one_example(logits, target):
        grad = np.empty_like(logits) if out is None else out
        loss = _of_one_example(logits, target, grad) if type(grad) is np.ndarray else None
        if loss is not None:
            return loss, grad
    call = _Call(logits, target, weight, options)
    grad = call.gradient_array() if out is None else call.checked_out(out)
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
    face = None if type(logits) is np.ndarray else face_of(logits)
    if face is not None:
        of_tensors: Scores = face.score(
            logits, target, ignore_index=ignore_index, first_class=first_class
        )
        return of_tensors
    options = checked_options(ignore_index, "none", 0.0, "error", None, first_class)
    call = _Call(logits, target, None, options)
    if not isinstance(call.target, ClassIndices):
        raise LabelError(
            "score takes class indices as target; for one-hot rows pass target.argmax(axis=1)"
        )
    dtype, n = call.dtype, call.rows
    loss, probability, entropy, logsumexp = [np.empty(n, dtype) for _ in range(4)]
    predicted, rank = np.empty(n, np.int64), np.empty(n, np.int64)
    scores = (loss, probability, predicted, rank, entropy, logsumexp)
    for x, y, piece in call.inputs():
        parts = scores if piece is None else [array[piece.rows] for array in scores]
        call.kernel.score(x, y, call.target.ignore_index, *parts)
    if options.first_class:
        np.add(predicted, options.first_class, out=predicted)
    return Scores(*[call.per_example(array) for array in scores])


# One example without options takes a quick way past `_Call`, whose checks are most of its time.
_PLAIN = checked_options(-100, "mean", 0.0, "error", None, 0)
_INTEGERS = {int, *(np.dtype(code).type for code in np.typecodes["AllInteger"])}


def _is_one_example(logits: ArrayLike, target: ArrayLike) -> bool:
    return type(target) in _INTEGERS and type(logits) is np.ndarray and logits.ndim == 1


def _of_one_example(logits: Any, target: Any, grad: Array | None) -> Any | None:
    """The loss; None where only `_Call` can tell what these arguments mean."""
    dtype = logits.dtype
    loss = kernel_for("cpu", dtype, dtype)[0].one_example(logits, target, grad)
    return None if loss is None else rounded(loss, dtype)


_FLOAT64 = np.dtype(np.float64)


class _Call:
    """The checked arguments of one call, and how kernels get to see them."""

    def __init__(
        self, logits: ArrayLike, target: ArrayLike, weight: ArrayLike | None, options: Options
    ) -> None:
        self.options = options
        self.given = x = read_logits(logits)
        shape, dtype = x.shape, x.dtype
        self.logits = class_last(x)
        self.lead_shape, classes = without_classes(shape)
        self.rows = math.prod(self.lead_shape)
        self.weight = None if weight is None else class_weights(weight, classes)
        self.target = read_target(target, shape, options)
        self.dtype = computed = compute_dtype(dtype)  # of the loss
        self.kernel, self.storage = kernel_for("cpu", dtype, computed)
        self.divisor = mean_divisor(self.target, self.weight, self.rows, options)
        # Whether the losses are the result, nothing left to add up or to divide.
        self.final = options.reduction == "none" or (self.rows == 1 and self.divisor == 1.0)

    def inputs(self) -> Iterable[tuple[Array, Array, Piece | None]]:
        """Logits and target as kernels read them, of all examples (None) or piece by piece."""
        x, y = rows_in_place(self.logits, self.storage), self.target.rows_in_place()
        if x is None or y is None:
            return self._inputs_in_pieces()
        return ((x, y, None),)

    def _inputs_in_pieces(self) -> Iterator[tuple[Array, Array, Piece]]:
        for piece in pieces(self.lead_shape, self.logits.shape[-1]):
            x = rows_of(self.logits[piece.place], self.storage)
            yield x, self.target.at(piece.place).rows(), piece

    def run(self, factor: float | Array, grad: Array | None) -> Array:
        """The loss of each example. `grad`, in the logits' shape, is filled if there is one."""
        options = self.options
        # What is still to be added up is not rounded to float32 first.
        loss = np.empty(self.rows, self.dtype if self.final else _FLOAT64)
        if grad is not None:
            grad = class_last(grad)
        for x, y, piece in self.inputs():
            part = grad if grad is None or piece is None else grad[piece.place]
            in_place = None if part is None else rows_in_place(part, self.storage)
            aside = np.empty(x.shape, x.dtype) if part is not None and in_place is None else None
            self.kernel.cross_entropy(
                x,
                y,
                self.weight,
                options.label_smoothing,
                self.target.ignore_index,
                factor if piece is None or isinstance(factor, float) else factor[piece.rows],
                loss if piece is None else loss[piece.rows],
                in_place if aside is None else aside,
            )
            if part is not None and aside is not None:
                part[...] = aside.reshape(part.shape)
        return loss

    def per_example(self, values: Array) -> Any:
        """One value for each example, (rows,), in the shape of the examples; one as a scalar."""
        return values.reshape(self.lead_shape) if self.lead_shape else values[0]

    def reduced(self, loss: Array) -> Any:
        if self.options.reduction == "none":
            return self.per_example(loss)
        if self.final:
            return loss[0]
        total = np.add.reduce(loss).item()
        return rounded(total / self.divisor if self.divisor else math.nan, self.dtype)

    def factor(self, grad_output: ArrayLike | None) -> float | Array:
        """The derivative of the result by the loss of each example: one number, or one for each."""
        upstream = read_upstream(grad_output, self.lead_shape, self.options)
        if isinstance(upstream, np.ndarray):
            return upstream
        # Nothing counts where the divisor is 0: the loss is NaN, but no logit has a part in it.
        return upstream / self.divisor if self.divisor else 0.0

    def gradient_array(self) -> Array:
        return np.empty(self.given.shape, gradient_dtype(self.given.dtype))

    def checked_out(self, out: Array) -> Array:
        """`out`, if the gradient can be written to it; what that would overwrite is copied."""
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
        dtype = gradient_dtype(self.given.dtype)
        if out.shape != self.given.shape or out.dtype != dtype:
            raise OptionError(
                f"out has shape {out.shape} and dtype {out.dtype}; the gradient needs shape "
                f"{self.given.shape} and dtype {dtype}"
            )
        if not out.flags.writeable:
            raise OptionError("out is read-only; the gradient is written to it")
        if not out.flags.c_contiguous and _may_overlap_itself(out):
            raise OptionError(
                "out has numbers that share memory; each of the gradient needs memory of its own"
            )
        # Row for row the same memory is fine: a kernel writes a row after it has read it.
        given = self.given
        if given is not out and _may_overlap(given, out) and not _same_places(given, out):
            self.logits = self.logits.copy()
        if _may_overlap(self.target.values, out):
            self.target = replace(self.target, values=self.target.values.copy())
        if self.weight is not None and _may_overlap(self.weight, out):
            self.weight = self.weight.copy()
        return out


def read_upstream(
    grad_output: ArrayLike | None, lead_shape: tuple[int, ...], options: Options
) -> float | Array:
    """The checked derivative of what comes after by the loss: one number, or one for each example.

    >>> read_upstream(2, (3,), Options())
    2.0
    """
    if grad_output is None:
        return 1.0
    upstream = as_array(grad_output, "grad_output")
    if not (is_float(upstream.dtype) or upstream.dtype.kind in "iu"):
        raise TypeError(f"grad_output must be real numbers, got {grad_output!r}")
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


def _may_overlap(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory, told from where they start and end."""
    if a.flags.owndata and b.flags.owndata:  # the cheaper test, and exact
        return a is b
    return np.may_share_memory(a, b)


def _may_overlap_itself(a: Array) -> bool:
    """Whether two numbers of an array may share memory: the steps of an axis do not go beyond all
    numbers of those with smaller steps."""
    end = a.itemsize
    steps = sorted((abs(step), size) for step, size in zip(a.strides, a.shape, strict=True))
    for step, size in steps:
        if size > 1:
            if step < end:
                return a.size > 0
            end += step * (size - 1)
    return False


def _same_places(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape have each number at the same place in memory."""
    if a.strides != b.strides:
        return False
    start: bool = a.__array_interface__["data"] == b.__array_interface__["data"]
    return start
