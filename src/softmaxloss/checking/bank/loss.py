"""Mistakes in the loss of an example, and in how the losses of a batch are combined."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..inputs import sequence_shape
from ..reference import Shape, losses
from .log import EPSILONS, both_sides, guarded
from .mistake import Array, wrong_step


def picked(values: Array, q: Array) -> Array:
    return np.where(q != 0, q * values, 0.0).sum(axis=1)


def hinge(a: Array, log_a: Array, q: Array) -> Array:
    """Computed from log a, whose differences are those of the outputs."""
    margins = np.maximum(0, log_a - picked(log_a, q)[:, None] + 1)
    return (margins * (q == 0)).sum(axis=1)


def accuracy(a: Array, log_a: Array, q: Array) -> Array:
    return (a.argmax(axis=1) == q.argmax(axis=1)).astype(float)


def true_class_left_out(a: Array, log_a: Array, q: Array) -> Array:
    """log Σ exp z_n over the other classes, minus z_y."""
    others = np.logaddexp.reduce(np.where(q == 0, log_a, -np.inf), axis=1)
    return others - picked(log_a, q)


def label_as_row(a: Array, log_a: Array, q: Array) -> Array:
    """−log a[y]: the rows of that number, with all classes; an error if there is no such row."""
    return -log_a[q.argmax(axis=1)].sum(axis=1)


def swapped(change: Callable[[Array, Any], Array], epsilon: float) -> Callable[..., Array]:
    """−Σ a·log q, with an ε that keeps log q finite."""
    return lambda a, log_a, q: -(a * np.log(change(q, a.dtype.type(epsilon) or np.nan))).sum(axis=1)


def binary() -> Iterator[Callable[..., Array]]:
    """The binary cross-entropy: as it is, with 0 for NaN, with an ε in each log, and of clipped
    probabilities."""

    yield lambda a, log_a, q: -(np.where(q == 0, np.log1p(-a), q * log_a)).sum(axis=1)
    yield partial(_binary_of, np.positive, False)
    yield lambda a, log_a, q: np.nan_to_num(-q * np.log(a) - (1 - q) * np.log(1 - a)).sum(axis=1)
    for epsilon in EPSILONS[:10]:
        for change in (np.add, both_sides):
            yield partial(_binary_of, guarded(change, epsilon), False)
            yield partial(_binary_of, guarded(change, epsilon), True)


def _binary_of(
    change: Callable[[Array], Array], first: bool, a: Array, log_a: Array, q: Array
) -> Array:
    """With a changed in both logs; first: before it is subtracted from 1."""
    other = 1 - change(a) if first else change(1 - a)
    return -(q * np.log(change(a)) + (1 - q) * np.log(other)).sum(axis=1)


def divided_in_the_loop(J: Array, shape: Shape) -> Any:
    total = 0.0
    for one in J:
        total = (total + one) / shape[0]
    return total


# In each entry the last argument is the wrong step: of the probabilities a, their log and the
# target q, or of the losses J of the examples and the shape (N, C).
_loss = partial(
    wrong_step, "losses", fixes=("J = -np.log(a[np.arange(N), y])", "loss -= np.log(a[i, y[i]])")
)
_mean = partial(wrong_step, "reduce", fixes=("J.mean()", "loss /= N, once, after the loop"))
ONE_HOT_SUM = "J = -(q * log_a).sum(axis=1), with q one-hot"
NATURAL_LOG = "np.log, the natural logarithm"

MISTAKES = [
    _loss(
        "no-minus",
        "the minus before the log is missing",
        "log a_y is negative: gradient descent would make the true class less likely.",
        lambda a, log_a, q: -losses(a, log_a, q),
    ),
    _loss(
        "minus-probability",
        "−a_y: the log is missing",
        "The loss is −log a_y; −a_y hardly changes where the model is most wrong.",
        lambda a, log_a, q: -picked(a, q),
    ),
    _loss(
        "probability",
        "a_y is returned as the loss",
        "A loss decreases when the model improves; the probability increases.",
        lambda a, log_a, q: picked(a, q),
    ),
    _loss(
        "one-minus-probability",
        "1 − a_y",
        "That is the probability of being wrong, not a log: it is never greater than 1.",
        lambda a, log_a, q: 1 - picked(a, q),
    ),
    _loss(
        "log-of-one-minus-a",
        "−log(1 − a_y)",
        "That would be the loss if the class were not the true one.",
        lambda a, log_a, q: -picked(np.log1p(-a), q),
    ),
    _loss(
        "all-classes",
        "−log a is summed over all classes",
        "Only the true class has a term: the others are multiplied by 0.",
        lambda a, log_a, q: -log_a.sum(axis=1),
        fix=ONE_HOT_SUM,
    ),
    _loss(
        "other-classes",
        "−log a is summed over the other classes",
        "The term belongs to the true class; the others have none.",
        lambda a, log_a, q: -picked(log_a, 1.0 - q),
        fix=ONE_HOT_SUM,
    ),
    _loss(
        "binary-cross-entropy",
        "the other classes add −log(1 − a_n)",
        "That is the binary cross-entropy for a sigmoid per class. Softmax has the one term "
        "−log a_y: the other classes are in its denominator.",
        *binary(),
        # Its mean over all entries.
        *({"losses": one, "reduce": lambda J, shape: J.mean() / shape[1]} for one in binary()),
        fix="J = -(q * log_a).sum(axis=1)",
    ),
    _loss(
        "true-class-left-out",
        "the true class is left out of the sum of the exponentials",
        "The sum is over all classes: without the true one the loss can be negative.",
        true_class_left_out,
        fix="np.log(np.exp(z).sum(axis=1)) - z[np.arange(N), y]   # and subtract the maximum",
        loop="for k in range(C): total += np.exp(z[i, k])   # k == y[i] too",
    ),
    _loss(
        "label-as-row",
        "a[y] instead of a[np.arange(N), y]",
        "a[y] takes rows: the rows y of the batch, with all their classes.",
        label_as_row,
        lambda a, log_a, q: label_as_row(a, log_a, q) / a.shape[1],
        fix="J = -np.log(a[np.arange(N), y])",
        loop="loss -= np.log(a[i, y[i]])",
    ),
    _loss(
        "arguments-swapped",
        "−Σ a·log q: the label and the prediction are swapped",
        "The log is taken of the prediction: −Σ q·log a. The log of a one-hot label is −∞.",
        *(swapped(change, epsilon) for epsilon in EPSILONS for change in (np.add, both_sides)),
        fix=ONE_HOT_SUM,
    ),
    _loss(
        "entropy",
        "−Σ a log a: the entropy of the prediction",
        "The loss depends on the label: −Σ q log a.",
        lambda a, log_a, q: -(np.where(a > 0, a * log_a, 0.0)).sum(axis=1),
        fix="J = -(q * log_a).sum(axis=1), with q from the label",
    ),
    _loss(
        "squared-error",
        "Σ (a − q)²",
        "That is the Brier score. Its gradient vanishes where the model is most wrong.",
        lambda a, log_a, q: ((a - q) ** 2).sum(axis=1),
    ),
    _loss(
        "half-squared-error",
        "½ Σ (a − q)²",
        "That is half the Brier score. Its gradient vanishes where the model is most wrong.",
        lambda a, log_a, q: ((a - q) ** 2).sum(axis=1) / 2,
    ),
    _loss(
        "mean-squared-error",
        "the mean of (a − q)² over the classes",
        "That is the mean squared error. Its gradient vanishes where the model is most wrong.",
        lambda a, log_a, q: ((a - q) ** 2).mean(axis=1),
    ),
    _loss(
        "loss-of-the-prediction",
        "−log of the largest probability, whatever the label",
        "The label decides which term counts.",
        lambda a, log_a, q: -log_a.max(axis=1),
    ),
    _loss(
        "log-of-one-plus-a",
        "−log(1 + a_y)",
        "log1p is for the denominator 1 + S, not for the probability.",
        lambda a, log_a, q: -picked(np.log1p(a), q),
    ),
    _loss(
        "focal",
        "the focal loss, (1 − a_y)²·(−log a_y)",
        "It gives less weight to examples that are already classified well.",
        lambda a, log_a, q: -picked((1 - a) ** 2 * log_a, q),
        kind="convention",
    ),
    _loss(
        "zero-for-underflow",
        "the loss is 0 where the probability underflows to 0",
        "There the model is most wrong, and the loss must be largest.",
        lambda a, log_a, q: picked(np.where(a > 0, -np.log(a), 0.0), q),
        fix="use log softmax, z - m - log Σ exp(z - m): it is finite",
    ),
    _loss(
        "zero-times-log-zero",
        "the log of 0 is multiplied by 0",
        "Where another probability underflows to 0 the one-hot sum contains 0 · −∞, which is NaN.",
        # A plain product: 0 · −∞ is NaN.
        {"log": lambda a, log_a: np.log(a), "losses": lambda a, log_a, q: -(q * log_a).sum(axis=1)},
        fix="use log softmax, z - m - log Σ exp(z - m); or index: np.log(a[np.arange(N), y])",
        kind="weakness",
    ),
    _loss(
        "hinge",
        "Σ max(0, z_n − z_y + 1): the hinge loss",
        "That is the loss of a support vector machine; it uses no probabilities.",
        hinge,
    ),
    _loss(
        "accuracy",
        "the share of examples that are classified correctly",
        "Its gradient is 0: a small change of the outputs does not change it.",
        accuracy,
    ),
    _loss(
        "error-rate",
        "the share of examples that are classified wrongly",
        "Its gradient is 0: a small change of the outputs does not change it.",
        lambda a, log_a, q: 1 - accuracy(a, log_a, q),
    ),
    _loss(
        "doubled",
        "twice the loss",
        "The loss is −log a_y, without a factor 2.",
        lambda a, log_a, q: 2 * losses(a, log_a, q),
    ),
    _loss(
        "times-the-label",
        "the loss is multiplied by the number of the class",
        "The label chooses a probability; it is not a factor. Use one-hot labels, or an index.",
        lambda a, log_a, q: q.argmax(axis=1) * losses(a, log_a, q),
        lambda a, log_a, q: -q.argmax(axis=1) * log_a.sum(axis=1),
    ),
    _loss(
        "halved",
        "half the loss",
        "The factor ½, or 1/(2N), belongs to a squared error.",
        lambda a, log_a, q: losses(a, log_a, q) / 2,
    ),
    _loss(
        "bits",
        "log base 2",
        "The loss in bits is 1/ln 2 times the loss in nats; its gradient has that factor too.",
        lambda a, log_a, q: losses(a, log_a, q) / np.log(2.0),
        fix=NATURAL_LOG,
        kind="convention",
    ),
    _loss(
        "log10",
        "log base 10",
        "Frameworks and formulas use the natural logarithm.",
        lambda a, log_a, q: losses(a, log_a, q) / np.log(10.0),
        fix=NATURAL_LOG,
    ),
    _mean(
        "sum",
        "the sum over the examples, not the mean",
        "The size of a step then depends on the number of examples.",
        lambda J, shape: J.sum(),
        kind="convention",
    ),
    _mean(
        "mean-over-sequences",
        "the losses of each sequence are added, and the mean is taken over the sequences",
        "The size of a step then depends on the length of the sequences.",
        lambda J, shape: J.sum() / sequence_shape(shape[0])[0],
        kind="convention",
    ),
    _mean(
        "a-loss-for-each",
        "one loss per example, not their mean",
        'That is reduction="none".',
        # An array of one loss would be read as a scalar.
        lambda J, shape: J if len(J) > 1 else J[0],
        kind="convention",
    ),
    _mean(
        "perplexity",
        "exp of the mean loss",
        "That is the perplexity.",
        lambda J, shape: np.exp(J.mean()),
        kind="convention",
    ),
    _mean(
        "mean-over-classes-too",
        "the mean is taken over the classes as well",
        "A mean of −q·log a over all N·C entries also divides by C.",
        lambda J, shape: J.mean() / shape[1],
        fix="-(q * log_a).sum(axis=1).mean()",
    ),
    _mean(
        "divided-twice",
        "the loss is divided by the number of examples twice",
        "The mean has already divided by N.",
        lambda J, shape: J.mean() / shape[0],
    ),
    _mean(
        "times-n",
        "the sum is multiplied by the number of examples",
        "A mean divides by N.",
        lambda J, shape: J.sum() * shape[0],
    ),
    _mean(
        "divided-by-classes",
        "the sum is divided by the number of classes, not of examples",
        "z.shape[0] is the number of examples, z.shape[1] the number of classes.",
        lambda J, shape: J.sum() / shape[1],
        fix="J.sum() / z.shape[0]",
    ),
    _mean(
        "divided-by-n-minus-1",
        "the sum is divided by N − 1",
        "N − 1 is for a variance; a mean divides by N.",
        lambda J, shape: J.sum() / max(shape[0] - 1, 1),
    ),
    _mean(
        "divided-by-n-plus-1",
        "the sum is divided by N + 1",
        "A mean divides by the number of examples, N.",
        lambda J, shape: J.sum() / (shape[0] + 1),
    ),
    _mean(
        "floor-divided",
        "//= for /=",
        "// rounds down to a whole number.",
        lambda J, shape: J.sum() // shape[0],
        fix="loss /= N",
    ),
    _mean(
        "divided-in-the-loop",
        "the loss is divided by N inside the loop over the examples",
        "Earlier examples are divided again and again. Divide once, after the loop.",
        divided_in_the_loop,
        fix="loss /= N, once, after the loop",
    ),
    _mean(
        "log-of-the-mean",
        "−log of the mean probability, not the mean of −log",
        "The log is taken per example: a very wrong prediction must cost much.",
        lambda J, shape: -np.log(np.exp(-J).mean()),
        lambda J, shape: -np.log(np.exp(-J).sum()),
        lambda J, shape: -np.log(np.exp(-J).sum()) / shape[0],
        fix="-np.log(a[np.arange(N), y]).mean()",
    ),
    _mean(
        "largest-loss",
        "the largest loss of the batch",
        "The loss of a batch is the mean.",
        lambda J, shape: J.max(),
    ),
    _mean(
        "median-loss",
        "the median of the losses",
        "The loss of a batch is the mean.",
        lambda J, shape: np.median(J),
    ),
    _mean(
        "last-example-only",
        "the loss of the last example only",
        "A loop that assigns where it should add keeps the last loss.",
        lambda J, shape: J[-1],
        lambda J, shape: J[-1] / shape[0],
        fix="loss += J_i   # not loss = J_i",
    ),
    _mean(
        "first-example-only",
        "the loss of the first example only",
        "A return inside the loop ends it after the first example.",
        lambda J, shape: J[0],
        lambda J, shape: J[0] / shape[0],
        fix="return after the loop",
    ),
    _mean(
        "last-example-left-out",
        "the last example is left out",
        "A range that ends at N − 1 does not reach example N − 1.",
        lambda J, shape: J[:-1].sum() / shape[0],
        lambda J, shape: J[:-1].sum() / max(shape[0] - 1, 1),
        fix="range(N)",
    ),
    _mean(
        "first-example-left-out",
        "the first example is left out",
        "Examples count from 0: a loop that starts at 1 leaves example 0 out.",
        lambda J, shape: J[1:].sum() / shape[0],
        lambda J, shape: J[1:].sum() / max(shape[0] - 1, 1),
        fix="range(N)",
    ),
    _mean(
        "root-mean-square",
        "the root of the mean square of the losses",
        "The loss of a batch is the mean.",
        lambda J, shape: np.sqrt((J**2).mean()),
    ),
]
