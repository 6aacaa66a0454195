"""The examples of a set to look at, as data: labels that look wrong apart from hard examples."""

from dataclasses import dataclass
from typing import Self

from ..totals import Example, Strongest
from .data import Vector, frozen
from .set_sums import SetSums


@dataclass(frozen=True, eq=False)
class Examined:
    """The examples with the highest loss, sorted by what may be wrong with them.

    A label looks wrong where the model gives its prediction, another class, at least the
    probability that it gives on average to the examples labelled with that class: the rule of
    confident learning (Northcutt, Jiang, Chuang 2021) for the predicted class. All others are
    merely hard: the model is not sure of what it predicts.

    Attributes:
        sought: the number of examples that were looked at: up to 1000 with the highest loss.
        found: the number of labels among them that look wrong.
        suspects: the first of these, the highest loss first.
        hard: the first of the others, the highest loss first.
        invalid: the first rows without a softmax.
        class_probability: (C,) the mean probability of the label over the examples of each class;
            NaN for a class without examples.
        strongest: by row, the strongest logits of these examples.
        ids: by row, their ids; empty without ids.
    """

    sought: int
    found: int
    suspects: tuple[Example, ...]
    hard: tuple[Example, ...]
    invalid: tuple[Example, ...]
    class_probability: Vector
    strongest: dict[int, Strongest]
    ids: dict[int, str]

    @classmethod
    def of(cls, sums: SetSums) -> Self:
        totals, count = sums.totals, sums.top
        usual = totals.class_probability
        invalid, suspects, hard = [], [], []
        for e in totals.top:
            if e.rank == 0:
                invalid.append(e)
            elif e.predicted != e.label and e.confidence >= usual[e.predicted - totals.first_class]:
                suspects.append(e)
            else:
                hard.append(e)
        shown = [*suspects[:count], *hard[:count], *invalid[:count]]
        return cls(
            sought=len(suspects) + len(hard),
            found=len(suspects),
            suspects=tuple(suspects[:count]),
            hard=tuple(hard[:count]),
            invalid=tuple(invalid[:count]),
            class_probability=frozen(usual),
            strongest=totals.strongest(shown),
            ids={e.row: sums.ids[e.row] for e in shown if e.row in sums.ids},
        )
