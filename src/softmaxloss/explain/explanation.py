"""The explanation of one example as data: every number of it, and remarks on what is unusual."""

from __future__ import annotations

import contextlib
import json
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import formula
from ..errors import LabelError, OptionError
from ..logits import read_logits
from ..loss import cross_entropy, cross_entropy_with_grad, score
from ..options import Options

__all__ = ["SCHEMA_VERSION", "Explanation", "State", "explain"]

SCHEMA_VERSION = 1

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class State:
    """The outputs of a classifier for one example, and what they cost.

    logits           (C,) z
    probabilities    (C,) a = softmax(z)
    loss             J = −log a_y in nats, computed from z: it is right even where a_y rounds to 0
                     or to 1
    """

    logits: Vector
    probabilities: Vector
    loss: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Everything there is to say about the loss of one example. Made by `explain`.

    Arrays are read-only, float64, shape (C,), in the order of the classes; losses are in nats.
    `target` and `predicted` are positions in these arrays, counted from 0; `number` gives the
    number that the caller's labels use.

    before           the outputs as given: `.logits`, `.probabilities`, `.loss`
    target           y, the true class
    terms            −log a_n for every class n: the loss that the example would have if n were
                     true. The loss is one of them, `terms[target]`
    logsumexp        log Σ exp(z_n), the log of the denominator of every probability
    loss_from_logits the same loss as −z_y + log Σ exp(z_n). It has fewer correct digits than
                     `before.loss` where the two almost cancel
    gradient         ∂J/∂z = a − onehot(y)
    gradient_sum     Σ ∂J/∂z_n: 0, up to rounding
    step             the size of the descent step
    after            the outputs after it: z − step·∂J/∂z
    predicted        the first class with the largest logit; None where there is no softmax
    rank             1 + the number of classes with a larger logit than the true one; 0 where there
                     is no softmax
    uniform_loss     ln C, the loss of a uniform guess
    classes          the names of the classes, or None
    first_class      the number of the first class in the caller's labels
    """

    before: State
    target: int
    terms: Vector
    logsumexp: float
    loss_from_logits: float
    gradient: Vector
    gradient_sum: float
    step: float
    after: State
    predicted: int | None
    rank: int
    uniform_loss: float
    classes: tuple[str, ...] | None = None
    first_class: int = 0

    @property
    def defined(self) -> bool:
        """Whether the row has a softmax: no NaN, no +inf, and not −inf alone."""
        return self.predicted is not None

    def number(self, n: int) -> int:
        """The number of the class at position n, as the caller's labels count."""
        return n + self.first_class

    def strongest(self, count: int) -> list[int]:
        """The positions of at most `count` classes, the largest logit first.

        The true class is always among them. Logits that are NaN or +inf come before all others.

        >>> explain([0.0, 3.0, 2.0, 1.0], 0).strongest(3)
        [1, 2, 0]
        """
        z = np.where(np.isnan(self.before.logits), math.inf, self.before.logits)
        order = np.argsort(-z, kind="stable")[:count].tolist()
        if self.target not in order:
            order[-1] = self.target
        return [int(n) for n in order]

    def remarks(self) -> list[str]:
        """What is unusual about this example, each in a sentence; for most there is nothing.

        >>> explain([0.0, -math.inf], 1).remarks()[0]
        'The logit of the true class is -inf: it has no chance at all, and the loss is infinite.'
        """
        return _remarks(self)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings that any JSON writer takes.

        NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity", "-Infinity"
        (`float()` reads them back). `target` and `predicted` are in the caller's numbering.
        """
        return {
            "schema": "softmaxloss.explanation",
            "version": SCHEMA_VERSION,
            "classes": None if self.classes is None else list(self.classes),
            "first_class": self.first_class,
            "target": self.number(self.target),
            "predicted": None if self.predicted is None else self.number(self.predicted),
            "rank": self.rank,
            "logits": _plain(self.before.logits),
            "probabilities": _plain(self.before.probabilities),
            "terms": _plain(self.terms),
            "logsumexp": _plain(self.logsumexp),
            "loss": _plain(self.before.loss),
            "loss_from_logits": _plain(self.loss_from_logits),
            "uniform_loss": _plain(self.uniform_loss),
            "gradient": _plain(self.gradient),
            "gradient_sum": _plain(self.gradient_sum),
            "step": self.step,
            "after": {
                "logits": _plain(self.after.logits),
                "probabilities": _plain(self.after.probabilities),
                "loss": _plain(self.after.loss),
            },
            "remarks": self.remarks(),
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        width: the columns that it may take; tables take more where the numbers need it.
        color: with ANSI colours.
        """
        from .text import render  # loads rich, which `import softmaxloss` must not

        return render(self, width=width, color=color)

    def __str__(self) -> str:
        return self.to_text()


def explain(
    logits: ArrayLike,
    target: SupportsIndex,
    *,
    classes: Sequence[str] | None = None,
    step: float = 0.1,
    first_class: int = 0,
) -> Explanation:
    """Explain the loss of one example: J = −log softmax(logits)[target], its gradient, one step.

    logits: shape (C,), computed in float64. target: the number of the true class. classes: C names.
    step: the size of the descent step that is tried, z − step·∂J/∂z. first_class: 1 when labels are
    counted from 1.

    Raises ValueError when the logits are not one row, `LabelError` when the target is no class,
    `OptionError` when an option does not fit, TypeError when the logits are no real numbers.

    >>> why = explain([2.0, 1.0, 0.1, -1.2], 2)
    >>> round(why.before.loss, 4), why.rank, round(why.uniform_loss, 4)
    (2.3435, 3, 1.3863)
    >>> why.gradient.round(4)                       # only the true class is pushed up
    array([ 0.6418,  0.2361, -0.904 ,  0.0262])
    >>> round(why.after.loss, 4)                    # smaller than before
    2.2161
    """
    z = _one_row(logits)
    y = _position(target, z.size, Options(first_class=first_class).first_class)
    if not (isinstance(step, Real) and math.isfinite(step) and step > 0):
        raise OptionError(f"step must be a positive number, got {step!r}")
    names = None if classes is None else _class_names(classes, z.size)

    loss, gradient = cross_entropy_with_grad(z, y)
    scores = score(z, y)
    terms = formula.neg_log_softmax(z)
    terms[y] = loss
    with np.errstate(invalid="ignore", over="ignore"):
        z_after = z - step * gradient
        loss_from_logits = float(-z[y] + scores.logsumexp)
    loss_after = float(cross_entropy(z_after, y))
    defined = int(scores.rank) > 0
    return Explanation(
        before=State(_frozen(z), _frozen(formula.softmax(z)), float(loss)),
        target=y,
        terms=_frozen(terms),
        logsumexp=float(scores.logsumexp),
        loss_from_logits=loss_from_logits,
        gradient=_frozen(gradient),
        gradient_sum=math.fsum(gradient) if defined else math.nan,
        step=float(step),
        after=State(_frozen(z_after), _frozen(formula.softmax(z_after)), loss_after),
        predicted=int(scores.predicted) if defined else None,
        rank=int(scores.rank),
        uniform_loss=math.log(z.size),
        classes=names,
        first_class=first_class,
    )


def _one_row(logits: ArrayLike) -> Vector:
    z = read_logits(logits)
    if z.ndim != 1:
        raise ValueError(
            f"explain takes the logits of one example, shape (C,); got shape {z.shape}: pass one "
            "row of it"
        )
    return z.astype(np.float64)


def _position(target: SupportsIndex, classes: int, first_class: int) -> int:
    """The true class, counted from 0."""
    label = None
    if not isinstance(target, bool | np.bool_):
        with contextlib.suppress(TypeError):
            label = operator.index(target)
    if label is None:
        given = repr(target) if np.isscalar(target) else type(target).__name__
        raise LabelError(f"target must be the number of the true class, an integer; got {given}")
    last = first_class + classes - 1
    if not first_class <= label <= last:
        hint = ""
        if first_class == 0 and label == classes:
            hint = "; if labels count from one, pass first_class=1"
        raise LabelError(f"the label is {label}, outside {first_class}..{last}{hint}")
    return label - first_class


def _class_names(classes: Iterable[str], count: int) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise TypeError("classes must be a sequence of names, got one string; write ['cat', 'dog']")
    if not isinstance(classes, Iterable):
        raise TypeError(f"classes must be a sequence of names, got {type(classes).__name__}")
    names = tuple(classes)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"class names must be strings, got {name!r}")
    if len(names) != count:
        raise OptionError(f"there are {len(names)} class names for {count} logits")
    return names


def _frozen(array: Vector) -> Vector:
    array = np.array(array, dtype=np.float64)
    array.flags.writeable = False
    return array


def _plain(value: Vector | float) -> Any:
    """The value as JSON can hold it."""
    if isinstance(value, np.ndarray):
        numbers = value.tolist()
        return numbers if np.isfinite(value).all() else [_plain(number) for number in numbers]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _remarks(e: Explanation) -> list[str]:
    z, y, a = e.before.logits, e.target, e.before.probabilities
    if not e.defined:
        return [_no_softmax(e)]
    found = []
    loss = e.before.loss
    if z[y] == -math.inf:
        found += [
            "The logit of the true class is -inf: it has no chance at all, and the loss is "
            "infinite.",
            "The gradient is finite all the same (-1 for the true class), but no step moves a "
            "logit away from -inf.",
        ]
    masked = np.flatnonzero((z == -math.inf) & (np.arange(z.size) != y))
    if masked.size:
        found.append(
            f"The logit of {_classes(e, masked)} is -inf: masked out, probability 0, and not "
            "pushed at all. The loss is as if the class were absent."
        )
    largest = np.flatnonzero(z == z.max())
    if largest.size > 1:
        found.append(
            f"The largest logit is shared by {_classes(e, largest)}: the first of them is taken as "
            "the prediction."
        )
    if math.isfinite(loss):
        if loss > 0 and not math.isclose(loss, e.loss_from_logits, rel_tol=1e-6):
            found.append(
                "−z_y + log Σ exp z has lost digits here, because its two parts cancel in float64. "
                "The loss itself is computed as (m − z_y) + log(1 + S), where nothing cancels: m "
                "is the largest logit, S the sum of exp(z_n − m) over the other classes."
            )
        if a[y] == 0.0:
            found.append(
                "The probability of the true class is too small for float64 and rounds to 0. The "
                "loss is computed from the logits and stays right; log of the probability would "
                "be -inf."
            )
        if z.size > 1 and not e.gradient.any():
            found.append(
                "Every derivative is 0: the true class has all the probability, and nothing is "
                "pushed."
            )
        if e.after.loss == loss and loss > 0:
            found.append(
                "The step changes nothing that float64 can show: it is too small beside these "
                "logits."
            )
    return found


def _no_softmax(e: Explanation) -> str:
    """Why this row has no softmax, in one sentence."""
    z = e.before.logits
    nan, infinite = np.flatnonzero(np.isnan(z)), np.flatnonzero(z == math.inf)
    if nan.size:
        return (
            f"The logit of {_classes(e, nan)} is NaN (not a number), so every probability, the "
            "loss and the whole gradient are NaN: find out where the NaN comes from."
        )
    if infinite.size:
        return (
            f"The logit of {_classes(e, infinite)} is +inf, and softmax would divide infinity by "
            "infinity: every probability, the loss and the whole gradient are NaN."
        )
    return (
        "Every logit is -inf, so every class is masked out and softmax would divide 0 by 0: the "
        "probabilities, the loss and the gradient are NaN."
    )


def _classes(e: Explanation, positions: NDArray[np.intp]) -> str:
    """Class numbers as words, at most five of them."""
    numbers = [str(e.number(int(n))) for n in positions[:5]]
    if positions.size == 1:
        return f"class {numbers[0]}"
    if positions.size > 5:
        return f"classes {', '.join(numbers)} and {positions.size - 5} more"
    return f"classes {', '.join(numbers[:-1])} and {numbers[-1]}"
