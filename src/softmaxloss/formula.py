"""The maths of the softmax cross-entropy loss: one function per formula, one example, float64.

Read this file first. Every kernel of the package is tested against it, and it is itself tested
against 50-digit arithmetic and numerical derivatives.

Notation: z are the C logits of one example, y its true class (counted from 0), a = softmax(z).
With k the index of one largest logit and m = z_k, everything follows from two numbers, m and

    S = Σ_{n≠k} exp(z_n − m)        the denominator without its largest term, which is exp(0) = 1

so that  Σ_n exp(z_n) = exp(m)·(1 + S)  and  log Σ_n exp(z_n) = m + log1p(S).  Leaving the 1 out of
the sum keeps what S knows when it is tiny, where `log(1 + S)` would round it away. Logarithms are
natural: losses are in nats.

A logit of −inf is a class that is masked out: its probability is 0. A row with a NaN, with +inf,
or with nothing but −inf has no softmax: every result is NaN.

Sources: P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax
functions", IMA J. Numer. Anal. 41 (2021), for the shifted forms with log1p and their error bounds;
C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section
7, for label smoothing; the conventions for weights and means are those of PyTorch's
`torch.nn.functional.cross_entropy`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "batch_mean",
    "coefficients",
    "cross_entropy",
    "cross_entropy_grad",
    "logsumexp",
    "neg_log_softmax",
    "softcapped",
    "softmax",
    "z_loss",
]

Vector = NDArray[np.float64]


def softmax(z: ArrayLike) -> Vector:
    """The probabilities a_n = exp(z_n) / Σ_j exp(z_j), computed as exp(z_n − m) / (1 + S).

    z: (C,) logits. Returns (C,) probabilities that sum to 1.

    >>> softmax([0.0, math.log(3.0)])          # odds of 1 : 3
    array([0.25, 0.75])
    >>> softmax([1000.0, 1000.0])              # a common offset changes nothing
    array([0.5, 0.5])
    """
    z = _logits(z)
    m, S = _largest_and_rest(z)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(z - m) / (1.0 + S)


def logsumexp(z: ArrayLike) -> float:
    """log Σ_n exp(z_n) = m + log1p(S), in nats.

    >>> logsumexp([0.0, 0.0])                  # log 2
    0.6931471805599453
    """
    m, S = _largest_and_rest(_logits(z))
    return m + math.log1p(S)


def neg_log_softmax(z: ArrayLike) -> Vector:
    """The loss that each class would have if it were the true one: −log a_n = (m − z_n) + log1p(S).

    Both terms are ≥ 0, so nothing cancels: not under a large common offset of the logits, and not
    when the loss is tiny.

    >>> neg_log_softmax([0.0, math.log(3.0)])  # log 4 and log 4/3
    array([1.38629436, 0.28768207])
    """
    z = _logits(z)
    m, S = _largest_and_rest(z)
    with np.errstate(over="ignore", invalid="ignore"):
        return (m - z) + math.log1p(S)


def coefficients(
    y: int | ArrayLike,
    classes: int,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    sample_weight: float = 1.0,
) -> Vector:
    """What each −log a_n counts for in the loss: c_n = s·w_n·((1 − ε)·q_n + ε/C).

    y: the true class, or the probabilities q of the classes, shape (C,). An index is the q that is
    1 at y and 0 elsewhere. weight: (C,) w_n ≥ 0, default 1. label_smoothing: ε in [0, 1] moves that
    share of q to the uniform distribution. sample_weight: s ≥ 0, what the example counts for. No
    c_n is negative.

    >>> coefficients(1, 4)
    array([0., 1., 0., 0.])
    >>> coefficients(1, 4, label_smoothing=0.2)
    array([0.05, 0.85, 0.05, 0.05])
    >>> coefficients([0.5, 0.5], 2, weight=[1.0, 3.0])
    array([0.5, 1.5])
    """
    q = np.zeros(classes)
    if np.ndim(y) == 0:
        q[int(y)] = 1.0  # type: ignore[arg-type]
    else:
        q += np.asarray(y, dtype=np.float64)
    if label_smoothing != 0.0:
        q = (1.0 - label_smoothing) * q + label_smoothing / classes
    if weight is not None:
        q = q * np.asarray(weight, dtype=np.float64)
    return q * sample_weight


def cross_entropy(
    z: ArrayLike,
    y: int | ArrayLike,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    sample_weight: float = 1.0,
) -> float:
    """The loss of one example, in nats: J = Σ_n c_n·(−log a_n).

    With a class index, no weight and no smoothing, one term is left: J = −log a_y = −z_y + log Σ
    exp(z_n). The other classes enter through the denominator of a_y. A term with c_n = 0 is absent,
    even where −log a_n is infinite.

    >>> cross_entropy([0.0, 0.0, 0.0, 0.0], 3)           # a uniform guess costs log C = log 4
    1.3862943611198906
    >>> cross_entropy([math.log(2.0), 0.0], 0)           # a = (2/3, 1/3): −log 2/3
    0.4054651081081644
    >>> cross_entropy([100.0, 0.0], 0)                   # exp(−100), not 0
    3.720075976020836e-44
    """
    z = _logits(z)
    c = coefficients(y, z.size, weight, label_smoothing, sample_weight)
    counts = c != 0.0
    with np.errstate(over="ignore"):
        return _sum(c[counts] * neg_log_softmax(z)[counts])


def cross_entropy_grad(
    z: ArrayLike,
    y: int | ArrayLike,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    sample_weight: float = 1.0,
) -> Vector:
    """The gradient of one example's loss with respect to its logits: ∂J/∂z_n = (Σ_j c_j)·a_n − c_n.

    With a class index: a_n for every class but the true one, and a_y − 1 for that. The entries sum
    to 0: a descent step raises the true logit by as much as it lowers all the others together.

    Written so, a_y − 1 loses its digits when a_y is close to 1. The same entry without cancellation
    is  a_n·Σ_{j≠n} c_j − c_n·Σ_{j≠n} a_j,  computed here.

    >>> cross_entropy_grad([0.0, 0.0, 0.0, 0.0], 3)
    array([ 0.25,  0.25,  0.25, -0.75])
    >>> cross_entropy_grad([100.0, 0.0], 0)              # not 0
    array([-3.72007598e-44,  3.72007598e-44])
    """
    z = _logits(z)
    c = coefficients(y, z.size, weight, label_smoothing, sample_weight)
    if not np.any(c):
        return np.zeros_like(z)
    a = softmax(z)
    m, S = _largest_and_rest(z)
    rest_of_a = 1.0 - a
    rest_of_a[z == m] = S / (1.0 + S)
    return a * _sum_of_others(c) - c * rest_of_a


def softcapped(z: ArrayLike, softcap: float) -> Vector:
    """The logits u = s·tanh(z/s), bounded to ±s, whose softmax and loss take the place of those of
    z. A derivative with respect to z is that with respect to u times ∂u/∂z = 1 − tanh²(z/s).

    >>> softcapped([0.0, 15.0, 1e9], 30.0)
    array([ 0.        , 13.86351472, 30.        ])
    """
    return softcap * np.tanh(_logits(z) / softcap)


def z_loss(z: ArrayLike, factor: float) -> float:
    """What `z_loss` adds to the loss of one example: λ·L², L = log Σ_n exp(z_n), which is 0 where
    the probabilities are exp(z_n) themselves. Its derivative is 2·λ·L·a_n.

    >>> z_loss([0.0, 0.0], 0.1)                # 0.1·(log 2)²
    0.0480453013918201...
    """
    return factor * logsumexp(z) ** 2


def batch_mean(losses: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The mean loss of N examples: Σ_i J_i / Σ_i w_i, where each J_i already holds its w_i.

    With class indices w_i is the weight of the example's true class times its sample weight (1
    without weights, 0 for an example that is ignored), so the mean without weights divides by the
    number of examples that count. With probabilities as targets w_i is the sample weight; without
    those pass no weights: that mean divides by N. Nothing to divide by gives NaN.

    >>> batch_mean([1.0, 2.0, 6.0])
    3.0
    >>> batch_mean([2.0, 9.0], weights=[1.0, 3.0])       # J = 2·1 and 3·3
    2.75
    """
    losses = np.asarray(losses, dtype=np.float64)
    divisor = losses.size if weights is None else _sum(np.asarray(weights, dtype=np.float64))
    return _sum(losses) / divisor if divisor else math.nan


def _logits(z: ArrayLike) -> Vector:
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 1 or z.size == 0:
        raise ValueError(
            f"formula takes the logits of one example, shape (C,); got shape {z.shape}"
        )
    return z


def _largest_and_rest(z: Vector) -> tuple[float, float]:
    """m = max z and S = Σ_{n≠k} exp(z_n − m) for one index k with z_k = m; NaN where undefined."""
    k = int(np.argmax(z))  # NumPy's argmax stops at a NaN, which then makes both results NaN
    m = float(z[k])
    if not math.isfinite(m):
        return math.nan, math.nan
    with np.errstate(over="ignore"):
        return m, _sum(np.exp(np.delete(z, k) - m))


def _sum(terms: Vector) -> float:
    """The sum, rounded once; inf where it overflows (no term here is negative)."""
    try:
        return math.fsum(terms)
    except OverflowError:
        return math.inf


def _sum_of_others(c: Vector) -> Vector:
    """Σ_{j≠n} c_j for every n: a difference, but a true sum where c_n is most of the total."""
    rest = _sum(c) - c
    largest = int(np.argmax(c))
    rest[largest] = _sum(np.delete(c, largest))
    return np.asarray(rest)
