"""The engine of the linear loss for NumPy arrays: checks, and results in the shapes of those."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, read_real
from ..errors import LabelError
from ..logits import compute_dtype, gradient_dtype
from ..options import LinearOptions, class_weights, sample_weights
from ..reduction import read_upstream
from ..rows import in_shape
from ..scores import Scores, counted_from
from .layer import NO_ARRAYS, Arrays, Layer
from .plan import Arguments, LinearGradients, check_shapes, plan_for


def cross_entropy(arrays: Arguments, options: LinearOptions, return_scores: bool = False) -> Any:
    """The loss, or (loss, Scores), as `softmaxloss.linear_cross_entropy` describes them.

    >>> cross_entropy(Arguments([1.0], [[0.0], [0.0]], None, 1, None, None), LinearOptions())
    np.float64(0.693147180...)
    """
    call = _Call(arrays, options, None if return_scores else False)
    losses, scores = call.layer().run(1.0, return_scores)
    loss = call.shaped_loss(losses)
    if scores is None:
        return loss
    scores = counted_from(options.first_class, scores)
    return loss, Scores(*[in_shape(array, call.lead_shape) for array in scores])


def cross_entropy_with_grad(
    arrays: Arguments, options: LinearOptions, grad_output: ArrayLike | None = None
) -> tuple[Any, LinearGradients]:
    """(loss, gradients), as `softmaxloss.linear_cross_entropy_with_grad` describes them."""
    call = _Call(arrays, options, True)
    upstream = read_upstream(grad_output, call.lead_shape, options)
    x, W, b = call.arrays
    grads = Arrays(
        np.empty(x.shape, gradient_dtype(x.dtype)),
        np.empty(W.shape, call.dtype),
        None if b is None else np.empty(b.shape, call.dtype),
    )
    losses, _ = call.layer(grads).run(upstream)
    return call.shaped_loss(losses), call.shaped(grads)


class _Call:
    """The checked arguments of one call. `gradients` as for `plan_for`."""

    def __init__(self, arrays: Arguments, options: LinearOptions, gradients: bool | None) -> None:
        self.options = options
        x = read_real(arrays.input, "input")
        W = read_real(arrays.linear_weight, "linear_weight")
        b = arrays.linear_bias
        if b is not None:
            b = read_real(b, "linear_bias")
        try:
            y = as_array(arrays.target, "target")
        except ValueError as error:
            raise LabelError(str(error)) from None
        by_index = check_shapes(arrays._replace(input=x, linear_weight=W, linear_bias=b, target=y))
        classes, features = W.shape
        self.shape, self.lead_shape = x.shape, x.shape[:-1]
        rows = math.prod(self.lead_shape)
        self.arrays = Arrays(x.reshape(rows, features), W, b)
        self.class_weight = class_weights(arrays.weight, classes)
        self.dtype = np.dtype(np.result_type(compute_dtype(x.dtype), compute_dtype(W.dtype)))
        self.plan = plan_for(
            rows,
            (classes, features),
            y.reshape(rows, *([] if by_index else [classes])),
            self.class_weight,
            sample_weights(arrays.sample_weight, self.lead_shape),
            options,
            self.dtype.itemsize,
            self.dtype.itemsize if W.dtype != self.dtype else 0,
            gradients,
        )

    def layer(self, grads: Arrays = NO_ARRAYS) -> Layer:
        return Layer(self.arrays, self.plan, self.dtype, self.class_weight, self.options, grads)

    def shaped_loss(self, losses: Array) -> Any:
        """The losses of the rows that count → the result of the call."""
        result = self.plan.reduced(losses, self.options)
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            if self.options.reduction != "none":
                return self.dtype.type(result)
            return in_shape(result.astype(self.dtype), self.lead_shape)

    def shaped(self, grads: Arrays) -> LinearGradients:
        """The gradients in the shapes and dtypes of the arguments."""
        x, W, b = grads
        W = W.astype(gradient_dtype(self.arrays.weight.dtype), copy=False)
        if b is not None:
            b = b.astype(gradient_dtype(self.arrays.bias.dtype), copy=False)
        return LinearGradients(x.reshape(self.shape), W, b)
