"""The engine of the linear loss for NumPy arrays: the layer whose products the loop asks for."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, read_real
from ..errors import LabelError
from ..kernels import kernel_for
from ..labels import ClassIndices
from ..logits import compute_dtype, gradient_dtype
from ..options import LinearOptions, class_weights
from ..reduction import read_upstream
from ..scores import Scores, counted_from
from .blocks import Rows, block_loss, run, used_classes
from .plan import LinearGradients, check_shapes, plan_for


def cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    linear_bias: ArrayLike | None,
    target: ArrayLike,
    weight: ArrayLike | None,
    options: LinearOptions,
    return_scores: bool = False,
) -> Any:
    """The loss, or (loss, Scores), as `softmaxloss.linear_cross_entropy` describes them.

    >>> cross_entropy([1.0], [[0.0], [0.0]], None, 1, None, LinearOptions())
    np.float64(0.693147180...)
    """
    layer = _Layer(input, linear_weight, linear_bias, target, weight, options)
    if not return_scores:
        return layer.shaped_loss(run(layer, layer.plan, 1.0, False, None)[0])
    if not isinstance(layer.plan.target, ClassIndices):
        raise LabelError("return_scores takes class indices as target, not probabilities")
    losses, scores = run(layer, layer.plan, 1.0, False, layer.dtype)
    assert scores is not None
    scores = counted_from(options.first_class, scores)
    return layer.shaped_loss(losses), Scores(*[layer.per_row(array) for array in scores])


def cross_entropy_with_grad(
    input: ArrayLike,
    linear_weight: ArrayLike,
    linear_bias: ArrayLike | None,
    target: ArrayLike,
    weight: ArrayLike | None,
    options: LinearOptions,
    grad_output: ArrayLike | None = None,
) -> tuple[Any, LinearGradients]:
    """(loss, gradients), as `softmaxloss.linear_cross_entropy_with_grad` describes them."""
    layer = _Layer(input, linear_weight, linear_bias, target, weight, options, gradients=True)
    upstream = read_upstream(grad_output, layer.lead_shape, options)
    losses, _ = run(layer, layer.plan, upstream, True, None)
    return layer.shaped_loss(losses), layer.shaped_gradients()


class _Layer:
    """The checked arguments of one call, and the layer's products: see `blocks.Layer`."""

    def __init__(
        self,
        input: ArrayLike,
        linear_weight: ArrayLike,
        linear_bias: ArrayLike | None,
        target: ArrayLike,
        weight: ArrayLike | None,
        options: LinearOptions,
        gradients: bool = False,
    ) -> None:
        self.options = options
        x = read_real(input, "input")
        self.W = W = read_real(linear_weight, "linear_weight")
        self.b = b = None if linear_bias is None else read_real(linear_bias, "linear_bias")
        try:
            y = as_array(target, "target")
        except ValueError as error:
            raise LabelError(str(error)) from None
        by_index = check_shapes(x.shape, W.shape, None if b is None else b.shape, y.shape)
        classes, features = W.shape
        self.shape, self.lead_shape = x.shape, x.shape[:-1]
        rows = math.prod(self.lead_shape)
        self.x = x.reshape(rows, features)
        self.weight = class_weights(weight, classes)
        self.dtype = np.dtype(np.result_type(compute_dtype(x.dtype), compute_dtype(W.dtype)))
        self.kernel, _ = kernel_for(self.dtype)
        self.plan = plan_for(
            rows,
            (classes, features),
            y.reshape(rows, *([] if by_index else [classes])),
            self.weight,
            options,
            self.dtype.itemsize,
            self.dtype.itemsize if W.dtype != self.dtype else 0,
        )
        if gradients:
            self.grad_input = np.zeros(self.x.shape, gradient_dtype(x.dtype))
            self.grad_W = np.zeros(W.shape, self.dtype)
            self.grad_b = None if b is None else np.zeros(b.shape, self.dtype)

    def memory(self, rows: int) -> Array:
        return np.empty((rows, self.plan.classes), self.dtype)

    def rows(self, where: slice | Array) -> Array:
        return np.ascontiguousarray(self.x[where], self.dtype)

    def make_logits(self, x: Array, logits: Array) -> None:
        for c in self.plan.chunks():
            np.matmul(x, self.W[c].astype(self.dtype, copy=False).T, out=logits[:, c])
            if self.b is not None:
                logits[:, c] += self.b[c]

    def loss(self, logits: Array, rows: Rows, with_gradient: bool) -> None:
        block_loss(self.kernel, logits, rows, self.weight, self.options, with_gradient)

    def add(self, grad: Array, x: Array, where: slice | Array, rows: Rows) -> None:
        if self.grad_b is not None:
            self.grad_b += grad.sum(axis=0)
        chunks: Any = self.plan.chunks()
        if self.options.skip_below:
            bounds = np.broadcast_to(self.options.skip_below * np.abs(rows.factor), len(grad))
            used = np.flatnonzero(used_classes(grad, bounds))
            chunks = np.split(used, range(self.plan.chunk, used.size, self.plan.chunk))
        grad_x = np.zeros_like(x)
        for c in chunks:
            G = grad[:, c]
            grad_x += np.matmul(G, self.W[c].astype(self.dtype, copy=False))
            self.grad_W[c] += np.matmul(G.T, x)
        self.grad_input[where] = grad_x

    def shaped_loss(self, losses: Array) -> Any:
        """The losses of the rows that count → the result of the call."""
        result = self.plan.reduced(losses, self.options)
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            if self.options.reduction != "none":
                return self.dtype.type(result)
            return self.per_row(result.astype(self.dtype))

    def shaped_gradients(self) -> LinearGradients:
        """The gradients in the shapes and dtypes of the arguments."""
        W = self.grad_W.astype(gradient_dtype(self.W.dtype), copy=False)
        b = self.grad_b
        if b is not None and self.b is not None:
            b = b.astype(gradient_dtype(self.b.dtype), copy=False)
        return LinearGradients(self.grad_input.reshape(self.shape), W, b)

    def per_row(self, values: Array) -> Any:
        """(rows,) values in the shape of the rows; that of one row as a scalar."""
        return values.reshape(self.lead_shape) if self.lead_shape else values[0]
