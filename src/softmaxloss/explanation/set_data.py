"""A set of examples as data: which classes push which, and which examples to look at."""

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np

from ..files.evaluation import Evaluation, Example, highest
from ..jsonable import jsonable
from .data import Data, Vector, as_json, frozen
from .set_sums import LEAST, AllPairs, Integers, PushSums, StrongPairs

IN_JSON = 100  # strongest pairs


class Push(NamedTuple):
    """How the examples of one class push the output of another. Classes are positions from 0."""

    true: int  #: i, the true class of the examples
    pushed: int  #: n ≠ i, the class that they push down
    mean: float  #: the mean of ∂J/∂z_n over them, which is their mean probability of n
    examples: int  #: the number of examples of class i
    share: float  #: of all the pushing down in the set: mean · examples over the sum of all pairs


@dataclass(frozen=True, eq=False)
class Pairs:
    """The strong pairs of a set with many classes, the strongest in total first.

    Probabilities of an example under 0.001 are counted in `others`, and so are the smallest of more
    than 524 288 pairs. `others` and `short` are NaN for a class without examples.

    Attributes:
        true: (P,) i, the true class of the examples, a position from 0.
        pushed: (P,) n ≠ i, the class that they push down.
        mean: (P,) the mean of ∂J/∂z_n over the examples of class i.
        others: (C,) what the examples of each class push down on average outside these pairs.
        short: (C,) a bound for each true class: no mean of its pairs is too small by more, and no
            missing pair has a larger mean.
    """

    true: Integers
    pushed: Integers
    mean: Vector
    others: Vector
    short: Vector


@dataclass(frozen=True, eq=False, kw_only=True)
class SetData(Data):
    """How a set of examples pushes the outputs of a classifier. Made by `explain_set`.

    An example of class i pushes every other output n down by ∂J/∂z_n = a_n and its own up, by
    ∂J/∂z_i = a_i − 1; these are the means over the set. Arrays are read-only and in the order of
    the classes; losses are in nats. `number` gives the number of a class in the caller's labels.

    Attributes:
        examples: the number of rows that count, that is all but the ignored ones.
        ignored: the number of rows whose label is `ignore_index`.
        invalid: the number of rows among `examples` without a softmax: a logit is NaN or +inf, or
            all are −inf. They make `mean_loss` NaN and are wrong in `accuracy`; the arrays below
            leave them out, and `top` names them.
        mean_loss: NaN where no row counts or one is invalid.
        accuracy: the share of the examples whose predicted class is their label.
        uniform_loss: ln C, the loss of a uniform guess.
        counts: (C,) int64, the number of examples of each class.
        class_loss: (C,) their mean loss; NaN for a class without examples.
        pulls: (C,) the mean of ∂J/∂z_i = a_i − 1 over the examples of class i: how they pull their
            own output up. NaN for a class without examples.
        net_gradient: (C,) the mean of ∂J/∂z_n over all examples: the mean probability of n minus
            the share of the examples with class n. Where it is above 0, descent lowers the output;
            below 0, it raises it. It is 0 for every class where the model is calibrated on average,
            as it is on its training set once its biases have converged.
        pushes: (C, C), row i: the mean of ∂J/∂z over the examples of true class i. It sums to 0;
            (i, i) is `pulls`, (i, n) how hard they push class n down: their mean probability of n.
            NaN for a class without examples. None for more than 2048 classes.
        pairs: for more than 2048 classes, the strong entries of that matrix; else None.
        look_like_probabilities: whether all rows are ≥ 0 and sum to 1: then the logits may be
            probabilities.
        top: the examples with the highest loss, invalid ones first. Their `label` and `predicted`
            are in the caller's numbering.
        classes: the names of the classes, or None.
        first_class: the number of the first class in the caller's labels.
    """

    examples: int
    ignored: int
    invalid: int
    mean_loss: float
    accuracy: float
    uniform_loss: float
    counts: Integers
    class_loss: Vector
    pulls: Vector
    net_gradient: Vector
    pushes: Vector | None
    pairs: Pairs | None
    look_like_probabilities: bool
    top: tuple[Example, ...]

    @classmethod
    def of(
        cls,
        totals: Evaluation,
        sums: PushSums,
        *,
        classes: tuple[str, ...] | None = None,
        first_class: int = 0,
    ) -> Self:
        """The means of sums over a set."""
        counts, pushes, pairs = sums.counts, None, None
        with np.errstate(invalid="ignore", divide="ignore"):  # no mean for a class without examples
            if isinstance(sums.pairs, AllPairs):
                pushes = frozen(sums.pairs.sums / counts[:, np.newaxis])
            else:
                pairs = _pairs(sums.pairs, counts)
            return cls(
                examples=totals.examples,
                ignored=totals.ignored,
                invalid=totals.invalid,
                mean_loss=totals.mean_loss,
                accuracy=totals.accuracy,
                uniform_loss=math.log(counts.size),
                counts=frozen(counts, np.int64),
                class_loss=frozen(sums.losses / counts),
                pulls=frozen(sums.pairs.pulls / counts),
                net_gradient=frozen(sums.net / counts.sum()),
                pushes=pushes,
                pairs=pairs,
                look_like_probabilities=totals.look_like_probabilities,
                top=tuple(totals.top),
                classes=classes,
                first_class=first_class,
            )

    @property
    def shares(self) -> Vector:
        """(C,) the share of the examples with each class; NaN where no example counts."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts / self.counts.sum())

    @property
    def mean_probability(self) -> Vector:
        """(C,) the mean of a_n over all examples; NaN where no example counts."""
        return np.asarray(self.net_gradient + self.shares)

    def strongest(self, count: int = 10) -> list[Push]:
        """The pairs that push most in total, mean · examples, the strongest first; none with 0.

        >>> from softmaxloss import explain_set
        >>> z = [[0.0, 0.0, -9.0], [0.0, 0.0, -9.0], [-9.0, 0.0, 9.0]]
        >>> [(p.true, p.pushed, p.examples) for p in explain_set(z, [0, 0, 2]).strongest(2)]
        [(0, 1, 2), (0, 2, 2)]
        """
        whole = -float(np.nansum(self.pulls * self.counts))
        if self.pairs is not None:
            pairs = self.pairs
            true, pushed, means = pairs.true[:count], pairs.pushed[:count], pairs.mean[:count]
        else:
            assert self.pushes is not None
            totals = np.nan_to_num(self.pushes * self.counts[:, np.newaxis]).reshape(-1)
            places = highest(totals, count)
            places = places[np.argsort(-totals[places], kind="stable")]
            places = places[totals[places] > 0]  # not the diagonal, which pulls
            true, pushed = np.divmod(places, self.counts.size)
            means = self.pushes[true, pushed]
        counts = self.counts[true]
        columns = (true, pushed, means, counts, means * counts / whole)
        return [Push(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as lists, numbers and strings for JSON; at most 100 pairs in `strongest`."""
        names = [field.name for field in fields(self) if field.name not in ("pairs", "top")]
        strongest = [
            push._replace(true=self.number(push.true), pushed=self.number(push.pushed))
            for push in self.strongest(IN_JSON)
        ]
        return {
            "schema": "softmaxloss.set-explanation",
            "version": 1,
            **{name: as_json(getattr(self, name)) for name in names},
            "others": None if self.pairs is None else jsonable(self.pairs.others),
            "short": None if self.pairs is None else jsonable(self.pairs.short),
            "strongest": [push._asdict() for push in strongest],
            "top": [{key: jsonable(v) for key, v in e._asdict().items()} for e in self.top],
        }


def _pairs(sums: StrongPairs, counts: Integers) -> Pairs:
    true, pushed, total = sums.result()
    known = np.bincount(true, weights=total, minlength=counts.size)
    others = np.maximum(-sums.pulls - known, 0.0) / counts
    short = np.minimum(others, LEAST + sums.dropped / counts)
    mean = total / counts[true]
    return Pairs(*[frozen(array, array.dtype) for array in (true, pushed, mean, others, short)])
