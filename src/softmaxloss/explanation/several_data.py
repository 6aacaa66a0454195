"""One example with several labels, or with probabilities as target, as data."""

import math
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np

from .. import formula
from ..api import cross_entropy, cross_entropy_with_grad
from ..errors import LabelError
from ..options import MultiLabel
from .data import SHOWN, Data, State, Vector, as_json, frozen, state


@dataclass(frozen=True, eq=False)
class Policy:
    """The result of `multi_label=name` for these labels.

    Attributes:
        name: "error", "sum" or "mean".
        error: why it rejects them; the rest is then None.
        target: (C,) the q that the loss is computed with: J = Σ q_n·(−log a_n).
        loss: J, in nats.
        gradient: (C,) ∂J/∂z = (Σ q)·a − q.
        gradient_sum: 0, up to rounding.
        after: the outputs after one step of descent.
        least_loss: the loss at a = q / Σq, where the gradient is 0: no descent goes below it.
    """

    name: MultiLabel
    error: str | None = None
    target: Vector | None = None
    loss: float | None = None
    gradient: Vector | None = None
    gradient_sum: float | None = None
    after: State | None = None
    least_loss: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class SeveralLabelsData(Data):
    """One example whose target is not one class. Made by `explain` for a target of shape (C,).

    Arrays are read-only, float64, of shape (C,); losses are in nats.

    Attributes:
        logits: z.
        probabilities: a = softmax(z).
        terms: −log a_n, the loss of the example if n were the true class.
        target: q as given.
        policies: "error", "sum" and "mean", in this order.
        step, uniform_loss, classes, first_class: as in `Explanation`.
    """

    logits: Vector
    probabilities: Vector
    terms: Vector
    target: Vector
    policies: tuple[Policy, ...]
    step: float
    uniform_loss: float

    @classmethod
    def of(
        cls,
        z: Vector,
        q: Vector,
        *,
        step: float,
        classes: tuple[str, ...] | None = None,
        first_class: int = 0,
    ) -> Self:
        """Compute the explanation of a target q with a value for each class.

        Raises:
            LabelError: a value is negative or not finite.
        """
        names: tuple[MultiLabel, ...] = get_args(MultiLabel)
        return cls(
            logits=frozen(z),
            probabilities=frozen(formula.softmax(z)),
            terms=frozen(formula.neg_log_softmax(z)),
            target=frozen(q),
            policies=tuple(_policy(z, q, name, step, first_class) for name in names),
            step=step,
            uniform_loss=math.log(z.size),
            classes=classes,
            first_class=first_class,
        )

    @property
    def as_given(self) -> Policy:
        """The policy "sum", which takes every target and uses it as it is."""
        return next(policy for policy in self.policies if policy.name == "sum")

    @property
    def sums_to_one(self) -> bool:
        """Whether the target is probabilities, of which all policies give the same.

        >>> from softmaxloss import explain
        >>> explain([2.0, 1.0, 0.1], [0.2, 0.3, 0.5]).sums_to_one
        True
        """
        return all(policy.error is None for policy in self.policies)

    @property
    def shares(self) -> Vector:
        """(C,) the target divided by its sum; 0 where that is 0."""
        total = math.fsum(self.target)
        return self.target / total if total else np.zeros_like(self.target)

    @property
    def contributions(self) -> Vector:
        """(C,) q_n·(−log a_n), which add up to the loss; 0 for a class with the target 0."""
        used = self.target != 0
        return np.multiply(self.target, self.terms, out=np.zeros_like(self.terms), where=used)

    @property
    def labels(self) -> list[int]:
        """The positions of the classes with a share of the target.

        >>> from softmaxloss import explain
        >>> explain([2.0, 1.0, 0.1], [0, 1, 1]).labels
        [1, 2]
        """
        return [int(n) for n in np.flatnonzero(self.target)]

    @property
    def true(self) -> list[int]:
        """The positions of the true classes: the labels; none where the target is probabilities."""
        return [] if self.sums_to_one else self.labels

    def listed(self) -> list[int]:
        """The positions of the classes that tables list: all of up to 12, else the labels first,
        then the classes with the highest probability."""
        if self.terms.size <= SHOWN:
            return list(range(self.terms.size))
        labels = self.labels
        likeliest = np.argsort(-self.probabilities, kind="stable")[: SHOWN + len(labels)].tolist()
        return sorted((labels + [n for n in likeliest if n not in labels])[:SHOWN])

    def to_dict(self) -> dict[str, Any]:
        """The numbers as lists, numbers and strings for JSON."""
        data = as_json(self)
        data["policies"] = [{"policy": policy.pop("name"), **policy} for policy in data["policies"]]
        return {"schema": "softmaxloss.several-labels", "version": 1, **data}


def _policy(z: Vector, q: Vector, name: MultiLabel, step: float, first_class: int) -> Policy:
    try:
        loss, gradient = cross_entropy_with_grad(z, q, multi_label=name, first_class=first_class)
    except LabelError as error:
        if name == "sum":  # then no policy takes these values
            raise
        return Policy(name, error=str(error))
    with np.errstate(over="ignore", invalid="ignore"):
        after = z - step * gradient
        total = math.fsum(q)
        if name == "mean":
            q = q / total
        share = q[q > 0] / math.fsum(q)
    return Policy(
        name=name,
        target=frozen(q),
        loss=float(loss),
        gradient=frozen(gradient),
        gradient_sum=math.fsum(gradient),
        after=state(after, cross_entropy(after, q, multi_label="sum")),
        least_loss=float(-(q[q > 0] * np.log(share)).sum()) + 0.0,
    )
