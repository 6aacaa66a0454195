"""How often each class is predicted for each true class: counts of pairs, and no matrix."""

from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)

_SMALL = 1 << 16  # pairs, up to which a block is counted in a matrix
_WAITING = 1 << 20  # labels that wait to be counted: 8 MB


class PairCounts:
    """Counts of the pairs (true class, predicted class) that occur; positions from 0.

    It takes 16 bytes for each pair that occurs, of which there are no more than examples.

    >>> counts = PairCounts(3)
    >>> counts.add(np.array([2, 0, 2]), np.array([1, 0, 1]))
    >>> counts.result()
    (array([0, 2]), array([0, 1]), array([1, 2]))
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._keys: Integers = np.empty(0, np.int64)  # true class · C + predicted class, ascending
        self._counts: Integers = np.empty(0, np.int64)
        self._waiting: list[Integers] = []  # keys of one pair each
        self._merged: list[tuple[Integers, Integers]] = []  # keys and counts of others

    def add(self, true: Integers, predicted: Integers) -> None:
        keys = true * self._classes + predicted
        if self._classes**2 <= _SMALL:
            counts = np.bincount(keys)
            keys = np.flatnonzero(counts)
            self._combine(keys, counts[keys])
            return
        self._waiting.append(keys)
        if sum(part.size for part in self._waiting) >= _WAITING:
            self.settle()

    def merge(self, other: Self) -> None:
        other.settle()
        self._merged.append((other._keys, other._counts))
        if sum(keys.size for keys, _ in self._merged) >= _WAITING:
            self.settle()

    def result(self) -> tuple[Integers, Integers, Integers]:
        """The true class, the predicted class and the count of each pair, in the classes' order."""
        self.settle()
        true, predicted = np.divmod(self._keys, self._classes)
        return true, predicted, self._counts

    def settle(self) -> None:
        """Count what waits."""
        if self._waiting:
            keys, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
            self._merged.append((keys, counts.astype(np.int64)))
            self._waiting = []
        if self._merged:
            every, counted = zip(*self._merged, strict=True)
            self._merged = []
            self._combine(np.concatenate(every), np.concatenate(counted))

    def _combine(self, keys: Integers, counts: Integers) -> None:
        both = np.concatenate([self._keys, keys])
        summands = np.concatenate([self._counts, counts])
        self._keys, self._counts = summed(both, summands)


def summed(keys: Integers, values: NDArray[Number]) -> tuple[Integers, NDArray[Number]]:
    """The different keys, ascending, and the sum of the values of each, added in their order.

    >>> summed(np.array([7, 2, 7]), np.array([1, 2, 3]))
    (array([2, 7]), array([2, 4]))
    """
    keys, where = np.unique(keys, return_inverse=True)
    sums = np.zeros(keys.size, values.dtype)
    np.add.at(sums, where, values)
    return keys, sums
