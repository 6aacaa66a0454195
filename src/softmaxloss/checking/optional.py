"""The loss with its options: what is right, one function for each, in float64.

    J = Σ losses / divisor + penalty          ∂J/∂z = slopes / divisor + penalty's slopes

where the losses, (N,), and the slopes, (N, C), are those of the examples, and the divisor is what a
mean divides by. The wrong ones are in bank/options.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .layers import scales
from .steps import RIGHT, softmax

__all__ = ["RIGHT_WITH", "Losses", "plain"]

Array = NDArray[Any]


class Losses(NamedTuple):
    """The parts of a loss and of its gradient, before any reduction."""

    losses: Array
    slopes: Array
    divisor: float
    penalty: float = 0.0
    penalty_slopes: Any = 0.0


def plain(z: Array, y: Array, _: Any = None) -> Losses:
    """J_i = −log a_y, and a − q."""
    a, log_a = softmax(z)
    q = RIGHT.target(y, (z.shape[0], z.shape[1]))
    return Losses(RIGHT.losses(a, log_a, q), a - q, len(y))


def weighted(z: Array, y: Array, weight: Array) -> Losses:
    """w_y·J_i, and the mean divides by Σ w_y, as PyTorch's."""
    of_each, w = plain(z, y), weight[y].astype(np.float64)
    return Losses(w * of_each.losses, w[:, None] * of_each.slopes, w.sum())


def ignoring(z: Array, y: Array, index: int) -> Losses:
    """Examples with that label have no loss, no gradient and no part in the mean."""
    kept = y != index
    of_each = plain(z, np.where(kept, y, 0))  # it may be no class
    losses = np.where(kept, of_each.losses, 0.0)
    return Losses(losses, np.where(kept[:, None], of_each.slopes, 0.0), kept.sum())


def smoothed(z: Array, y: Array, epsilon: float) -> Losses:
    """The target (1 − ε)·q + ε/C."""
    a, log_a = softmax(z)
    q = (1 - epsilon) * RIGHT.target(y, (z.shape[0], z.shape[1])) + epsilon / z.shape[1]
    return Losses(-(q * log_a).sum(axis=1), a - q, len(y))


def regularised(z: Array, y: Array, reg: float) -> Losses:
    """reg·ΣW²; the rows of W are those of z, divided by the scales of the layer."""
    of_each, w = plain(z, y), z / scales(len(z))
    slopes = 2 * reg * w / scales(len(z))
    return of_each._replace(penalty=reg * float((w * w).sum()), penalty_slopes=slopes)


def with_upstream(z: Array, y: Array, above: Array) -> Losses:
    """The slopes of each example times what comes from above."""
    of_each = plain(z, y)
    return of_each._replace(slopes=above[:, None] * of_each.slopes)


#: By what a situation is about.
RIGHT_WITH: dict[str, Callable[[Array, Array, Any], Losses]] = {
    "weight": weighted,
    "ignore_index": ignoring,
    "label_smoothing": smoothed,
    "reduction": plain,
    "reg": regularised,
    "upstream": with_upstream,
    "bfloat16": plain,
}
