"""The loss of a linear layer's logits, z = W·x + b, without ever holding all of them.

plan.py says what is computed together, block.py computes one block's loss and gradient in the
memory of its logits; here are the public functions and NumPy's products.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..api import Scores, read_upstream
from ..arrays import as_array, is_float
from ..backends import face_of
from ..errors import LabelError
from ..kernels import kernel_for
from ..labels import ClassIndices
from ..logits import compute_dtype, gradient_dtype
from ..options import MultiLabel, Options, Reduction, checked_options, class_weights
from .blocks import Rows, empty_scores, finished_scores, loss_in_place, uses_class
from .plan import Extras, check_shapes, plan_for

__all__ = ["LinearGradients", "linear_cross_entropy", "linear_cross_entropy_with_grad"]

Array = NDArray[Any]


class LinearGradients(NamedTuple):
    """The gradients that `linear_cross_entropy_with_grad` gives, each in its argument's shape."""

    input: Any  #: ∂J/∂x
    linear_weight: Any  #: ∂J/∂W
    linear_bias: Any  #: ∂J/∂b; None without a bias


def linear_cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | None = None,
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    memory_budget: float | str = "64MB",
    skip_below: float = 0.0,
    return_scores: bool = False,
) -> Any:
    """The softmax cross-entropy loss, in nats, of the logits z = W·x + b, which are never all held.

    The same as cross_entropy(input @ linear_weight.T + linear_bias, target), in the memory of a few
    rows of logits. The names are those of PyTorch's function. With z_loss λ and softcap s the
    logits are u = s·tanh(z/s) and the loss of a row is  −log a_y + λ·(log Σ_n exp(u_n))².

    Args:
        input: (features,), (N, features) or (…, features): x, one row per example. float32 and
            float64 are computed as they are, float16 and bfloat16 in float32, integers in float64;
            if input and weight differ, in the wider.
        linear_weight: (C, features), W.
        target: class indices in the shape of input without its last axis; or probabilities, with
            an axis of the C classes in its place.
        linear_bias: (C,), b.
        weight: (C,) weights of the classes, ≥ 0. They do not count in z_loss.
        reduction, ignore_index, label_smoothing, multi_label, denominator, first_class: as in
            `cross_entropy`. Rows that are ignored take part in no product.
        z_loss: λ ≥ 0: pulls the log of the denominator towards 0. A row that is ignored has none.
        softcap: s > 0: bounds the logits to ±s.
        memory_budget: bytes for logits and what else is needed beside arguments and results, as a
            number or text ("64MB", "512KiB", "1GB"). At least one row of logits must fit. Not in
            it: arrays of a few numbers per example; a sum of the weight's gradient in what is
            computed in, where the weights are narrower (4 bytes for each weight of float16 and
            bfloat16); what checking probabilities as target takes. The result depends on
            the budget by no more than the order of the sums.
        skip_below: p in [0, 1): may leave out of the products of the gradients, in each block of
            rows, the classes whose part in the gradient by the logits, |a_n − q_n|, is at most p in
            all of its rows. With f_i the derivative of the result by the loss of row i, an entry of
            the input's gradient is then off by at most  |f_i|·p·Σ_n |W_nd|,  one of the weight's by
            at most  p·Σ_i |f_i·x_id|.  The loss and the bias's gradient are not changed.
        return_scores: also give `Scores` of each example, of the logits u. A row that is ignored
            has loss 0, rank 0, first_class − 1 as the predicted class, and NaN for the rest.

    Returns:
        A NumPy scalar, with reduction="none" an array of one loss per example; with return_scores
        (loss, Scores). Tensors of PyTorch give tensors, see `softmaxloss.torch`.

    Raises:
        LabelError: a label outside the classes, probabilities that do not sum to 1, a wrong shape.
        OptionError: an option with no meaning, a budget too small for one row. ValueError: shapes
            that do not fit each other. Both others are ValueErrors.
        TypeError: arguments of a wrong type.

    >>> W = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> linear_cross_entropy([[2.0, 0.0], [0.0, 1.0]], W, [0, 2])
    np.float64(0.810...)
    """
    face = face_of(input)
    if face is not None:
        return face.linear_cross_entropy(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            denominator=denominator,
            first_class=first_class,
            z_loss=z_loss,
            softcap=softcap,
            memory_budget=memory_budget,
            skip_below=skip_below,
            return_scores=return_scores,
        )
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    extras = Extras(z_loss, softcap, skip_below, memory_budget)
    call = _Call(input, linear_weight, linear_bias, target, weight, options, extras)
    scores = call.empty_scores() if return_scores else None
    loss = call.run(1.0, None, scores)
    return loss if scores is None else (loss, call.finished(scores))


def linear_cross_entropy_with_grad(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | None = None,
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    memory_budget: float | str = "64MB",
    skip_below: float = 0.0,
    grad_output: ArrayLike | None = None,
) -> tuple[Any, LinearGradients]:
    """The loss as `linear_cross_entropy` gives it and its gradients, in one go.

    With G = ∂J/∂z, one row per example:  ∂J/∂x = G·W,  ∂J/∂W = Gᵀ·x,  ∂J/∂b = Σ_i G_i.

    Args:
        grad_output: the derivative of what comes after by this loss, 1 by default: a number, with
            reduction="none" also one per example. The gradients are multiplied by it.
        The others: as in `linear_cross_entropy`.

    Returns:
        (loss, gradients), with gradients.input, .linear_weight and .linear_bias in the shapes and
        dtypes of the arguments (float64 for integers).

    >>> loss, grads = linear_cross_entropy_with_grad([1.0, 0.0], [[0.0, 0.0], [0.0, 1.0]], 0)
    >>> grads.linear_weight
    array([[-0.5,  0. ],
           [ 0.5,  0. ]])
    >>> grads.input
    array([0. , 0.5])
    """
    face = face_of(input)
    if face is not None:
        pair: tuple[Any, LinearGradients] = face.linear_cross_entropy_with_grad(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            grad_output=grad_output,
            weight=weight,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            denominator=denominator,
            first_class=first_class,
            z_loss=z_loss,
            softcap=softcap,
            memory_budget=memory_budget,
            skip_below=skip_below,
        )
        return pair
    options = checked_options(
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
    )
    extras = Extras(z_loss, softcap, skip_below, memory_budget)
    call = _Call(input, linear_weight, linear_bias, target, weight, options, extras)
    gradients = call.empty_gradients()
    loss = call.run(read_upstream(grad_output, call.lead, options), gradients, None)
    return loss, call.shaped(gradients)


class _Call:
    """The checked arguments of one call, and NumPy's products for its plan."""

    def __init__(
        self,
        input: ArrayLike,
        linear_weight: ArrayLike,
        linear_bias: ArrayLike | None,
        target: ArrayLike,
        weight: ArrayLike | None,
        options: Options,
        extras: Extras,
    ) -> None:
        self.options, self.extras = options, extras
        x = _real_array(input, "input")
        self.W = W = _real_array(linear_weight, "linear_weight")
        self.b = b = None if linear_bias is None else _real_array(linear_bias, "linear_bias")
        try:
            y = as_array(target, "target")
        except ValueError as error:
            raise LabelError(str(error)) from None
        by_index = check_shapes(x.shape, W.shape, None if b is None else b.shape, y.shape)
        classes, features = W.shape
        self.shape, self.lead = x.shape, x.shape[:-1]
        rows = math.prod(self.lead)
        self.x = x.reshape(rows, features)
        self.weight = class_weights(weight, classes)
        self.dtype = np.dtype(np.result_type(compute_dtype(x.dtype), compute_dtype(W.dtype)))
        self.kernel, storage = kernel_for("cpu", self.dtype, self.dtype)
        assert storage == self.dtype
        self.plan = plan_for(
            rows,
            (classes, features),
            y.reshape(rows, *([] if by_index else [classes])),
            self.weight,
            options,
            extras,
            self.dtype.itemsize,
            self.dtype.itemsize if W.dtype != self.dtype else 0,
        )

    def run(
        self, upstream: float | Array, gradients: LinearGradients | None, scores: Scores | None
    ) -> Any:
        """The loss. Gradients and scores are filled, of all rows that count."""
        plan, options = self.plan, self.options
        count = plan.rows if plan.counted is None else plan.counted.size
        losses = np.empty(count, np.float64)
        factor = plan.factor(upstream)
        largest = max((block.stop - block.start for block in plan.blocks), default=0)
        memory = np.empty((largest, plan.classes), self.dtype)
        for where, block, target in plan.inputs():
            x = np.ascontiguousarray(self.x[where], self.dtype)
            logits = memory[: len(x)]
            self.make_logits(x, logits)
            part = None if scores is None else Scores(*[array[block] for array in scores])
            rows = Rows(target, _part(factor, block), losses[block], part)
            loss_in_place(
                self.kernel,
                logits,
                rows,
                self.weight,
                options.label_smoothing,
                self.extras,
                gradients is not None,
            )
            if gradients is not None:
                self.add_products(logits, x, rows.factor, where, gradients)
        result = plan.reduced(losses, options)
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            if options.reduction != "none":
                return self.dtype.type(result)
            result = result.astype(self.dtype)
        return result.reshape(self.lead) if self.lead else result[0]

    def make_logits(self, x: Array, logits: Array) -> None:
        for c in self.plan.chunks():
            np.matmul(x, self.W[c].astype(self.dtype, copy=False).T, out=logits[:, c])
            if self.b is not None:
                logits[:, c] += self.b[c]

    def add_products(
        self,
        grad: Array,
        x: Array,
        factor: float | Array,
        where: slice | Array,
        gradients: LinearGradients,
    ) -> None:
        """What a block adds to the gradients, given that by its logits."""
        if gradients.linear_bias is not None:
            gradients.linear_bias[...] += grad.sum(axis=0)
        chunks: Any = self.plan.chunks()
        if self.extras.skip_below:
            used = np.flatnonzero(uses_class(grad, factor, self.extras.skip_below))
            chunks = np.split(used, range(self.plan.chunk, used.size, self.plan.chunk))
        by_input = np.zeros_like(x)
        for c in chunks:
            G = grad[:, c]
            by_input += np.matmul(G, self.W[c].astype(self.dtype, copy=False))
            gradients.linear_weight[c] += np.matmul(G.T, x)
        gradients.input[where] = by_input

    def empty_gradients(self) -> LinearGradients:
        """Zeros: of the rows for the input's, in the dtype that is computed in for the others."""
        b = None if self.b is None else np.zeros(self.b.shape, self.dtype)
        x = np.zeros(self.x.shape, gradient_dtype(self.x.dtype))
        return LinearGradients(x, np.zeros(self.W.shape, self.dtype), b)

    def shaped(self, gradients: LinearGradients) -> LinearGradients:
        x, W, b = gradients
        W = W.astype(gradient_dtype(self.W.dtype), copy=False)
        if b is not None and self.b is not None:
            b = b.astype(gradient_dtype(self.b.dtype), copy=False)
        return LinearGradients(x.reshape(self.shape), W, b)

    def empty_scores(self) -> Scores:
        if not isinstance(self.plan.target, ClassIndices):
            raise LabelError("return_scores takes class indices as target, not probabilities")
        rows = self.plan.rows if self.plan.counted is None else self.plan.counted.size
        return empty_scores(np.empty(0, self.dtype), rows)

    def finished(self, scores: Scores) -> Scores:
        arrays = finished_scores(scores, self.plan, self.options.first_class)
        return Scores(*[a.reshape(self.lead) if self.lead else a[0] for a in arrays])


def _part(factor: float | Array, block: slice) -> float | Array:
    return factor[block] if isinstance(factor, np.ndarray) else factor


def _real_array(value: ArrayLike, name: str) -> Array:
    array = as_array(value, name)
    if not (is_float(array.dtype) or array.dtype.kind in "iu"):
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    return array
