"""What `softmaxloss.score` gives for each example."""

from typing import Any, NamedTuple

import numpy as np

from .arrays import Array


class Scores(NamedTuple):
    """What `softmaxloss.score` gives for each example. Every array has the shape of the target."""

    loss: Array  #: the loss, in nats, as `cross_entropy` gives it with reduction="none": −log a_y
    probability: Array  #: a_y, of the true class; with probabilities as target of the largest
    predicted: Array  #: the class with the largest logit, the first of several; int64
    rank: Array  #: 1 + the number of classes with a larger logit than the true one; int64
    entropy: Array  #: −Σ a_n log a_n, in nats
    logsumexp: Array  #: log Σ exp(z_n)


#: The scores of an ignored example, whose logits are not looked at. They add nothing to a sum over
#: the examples, and make no product NaN. Classes count from 0 here.
IGNORED: Scores = Scores(*[np.array(value) for value in (0.0, 0.0, -1, 0, 0.0, 0.0)])


def counted_from(first_class: int, scores: Scores) -> Scores:
    """The scores with the predicted classes counted from first_class instead of 0, in place."""
    if first_class:
        np.add(scores.predicted, first_class, out=scores.predicted)
    return scores


def empty_scores(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Scores:
    """Arrays of this shape for the scores, whose numbers are of `dtype`.

    >>> empty_scores((3,), np.dtype(np.float32)).rank.dtype
    dtype('int64')
    """
    return Scores(
        *[np.empty(shape, np.int64 if value.dtype.kind == "i" else dtype) for value in IGNORED]
    )
