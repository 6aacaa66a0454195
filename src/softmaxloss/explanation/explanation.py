"""The explanation of one example as data: every number of it. `one.py` computes them."""

from __future__ import annotations

import math
import operator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import formula
from ..api import cross_entropy
from ..errors import OptionError
from ..jsonable import jsonable
from .remarks import remarks
from .rendered import Rendered

if TYPE_CHECKING:
    from .questions import Answer

__all__ = ["Explanation", "Layer", "Path", "State"]

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
class Path:
    """Descent step after step, z ← z − step·∂J/∂z, until the true class has nearly all.

    steps               (K,) after how many steps each row was recorded: 0, 1, 2, 5, 10, 20, 50, …
                        and the last
    loss                (K,) J
    target_probability  (K,) a_y
    classes             (S,) the positions of the classes recorded: all of them up to 12, of more
                        the strongest
    logits              (K, S) z
    probabilities       (K, S) a
    reached             whether a_y came to 0.99
    """

    steps: NDArray[np.int64]
    loss: Vector
    target_probability: Vector
    classes: NDArray[np.int64]
    logits: Vector
    probabilities: Vector
    reached: bool

    def to_dict(self) -> dict[str, Any]:
        """The path as lists that any JSON writer takes."""
        return {
            "steps": self.steps.tolist(),
            "loss": jsonable(self.loss),
            "target_probability": jsonable(self.target_probability),
            "classes": self.classes.tolist(),
            "logits": [jsonable(row) for row in self.logits],
            "probabilities": [jsonable(row) for row in self.probabilities],
            "reached": self.reached,
        }


@dataclass(frozen=True, eq=False)
class Layer:
    """The linear layer that made the logits, z = W·x + b, and what one step does to it.

    features            (D,) x
    weight              (C, D) W
    bias                (C,) b, or None
    gradient            (C,) ∂J/∂z, which reaches the layer from the loss
    step                the size of the descent step
    """

    features: Vector
    weight: Vector
    bias: Vector | None
    gradient: Vector
    step: float
    target: int

    @property
    def gradient_by_weight(self) -> Vector:
        """∂J/∂W = (a − onehot(y))·xᵀ, (C, D): each row is the features times one number."""
        return np.multiply.outer(self.gradient, self.features)

    @property
    def weight_after(self) -> Vector:
        """W − step·∂J/∂W, (C, D)."""
        return self.weight - self.step * self.gradient_by_weight

    @property
    def bias_after(self) -> Vector | None:
        """b − step·∂J/∂z, (C,), since ∂J/∂b = ∂J/∂z."""
        return None if self.bias is None else self.bias - self.step * self.gradient

    @property
    def gain(self) -> float:
        """How far z moves for each unit of −step·∂J/∂z: ‖x‖², and 1 more through the bias."""
        with np.errstate(over="ignore"):
            squared = float(self.features @ self.features)
        return squared + (0.0 if self.bias is None else 1.0)

    @cached_property
    def after(self) -> State:
        """The outputs of the layer after the step: z − step·gain·∂J/∂z."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.weight_after @ self.features
            if (bias := self.bias_after) is not None:
                z = z + bias
        return State(frozen(z), frozen(formula.softmax(z)), float(cross_entropy(z, self.target)))

    def to_dict(self) -> dict[str, Any]:
        """The layer as lists that any JSON writer takes. Of large weights, more than 100 000
        numbers, the matrices are left out: W is the caller's, and ∂J/∂W an outer product."""
        bias_after, small = self.bias_after, self.weight.size <= 100_000
        rows = (lambda matrix: [jsonable(row) for row in matrix]) if small else lambda _: None
        return {
            "features": jsonable(self.features),
            "weight": rows(self.weight),
            "bias": None if self.bias is None else jsonable(self.bias),
            "gradient_by_weight": rows(self.gradient_by_weight),
            "weight_after": rows(self.weight_after),
            "bias_after": None if bias_after is None else jsonable(bias_after),
            "gain": jsonable(self.gain),
            "after": plain_state(self.after),
        }


@dataclass(frozen=True, eq=False)
class Explanation(Rendered):
    """Everything there is to say about the loss of one example. Made by `explain`.

    Arrays are read-only, float64, shape (C,), in the order of the classes; losses are in nats.
    `target` and `predicted` are positions in these arrays, counted from 0; `number` gives the
    number that the caller's labels use.

    before           the outputs as given: `.logits`, `.probabilities`, `.loss`
    target           y, the true class
    largest          m, the largest logit
    shifted          z − m: no result depends on a common offset, and exp cannot overflow now
    exponentials     exp(z − m), each in [0, 1]
    denominator      Σ exp(z_n − m); a_n = exponentials[n] / denominator
    terms            −log a_n for every class n: the loss that the example would have if n were
                     true. The loss is one of them, `terms[target]`
    logsumexp        log Σ exp(z_n)
    loss_from_logits the same loss as −z_y + log Σ exp(z_n). It has fewer correct digits than
                     `before.loss` where the two almost cancel
    gradient         ∂J/∂z = a − onehot(y)
    gradient_sum     Σ ∂J/∂z_n: 0, up to rounding
    gradient_by_probability  ∂J/∂a_y = −1/a_y. J depends on no other probability: ∂J/∂a_n = 0
    jacobian_row     ∂a_y/∂z_n = a_y·(1[n = y] − a_n); times ∂J/∂a_y it is the gradient
    step             the size of the descent step
    after            the outputs after it: z − step·∂J/∂z
    path             the outputs along more of these steps; None where there is nothing to follow
    predicted        the first class with the largest logit; None where there is no softmax
    rank             1 + the number of classes with a larger logit than the true one; 0 where there
                     is no softmax
    uniform_loss     ln of `choices`, the loss of a uniform guess; ln C where no class is masked out
    layer            the linear layer that made the logits, where it was given
    classes          the names of the classes, or None
    first_class      the number of the first class in the caller's labels
    """

    before: State
    target: int
    largest: float
    shifted: Vector
    exponentials: Vector
    denominator: float
    terms: Vector
    logsumexp: float
    loss_from_logits: float
    gradient: Vector
    gradient_sum: float
    gradient_by_probability: float
    jacobian_row: Vector
    step: float
    after: State
    path: Path | None
    predicted: int | None
    rank: int
    uniform_loss: float
    layer: Layer | None = None
    classes: tuple[str, ...] | None = None
    first_class: int = 0

    @property
    def defined(self) -> bool:
        """Whether the row has a softmax: no NaN, no +inf, and not −inf alone."""
        return self.predicted is not None

    @property
    def bits(self) -> float:
        """The loss in bits, J / ln 2.

        >>> from softmaxloss.explanation import explain
        >>> explain([0.0, 0.0, 0.0, 0.0], 1).bits
        2.0
        """
        return self.before.loss / math.log(2.0)

    @property
    def choices(self) -> int:
        """How many classes there are to choose from: all but those masked out by a logit of −inf;
        the true one is not masked out by that, but has no chance."""
        return choices(self.before.logits, self.target)

    def strongest(self, count: int) -> list[int]:
        """The positions of at most `count` classes, the largest logit first.

        The true class is always among them. Logits that are NaN or +inf come before all others.

        >>> from softmaxloss.explanation import explain
        >>> explain([0.0, 3.0, 2.0, 1.0], 0).strongest(3)
        [1, 2, 0]
        """
        return strongest(self.before.logits, self.target, count)

    def remarks(self) -> list[str]:
        """What is unusual about this example, each in a sentence; for most there is nothing.

        >>> from softmaxloss.explanation import explain
        >>> explain([0.0, -math.inf], 1).remarks()[0]
        'The logit of the true class is -inf: it has no chance at all, and the loss is infinite.'
        """
        return remarks(self)

    def push(self) -> str:
        """Which outputs descent pushes where, and why, in sentences; true of this example.

        >>> from softmaxloss.explanation import explain
        >>> explain([1000.0, 0.0], 0).push()
        'Every derivative is 0: the true class has all the probability, and nothing is pushed.'
        """
        i = self.number(self.target)
        if not self.gradient.any():
            return (
                "Every derivative is 0: the true class has all the probability, and nothing is "
                "pushed."
            )
        z = self.before.logits
        masked = bool((np.delete(z, self.target) == -math.inf).any())
        true = (
            f"a_{i} − 1 is negative: the true output is pushed up"
            if z[self.target] > -math.inf
            else f"a_{i} − 1 is −1, but no step moves an output away from −inf"
        )
        but = ", but for classes that are masked out" if masked else ""
        end = (
            "The derivatives sum to 0: the true output goes up by as much as all the others "
            "together go down."
            if z[self.target] > -math.inf
            else "The derivatives sum to 0 all the same."
        )
        return (
            f"Descent moves each output against its derivative. {true}. a_n is positive{but}: "
            f"every other output is pushed down, the likelier the harder. {end}"
        )

    def ask(self, id: str) -> Answer:
        """One question of `softmaxloss.explanation.QUESTIONS`, answered for this example. Raises
        OptionError for another id.

        >>> from softmaxloss.explanation import explain
        >>> explain([2.0, 1.0, 0.1, -1.2], 2).ask("others-learn").title
        'How do the other outputs learn, if only −log a_y is counted?'
        """
        from .questions import ask

        return ask(self, id)

    def answers(self) -> list[Answer]:
        """All questions, answered for this example."""
        from .questions import answers

        return answers(self)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings that any JSON writer takes.

        NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity", "-Infinity"
        (`float()` reads them back). `target` and `predicted` are in the caller's numbering, the
        classes of the path are positions from 0.
        """
        return {
            "schema": "softmaxloss.explanation",
            "version": 1,
            "classes": None if self.classes is None else list(self.classes),
            "first_class": self.first_class,
            "target": self.number(self.target),
            "predicted": None if self.predicted is None else self.number(self.predicted),
            "rank": self.rank,
            "logits": jsonable(self.before.logits),
            "largest": jsonable(self.largest),
            "shifted": jsonable(self.shifted),
            "exponentials": jsonable(self.exponentials),
            "denominator": jsonable(self.denominator),
            "probabilities": jsonable(self.before.probabilities),
            "terms": jsonable(self.terms),
            "logsumexp": jsonable(self.logsumexp),
            "loss": jsonable(self.before.loss),
            "loss_from_logits": jsonable(self.loss_from_logits),
            "bits": jsonable(self.bits),
            "uniform_loss": jsonable(self.uniform_loss),
            "gradient": jsonable(self.gradient),
            "gradient_sum": jsonable(self.gradient_sum),
            "gradient_by_probability": jsonable(self.gradient_by_probability),
            "jacobian_row": jsonable(self.jacobian_row),
            "step": self.step,
            "after": plain_state(self.after),
            "path": None if self.path is None else self.path.to_dict(),
            "layer": None if self.layer is None else self.layer.to_dict(),
            "remarks": self.remarks(),
            "answers": [asdict(answer) for answer in self.answers()],
        }

    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        width: the columns that it may take; tables take more where the numbers need it.
        color: with ANSI colours.
        """
        from .text import render  # loads rich, which `import softmaxloss` must not

        return render(self, width=width, color=color)

    def to_html(self) -> str:
        """The explanation as a page: one file of HTML that is complete by itself, and in which the
        outputs can be changed. Nothing in it is fetched from anywhere."""
        from .page import to_html

        return to_html(self)

    def to_fragment(self) -> str:
        """The page for a place among other things, as in a notebook: without head and script."""
        from .page import fragment

        return fragment(self)


def choices(z: Vector, y: int) -> int:
    """How many classes are not masked out.

    >>> choices(np.array([0.0, -np.inf, 1.0]), 0)
    2
    """
    return int(np.count_nonzero(z != -math.inf)) + int(z[y] == -math.inf)


def strongest(z: Vector, y: int, count: int) -> list[int]:
    """The positions of at most `count` classes, the largest logit first, y among them.

    >>> strongest(np.array([0.0, 3.0, 2.0, 1.0]), 0, 3)
    [1, 2, 0]
    """
    z = np.where(np.isnan(z), math.inf, z)
    order = np.argsort(-z, kind="stable")[:count].tolist()
    if y not in order:
        order[-1] = y
    return [int(n) for n in order]


def frozen(array: Any) -> Vector:
    """A copy that is read-only."""
    copy: Vector = np.array(array, dtype=np.float64)
    copy.flags.writeable = False
    return copy


def class_names(classes: Any, count: int) -> tuple[str, ...] | None:
    """The checked names of `count` classes; None stays None.

    >>> class_names(["cat", "dog"], 2)
    ('cat', 'dog')
    """
    if classes is None:
        return None
    if isinstance(classes, str):
        raise TypeError("classes must be a sequence of names, got one string; write ['cat', 'dog']")
    if isinstance(classes, set | frozenset | dict):
        raise TypeError(f"classes must be in order, got a {type(classes).__name__}")
    try:
        names = tuple(classes)
    except TypeError:
        raise TypeError(
            f"classes must be a sequence of names, got {type(classes).__name__}"
        ) from None
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"class names must be strings, got {name!r}")
    if len(names) != count:
        raise OptionError(f"there are {len(names)} class names for {count} logits")
    return names


def whole_number(name: str, value: Any) -> int:
    """A checked count.

    >>> whole_number("steps", np.int8(3))
    3
    """
    try:
        number = -1 if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise OptionError(f"{name} must be a whole number, 0 or more, got {value!r}")
    return number


def plain_state(state: State) -> dict[str, Any]:
    """A state as JSON can hold it."""
    return {
        "logits": jsonable(state.logits),
        "probabilities": jsonable(state.probabilities),
        "loss": jsonable(state.loss),
    }
