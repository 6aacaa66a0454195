"""The gradient ∂J/∂z = a − onehot(y), added up by the true class of the examples, block by block.

Up to 2048 classes every pair (true class, class) has its sum. Of more classes that would be too
much memory: then the sums of the classes alone are exact, and of the pairs the stronger ones are
kept.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import cross_entropy_with_grad
from ..files.evaluation import highest
from ..scores import Scores
from .data import Vector

Integers = NDArray[np.int64]

ALL_PAIRS = 2048  # classes, up to which all pairs are kept: 32 MB
LEAST = 1e-3  # of more classes, a probability below this goes to the others
MOST_PAIRS = 1 << 19  # of more classes: with what waits to be added, some 50 MB


class PushSums:
    """Running sums over the examples that have a softmax. Classes count from 0.

    counts  (C,) examples of each true class
    losses  (C,) the sum of their losses
    net     (C,) the sum of ∂J/∂z over all examples
    pairs   the sums of ∂J/∂z_n by the true class; its `pulls`, (C,), are those of ∂J/∂z_y = a_y − 1
            over the examples of true class y

    >>> sums = PushSums(2, first_class=0)
    >>> from softmaxloss import score
    >>> z, y = np.zeros((3, 2)), np.array([0, 1, 1])
    >>> sums.add(z, y, score(z, y))
    >>> sums.counts, sums.net, sums.pairs.pulls
    (array([1, 2]), array([ 0.5, -0.5]), array([-0.5, -1. ]))
    """

    def __init__(self, classes: int, *, first_class: int) -> None:
        self.counts = np.zeros(classes, np.int64)
        self.losses = np.zeros(classes)
        self.net = np.zeros(classes)
        self.pairs: AllPairs | StrongPairs
        self.pairs = AllPairs(classes) if classes <= ALL_PAIRS else StrongPairs(classes)
        self._first_class = first_class

    def add(self, logits: NDArray[Any], labels: NDArray[Any], scores: Scores) -> None:
        """Count a block: logits (rows, C); labels and each of the scores (rows,)."""
        valid = np.flatnonzero(scores.rank)  # 0 for ignored rows, and for those without a softmax
        if not valid.size:
            return
        y = labels[valid].astype(np.int64) - self._first_class
        z = logits[valid].astype(np.float64)  # a copy, which the gradient may overwrite
        _, gradient = cross_entropy_with_grad(z, y, reduction="sum", out=z)
        np.add.at(self.counts, y, 1)
        np.add.at(self.losses, y, scores.loss[valid].astype(np.float64))
        self.net += gradient.sum(axis=0)
        self.pairs.add(y, gradient)


class AllPairs:
    """The sum for every pair, (C, C): row by true class."""

    def __init__(self, classes: int) -> None:
        self.sums = np.zeros((classes, classes))

    def add(self, y: Integers, gradient: Vector) -> None:
        for i in np.unique(y):
            self.sums[i] += gradient[y == i].sum(axis=0)

    @property
    def pulls(self) -> Vector:
        return self.sums.diagonal()


class StrongPairs:
    """The sums for the pairs that get the most.

    What an example gives to classes of a probability under `LEAST` is left out, and when there are
    more than `MOST_PAIRS` pairs, the smallest sums are dropped. How much is missing of all pairs of
    a true class together is known, since Σ_n ∂J/∂z_n = 0: what `pulls` has more than they.

    dropped  no sum of a pair has lost more than this by being dropped, once or again and again
    """

    def __init__(self, classes: int) -> None:
        self.pulls = np.zeros(classes)
        self.dropped = 0.0
        self._classes = classes
        self._keys: Integers = np.empty(0, np.int64)  # true class · C + class, ascending
        self._sums = np.empty(0)
        self._waiting: list[tuple[Integers, Vector]] = []

    def add(self, y: Integers, gradient: Vector) -> None:
        np.add.at(self.pulls, y, gradient[np.arange(y.size), y])
        flat = gradient.reshape(-1)
        places = np.flatnonzero(flat >= LEAST)  # never the true class's: it is not positive
        rows, pushed = np.divmod(places, self._classes)
        self._waiting.append((y[rows] * self._classes + pushed, flat[places]))
        if sum(keys.size for keys, _ in self._waiting) >= MOST_PAIRS:
            self._merge()

    def result(self) -> tuple[Integers, Integers, Vector]:
        """The true class, the class and the sum of each pair, the largest sum first."""
        self._merge()
        order = np.argsort(-self._sums, kind="stable")
        true, pushed = np.divmod(self._keys[order], self._classes)
        return true, pushed, self._sums[order]

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._waiting)])
        sums = np.concatenate([self._sums, *(sums for _, sums in self._waiting)])
        self._waiting = []
        self._keys, where = np.unique(keys, return_inverse=True)
        self._sums = np.zeros(self._keys.size)
        np.add.at(self._sums, where, sums)
        if self._keys.size > MOST_PAIRS:
            kept = np.zeros(self._keys.size, bool)
            kept[highest(self._sums, MOST_PAIRS)] = True
            self.dropped += float(self._sums[~kept].max())
            self._keys, self._sums = self._keys[kept], self._sums[kept]
