"""The gradient ∂J/∂z = a − onehot(y), added up by the true class of the examples, block by block.

Where the labels are probabilities q, an example counts for every class i as q_i of an example whose
true class is i: Σ_i q_i·(a − onehot(i)) = a − q is its gradient, and Σ_i q_i·(−log a_i) its loss.

Up to 2048 classes every pair (true class, class) has its sum. Of more classes that would be too
much memory: then the sums of the classes alone are exact, and of the pairs the stronger ones are
kept.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..api import cross_entropy_with_grad, log_softmax
from ..files import LogitsFile, TargetFile
from ..files.evaluation import evaluate
from ..files.writers import ScoresFile
from ..scores import Scores
from ..totals import Totals, highest
from ..totals.pairs import summed
from .data import Vector

Integers = NDArray[np.int64]

ALL_PAIRS = 2048  # classes, up to which all pairs are kept: 32 MB
LEAST = 1e-3  # of more classes, a probability below this goes to the others
MOST_PAIRS = 1 << 19  # of more classes: with what waits to be added, some 50 MB
POOL = 1000  # examples with the highest loss, among which labels that look wrong are sought


class PushSums:
    """Running sums over the examples that have a softmax. Classes count from 0.

    counts  (C,) how many there are of each class
    losses  (C,) the sum of their losses
    net     (C,) the sum of ∂J/∂z over all examples
    soft    whether there were probabilities as labels
    pairs   the sums of ∂J/∂z_n by the true class; its `pulls`, (C,), are those of ∂J/∂z_y = a_y − 1
            over the examples of true class y

    >>> sums = PushSums(2, first_class=0)
    >>> from softmaxloss import score
    >>> z, y = np.zeros((3, 2)), np.array([0, 1, 1])
    >>> sums.add(z, y, score(z, y))
    >>> sums.net, sums.pairs.pulls
    (array([ 0.5, -0.5]), array([-0.5, -1. ]))
    """

    def __init__(self, classes: int, *, first_class: int) -> None:
        self.counts, self.losses, self.net = np.zeros((3, classes))
        self.soft = False
        self.pairs: AllPairs | StrongPairs
        self.pairs = AllPairs(classes) if classes <= ALL_PAIRS else StrongPairs(classes)
        self._first_class = first_class

    def add(
        self,
        logits: NDArray[Any],
        labels: NDArray[Any],
        scores: Scores,
        target: NDArray[Any] | None = None,
    ) -> None:
        """Count a block: logits (rows, C); labels and each of the scores (rows,); target (rows, C),
        where the labels are probabilities."""
        valid = np.flatnonzero(scores.rank)  # 0 for ignored rows, and for those without a softmax
        if not valid.size:
            return
        z = logits[valid].astype(np.float64)  # a copy, which the gradient may overwrite
        if target is not None:
            self._add_shares(z, target[valid].astype(np.float64))
            return
        y = labels[valid].astype(np.int64) - self._first_class
        _, gradient = cross_entropy_with_grad(z, y, reduction="sum", out=z)
        self.counts += np.bincount(y, minlength=self.counts.size)
        np.add.at(self.losses, y, scores.loss[valid].astype(np.float64))
        self.net += gradient.sum(axis=0)
        self.pairs.add(y, gradient)

    def _add_shares(self, z: Vector, q: Vector) -> None:
        """Count each example for every class by its probability q, (rows, C)."""
        self.soft = True
        terms = -log_softmax(z)
        a = np.exp(-terms)
        self.counts += q.sum(axis=0)
        self.losses += np.multiply(q, terms, out=np.zeros_like(q), where=q > 0).sum(axis=0)
        self.net += (a - q).sum(axis=0)
        self.pairs.add_shares(q, a)

    def merge(self, other: Self) -> None:
        """Add the sums of another shard. The order of shards and blocks changes a sum by rounding:
        by at most 2⁻⁵³ of the sum of the absolute values for each addition."""
        self.counts += other.counts
        self.soft = self.soft or other.soft
        self.losses += other.losses
        self.net += other.net
        self.pairs.merge(other.pairs)


class AllPairs:
    """The sum for every pair, (C, C): row by true class."""

    def __init__(self, classes: int) -> None:
        self.sums = np.zeros((classes, classes))

    def add(self, y: Integers, gradient: Vector) -> None:
        for i in np.unique(y):
            self.sums[i] += gradient[y == i].sum(axis=0)

    def add_shares(self, q: Vector, a: Vector) -> None:
        self.sums += q.T @ a
        self.sums[np.diag_indices_from(self.sums)] -= q.sum(axis=0)

    def merge(self, other: Any) -> None:
        self.sums += other.sums

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
        self._wait(y[rows] * self._classes + pushed, flat[places])

    def _wait(self, keys: Integers, sums: Vector) -> None:
        self._waiting.append((keys, sums))
        if sum(keys.size for keys, _ in self._waiting) >= MOST_PAIRS:
            self.settle()

    def add_shares(self, q: Vector, a: Vector) -> None:
        self.pulls += (q * (a - 1.0)).sum(axis=0)
        for shares, probabilities in zip(q, a, strict=True):
            true, pushed = (np.flatnonzero(x >= LEAST) for x in (shares, probabilities))
            sums = np.multiply.outer(shares[true], probabilities[pushed])
            sums[true[:, np.newaxis] == pushed] = 0.0  # these are pulls
            rows, columns = np.nonzero(sums >= LEAST)
            keys = true[rows] * self._classes + pushed[columns]
            self._wait(keys, sums[rows, columns])

    def merge(self, other: Any) -> None:
        other.settle()
        self.pulls += other.pulls
        self.dropped += other.dropped
        self._waiting.append((other._keys, other._sums))
        self.settle()

    def result(self) -> tuple[Integers, Integers, Vector]:
        """The true class, the class and the sum of each pair, the largest sum first."""
        self.settle()
        order = np.argsort(-self._sums, kind="stable")
        true, pushed = np.divmod(self._keys[order], self._classes)
        return true, pushed, self._sums[order]

    def settle(self) -> None:
        """Add what waits."""
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._waiting)])
        sums = np.concatenate([self._sums, *(sums for _, sums in self._waiting)])
        self._waiting = []
        self._keys, self._sums = summed(keys, sums)
        if self._keys.size > MOST_PAIRS:
            kept = np.zeros(self._keys.size, bool)
            kept[highest(self._sums, MOST_PAIRS)] = True
            self.dropped += float(self._sums[~kept].max())
            self._keys, self._sums = self._keys[kept], self._sums[kept]


@dataclass(frozen=True)
class SetSums:
    """All that is added up over a set; the sums of shards merge.

    Attributes:
        totals: with at least `POOL` examples.
        pushes: the sums of gradients.
        ids: the ids of these examples by row; empty without ids.
        top: how many examples of each kind are to be shown.
    """

    totals: Totals
    pushes: PushSums
    ids: dict[int, str]
    top: int

    def renumber(self, first_row: int | Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Count the rows from `first_row` on in the place of 0; or as `Totals.renumber`."""
        self.totals.renumber(first_row)
        rows = np.array([*self.ids], np.int64)
        rows = first_row(rows) if callable(first_row) else rows + first_row
        ids = dict(zip(rows.tolist(), [*self.ids.values()], strict=True))
        self.ids.clear()
        self.ids.update(ids)

    def merge(self, *others: Self) -> Self:
        """The sums of all shards together; these and the others stay as they are."""
        pushes, ids = copy.deepcopy(self.pushes), dict(self.ids)
        totals = self.totals.merge(*[other.totals for other in others])
        for other in others:
            pushes.merge(other.pushes)
            ids |= other.ids
        known = {e.row: ids[e.row] for e in totals.top if e.row in ids}
        return replace(self, totals=totals, pushes=pushes, ids=known)


def add_up(
    source: LogitsFile,
    labels: NDArray[Any] | TargetFile,
    *,
    top: int,
    ignore_index: int,
    first_class: int,
    first_row: int = 0,
    ids: Sequence[object] | NDArray[Any] | None = None,
    scores: Iterable[ScoresFile] = (),
    on_progress: Callable[[int, int], None] | None = None,
    max_elements: int = 1 << 22,
) -> SetSums:
    """The sums over a file of logits; the arguments are those of `evaluate`."""
    pushes = PushSums(source.shape[1], first_class=first_class)
    totals = evaluate(
        source,
        labels,
        top=max(top, POOL),
        ignore_index=ignore_index,
        first_class=first_class,
        first_row=first_row,
        details=True,
        scores=scores,
        on_block=pushes.add,
        on_progress=on_progress,
        max_elements=max_elements,
    )
    known = {} if ids is None else {e.row: str(ids[e.row - first_row]) for e in totals.top}
    return SetSums(totals, pushes, known, top)
