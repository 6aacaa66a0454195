"""The inputs on which an implementation is tried: few, and each for a reason.

Four of them belong together: one example is the first of two, and the two are given again with a
common offset and with their classes in another order. Of wrong numbers whose mistake is not known
they show which properties of the loss fail.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ORDER", "Probe", "probes"]

Array = NDArray[Any]


#: Of the classes in "reordered": a permutation that is not its own inverse.
ORDER = [1, 2, 0]


class Probe(NamedTuple):
    """Logits (N, C) and labels (N,), and what they are there to show."""

    name: str
    why: str
    z: Array
    y: Array


def probes(seed: int, dtype: Any = np.float64) -> list[Probe]:
    """Fresh inputs for each seed, of the same kinds, rounded to the dtype.

    >>> [(probe.name, probe.z.shape) for probe in probes(0)][:2]
    [('ordinary', (5, 7)), ('square', (6, 6))]
    """
    rng = np.random.default_rng(seed)

    def normal(rows: int, classes: int, scale: float = 2.0) -> Array:
        return rng.normal(0.0, scale, (rows, classes))

    ordinary = normal(5, 7)
    labels = np.array([0, 6, 3, 3, 1])
    # The true class is the likeliest in some rows and not in others, whatever the seed.
    for row, y in enumerate(labels):
        others = np.delete(np.arange(7), y)
        ordinary[row, y] = ordinary[row, others].max() + (1.0 if row % 2 else -1.5)

    mixed = normal(4, 5)
    mixed[1] += 1000.0
    mixed[2] -= 1000.0

    def apart(*gaps: float) -> Array:
        """The true class of row i, i, is so far below the largest."""
        z = normal(len(gaps), 6)
        for row, gap in enumerate(gaps):
            z[row, -1] = z[row].max() + gap
            z[row, row] = z[row, -1] - gap
        return z

    by_hand, of_each = normal(2, 3).round(1), np.array([2, 0])

    sure = normal(4, 5)
    sure_labels = np.array([4, 0, 2, 1])
    sure[np.arange(4), sure_labels] += 9.0

    # Just so far above the others, and above their mean, that exp overflows, and exp of minus that
    # is not yet 0.
    above = rng.uniform(-1.0, 1.0, (1, 300))
    above[0, -1] = 91.0 if np.dtype(dtype) == np.float32 else 714.0

    made = [
        Probe("ordinary", "N ≠ C; labels 0, C − 1 and a repeat", ordinary, labels),
        Probe("square", "N = C, where a wrong axis raises nothing", normal(6, 6),
              np.array([5, 0, 2, 2, 4, 1])),
        Probe("multiple of 4", "C = 8, where blocks leave no rest", normal(3, 8),
              np.array([7, 2, 5])),
        Probe("sure", "the model is right, by far", sure, sure_labels),
        Probe("equal outputs", "a = 1/C", np.zeros((3, 5)), np.array([4, 0, 1])),
        Probe("two examples", "small enough to work out by hand", by_hand, of_each),
        Probe("one example", "N = 1, the first of those two", by_hand[:1], of_each[:1]),
        Probe("shifted", "those two, and 8 more on every output", by_hand + 8.0, of_each),
        Probe("reordered", "those two, and the classes in another order", by_hand[:, ORDER],
              np.argsort(ORDER)[of_each]),
        Probe("two classes", "C = 2, and many more examples", normal(40, 2),
              rng.permutation(40) % 2),
        Probe("odd", "C = 33, one more than a block", normal(3, 33), np.array([32, 0, 17])),
        Probe("many examples", "N = 1100, more than a block of rows", normal(1100, 3),
              rng.permutation(1100) % 3),
        Probe("many classes", "C = 2100, more than a block of threads", normal(2, 2100),
              np.array([2099, 512])),
        Probe("large", "all outputs near 1000", 1000.0 + normal(3, 5), np.array([4, 0, 2])),
        Probe("low", "all outputs near -1000", normal(2, 5) - 1000.0, np.array([1, 3])),
        Probe("mixed", "a row near 1000, one near −1000", mixed, np.array([3, 4, 0, 1])),
        Probe("apart", "true classes 14 and more below the largest",
              apart(14.0, 17.0, 30.0, 50.0), np.arange(4)),
        Probe("just apart", "the true class 17 below the largest", apart(17.0), np.array([0])),
        Probe("far apart", "true classes 1000 and 120 below the largest", apart(1000.0, 120.0),
              np.arange(2)),
        Probe("above", "a true class just too far above the others for exp", above,
              np.array([299])),
        Probe("far above", "a true class 1000 above the others", apart(1000.0), np.array([5])),
    ]  # fmt: skip
    return [probe._replace(z=probe.z.astype(dtype)) for probe in made]
