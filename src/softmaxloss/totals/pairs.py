"""How often each class is predicted for each true class: counts of pairs, and no matrix."""

from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)

_SMALL = 1 << 16  # pairs, up to which a block is counted in a matrix
_WAITING = 1 << 20  # labels that wait to be counted: 8 MB
_FEW = 4  # entries of that matrix for each pair that is counted


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
            self._merged.append((keys, counts[keys]))
            self.settle()
            return
        self._waiting.append(keys)
        self._settle_many()

    def merge(self, other: Self) -> None:
        self._waiting += other._waiting
        self._merged += other._merged
        if other._keys.size:
            self._merged.append((other._keys, other._counts))
        self._settle_many()

    def _settle_many(self) -> None:
        merged = sum(keys.size for keys, _ in self._merged)
        if merged + sum(part.size for part in self._waiting) >= _WAITING:
            self.settle()

    def result(self) -> tuple[Integers, Integers, Integers]:
        """The true class, the predicted class and the count of each pair, in the classes' order."""
        self.settle()
        true, predicted = np.divmod(self._keys, self._classes)
        return true, predicted, self._counts

    def settle(self) -> None:
        """Count what waits."""
        merged = [(self._keys, self._counts), *self._merged]
        waiting = np.concatenate([self._keys[:0], *self._waiting])
        if len(merged) == 1 and not waiting.size:
            return
        self._waiting, self._merged = [], []
        size = waiting.size + sum(keys.size for keys, _ in merged)
        if self._classes**2 <= _FEW * size:  # a matrix is faster than sorting
            total = np.bincount(waiting, minlength=self._classes**2)
            for keys, counts in merged:
                total[keys] += counts
            self._keys = np.flatnonzero(total)
            self._counts = total[self._keys]
            return
        keys, counts = np.unique(waiting, return_counts=True)
        every, counted = zip(*merged, (keys, counts), strict=True)
        self._keys, self._counts = summed(np.concatenate(every), np.concatenate(counted))


def summed(keys: Integers, values: NDArray[Number]) -> tuple[Integers, NDArray[Number]]:
    """The different keys, ascending, and the sum of the values of each, added in their order.

    >>> summed(np.array([7, 2, 7]), np.array([1, 2, 3]))
    (array([2, 7]), array([2, 4]))
    """
    keys, where = np.unique(keys, return_inverse=True)
    sums = np.zeros(keys.size, values.dtype)
    np.add.at(sums, where, values)
    return keys, sums
