"""Whether probabilities can be trusted: reliability by bins, and the loss at other temperatures.

The probabilities at temperature T are softmax(z/T). With u = z/T, the derivative of the mean loss
with respect to log T is the mean entropy minus the mean loss, both of softmax(u):

    d/d log T of  (log Σ exp u_n) − u_y   is   u_y − Σ a_n·u_n  =  H − J

So at the temperature with the least loss, the mean loss is the mean entropy, and a model whose loss
is above its entropy is overconfident.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..api import cross_entropy, score
from ..scores import Scores
from .exact import UNIT, ExactSum, in_units

BINS = 15  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017

#: The temperatures that are tried: 1, and in steps of 2^¼ where most models are.
TEMPERATURES: tuple[float, ...] = tuple(2.0 ** (k / 4) for k in (-8, -6, *range(-4, 9), 10, 12))


class Reliability:
    """The examples by the probability of their predicted class, which is the model's confidence.

    Bin k has the examples with confidence in (k/15, (k+1)/15].

    Attributes:
        counts: (15,) the examples in each bin.
        correct: (15,) those whose predicted class is their label.

    >>> bins = Reliability()
    >>> bins.add(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]))
    >>> round(bins.ece, 6)  # (2·|0.5 − 0.9| + |1 − 0.6|) / 3
    0.4
    """

    def __init__(self) -> None:
        self.counts, self.correct, self._confidence = np.zeros((3, BINS), np.int64)

    def add(self, confidence: NDArray[Any], correct: NDArray[np.bool_]) -> None:
        place = np.ceil(confidence * BINS).astype(np.int64) - 1
        np.maximum(place, 0, out=place)  # a probability that is rounded to 0
        self.counts += np.bincount(place, minlength=BINS)
        self.correct += np.bincount(place[correct], minlength=BINS)
        np.add.at(self._confidence, place, in_units(confidence))

    def merge(self, other: Self) -> None:
        self.counts += other.counts
        self.correct += other.correct
        self._confidence += other._confidence

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(15,) the share of correct predictions; NaN in an empty bin."""
        return self._mean(self.correct)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(15,) the mean confidence; NaN in an empty bin."""
        return self._mean(self._confidence * UNIT)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean over the examples of the difference between
        accuracy and mean confidence of their bin. NaN without examples."""
        gaps = np.abs(self.correct - self._confidence * UNIT)
        count = int(self.counts.sum())
        return math.fsum(gaps.tolist()) / count if count else math.nan

    def _mean(self, sums: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / self.counts)


class Fit(NamedTuple):
    """The temperature that is best for a set."""

    temperature: float  #: T; NaN if there is none, at an end of the range if it is beyond
    loss: float  #: the mean loss at T
    tried: float  #: the nearest temperature that was tried
    ece: float  #: the expected calibration error there


class Temperatures:
    """The mean loss at each of `TEMPERATURES`, and the reliability.

    What it keeps does not grow with the set: two exact sums and the bins at each temperature.
    """

    def __init__(self) -> None:
        self._losses = [ExactSum() for _ in TEMPERATURES]
        self._entropies = [ExactSum() for _ in TEMPERATURES]
        self._bins = [Reliability() for _ in TEMPERATURES]
        self._count = 0

    def add(
        self, logits: NDArray[Any], y: NDArray[np.int64], target: NDArray[Any] | None = None
    ) -> None:
        """Count rows that have a softmax: logits (rows, C); true classes (rows,), from 0; target
        (rows, C), where the labels are probabilities."""
        self._count += y.size
        z = logits
        if z.dtype.kind in "iu" or z.dtype.itemsize < 4:
            z = z.astype(np.float64 if z.dtype.kind in "iu" else np.float32)
        for T, losses, entropies, bins in zip(
            TEMPERATURES, self._losses, self._entropies, self._bins, strict=True
        ):
            with np.errstate(over="ignore"):
                scaled = z * z.dtype.type(1 / T)
            scores = score(scaled, y, ignore_index=-1)
            loss = scores.loss
            if target is not None:
                loss = cross_entropy(scaled, target, reduction="none")
            losses.add(loss)
            entropies.add(scores.entropy)
            valid = scores.rank > 0  # logits may overflow
            bins.add(confidence(scaled, scores)[valid], (scores.predicted == y)[valid])

    def merge(self, other: Self) -> None:
        self._count += other._count
        for name in ("_losses", "_entropies", "_bins"):
            for mine, theirs in zip(getattr(self, name), getattr(other, name), strict=True):
                mine.merge(theirs)

    @property
    def losses(self) -> list[float]:
        """The mean loss at each of `TEMPERATURES`."""
        return [total.mean(self._count) for total in self._losses]

    @property
    def slopes(self) -> list[float]:
        """The derivatives of the mean loss with respect to log T: entropy minus loss."""
        entropies = [total.mean(self._count) for total in self._entropies]
        return [entropy - loss for entropy, loss in zip(entropies, self.losses, strict=True)]

    def fit(self) -> Fit:
        """The temperature with the least loss, by a cubic between the two that are next to it.

        It has the losses and the derivatives of the two. For the temperature this is right to about
        1 %, for the loss to some ten-thousandths of it.
        """
        known = [
            (math.log(T), loss, slope, bins.ece)
            for T, loss, slope, bins in zip(
                TEMPERATURES, self.losses, self.slopes, self._bins, strict=True
            )
            if math.isfinite(loss) and math.isfinite(slope)
        ]
        if not known:
            return Fit(math.nan, math.nan, math.nan, math.nan)
        below = [at for at in known if at[2] <= 0.0]
        above = [at for at in known if at[2] > 0.0]
        if not below or not above:
            log_T, loss, _, ece = known[0] if above else known[-1]
            tried = _tried(log_T)
            return Fit(tried, loss, tried, ece)
        log_T, loss = _least(below[-1][:3], above[0][:3])
        nearest = min(known, key=lambda at: abs(at[0] - log_T))
        return Fit(math.exp(log_T), loss, _tried(nearest[0]), nearest[3])


def _tried(log_T: float) -> float:
    """The temperature that was tried, by its logarithm."""
    return min((abs(math.log(T) - log_T), T) for T in TEMPERATURES)[1]


_Point = tuple[float, float, float]  # x, f(x), f'(x)


def _least(left: _Point, right: _Point) -> tuple[float, float]:
    """Where the cubic through two points has its minimum, and the minimum; f' ≤ 0 < f' there."""
    (x, f, slope), (x1, f1, slope1) = left, right
    width = x1 - x
    a, b, rise = slope * width, slope1 * width, f1 - f
    square, cube = 3 * rise - 2 * a - b, a + b - 2 * rise
    root = square + math.sqrt(max(square * square - 3 * cube * a, 0.0))
    s = min(-a / root, 1.0) if root > 0 else 0.0
    return x + s * width, f + s * (a + s * (square + s * cube))


def confidence(logits: NDArray[Any], scores: Scores, first_class: int = 0) -> NDArray[np.float64]:
    """The probability of the predicted class of each row; NaN for a row without one, and anything
    for an ignored row, whose logsumexp is 0."""
    rows = np.arange(len(logits))
    largest = logits[rows, np.maximum(scores.predicted - first_class, 0)].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.minimum(np.exp(largest - scores.logsumexp), 1.0))
