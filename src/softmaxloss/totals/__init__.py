"""What a set of scored examples adds up to, as one value that merges with those of other shards.

exact.py        sums that do not depend on the order of their parts
pairs.py        how often each class is predicted for each true class
calibration.py  reliability by bins, and the loss at other temperatures
examples.py     the examples with the highest loss
saved.py        running sums as bytes, and back
"""

import copy
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError
from ..jsonable import jsonable
from ..scores import Scores
from .calibration import Fit, Reliability, Temperatures, confidence
from .exact import UNIT, ExactSum, in_units
from .examples import Example, HardestExamples, Strongest, highest
from .pairs import PairCounts

__all__ = [
    "LOSS_EDGES",
    "RANKS",
    "Example",
    "Fit",
    "Reliability",
    "Strongest",
    "Totals",
    "highest",
    "top_ks",
]

#: The largest k of `Totals.top_k`.
RANKS = 100

_QUARTERS = (1.0, 2.0**0.25, 2.0**0.5, 2.0**0.75)

#: The edges between the bins of `Totals.losses`: 2⁻¹² to 2¹⁰ in steps of 2^¼.
LOSS_EDGES: NDArray[np.float64] = np.ldexp(
    np.tile(_QUARTERS, 23), np.repeat(np.arange(-12, 11), 4)
)[:-3]


class Totals:
    """Running totals over blocks of scored rows.

    Totals of shards merge: the result is the same, bit for bit, for any split into blocks and
    shards and in any order. Counts are integers; the sums of losses and entropies are exact, so
    their means are rounded once; probabilities are summed as multiples of 2⁻³⁰, so that a mean of
    them is off by 2⁻³¹ at most.

    Args:
        classes: C.
        top: how many of the examples with the highest loss to keep.
        ignore_index: rows with this label do not count.
        first_class: 1 if the labels count from one.
        details: whether to keep `temperatures` and `strongest`, too, which takes the time of some
            fifteen calls of `score`.

    Attributes:
        examples: the rows that count: all but the ignored ones.
        ignored: the rows whose label is `ignore_index`.
        invalid: the examples without a loss (a logit is NaN or +inf, or all are −inf). They make
            the means NaN, as in `cross_entropy`, and are wrong in `accuracy` and `top_k`; all that
            follows leaves them out.
        counts: (C,) int64, the examples of each class.
        losses: (90,) int64, the examples by their loss, in bins between `LOSS_EDGES`.
        wrong_losses: (90,) int64, those of them whose predicted class is not their label.
        pairs: how often each class is predicted for each true class.
        reliability: the examples by the probability of their predicted class.
        temperatures: the loss at other temperatures; None without `details`.
        look_like_probabilities: whether every row has the form of probabilities, as the reader of
            the logits says; of shards, whether all do.

    >>> from softmaxloss import score
    >>> logits, labels = np.array([[0.0, 0.0], [0.0, np.log(3)]]), np.array([0, 0])
    >>> shards = [Totals(2, top=1), Totals(2, top=1)]
    >>> for row in (0, 1):
    ...     z, y = logits[row : row + 1], labels[row : row + 1]
    ...     shards[row].add(row, z, y, score(z, y))
    >>> totals = shards[1].merge(shards[0])
    >>> round(totals.perplexity, 12)  # sqrt(2 · 4): the losses are ln 2 and ln 4
    2.828427124746
    >>> totals.accuracy, totals.top[0].row
    (0.5, 1)
    """

    def __init__(
        self,
        classes: int,
        *,
        top: int = 10,
        ignore_index: int = -100,
        first_class: int = 0,
        details: bool = False,
    ) -> None:
        if top < 0:
            raise OptionError(f"top must be 0 or more, got {top}")
        self._options = (classes, top, ignore_index, first_class, details)
        self.classes, self.first_class = classes, first_class
        self.examples = self.ignored = self.invalid = 0
        self.counts = np.zeros(classes, np.int64)
        self.losses, self.wrong_losses = np.zeros((2, LOSS_EDGES.size + 1), np.int64)
        self.pairs = PairCounts(classes)
        self.reliability = Reliability()
        self.temperatures = Temperatures() if details else None
        self.look_like_probabilities = False
        self._ignore_index = ignore_index
        self._correct = 0
        self._ranks = np.zeros(RANKS + 2, np.int64)  # 0: invalid; the last: all higher ones
        self._loss, self._entropy = ExactSum(), ExactSum()
        self._probability = np.zeros(classes, np.int64)
        self._hardest = HardestExamples(top, classes, strongest=details)

    def add(
        self,
        start: int,
        logits: NDArray[Any],
        labels: NDArray[Any],
        scores: Scores,
        target: NDArray[Any] | None = None,
    ) -> None:
        """Count the rows from `start` on: logits (rows, C); labels and each of `scores` (rows,).
        target: (rows, C), where the labels are probabilities; `labels` are the most probable
        classes then."""
        counted = np.flatnonzero(labels != self._ignore_index)
        valid = counted[scores.rank[counted] > 0]
        self.examples += counted.size
        self.ignored += labels.size - counted.size
        self.invalid += counted.size - valid.size
        self._loss.add(scores.loss[counted])
        self._entropy.add(scores.entropy[counted])
        self._ranks += np.bincount(np.minimum(scores.rank[counted], RANKS + 1), minlength=RANKS + 2)
        sure = confidence(logits, scores, self.first_class)
        self._hardest.add(start, labels, scores, sure, logits, counted, self.first_class, target)

        y = labels[valid].astype(np.int64) - self.first_class
        predicted = scores.predicted[valid] - self.first_class
        correct = predicted == y
        self._correct += int(np.count_nonzero(correct))
        self.counts += np.bincount(y, minlength=self.classes)
        np.add.at(self._probability, y, in_units(scores.probability[valid]))
        place = _loss_bins(scores.loss[valid])
        self.losses += np.bincount(place, minlength=self.losses.size)
        self.wrong_losses += np.bincount(place[~correct], minlength=self.losses.size)
        self.pairs.add(y, predicted)
        self.reliability.add(sure[valid], correct)
        if self.temperatures is not None:
            some = slice(None) if valid.size == len(labels) else valid
            q = None if target is None else target[some]
            self.temperatures.add(logits[some], y, q)

    def merge(self, *others: Self) -> Self:
        """The totals of all shards together; these and the others stay as they are.

        Each shard numbers its rows from the place where it begins, so that no two have the same.

        Raises:
            OptionError: the others have another number of classes, or other options.
        """
        merged = copy.deepcopy(self)
        shards = [shard for shard in (self, *others) if shard.examples or shard.ignored]
        merged.look_like_probabilities = bool(shards) and all(
            shard.look_like_probabilities for shard in shards
        )
        for other in others:
            if other._options != self._options:
                raise OptionError(
                    "totals merge if their classes, top, ignore_index, first_class and details are "
                    f"the same; got {self._options} and {other._options}"
                )
            for name in ("examples", "ignored", "invalid", "_correct"):
                setattr(merged, name, getattr(merged, name) + getattr(other, name))
            for name in ("counts", "losses", "wrong_losses", "_ranks", "_probability"):
                getattr(merged, name).__iadd__(getattr(other, name))
            for name in ("pairs", "reliability", "temperatures", "_loss", "_entropy", "_hardest"):
                if (part := getattr(merged, name)) is not None:
                    part.merge(getattr(other, name))
        return merged

    def renumber(self, first_row: int | Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Count the rows from `first_row` on in the place of 0: those of a shard that was scored
        before it was known how many rows others have. Or give a function of the numbers of rows,
        which keeps their order.

        >>> totals = Totals(2)
        >>> z, y = np.zeros((1, 2)), np.array([0])
        >>> from softmaxloss import score
        >>> totals.add(0, z, y, score(z, y))
        >>> totals.renumber(500)
        >>> totals.top[0].row
        500
        """
        self._hardest.renumber(first_row)

    @property
    def top(self) -> list[Example]:
        """The examples with the highest loss: the invalid ones, then by loss, then by row."""
        return self._hardest.examples()

    def strongest(self, examples: list[Example]) -> dict[int, Strongest]:
        """By row, the strongest logits of examples of `top`; with `details` only."""
        return self._hardest.strongest(example.row for example in examples)

    @property
    def mean_loss(self) -> float:
        """The mean loss in nats; NaN without examples or with an invalid one."""
        return self._loss.mean(self.examples)

    @property
    def mean_entropy(self) -> float:
        """The mean entropy of the predicted probabilities, in nats."""
        return self._entropy.mean(self.examples)

    @property
    def perplexity(self) -> float:
        """exp(mean_loss)."""
        with np.errstate(over="ignore"):
            return float(np.exp(np.float64(self.mean_loss)))

    @property
    def accuracy(self) -> float:
        """The share of examples whose predicted class is their label; an invalid one is wrong."""
        return self._correct / self.examples if self.examples else math.nan

    def top_k(self, k: int) -> float:
        """The share of examples for which fewer than k classes, k ≤ 100, have a larger logit than
        the label; an invalid one is wrong."""
        within = int(self._ranks[1 : k + 1].sum())
        return within / self.examples if self.examples else math.nan

    @property
    def class_probability(self) -> NDArray[np.float64]:
        """(C,) the mean probability of the label over the examples of each class; NaN without."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._probability * UNIT / self.counts)

    def to_dict(self, top: int | None = None) -> dict[str, object]:
        """Every figure by name, as JSON can hold it ("NaN" and "Infinity" are strings).

        Args:
            top: how many of the examples to name; default: all that are kept.

        >>> Totals(2, top=0).to_dict()["mean_loss"]
        'NaN'
        """
        counts = ("examples", "ignored", "invalid", "look_like_probabilities")
        means = ("mean_loss", "perplexity", "accuracy", "mean_entropy")
        figures = {name: jsonable(getattr(self, name)) for name in counts + means}
        named = [{k: jsonable(x) for k, x in e._asdict().items()} for e in self.top[:top]]
        shown = {str(k): jsonable(self.top_k(k)) for k in top_ks(self.classes)}
        return figures | {"top_k": shown, "ece": jsonable(self.reliability.ece), "top": named}


def _loss_bins(losses: NDArray[Any]) -> NDArray[np.int64]:
    """For each loss, how many of `LOSS_EDGES` are not above it."""
    clipped = np.clip(losses.astype(np.float64), LOSS_EDGES[0] / 2, LOSS_EDGES[-1])
    mantissa, exponent = np.frexp(clipped)  # in [½, 1)
    place = 4 * (exponent.astype(np.int64) + 11) + 1
    for quarter in _QUARTERS[1:]:
        place += mantissa >= quarter / 2
    return np.maximum(place, 0, out=place)


def top_ks(classes: int) -> list[int]:
    """The k for which a top-k accuracy is worth reporting.

    >>> top_ks(2), top_ks(10), top_ks(1000)
    ([], [2, 3, 5], [2, 3, 5, 10])
    """
    return [k for k in (2, 3, 5, 10) if k < classes]
