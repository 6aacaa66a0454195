"""Softcap and z_loss, put around a kernel, which computes neither.

    logits                              u = s·tanh(z/s),   ∂u/∂z = 1 − tanh²(z/s)
    loss of a row                       J + λ·L²,  L = log Σ_n exp(u_n)
    gradient with respect to u          ∂J/∂u_n + 2·λ·L·a_n,  a = softmax(u)

The functions of this maths take the namespace of an array library, `numpy` or `torch`, as xp.
"""

from typing import Any

import numpy as np

from ..arrays import Array
from ..labels import ClassIndices, Target
from ..options import Options
from ..scores import Scores, empty_scores
from . import Kernel

#: Elements of the logits that fit in cache with the few copies of them that are made here.
FEW = 1 << 17
COPIES = 5


@np.errstate(invalid="ignore", over="ignore")
def cross_entropy(
    kernel: Kernel,
    logits: Array,
    target: Target,
    weight: Array | None,
    sample_weight: Array | None,
    options: Options,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
    scores: Scores | None = None,
) -> None:
    """`Kernel.cross_entropy`, and `Kernel.score` of u if scores are given.

    The logits are float32 or float64, with softcap (rows, classes, 1) and contiguous, as `grad`,
    which may be their memory. Class weights do not count in the z_loss; sample weights do. Of
    scores, the loss has no z_loss.
    """
    u, by_u = logits, grad
    if options.softcap is not None:
        u = capped(kernel, logits, options.softcap)
        by_u = None if grad is None else u
    rest = (sample_weight, options, factor, loss, by_u, scores)
    if options.z_loss and _is_usual(target, weight, options):
        _with_z_loss(kernel, u, target, *rest)
    else:
        _with_share(kernel, u, target, weight, *rest)
    if options.softcap is not None and grad is not None:
        kernel.softcap(logits.reshape(-1), options.softcap, u.reshape(-1), grad.reshape(-1))


def capped(kernel: Kernel, logits: Array, cap: float) -> Array:
    """u in new memory; the logits are contiguous."""
    u = np.empty_like(logits)
    kernel.softcap(logits.reshape(-1), cap, None, u.reshape(-1))
    return u


def makes_copies(target: Target, weight: Array | None, options: Options) -> bool:
    """Whether `cross_entropy` takes copies of the logits, so that the logits should be few. If not
    they may be (outer, classes, inner), with any strides."""
    apart = options.z_loss != 0 and not _is_usual(target, weight, options)
    return options.softcap is not None or apart


def _is_usual(target: Target, weight: Array | None, options: Options) -> bool:
    return isinstance(target, ClassIndices) and weight is None and not options.label_smoothing


def _with_share(
    kernel: Kernel,
    u: Array,
    target: Target,
    weight: Array | None,
    sample_weight: Array | None,
    options: Options,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
    scores: Scores | None,
) -> None:
    """`cross_entropy` without softcap. The share of the z_loss in the gradient is added to it."""
    share, s = None, 1.0 if sample_weight is None else sample_weight
    if options.z_loss and scores is None:
        scores = empty_scores((len(u),), u.dtype)
    if scores is not None:  # first: grad may be the logits' memory
        kernel.score(u, target.true_classes().in_place(), scores)
        if options.z_loss and grad is not None:
            share = z_loss_gradient(np, u, scores.logsumexp[:, None, None], options.z_loss)
            share *= np.broadcast_to(factor * s, len(u)).astype(u.dtype)[:, None, None]
    kernel.cross_entropy(u, target, weight, sample_weight, options, factor, loss, grad)
    unused = ~_counted(target, s, len(u))
    if scores is not None and options.z_loss:
        loss += np.where(
            unused, 0, s * z_loss_of(scores.logsumexp.astype(np.float64), options.z_loss)
        )
    if grad is not None and share is not None:
        share[unused] = 0
        grad += share


def _with_z_loss(
    kernel: Kernel,
    z: Array,
    target: Any,
    sample_weight: Array | None,
    options: Options,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
    scores: Scores | None,
) -> None:
    """`_with_share` of class indices, without a copy.

    The gradient of a row is (1 + 2·λ·L)·a_n for every class but the true one: that of J, times a
    factor. The entry of the true class is formed from J, a_y = exp(−J).
    """
    if scores is None:
        scores = empty_scores(loss.shape, z.dtype)
    kernel.score(z, target, scores)  # first: grad may be the logits' memory
    J, L = (a.astype(np.float64) for a in (scores.loss, scores.logsumexp))
    slope = z_loss_slope(L, options.z_loss)
    kernel.cross_entropy(z, target, None, sample_weight, options, factor * (1 + slope), loss, grad)
    s = np.ones(loss.shape) if sample_weight is None else sample_weight
    counts = _counted(target, s, len(J))
    loss[counts] += (s * z_loss_of(L, options.z_loss))[counts]
    if grad is not None:
        outer, inner = np.divmod(np.flatnonzero(counts), z.shape[2])
        y = target.values[counts]
        entries = factor * s * (np.expm1(-J) + slope * np.exp(-J))
        grad[outer, y, inner] = entries[counts]


def _counted(target: Target, sample_weight: float | Array, rows: int) -> Array:
    """Which rows count, (rows,)."""
    counts = np.broadcast_to(np.not_equal(sample_weight, 0), rows)
    if isinstance(target, ClassIndices) and target.may_ignore:
        counts = counts & target.counted()
    return counts


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


def z_loss_slope(L: Any, z_loss: float) -> Any:
    """The derivative of λ·L² with respect to L, 2·λ·L.

    >>> z_loss_slope(3.0, 0.5)
    3.0
    """
    return 2 * z_loss * L


def z_loss_gradient(xp: Any, u: Any, L: Any, z_loss: float) -> Any:
    """The gradient of λ·L² with respect to u, 2·λ·L·a_n. L has one entry for each row of u.

    >>> z_loss_gradient(np, np.zeros((1, 2)), np.log([[2.0]]), 1.0)
    array([[0.69314718, 0.69314718]])
    """
    return xp.exp(u - L) * z_loss_slope(L, z_loss)
