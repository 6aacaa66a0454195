"""The engine of the linear loss for NumPy arrays: the layer whose products the loop asks for."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, read_real
from ..errors import LabelError
from ..kernels import kernel_for
from ..logits import compute_dtype, gradient_dtype
from ..options import LinearOptions, class_weights, sample_weights
from ..reduction import read_upstream
from ..rows import in_shape
from ..scores import Scores, counted_from
from .blocks import Rows, block_loss, run, used_classes
from .plan import Arguments, LinearGradients, check_shapes, plan_for


def cross_entropy(arrays: Arguments, options: LinearOptions, return_scores: bool = False) -> Any:
    """The loss, or (loss, Scores), as `softmaxloss.linear_cross_entropy` describes them.

    >>> cross_entropy(Arguments([1.0], [[0.0], [0.0]], None, 1, None, None), LinearOptions())
    np.float64(0.693147180...)
    """
    layer = _Layer(arrays, options, scores=return_scores)
    losses, scores = run(layer, layer.plan, 1.0, False, layer.dtype if return_scores else None)
    loss = layer.shaped_loss(losses)
    if scores is None:
        return loss
    scores = counted_from(options.first_class, scores)
    return loss, Scores(*[in_shape(array, layer.lead_shape) for array in scores])


def cross_entropy_with_grad(
    arrays: Arguments, options: LinearOptions, grad_output: ArrayLike | None = None
) -> tuple[Any, LinearGradients]:
    """(loss, gradients), as `softmaxloss.linear_cross_entropy_with_grad` describes them."""
    layer = _Layer(arrays, options, gradients=True)
    upstream = read_upstream(grad_output, layer.lead_shape, options)
    losses, _ = run(layer, layer.plan, upstream, True, None)
    return layer.shaped_loss(losses), layer.shaped_gradients()


class _Layer:
    """The checked arguments of one call, and the layer's products: see `blocks.Layer`."""

    def __init__(
        self,
        arrays: Arguments,
        options: LinearOptions,
        gradients: bool = False,
        scores: bool = False,
    ) -> None:
        self.options, self.untouched = options, True
        x = read_real(arrays.input, "input")
        self.W = W = read_real(arrays.linear_weight, "linear_weight")
        self.b = b = arrays.linear_bias
        if b is not None:
            self.b = b = read_real(b, "linear_bias")
        try:
            y = as_array(arrays.target, "target")
        except ValueError as error:
            raise LabelError(str(error)) from None
        by_index = check_shapes(arrays._replace(input=x, linear_weight=W, linear_bias=b, target=y))
        classes, features = W.shape
        self.shape, self.lead_shape = x.shape, x.shape[:-1]
        rows = math.prod(self.lead_shape)
        self.x = x.reshape(rows, features)
        self.class_weight = class_weights(arrays.weight, classes)
        self.dtype = np.dtype(np.result_type(compute_dtype(x.dtype), compute_dtype(W.dtype)))
        self.kernel, _ = kernel_for(self.dtype)
        self.plan = plan_for(
            rows,
            (classes, features),
            y.reshape(rows, *([] if by_index else [classes])),
            self.class_weight,
            sample_weights(arrays.sample_weight, self.lead_shape),
            options,
            self.dtype.itemsize,
            self.dtype.itemsize if W.dtype != self.dtype else 0,
            None if scores else gradients,
        )
        if gradients:
            self.grad_input = np.zeros(self.x.shape, gradient_dtype(x.dtype))
            self.grad_W = np.empty(W.shape, self.dtype)
            self.scratch = np.empty((self.plan.chunk, features), self.dtype)
            self.grad_b = None if b is None else np.zeros(b.shape, self.dtype)

    def memory(self, rows: int) -> Array:
        return np.empty((rows, self.plan.classes), self.dtype)

    def rows(self, where: slice | Array) -> Array:
        return np.ascontiguousarray(self.x[where], self.dtype)

    def make_logits(self, x: Array, logits: Array) -> None:
        for c in self.plan.chunks():
            self.make_chunk(x, c, logits[:, c])

    def make_chunk(self, x: Array, classes: slice, logits: Array) -> None:
        np.matmul(x, self.W[classes].astype(self.dtype, copy=False).T, out=logits)
        if self.b is not None:
            logits += self.b[classes]

    def loss(self, logits: Array, rows: Rows, with_gradient: bool) -> None:
        block_loss(self.kernel, logits, rows, self.class_weight, self.options, with_gradient)

    def add(self, grad: Array, x: Array, where: slice | Array, rows: Rows) -> None:
        if self.grad_b is not None:
            self.grad_b += grad.sum(axis=0)
        if self.untouched and self.options.skip_below:
            self.grad_W.fill(0)
            self.untouched = False
        chunks: Any = self.plan.chunks()
        if self.options.skip_below:
            bounds = np.broadcast_to(self.options.skip_below * np.abs(rows.factor), len(grad))
            used = np.flatnonzero(used_classes(grad, bounds))
            chunks = np.split(used, range(self.plan.chunk, used.size, self.plan.chunk))
        grad_x = np.zeros_like(x)
        for c in chunks:
            self.add_products(grad[:, c], x, c, grad_x)
        self.set_sums(where, grad_x)

    def add_products(self, grad: Array, x: Array, classes: Any, sums: Array) -> None:
        """Add Gᵀ·x to the weight's gradient, and G·W to the sums."""
        sums += np.matmul(grad, self.W[classes].astype(self.dtype, copy=False))
        if self.untouched:
            np.matmul(grad.T, x, out=self.grad_W[classes])
        else:
            self.grad_W[classes] += np.matmul(grad.T, x, out=self.scratch[: grad.shape[1]])

    def set_sums(self, where: slice | Array, sums: Array) -> None:
        self.grad_input[where] = sums
        self.untouched = False

    # --- for chunks.Layer

    def flat_memory(self, numbers: int) -> Array:
        return np.empty(numbers, self.dtype)

    def as_array(self, logits: Array) -> Array:
        return logits

    def sums(self, x: Array) -> Array:
        return np.zeros_like(x)

    def add_chunk(self, grad: Array, x: Array, classes: slice, sums: Array) -> None:
        if self.grad_b is not None:
            self.grad_b[classes] += grad.sum(axis=0)
        self.add_products(grad, x, classes, sums)

    def shaped_loss(self, losses: Array) -> Any:
        """The losses of the rows that count → the result of the call."""
        result = self.plan.reduced(losses, self.options)
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            if self.options.reduction != "none":
                return self.dtype.type(result)
            return in_shape(result.astype(self.dtype), self.lead_shape)

    def shaped_gradients(self) -> LinearGradients:
        """The gradients in the shapes and dtypes of the arguments."""
        if self.untouched:
            self.grad_W.fill(0)
        W = self.grad_W.astype(gradient_dtype(self.W.dtype), copy=False)
        b = self.grad_b
        if b is not None and self.b is not None:
            b = b.astype(gradient_dtype(self.b.dtype), copy=False)
        return LinearGradients(self.grad_input.reshape(self.shape), W, b)
