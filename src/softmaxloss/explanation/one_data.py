"""One example as data: every number that an explanation shows, and how it is computed."""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import formula
from ..api import cross_entropy, cross_entropy_with_grad, score
from .data import Data, State, Vector, as_json, frozen, listed, state, strongest

ENOUGH = 0.99  # a path ends where the true class has this probability
ROUNDING = 1e-12  # relative; two probabilities that differ by less are taken as equal
LARGE = 100_000  # weights of a layer, above which its matrices are not written to JSON


@dataclass(frozen=True, eq=False)
class Path:
    """Gradient descent step after step, z ← z − step·∂J/∂z.

    Attributes:
        steps: (K,) the number of steps taken at each row below: 0, 1, 2, 5, 10, 20, 50, … and the
            last.
        loss: (K,) J in nats.
        target_probability: (K,) a_y.
        classes: (S,) the positions of the recorded classes: all of up to 12, else the strongest 12.
        logits: (K, S) z.
        probabilities: (K, S) a.
        reached: whether a_y reached 0.99.
    """

    steps: NDArray[np.int64]
    loss: Vector
    target_probability: Vector
    classes: NDArray[np.int64]
    logits: Vector
    probabilities: Vector
    reached: bool


@dataclass(frozen=True, eq=False)
class Layer:
    """The linear layer that computed the logits, z = W·x + b, and one step of descent on it.

    Attributes:
        features: (D,) x.
        weight: (C, D) W.
        bias: (C,) b, or None.
        gradient: (C,) ∂J/∂z, the upstream gradient of the layer.
        step: the size of the step.
        target: the position of the true class.
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
        """How far z moves per unit of −step·∂J/∂z: ‖x‖², plus 1 with a bias."""
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
        return state(z, cross_entropy(z, self.target))

    def to_dict(self) -> dict[str, Any]:
        """The layer as lists and numbers for JSON.

        Matrices of more than 100 000 numbers are left out: W is known to the caller, and ∂J/∂W is
        an outer product.
        """
        names = ["features", "weight", "bias", "gradient_by_weight", "weight_after", "bias_after"]
        matrices = {"weight", "gradient_by_weight", "weight_after"}
        left_out = matrices if self.weight.size > LARGE else set()
        return {
            name: None if name in left_out else as_json(getattr(self, name))
            for name in [*names, "gain", "after"]
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ExampleData(Data):
    """The loss of one example, explained. Made by `explain`.

    Arrays are read-only, float64, of shape (C,), in the order of the classes; losses are in nats.
    `target` and `predicted` are positions in these arrays, counted from 0; `number` gives the
    number of a class in the caller's labels.

    Attributes:
        before: the outputs as given: `.logits`, `.probabilities`, `.loss`.
        target: y, the true class.
        largest: m, the largest logit.
        shifted: z − m: a common offset changes no result, and exp cannot overflow.
        exponentials: exp(z − m), each in [0, 1].
        denominator: Σ exp(z_n − m); a_n = exponentials[n] / denominator.
        terms: −log a_n for every class n: the loss of the example if n were true. The loss is
            `terms[target]`.
        logsumexp: log Σ exp(z_n).
        loss_from_logits: the loss as −z_y + log Σ exp(z_n). It has fewer correct digits than
            `before.loss` where the two terms nearly cancel.
        gradient: ∂J/∂z = a − onehot(y).
        gradient_sum: Σ ∂J/∂z_n: 0, up to rounding.
        gradient_by_probability: ∂J/∂a_y = −1/a_y. J depends on no other probability.
        jacobian_row: ∂a_y/∂z_n = a_y·(1[n = y] − a_n); times ∂J/∂a_y it is the gradient.
        step: the size of the descent step.
        after: the outputs after it: z − step·∂J/∂z.
        path: the outputs along more of these steps; None where no step is possible.
        predicted: the first class with the largest logit; None for a row without a softmax.
        rank: 1 + the number of classes with a larger logit than the true class; 0 for a row
            without a softmax.
        layer: the linear layer that computed the logits, where it was given.
        classes: the names of the classes, or None.
        first_class: the number of the first class in the caller's labels.
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
    layer: Layer | None = None

    @classmethod
    def of(
        cls,
        z: Vector,
        y: int,
        *,
        step: float,
        steps: int,
        layer: tuple[Vector, Vector, Vector | None] | None = None,
        classes: tuple[str, ...] | None = None,
        first_class: int = 0,
    ) -> Self:
        """Compute the explanation from checked arguments; `layer` is (x, W, b)."""
        loss, gradient = cross_entropy_with_grad(z, y)
        scores = score(z, y)
        before = state(z, loss)
        terms = formula.neg_log_softmax(z)
        terms[y] = loss
        defined = int(scores.rank) > 0
        largest = float(z.max()) if defined else math.nan
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            shifted = z - largest
            exponentials = np.exp(shifted)
            # 1/a_y as exp(J), which is right where a_y rounds to 0.
            by_probability = -float(np.exp(loss))
            z_after = z - step * gradient
            loss_from_logits = float(-z[y] + scores.logsumexp)
        return cls(
            before=before,
            target=y,
            largest=largest,
            shifted=frozen(shifted),
            exponentials=frozen(exponentials),
            denominator=math.fsum(exponentials) if defined else math.nan,
            terms=frozen(terms),
            logsumexp=float(scores.logsumexp),
            loss_from_logits=loss_from_logits,
            gradient=frozen(gradient),
            gradient_sum=math.fsum(gradient) if defined else math.nan,
            gradient_by_probability=by_probability,
            # a_y·(1[n = y] − a_n), without its cancellation
            jacobian_row=frozen(-before.probabilities[y] * gradient),
            step=step,
            after=state(z_after, cross_entropy(z_after, y)),
            path=_path(z, y, step, steps) if defined and z[y] > -math.inf else None,
            predicted=int(scores.predicted) if defined else None,
            rank=int(scores.rank),
            layer=None if layer is None else Layer(*layer, frozen(gradient), step, y),
            classes=classes,
            first_class=first_class,
        )

    @property
    def defined(self) -> bool:
        """Whether the row has a softmax: no NaN, no +inf, and not only −inf."""
        return self.predicted is not None

    @property
    def strongest_other(self) -> int:
        """The position of the first class with the largest logit among those that are not true."""
        z = self.before.logits.copy()
        z[self.target] = -math.inf
        best = int(np.argmax(z))
        return best if best != self.target else int(self.target == 0)

    @property
    def rising(self) -> list[int]:
        """The wrong classes whose probability the step raises, the largest rise first.

        Their logits fall, but that of the strongest wrong class falls by more.

        >>> from softmaxloss import explain
        >>> explain([2.0, 1.0, 0.1, -1.2], 2).rising
        [1, 3]
        """
        before, after = self.before.probabilities, self.after.probabilities
        rises = (after > before * (1 + ROUNDING)) & (self.after.logits < self.before.logits)
        rises[self.target] = False
        rise = np.where(rises, after - before, 0.0)
        return [int(n) for n in np.argsort(-rise, kind="stable")[: np.count_nonzero(rise)]]

    @property
    def bits(self) -> float:
        """The loss in bits, J / ln 2.

        >>> from softmaxloss import explain
        >>> explain([0.0, 0.0, 0.0, 0.0], 1).bits
        2.0
        """
        return self.before.loss / math.log(2.0)

    @property
    def choices(self) -> int:
        """The number of classes that are not masked out by a logit of −inf; the true class always
        counts."""
        z = self.before.logits
        return int(np.count_nonzero(z != -math.inf)) + int(z[self.target] == -math.inf)

    @property
    def uniform_loss(self) -> float:
        """ln of `choices`, the loss of a uniform guess; ln C where no class is masked."""
        return math.log(self.choices)

    def strongest(self, count: int) -> list[int]:
        """The positions of at most `count` classes, the largest logit first.

        The true class is always among them. Logits that are NaN or +inf come first.

        >>> from softmaxloss import explain
        >>> explain([0.0, 3.0, 2.0, 1.0], 0).strongest(3)
        [1, 2, 0]
        """
        return strongest(self.before.logits, self.target, count)

    def listed(self) -> list[int]:
        """The positions of the classes that tables list: all of up to 12, else the strongest 12."""
        return listed(self.before.logits, self.target)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as lists, numbers and strings for JSON."""
        names = [field.name for field in fields(self) if field.name not in ("before", "layer")]
        return {
            "schema": "softmaxloss.explanation",
            "version": 1,
            **as_json(self.before),
            **{name: as_json(getattr(self, name)) for name in [*names, "bits", "uniform_loss"]},
            "target": self.number(self.target),
            "predicted": None if self.predicted is None else self.number(self.predicted),
            "layer": None if self.layer is None else self.layer.to_dict(),
        }


def _path(z: Vector, y: int, step: float, steps: int) -> Path:
    """Descent from z, at most so many steps."""
    classes = listed(z, y)
    recorded = []
    kept = {0, steps} | {n * 10**k for n in (1, 2, 5) for k in range(len(str(steps)))}
    taken = 0
    while True:
        loss, gradient = cross_entropy_with_grad(z, y)
        a_y = math.exp(-loss)
        with np.errstate(over="ignore", invalid="ignore"):
            z_after = z - step * gradient
        # Where float64 shows no change, or the numbers overflow, no later step would differ.
        stuck = bool((z_after == z).all()) or not np.isfinite(z_after[y])
        last = a_y >= ENOUGH or stuck or taken >= steps
        if last or taken in kept:
            recorded.append((taken, loss, a_y, z[classes], formula.softmax(z)[classes]))
        if last:
            break
        z, taken = z_after, taken + 1
    at, losses, of_target, logits, probabilities = zip(*recorded, strict=True)
    return Path(
        steps=frozen(at, np.int64),
        loss=frozen(losses),
        target_probability=frozen(of_target),
        classes=frozen(classes, np.int64),
        logits=frozen(logits),
        probabilities=frozen(probabilities),
        reached=a_y >= ENOUGH,
    )
