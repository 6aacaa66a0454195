"""A set of examples as data: which classes push which, and which examples to look at."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np

from ..jsonable import jsonable
from ..totals import Example, highest, top_ks
from .data import Data, Vector, as_json, frozen
from .set_calibration import Calibration
from .set_confusions import Confusions
from .set_examples import Examined
from .set_sums import LEAST, AllPairs, Integers, SetSums, StrongPairs

IN_JSON = 100  # strongest pairs, and pairs that are confused most


class Push(NamedTuple):
    """How the examples of one class push the output of another. Classes are positions from 0."""

    true: int  #: i, the true class of the examples
    pushed: int  #: n ≠ i, the class that they push down
    mean: float  #: the mean of ∂J/∂z_n over them, which is their mean probability of n
    examples: float  #: the number of examples of class i
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
        top_k: for some k > 1, the share of the examples for which fewer than k classes have a
            larger logit than the label.
        uniform_loss: ln C, the loss of a uniform guess.
        losses: (90,) int64, the examples by their loss, in bins between `totals.LOSS_EDGES`.
        wrong_losses: (90,) int64, those of them whose predicted class is not their label.
        counts: (C,) int64, the number of examples of each class.
        soft: whether the labels are probabilities. For `accuracy`, `counts`, `confusions` and
            `examined`, the label is then the most probable class; in what follows, an example
            counts for every class by its probability.
        class_counts: (C,) how many examples that makes of each class: `counts`, unless `soft`.
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
        confusions: which classes are taken for which; recall and precision of each class.
        calibration: whether the probabilities can be trusted; the best temperature.
        examined: labels that look wrong, apart from hard examples.
        top: the examples with the highest loss, invalid ones first. Their `label` and `predicted`
            are in the caller's numbering.
        classes: the names of the classes, or None.
        first_class: the number of the first class in the caller's labels.
        sums: what it was made from, for `merge`.
    """

    examples: int
    ignored: int
    invalid: int
    mean_loss: float
    accuracy: float
    top_k: dict[int, float]
    uniform_loss: float
    losses: Integers
    wrong_losses: Integers
    counts: Integers
    soft: bool
    class_counts: Integers | Vector
    class_loss: Vector
    pulls: Vector
    net_gradient: Vector
    pushes: Vector | None
    pairs: Pairs | None
    look_like_probabilities: bool
    confusions: Confusions
    calibration: Calibration
    examined: Examined
    top: tuple[Example, ...]
    sums: SetSums = field(repr=False)

    @classmethod
    def of(
        cls,
        sums: SetSums,
        *,
        classes: tuple[str, ...] | None = None,
        first_class: int = 0,
    ) -> Self:
        """What the sums over a set say."""
        totals, gradients, pushes, pairs = sums.totals, sums.pushes, None, None
        counts = totals.counts
        each = gradients.counts if gradients.soft else counts
        with np.errstate(invalid="ignore", divide="ignore"):  # no mean for a class without examples
            if isinstance(gradients.pairs, AllPairs):
                pushes = frozen(gradients.pairs.sums / each[:, np.newaxis])
            else:
                pairs = _pairs(gradients.pairs, each)
            return cls(
                examples=totals.examples,
                ignored=totals.ignored,
                invalid=totals.invalid,
                mean_loss=totals.mean_loss,
                accuracy=totals.accuracy,
                top_k={k: totals.top_k(k) for k in top_ks(counts.size)},
                uniform_loss=math.log(counts.size),
                losses=frozen(totals.losses, np.int64),
                wrong_losses=frozen(totals.wrong_losses, np.int64),
                counts=frozen(counts, np.int64),
                soft=gradients.soft,
                class_counts=frozen(each, each.dtype),
                class_loss=frozen(gradients.losses / each),
                pulls=frozen(gradients.pairs.pulls / each),
                net_gradient=frozen(gradients.net / each.sum()),
                pushes=pushes,
                pairs=pairs,
                look_like_probabilities=totals.look_like_probabilities,
                confusions=Confusions.of(totals),
                calibration=Calibration.of(totals),
                examined=Examined.of(sums),
                top=tuple(totals.top[: sums.top]),
                sums=sums,
                classes=classes,
                first_class=first_class,
            )

    @property
    def shares(self) -> Vector:
        """(C,) the share of the examples with each class; NaN where no example counts."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.class_counts / self.class_counts.sum())

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
        whole = -float(np.nansum(self.pulls * self.class_counts))
        if self.pairs is not None:
            pairs = self.pairs
            true, pushed, means = pairs.true[:count], pairs.pushed[:count], pairs.mean[:count]
        else:
            assert self.pushes is not None
            totals = np.nan_to_num(self.pushes * self.class_counts[:, np.newaxis]).reshape(-1)
            places = highest(totals, count)
            places = places[np.argsort(-totals[places], kind="stable")]
            places = places[totals[places] > 0]  # not the diagonal, which pulls
            true, pushed = np.divmod(places, self.class_counts.size)
            means = self.pushes[true, pushed]
        counts = self.class_counts[true]
        columns = (true, pushed, means, counts, means * counts / whole)
        return [Push(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as lists, numbers and strings for JSON; at most 100 pairs in `strongest` and
        in `confusions`."""
        apart = ("pairs", "top", "top_k", "confusions", "calibration", "examined", "sums")
        names = [field.name for field in fields(self) if field.name not in apart]
        strongest = [
            push._replace(true=self.number(push.true), pushed=self.number(push.pushed))
            for push in self.strongest(IN_JSON)
        ]
        confusions = [
            pair._replace(true=self.number(pair.true), predicted=self.number(pair.predicted))
            for pair in self.confusions.most(IN_JSON)
        ]
        per_class = ("correct", "predictions", "recall", "precision")
        examples = {
            "label_issues": self.examined.suspects,
            "hard": self.examined.hard,
            "top": self.top,
        }
        return {
            "schema": "softmaxloss.set-explanation",
            "version": 1,
            **{name: as_json(getattr(self, name)) for name in names},
            "others": None if self.pairs is None else jsonable(self.pairs.others),
            "short": None if self.pairs is None else jsonable(self.pairs.short),
            "strongest": [push._asdict() for push in strongest],
            "top_k": {str(k): jsonable(share) for k, share in self.top_k.items()},
            **{name: jsonable(getattr(self.confusions, name)) for name in per_class},
            "confusions": [pair._asdict() for pair in confusions],
            "calibration": as_json(self.calibration),
            **{name: as_json(tuple(some)) for name, some in examples.items()},
            "ids": {str(row): id for row, id in self.examined.ids.items()},
        }


def _pairs(sums: StrongPairs, counts: Integers | Vector) -> Pairs:
    true, pushed, total = sums.result()
    known = np.bincount(true, weights=total, minlength=counts.size)
    others = np.maximum(-sums.pulls - known, 0.0) / counts
    short = np.minimum(others, LEAST + sums.dropped / counts)
    mean = total / counts[true]
    return Pairs(*[frozen(array, array.dtype) for array in (true, pushed, mean, others, short)])
