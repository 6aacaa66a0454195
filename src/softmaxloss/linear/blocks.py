"""The loss of one block of rows and its gradient, in the memory of its logits.

What a kernel computes is left to it. Softcap and z_loss are put around it here, a few rows at a
time, since they need the logits beside the gradient:

    logits              u = s·tanh(z/s)                 ∂u/∂z = 1 − tanh²(z/s)
    loss of a row       J + λ·L²,  L = log Σ_n exp(u_n)
    its gradient by u   ∂J/∂u_n + 2·λ·L·a_n,  a = softmax(u)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..api import Scores
from ..kernels import Kernel
from ..labels import ClassIndices, Target
from .plan import PIECE, Extras, Plan

__all__ = [
    "Rows",
    "empty_scores",
    "finished_scores",
    "loss_in_place",
    "small_parts",
    "uses_class",
]

Array = NDArray[Any]


class Rows(NamedTuple):
    """Some rows: what the kernel is to know of them, and the arrays that it is to fill."""

    target: Target
    factor: float | Array  #: what the gradient is multiplied by: one number, or (rows,)
    loss: Array  #: (rows,)
    scores: Scores | None

    def part(self, rows: slice) -> Rows:
        factor = self.factor if isinstance(self.factor, float) else self.factor[rows]
        scores = None if self.scores is None else Scores(*[a[rows] for a in self.scores])
        return Rows(self.target.at((rows,)), factor, self.loss[rows], scores)


def small_parts(rows: int, classes: int) -> Iterator[slice]:
    """The rows a few at a time, so that copies of their logits are small."""
    step = max(1, PIECE // classes)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def loss_in_place(
    kernel: Kernel,
    logits: Array,
    rows: Rows,
    weight: Array | None,
    label_smoothing: float,
    extras: Extras,
    with_gradient: bool,
) -> None:
    """Fill rows.loss and rows.scores; with a gradient, the logits become factor·∂loss/∂logits.

    logits  (rows, classes), contiguous rows, in a dtype that the kernel reads; float32 or float64
            with softcap or z_loss
    """
    if not extras.change_logits:
        _kernel(kernel, logits, logits if with_gradient else None, rows, weight, label_smoothing)
        return
    for part in small_parts(*logits.shape):
        _few_rows(
            kernel, logits[part], rows.part(part), weight, label_smoothing, extras, with_gradient
        )


def _few_rows(
    kernel: Kernel,
    z: Array,
    rows: Rows,
    weight: Array | None,
    label_smoothing: float,
    extras: Extras,
    with_gradient: bool,
) -> None:
    u, slope = z, None
    if extras.softcap is not None:
        u, slope = _softcap(z, extras.softcap, with_gradient)
    share = None
    if extras.z_loss:
        rows = rows if rows.scores is not None else rows._replace(scores=empty_scores(z))
        scores = rows.scores
        assert scores is not None
        _score(kernel, u, rows.target, scores)
        L = scores.logsumexp
        if with_gradient:
            share = np.exp(u - L[:, None])  # a_n
            share *= (2.0 * extras.z_loss * L * rows.factor)[:, None]
    _kernel(kernel, u, z if with_gradient else None, rows, weight, label_smoothing)
    if extras.z_loss:
        rows.loss[...] += extras.z_loss * np.square(L, dtype=np.float64)
    if share is not None:
        z += share
    if slope is not None:
        z *= slope


def _softcap(z: Array, cap: float, with_slope: bool) -> tuple[Array, Array | None]:
    """s·tanh(z/s) and its derivative."""
    u = z / z.dtype.type(cap)
    slope = None
    if with_slope:
        # 1 − tanh² = 4e/(1+e)² with e = exp(−2|z/s|): nothing cancels where tanh is close to 1.
        e = np.abs(u)
        e *= -2
        np.exp(e, out=e)
        slope = 4 * e
        e += 1
        e *= e
        slope /= e
    np.tanh(u, out=u)
    u *= cap
    return u, slope


def _kernel(
    kernel: Kernel,
    logits: Array,
    grad: Array | None,
    rows: Rows,
    weight: Array | None,
    label_smoothing: float,
) -> None:
    target = rows.target
    if rows.scores is not None:
        _score(kernel, logits, target, rows.scores)  # first: grad may be the logits' memory
    kernel.cross_entropy(
        logits,
        target.rows(),
        weight,
        label_smoothing,
        target.ignore_index,
        rows.factor,
        rows.loss,
        grad,
    )


def _score(kernel: Kernel, logits: Array, target: Target, scores: Scores) -> None:
    # With probabilities as target only the logsumexp is asked for, which no label has a part in.
    is_index = isinstance(target, ClassIndices)
    y = target.rows() if is_index else np.zeros(len(logits), np.int64)
    kernel.score(logits, y, target.ignore_index, *scores)


def empty_scores(logits: Array, rows: int | None = None) -> Scores:
    """Arrays for the scores of these rows of logits, in the dtype that they are computed in."""
    rows = len(logits) if rows is None else rows
    dtype = logits.dtype if logits.dtype == np.float64 else np.float32
    loss, probability, entropy, logsumexp = [np.empty(rows, dtype) for _ in range(4)]
    predicted, rank = np.empty(rows, np.int64), np.empty(rows, np.int64)
    return Scores(loss, probability, predicted, rank, entropy, logsumexp)


def finished_scores(scores: Scores, plan: Plan, first_class: int) -> Scores:
    """The scores of the rows that count → those of all rows; classes numbered as labels are."""
    of = plan.of_all_rows
    return Scores(
        loss=of(scores.loss, 0.0),
        probability=of(scores.probability, np.nan),
        predicted=of(scores.predicted + first_class, first_class - 1),
        rank=of(scores.rank, 0),
        entropy=of(scores.entropy, np.nan),
        logsumexp=of(scores.logsumexp, np.nan),
    )


def uses_class(grad: Array, factor: float | Array, skip_below: float) -> Array:
    """Which classes have, in some row, a part in the gradient above skip_below·|factor|.

    >>> uses_class(np.array([[0.5, 1e-9, -0.5], [1e-9, 1e-9, 0.0]]), 1.0, 1e-6)
    array([ True, False,  True])
    """
    bounds = np.broadcast_to(skip_below * np.abs(factor), len(grad))
    used = np.zeros(grad.shape[1], bool)
    for row, bound in zip(grad, bounds, strict=True):
        used |= ~(np.abs(row) <= bound)  # a NaN is used
    return used
