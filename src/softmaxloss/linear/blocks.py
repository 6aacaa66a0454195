"""The loop of the linear loss: block after block of rows, the loss in the memory of the logits.

`run` is the loop for any array library. A `Layer` of that library has the matrix products and the
loss of one block; `block_loss` is that loss where a kernel computes it. It takes a few rows at a
time with softcap or z_loss, which need the logits beside the gradient, and with probabilities that
are converted first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..arrays import Array
from ..kernels import Kernel, softcap
from ..labels import Target
from ..options import LinearOptions
from ..reduction import gradient_factor
from ..scores import IGNORED, Scores, empty_scores
from . import chunks
from .plan import Plan

#: To gather the weights of more classes than this share takes longer than to multiply with all.
MOST_USED = 0.6


class Rows(NamedTuple):
    """Some rows: what their loss depends on beside the logits, and the arrays to fill."""

    target: Target
    factor: float | Array  #: the gradient is multiplied by it: one number, or (rows,)
    loss: Array  #: (rows,)
    scores: Scores | None

    def part(self, rows: slice) -> Rows:
        factor = self.factor if isinstance(self.factor, float) else self.factor[rows]
        scores = None if self.scores is None else Scores(*[a[rows] for a in self.scores])
        return Rows(self.target.at(rows), factor, self.loss[rows], scores)


class Layer(chunks.Layer, Protocol):
    """A linear layer in the arrays of some library. x are rows of its input, for one block."""

    options: LinearOptions

    def make_logits(self, x: Any, logits: Any) -> None:
        """Fill the logits with x·Wᵀ + b."""

    def loss(self, logits: Any, rows: Rows, with_gradient: bool) -> None:
        """Fill rows.loss and rows.scores; the logits become factor·∂loss/∂logits if wanted."""

    def beside(self, array: Array) -> Any:
        """The array in the library's own kind, beside the logits."""

    def add(
        self, grad: Any, x: Any, where: slice | Array, target: Target, used: list[Any] | None
    ) -> None:
        """Add to the layer's gradients what follows from a block's, which may be overwritten: from
        the classes that are used, in chunks, or from all."""


def run(
    layer: Layer,
    plan: Plan,
    upstream: float | Array,
    with_gradient: bool,
    scores_dtype: np.dtype[Any] | None,
) -> tuple[Array, Scores | None]:
    """The losses of the rows that count, float64, and the scores of all rows, if a dtype is given.

    With a gradient the layer adds up its gradients, multiplied by the upstream gradient.
    """
    losses = np.empty(plan.counted_rows, np.float64)
    scores = None if scores_dtype is None else empty_scores((plan.counted_rows,), scores_dtype)
    if plan.counted is not None and isinstance(upstream, np.ndarray):
        upstream = upstream[plan.counted]
    factor = gradient_factor(upstream, plan.divisor)
    if plan.sample_weight is not None:
        factor = factor * plan.sample_weight
    rows = Rows(plan.target, factor, losses, scores)
    if plan.kept:
        losses = chunks.run(layer, plan, factor, with_gradient)
    memory: Any = None if plan.kept else layer.memory(plan.most_rows * plan.classes)
    for block in () if plan.kept else plan.blocks:
        where = block if plan.counted is None else plan.counted[block]
        part = rows.part(block)._replace(target=plan.target.at(where))
        shape = (block.stop - block.start, plan.classes)
        x, logits = layer.rows(where), memory[: shape[0] * shape[1]].reshape(shape)
        layer.make_logits(x, logits)
        layer.loss(logits, part, with_gradient)
        if with_gradient:
            used = used_classes(layer, plan.chunk, logits, part.factor)
            layer.add(logits, x, where, part.target, used)
    if plan.sample_weight is not None:
        losses *= plan.sample_weight
    if scores is not None:
        with np.errstate(over="ignore"):  # a loss beyond the largest float32 is inf
            scores = scores._replace(loss=losses.astype(scores.loss.dtype))
        pairs = zip(scores, IGNORED, strict=True)
        scores = Scores(*[plan.of_all_rows(values, ignored) for values, ignored in pairs])
    return losses, scores


def few_rows(rows: int, classes: int) -> Iterator[slice]:
    """The rows a few at a time, so that copies of their logits are small."""
    step = max(1, softcap.FEW // classes)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def block_loss(
    kernel: Kernel,
    logits: Array,
    rows: Rows,
    weight: Array | None,
    options: LinearOptions,
    with_gradient: bool,
) -> None:
    """`Layer.loss` by a kernel that reads the logits' dtype; the weights are checked.

    The logits, (rows, classes), are contiguous; with softcap or z_loss float32 or float64.
    """
    copies = rows.target.in_place() is None or softcap.makes_copies(rows.target, weight, options)
    for part in few_rows(*logits.shape) if copies else [slice(0, len(logits))]:
        some, z = rows.part(part), logits[part][:, :, None]
        softcap.cross_entropy(
            kernel,
            z,
            some.target.in_place() or some.target.block(slice(None)),
            weight,
            None,  # `run` multiplies by the sample weights
            options,
            some.factor,
            some.loss,
            z if with_gradient else None,
            some.scores,
        )


def used_classes(layer: Layer, chunk: int, grad: Any, factor: float | Array) -> list[Any] | None:
    """The classes that skip_below leaves in the products, in chunks; None for all. They are those
    where some row's gradient exceeds the bound of the row. A NaN does."""
    if not layer.options.skip_below:
        return None
    bound = layer.options.skip_below * np.abs(factor)
    wide = np.float64 if grad.dtype.itemsize == 8 else np.float32
    bounds = layer.beside(np.full(len(grad), bound, wide))
    used: Any = False
    for part in few_rows(*grad.shape):
        used = used | ~(abs(grad[part]) <= bounds[part, None]).all(0)
    classes = np.flatnonzero(layer.as_array(used))
    if len(classes) >= grad.shape[1] * MOST_USED:
        return None
    return [layer.beside(classes[i : i + chunk]) for i in range(0, len(classes), chunk)]
