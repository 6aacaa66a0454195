"""The contract on top of `formula`, row by row: for what a kernel does not support, and for tests.

Slow, and right: the maths is in formula.py alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import formula

__all__ = ["cross_entropy", "one_example", "score", "supports"]

Array = NDArray[Any]


def supports(dtype: np.dtype[Any]) -> bool:
    """Any of NumPy's float dtypes; computed in float64."""
    return dtype.kind == "f"


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    ignore_index: int,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
) -> None:
    """See `softmaxloss.kernels.Kernel.cross_entropy`."""
    classes = logits.shape[1]
    factors = np.broadcast_to(factor, loss.shape)
    for i in range(loss.size):
        if target.ndim == 1 and target[i] == ignore_index:
            c = np.zeros(classes)
        else:
            c = formula.coefficients(
                target[i] if target.ndim == 2 else int(target[i]), classes, weight, label_smoothing
            )
        z = np.array(logits[i], dtype=np.float64)  # a copy: grad may be logits
        loss[i] = formula.cross_entropy(z, c)
        if grad is not None:
            grad[i] = factors[i] * formula.cross_entropy_grad(z, c) if np.any(c) else 0.0


def one_example(logits: Array, target: int, grad: Array | None) -> float | None:
    """See `softmaxloss.kernels.Kernel.one_example`: there is no quick way here."""
    return None


def score(
    logits: Array,
    target: Array,
    ignore_index: int,
    loss: Array,
    probability: Array,
    predicted: Array,
    rank: Array,
    entropy: Array,
    logsumexp: Array,
) -> None:
    """See `softmaxloss.kernels.Kernel.score`."""
    for i in range(loss.size):
        z = np.asarray(logits[i], dtype=np.float64)
        a = formula.softmax(z)
        defined = not np.isnan(a).any()
        entropy[i] = formula.cross_entropy(z, a) if defined else np.nan
        logsumexp[i] = formula.logsumexp(z)
        predicted[i] = np.argmax(z) if defined else -1
        if target[i] == ignore_index:
            loss[i], probability[i], rank[i] = 0.0, np.nan, 0
            continue
        y = int(target[i])
        loss[i] = formula.cross_entropy(z, y)
        probability[i] = a[y]
        rank[i] = 1 + np.count_nonzero(z > z[y]) if defined else 0
