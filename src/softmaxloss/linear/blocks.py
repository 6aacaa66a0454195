"""The loop of the linear loss: block after block of rows, the loss in the memory of the logits.

`run` is the loop for any array library. A `Layer` of that library has the matrix products and the
loss of one block; `block_loss` is that loss where a kernel computes it. Softcap and z_loss are put
around a kernel here, a few rows at a time, because they need the logits beside the gradient:

    logits                              u = s·tanh(z/s),   ∂u/∂z = 1 − tanh²(z/s)
    loss of a row                       J + λ·L²,  L = log Σ_n exp(u_n)
    gradient with respect to u          ∂J/∂u_n + 2·λ·L·a_n,  a = softmax(u)

The functions of this maths take the namespace of an array library, `numpy` or `torch`, as xp.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..arrays import Array
from ..kernels import Kernel
from ..labels import Target
from ..options import LinearOptions
from ..reduction import gradient_factor
from ..scores import IGNORED, Scores, empty_scores
from .plan import FEW, Plan


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


class Layer(Protocol):
    """A linear layer in the arrays of some library. x are rows of its input, for one block."""

    def memory(self, rows: int) -> Any:
        """Memory for the logits of so many rows."""

    def rows(self, where: slice | Array) -> Any:
        """x: these rows of the input, as the products take them."""

    def make_logits(self, x: Any, logits: Any) -> None:
        """Fill the logits with x·Wᵀ + b."""

    def loss(self, logits: Any, rows: Rows, with_gradient: bool) -> None:
        """Fill rows.loss and rows.scores; the logits become factor·∂loss/∂logits if wanted."""

    def add(self, grad: Any, x: Any, where: slice | Array, rows: Rows) -> None:
        """Add to the layer's gradients what follows from a block's, which may be overwritten."""


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
    memory = layer.memory(max((block.stop - block.start for block in plan.blocks), default=0))
    for block in plan.blocks:
        where = block if plan.counted is None else plan.counted[block]
        part = rows.part(block)._replace(target=plan.target.at(where))
        x, logits = layer.rows(where), memory[: block.stop - block.start]
        layer.make_logits(x, logits)
        layer.loss(logits, part, with_gradient)
        if with_gradient:
            layer.add(logits, x, where, part)
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
    step = max(1, FEW // classes)
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
    if not options.changes_logits:
        _kernel_loss(kernel, logits, rows, weight, options, with_gradient)
        return
    for part in few_rows(*logits.shape):
        _kernel_loss(kernel, logits[part], rows.part(part), weight, options, with_gradient)


def _kernel_loss(
    kernel: Kernel,
    z: Array,
    rows: Rows,
    weight: Array | None,
    options: LinearOptions,
    with_gradient: bool,
) -> None:
    grad = z if with_gradient else None
    u, slope, share = z, None, None
    if options.softcap is not None:
        u = softcapped(np, z, options.softcap)
        slope = None if grad is None else softcap_slope(np, z, options.softcap)
    scores = rows.scores
    if options.z_loss and scores is None:
        scores = empty_scores((len(z),), z.dtype)
    if scores is not None:  # first: grad is the logits' memory
        _kernel_scores(kernel, u, rows.target, scores)
        if options.z_loss and grad is not None:
            factor = np.broadcast_to(rows.factor, len(z)).astype(z.dtype)
            share = z_loss_gradient(np, u, scores.logsumexp[:, None], options.z_loss)
            share *= factor[:, None]
    kernel.cross_entropy(
        u[:, :, None],
        rows.target.in_place() or rows.target.block(slice(None)),
        weight,
        None,  # `run` multiplies by the sample weights
        options,
        rows.factor,
        rows.loss,
        None if grad is None else grad[:, :, None],
    )
    if scores is not None and options.z_loss:
        rows.loss[...] += z_loss_of(scores.logsumexp.astype(np.float64), options.z_loss)
    if grad is not None and share is not None:
        grad += share
    if grad is not None and slope is not None:
        grad *= slope


def _kernel_scores(kernel: Kernel, logits: Array, target: Target, scores: Scores) -> None:
    kernel.score(logits[:, :, None], target.true_classes().in_place(), scores)


# --- softcap, z_loss and skip_below in the arrays of any library ---------------------------------


def softcapped(xp: Any, z: Any, cap: float) -> Any:
    """u = s·tanh(z/s).

    >>> softcapped(np, np.array([0.0, 1e9]), 30.0)
    array([ 0., 30.])
    """
    return cap * xp.tanh(z / cap)


def softcap_slope(xp: Any, z: Any, cap: float) -> Any:
    """∂u/∂z = 1 − tanh² = 4e/(1+e)², e = exp(−2|z/s|): no cancellation where tanh is close to 1.

    >>> softcap_slope(np, np.array([0.0]), 30.0)
    array([1.])
    """
    e = xp.exp(-2 * abs(z / cap))
    return 4 * e / (1 + e) ** 2


def z_loss_of(L: Any, z_loss: float) -> Any:
    """λ·L², which z_loss adds to the loss of a row, L = log Σ exp u.

    >>> z_loss_of(3.0, 0.5)
    4.5
    """
    return z_loss * L**2


def z_loss_gradient(xp: Any, u: Any, L: Any, z_loss: float) -> Any:
    """The gradient of λ·L² with respect to u, 2·λ·L·a_n. L has one entry for each row of u.

    >>> z_loss_gradient(np, np.zeros((1, 2)), np.log([[2.0]]), 1.0)
    array([[0.69314718, 0.69314718]])
    """
    return xp.exp(u - L) * (2 * z_loss * L)


def used_classes(grad: Any, bounds: Any) -> Any:
    """For each class, whether some row's gradient exceeds the bound of the row. A NaN does.

    >>> used_classes(np.array([[0.5, 1e-9, -0.5], [1e-9, 1e-9, 0.0]]), np.array([1e-6, 1e-6]))
    array([ True, False,  True])
    """
    used: Any = False
    for part in few_rows(*grad.shape):
        used = used | ~(abs(grad[part]) <= bounds[part, None]).all(0)
    return used
