"""W and X of a layer with given logits: z = X·W to the bit, so that every probe can be one.

X moves the examples to other rows, each times a power of two, and has a column of zeros besides: it
is not square, has negative numbers, and its transpose is not its inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_logits", "layer_of", "scales"]

Array = NDArray[Any]
UNUSED = 1  # the feature that is 0 everywhere


def scales(rows: int) -> Array:
    """The power of two of each example, as a column."""
    return np.resize([2.0, -1.0, 0.5, -4.0, 1.0], rows)[:, None]


def layer_of(z: Array) -> tuple[Array, Array]:
    """W, (N + 1, C), and X, (N, N + 1)."""
    rows = len(z)
    scale = scales(rows).astype(z.dtype)
    X = np.roll(np.eye(rows, dtype=z.dtype), 1, axis=1) * scale
    W = np.roll(z / scale, 1, axis=0)
    return np.insert(W, UNUSED, 0.0, axis=0), np.insert(X, UNUSED, 0.0, axis=1)


def by_logits(slope: Array) -> Array:
    """∂J/∂z from ∂J/∂W = Xᵀ·∂J/∂z; NaN where the unused feature has a derivative."""
    used = np.delete(slope, UNUSED, axis=0)
    gradient = np.roll(used, -1, axis=0) / scales(len(used)).astype(slope.dtype)
    if np.any(slope[UNUSED] != 0):
        gradient = np.full_like(gradient, np.nan)
    return np.asarray(gradient)
