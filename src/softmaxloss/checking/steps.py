"""The loss and its gradient as a chain of steps, one function each, so that one can be wrong.

    z ─ softmax ─→ a, log a ─ losses(·, q) ─→ J_i ─ reduce ─→ J
    y ─ target ──→ q          ─ gradient ───→ G_i ─ scale ──→ ∂J/∂z

All examples at once, float64 unless the logits are narrower: z, a, q and the gradient have shape
(N, C), y and the losses (N,). A named mistake replaces one step; `RIGHT` has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["RIGHT", "Results", "Steps"]

Array = NDArray[Any]


class Results(NamedTuple):
    """What an implementation gives for a batch; a part that raised is None."""

    softmax: Array | None
    loss: Any
    gradient: Array | None


def softmax(z: Array) -> tuple[Array, Array]:
    """a = exp(z − m) / Σ exp(z − m), and its logarithm, which does not go through a."""
    shifted = z - z.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    return np.exp(shifted) / total, shifted - np.log(total)


def target(y: Array, shape: tuple[int, int]) -> Array:
    """q = onehot(y), one row per example."""
    q = np.zeros(shape)
    q[np.arange(shape[0]), y] = 1.0
    return q


def losses(a: Array, log_a: Array, q: Array) -> Array:
    """J_i = −log a_iy, picked, not multiplied: 0·∞ does not happen."""
    return np.asarray(np.where(q != 0, -q * log_a, 0.0).sum(axis=1))


def reduce(losses: Array, shape: tuple[int, int]) -> Any:
    """The mean over the examples."""
    return losses.mean()


def gradient(a: Array, q: Array) -> Array:
    """∂J_i/∂z = a − q."""
    return a - q


def scale(gradient: Array, shape: tuple[int, int]) -> Array:
    """The mean's: divided by the number of examples."""
    return gradient / shape[0]


@dataclass(frozen=True)
class Steps:
    """One function per step. Fields that are left out are right."""

    softmax: Callable[[Array], tuple[Array, Array]] = softmax
    target: Callable[[Array, tuple[int, int]], Array] = target
    losses: Callable[[Array, Array, Array], Array] = losses
    reduce: Callable[[Array, tuple[int, int]], Any] = reduce
    gradient: Callable[[Array, Array], Array] = gradient
    scale: Callable[[Array, tuple[int, int]], Array] = scale

    def run(self, z: Array, y: Array) -> Results:
        """What these steps give; None for what raises, as a wrong index does.

        >>> RIGHT.run(np.zeros((2, 4)), np.array([3, 0])).loss.round(4)
        np.float64(1.3863)
        """
        shape = (z.shape[0], z.shape[1])
        with np.errstate(all="ignore"):
            try:
                a, log_a = self.softmax(z)
            except (IndexError, ValueError):
                return Results(None, None, None)
            try:
                q = self.target(y, shape)
            except (IndexError, ValueError):
                return Results(a, None, None)
            try:
                loss = self.reduce(self.losses(a, log_a, q), shape)
            except (IndexError, ValueError):
                loss = None
            try:
                slope = self.scale(self.gradient(a, q), shape)
            except (IndexError, ValueError):
                slope = None
        return Results(a, loss, slope)

    def but(self, changes: dict[str, Any]) -> Steps:
        """The same with some steps replaced.

        >>> total = RIGHT.but({"reduce": lambda losses, shape: losses.sum()})
        >>> total.run(np.zeros((2, 4)), np.array([3, 0])).loss.round(4)
        np.float64(2.7726)
        """
        return replace(self, **changes)


RIGHT = Steps()
