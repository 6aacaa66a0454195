"""One example with several labels, or probabilities as target: what each policy makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from .. import formula
from ..api import cross_entropy, cross_entropy_with_grad
from ..errors import LabelError
from ..jsonable import jsonable
from ..labels import read_target
from ..options import MultiLabel, Options
from .explanation import State, frozen, plain_state
from .rendered import Rendered
from .words import number

__all__ = ["Policy", "SeveralLabels", "several_labels"]

Vector = NDArray[np.float64]

SHOWN = 12  # classes listed, the labels first

#: What each policy does with several labels.
MEANING: dict[MultiLabel, str] = {
    "error": "takes one label, or probabilities that sum to 1",
    "sum": "adds the losses of the labels, as PyTorch and TensorFlow do",
    "mean": "divides that by the sum of the target",
}


@dataclass(frozen=True, eq=False)
class Policy:
    """What `multi_label=name` makes of the labels.

    name             "error", "sum" or "mean"
    error            why it refuses them; the rest is None then
    target           (C,) the q that the loss is computed with: J = Σ q_n·(−log a_n)
    loss             J, in nats
    gradient         (C,) ∂J/∂z = (Σ q)·a − q
    gradient_sum     0, up to rounding
    after            the outputs after one step
    least_loss       the loss at a = q / Σq, where the gradient is 0: descent comes no further
    """

    name: MultiLabel
    error: str | None = None
    target: Vector | None = None
    loss: float | None = None
    gradient: Vector | None = None
    gradient_sum: float | None = None
    after: State | None = None
    least_loss: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The policy as lists that any JSON writer takes."""
        numbers = (self.target, self.loss, self.gradient, self.gradient_sum, self.least_loss)
        names = ("target", "loss", "gradient", "gradient_sum", "least_loss")
        return {
            "policy": self.name,
            "error": self.error,
            **{n: None if v is None else jsonable(v) for n, v in zip(names, numbers, strict=True)},
            "after": None if self.after is None else plain_state(self.after),
        }


@dataclass(frozen=True, eq=False)
class SeveralLabels(Rendered):
    """One example whose target is not one class. Made by `explain` of a target of shape (C,).

    Arrays are read-only, float64, shape (C,); losses are in nats.

    logits, probabilities  z and a = softmax(z)
    terms                  −log a_n: the loss that the example would have if n were true
    target                 q as given
    policies               "error", "sum" and "mean", in this order
    step, uniform_loss, classes, first_class  as in `Explanation`
    """

    logits: Vector
    probabilities: Vector
    terms: Vector
    target: Vector
    policies: tuple[Policy, Policy, Policy]
    step: float
    uniform_loss: float
    classes: tuple[str, ...] | None = None
    first_class: int = 0

    @property
    def labels(self) -> list[int]:
        """The positions of the classes with a part in the target.

        >>> from softmaxloss.explanation import explain
        >>> explain([2.0, 1.0, 0.1], [0, 1, 1]).labels
        [1, 2]
        """
        return [int(n) for n in np.flatnonzero(self.target)]

    def listed(self) -> list[int]:
        """The positions of the classes that renderings list: all of them up to 12; of more the
        labels first, then the likeliest."""
        if self.terms.size <= SHOWN:
            return list(range(self.terms.size))
        labels = self.labels
        likeliest = np.argsort(-self.probabilities, kind="stable")[: SHOWN + len(labels)].tolist()
        return sorted((labels + [n for n in likeliest if n not in labels])[:SHOWN])

    def outcome(self) -> str:
        """Where descent ends, in a sentence.

        >>> from softmaxloss.explanation import explain
        >>> explain([2.0, 1.0, 0.1], [0, 0, 2]).outcome()
        'Descent moves the probability of the one class in the target towards 1.'
        """
        if not np.isfinite(self.probabilities).all():
            return "The row has no softmax: every probability and every derivative is NaN."
        stuck = [n for n in self.labels if self.logits[n] == -math.inf]
        if stuck:
            return (
                f"The output of class {self.number(stuck[0])}, which is in the target, is −inf: "
                "the loss is infinite, and no step moves that output."
            )
        best = next((p for p in reversed(self.policies) if p.target is not None), None)
        if best is None or best.target is None or best.least_loss is None:
            return "No policy takes this target."
        if not best.target.any():
            return 'Nothing is true, so nothing is pushed: by "sum" the loss is 0.'
        labels = self.labels
        if len(labels) == 1:
            return "Descent moves the probability of the one class in the target towards 1."
        share = best.target / best.target.sum()
        told = ", ".join(f"a_{self.number(n)} = {number(share[n])}" for n in labels[:5])
        more = ", …" if len(labels) > 5 else ""
        return (
            f"Descent moves the probabilities towards the target's shares, {told}{more}, where the "
            f'derivatives are 0. The loss is then {number(best.least_loss)} by "{best.name}", '
            "and not 0: classes that exclude each other cannot all be certain."
        )

    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings that any JSON writer takes; NaN and the
        infinities as strings."""
        return {
            "schema": "softmaxloss.several-labels",
            "version": 1,
            "classes": None if self.classes is None else list(self.classes),
            "first_class": self.first_class,
            "logits": jsonable(self.logits),
            "probabilities": jsonable(self.probabilities),
            "terms": jsonable(self.terms),
            "target": jsonable(self.target),
            "step": self.step,
            "uniform_loss": jsonable(self.uniform_loss),
            "policies": [policy.to_dict() for policy in self.policies],
        }

    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        """The explanation in words and tables, as that of one label."""
        from .several_text import render  # loads rich

        return render(self, width=width, color=color)

    def to_html(self) -> str:
        """The explanation as a page: one file of HTML, without a script."""
        from .page import to_html

        return to_html(self)

    def to_fragment(self) -> str:
        """The page for a place among other things, as in a notebook: without head and script."""
        from .page import fragment

        return fragment(self)


def several_labels(
    z: Vector, q: Vector, classes: tuple[str, ...] | None, step: float, first_class: int
) -> SeveralLabels:
    """The explanation for a target q with a value for each class. Raises LabelError where one of
    them is negative or not finite.

    >>> why = several_labels(np.zeros(4), np.array([0.0, 1.0, 1.0, 0.0]), None, 0.1, 0)
    >>> [policy.loss for policy in why.policies]  # 2·ln 4, and ln 4
    [None, 2.772588722239781, 1.3862943611198906]
    """
    read_target(q, z.shape, Options(multi_label="sum", first_class=first_class))  # raises
    error, total, mean = (_policy(z, q, name, step, first_class) for name in get_args(MultiLabel))
    return SeveralLabels(
        logits=frozen(z),
        probabilities=frozen(formula.softmax(z)),
        terms=frozen(formula.neg_log_softmax(z)),
        target=frozen(q),
        policies=(error, total, mean),
        step=step,
        uniform_loss=math.log(z.size),
        classes=classes,
        first_class=first_class,
    )


def _policy(z: Vector, q: Vector, name: MultiLabel, step: float, first_class: int) -> Policy:
    try:
        loss, gradient = cross_entropy_with_grad(z, q, multi_label=name, first_class=first_class)
    except LabelError as error:
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
        after=State(
            frozen(after),
            frozen(formula.softmax(after)),
            float(cross_entropy(after, q, multi_label="sum")),
        ),
        least_loss=float(-(q[q > 0] * np.log(share)).sum()) + 0.0,
    )
