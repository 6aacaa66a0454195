"""The confusion matrix of a set as data: which classes are taken for which."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ..totals import Totals
from .data import Vector, frozen
from .set_sums import Integers


class Confusion(NamedTuple):
    """How often one class is taken for another. Classes are positions from 0."""

    true: int  #: the true class of the examples
    predicted: int  #: the class that is predicted for them, not the true one
    times: int  #: how many examples
    share: float  #: of the examples of the true class


@dataclass(frozen=True, eq=False)
class Confusions:
    """The confusion matrix as its entries that are not 0, and what it says of each class.

    Attributes:
        true: (P,) the true classes of the pairs that occur, but for right predictions.
        predicted: (P,) the classes that are predicted for them. The pairs are in the order of their
            counts, the largest first, then of the classes.
        count: (P,) int64, the number of examples.
        examples: (C,) int64, the number of examples of each class.
        correct: (C,) int64, those that are predicted right.
        predictions: (C,) int64, how often each class is predicted.
        recall: (C,) correct / examples; NaN for a class without examples.
        precision: (C,) correct / predictions; NaN for a class that is never predicted.
    """

    true: Integers
    predicted: Integers
    count: Integers
    examples: Integers
    correct: Integers
    predictions: Integers
    recall: Vector
    precision: Vector

    @classmethod
    def of(cls, totals: Totals) -> Self:
        true, predicted, count = totals.pairs.result()
        correct, predictions = np.zeros((2, totals.classes), np.int64)
        right = true == predicted
        correct[true[right]] = count[right]
        np.add.at(predictions, predicted, count)
        wrong = np.flatnonzero(~right)
        wrong = wrong[np.argsort(-count[wrong], kind="stable")]
        with np.errstate(invalid="ignore"):
            recall, precision = correct / totals.counts, correct / predictions
        return cls(
            true=frozen(true[wrong], np.int64),
            predicted=frozen(predicted[wrong], np.int64),
            count=frozen(count[wrong], np.int64),
            examples=frozen(totals.counts, np.int64),
            correct=frozen(correct, np.int64),
            predictions=frozen(predictions, np.int64),
            recall=frozen(recall),
            precision=frozen(precision),
        )

    def most(self, count: int) -> list[Confusion]:
        """The pairs that are confused most often, the first first."""
        true, predicted, counts = (
            x[:count].tolist() for x in (self.true, self.predicted, self.count)
        )
        return [
            Confusion(i, j, n, n / int(self.examples[i]))
            for i, j, n in zip(true, predicted, counts, strict=True)
        ]

    def matrix(self, classes: list[int]) -> Integers:
        """The part of the confusion matrix for these classes, in ascending order; rows by true
        class."""
        part = np.diag(self.correct[classes])
        among = np.isin(self.true, classes) & np.isin(self.predicted, classes)
        rows = np.searchsorted(classes, self.true[among])
        columns = np.searchsorted(classes, self.predicted[among])
        part[rows, columns] = self.count[among]
        return part

    def first_of_each(self) -> dict[int, int]:
        """By true class, the place of its most frequent pair; none for classes always right."""
        classes, places = np.unique(self.true, return_index=True)
        return dict(zip(classes.tolist(), places.tolist(), strict=True))
