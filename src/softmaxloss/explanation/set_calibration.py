"""Whether the probabilities of a set of examples can be trusted, as data."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..totals import Fit, Totals
from ..totals.calibration import TEMPERATURES
from .data import Vector, frozen
from .set_sums import Integers


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether the probabilities can be trusted.

    Confidence is the probability of the predicted class. Bin k of 15 has the examples with a
    confidence in (k/15, (k+1)/15].

    Attributes:
        counts: (15,) int64, the examples in each bin.
        accuracy: (15,) the share of right predictions; NaN in an empty bin.
        confidence: (15,) the mean confidence; NaN in an empty bin.
        ece: the expected calibration error: the mean over the examples of |accuracy − confidence|
            of their bin.
        mean_entropy: of the probabilities, in nats. The model is overconfident if the mean loss is
            larger, underconfident if it is smaller.
        temperatures: (17,) the temperatures that were tried, with softmax(z/T).
        losses: (17,) the mean loss at each of them.
        slopes: (17,) its derivative with respect to log T: the mean entropy there minus the loss.
        best: the temperature T with the least mean loss, by a cubic between those tried; the loss
            there; the nearest temperature that was tried, and the ECE there.
    """

    counts: Integers
    accuracy: Vector
    confidence: Vector
    ece: float
    mean_entropy: float
    temperatures: Vector
    losses: Vector
    slopes: Vector
    best: Fit

    @classmethod
    def of(cls, totals: Totals) -> Self:
        bins, tried = totals.reliability, totals.temperatures
        assert tried is not None  # SetSums has totals with details
        return cls(
            counts=frozen(bins.counts, np.int64),
            accuracy=frozen(bins.accuracy),
            confidence=frozen(bins.confidence),
            ece=bins.ece,
            mean_entropy=totals.mean_entropy,
            temperatures=frozen(TEMPERATURES),
            losses=frozen(tried.losses),
            slopes=frozen(tried.slopes),
            best=tried.fit(),
        )
