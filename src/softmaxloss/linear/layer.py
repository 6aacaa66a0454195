"""A linear layer on NumPy arrays, whose products are those of NumPy's BLAS."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..kernels import kernel_for
from ..kernels.openmp import own_threads
from ..labels import Target
from ..options import LinearOptions
from ..scores import Scores
from . import blocks
from .blocks import Rows, block_loss
from .plan import Plan


class Arrays(NamedTuple):
    """A layer's input (rows, features), weight (classes, features) and bias (classes,), or what has
    their shapes. None where there is none."""

    input: Any
    weight: Any
    bias: Any


NO_ARRAYS = Arrays(None, None, None)


class Layer:
    """The products of one call, for the loop of `blocks`: see `blocks.Layer`.

    `dtype` is that of the logits, float32 or float64; `class_weight` is checked. The gradients are
    added up in the arrays of `grads`, which may hold anything, the weight's in this dtype.
    `new_memory` returns the memory of the logits.
    """

    def __init__(
        self,
        arrays: Arrays,
        plan: Plan,
        dtype: np.dtype[Any],
        class_weight: Array | None,
        options: LinearOptions,
        grads: Arrays = NO_ARRAYS,
        new_memory: Callable[[int, np.dtype[Any]], Array] = np.empty,
    ) -> None:
        self.x, self.W, self.b = arrays
        self.plan, self.dtype, self.options, self.grads = plan, dtype, options, grads
        self.class_weight, self.new_memory = class_weight, new_memory
        self.kernel, _ = kernel_for(dtype)
        self.untouched = True  # grads.weight is not written yet
        if grads.bias is not None:
            self.ones = np.ones(plan.most_rows, dtype)  # BLAS adds up rows faster than sum(axis=0)
        if grads.weight is not None:
            self.scratch = np.empty((plan.chunk, self.W.shape[1]), dtype)

    def run(
        self, upstream: float | Array, with_scores: bool = False
    ) -> tuple[Array, Scores | None]:
        """`blocks.run`; the gradients are complete then."""
        for grad in (self.grads.input, self.grads.bias):
            if grad is not None:
                grad.fill(0)
        with_gradient = any(grad is not None for grad in self.grads)
        scores_dtype = self.dtype if with_scores else None
        with own_threads():
            made = blocks.run(self, self.plan, upstream, with_gradient, scores_dtype)
        if self.untouched and self.grads.weight is not None:
            self.grads.weight.fill(0)
        return made

    def memory(self, numbers: int) -> Array:
        return self.new_memory(numbers, self.dtype)

    def rows(self, where: slice | Array) -> Array:
        return np.ascontiguousarray(self.x[where], self.dtype)

    def make_logits(self, x: Array, logits: Array) -> None:
        # The bias is added while a chunk is in cache.
        for c in self._chunks(self.b is None):
            self.make_chunk(x, c, logits[:, c])

    def make_chunk(self, x: Array, classes: slice, logits: Array) -> None:
        np.matmul(x, self._weight(classes).T, out=logits)
        if self.b is not None:
            logits += self.b[classes]

    def _chunks(self, whole: bool = True) -> Iterable[slice]:
        """All classes at once, which is fastest, or in chunks: those of a converted weight."""
        return [slice(None)] if whole and self.W.dtype == self.dtype else self.plan.chunks()

    def _weight(self, classes: Any) -> Array:
        w: Array = self.W[classes].astype(self.dtype, copy=False)
        return w

    def loss(self, logits: Array, rows: Rows, with_gradient: bool) -> None:
        block_loss(self.kernel, logits, rows, self.class_weight, self.options, with_gradient)

    def beside(self, array: Array) -> Array:
        return array

    def add(
        self,
        grad: Array,
        x: Array,
        where: slice | Array,
        target: Target,
        used: list[Array] | None,
    ) -> None:
        by_input, by_weight, by_bias = self.grads
        if by_bias is not None:
            by_bias += np.matmul(self.ones[: len(grad)], grad)
        if by_input is not None:
            sums = self.sums(x)
            for c in self._chunks() if used is None else used:
                sums += np.matmul(grad[:, c], self._weight(c))
            by_input[where] = sums
        if by_weight is not None:
            if self.untouched and used is not None:
                by_weight.fill(0)
                self.untouched = False
            chunks = self._chunks(self.untouched) if used is None else used
            for c in chunks:
                self._add_by_class(grad[:, c], x, c)
        self.untouched = False

    def _add_by_class(self, grad: Array, x: Array, classes: Any) -> None:
        """Add Gᵀ·x to these rows of the weight's gradient."""
        by_weight = self.grads.weight
        if self.untouched:
            np.matmul(grad.T, x, out=by_weight[classes])
        else:
            by_weight[classes] += np.matmul(grad.T, x, out=self.scratch[: grad.shape[1]])

    # --- for chunks.Layer

    def as_array(self, made: Array) -> Array:
        return made

    def sums(self, x: Array) -> Array:
        return np.zeros_like(x)

    def add_chunk(self, grad: Array, x: Array, classes: slice, sums: Array) -> None:
        by_input, by_weight, by_bias = self.grads
        if by_bias is not None:
            by_bias[classes] += np.matmul(self.ones[: len(grad)], grad)
        if by_input is not None:
            sums += np.matmul(grad, self._weight(classes))
        if by_weight is not None:
            self._add_by_class(grad, x, classes)

    def set_sums(self, where: slice | Array, sums: Array) -> None:
        if self.grads.input is not None:
            self.grads.input[where] = sums
        self.untouched = False
