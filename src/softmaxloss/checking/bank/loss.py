"""Mistakes in the loss of an example, and in what is made of the losses of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..steps import losses
from .mistake import Mistake
from .softmax import log_of_underflow

__all__ = ["MISTAKES"]

Array = Any  # NDArray, whose operators mypy takes for Any themselves
Shape = tuple[int, int]
FIX = "J = -np.log(a[np.arange(N), y])"


def picked(values: Array, q: Array) -> Array:
    return np.asarray(np.where(q != 0, q * values, 0.0).sum(axis=1))


def no_minus(a: Array, log_a: Array, q: Array) -> Array:
    return -losses(a, log_a, q)


def minus_probability(a: Array, log_a: Array, q: Array) -> Array:
    return -picked(a, q)


def probability(a: Array, log_a: Array, q: Array) -> Array:
    return picked(a, q)


def one_minus_probability(a: Array, log_a: Array, q: Array) -> Array:
    return 1 - picked(a, q)


def log_of_the_rest(a: Array, log_a: Array, q: Array) -> Array:
    return -picked(np.log1p(-a), q)


def all_log_a(a: Array, log_a: Array, q: Array) -> Array:
    return -log_a.sum(axis=1)


def others(a: Array, log_a: Array, q: Array) -> Array:
    return -picked(log_a, 1.0 - q)


def binary(a: Array, log_a: Array, q: Array) -> Array:
    return -(np.where(q == 0, np.log1p(-a), q * log_a)).sum(axis=1)


def entropy(a: Array, log_a: Array, q: Array) -> Array:
    return -(np.where(a > 0, a * log_a, 0.0)).sum(axis=1)


def brier(a: Array, log_a: Array, q: Array) -> Array:
    return np.asarray(((a - q) ** 2).sum(axis=1))


def half_brier(a: Array, log_a: Array, q: Array) -> Array:
    return brier(a, log_a, q) / 2


def mean_brier(a: Array, log_a: Array, q: Array) -> Array:
    return np.asarray(((a - q) ** 2).mean(axis=1))


def of_the_prediction(a: Array, log_a: Array, q: Array) -> Array:
    return np.asarray(-log_a.max(axis=1))


def log1p(a: Array, log_a: Array, q: Array) -> Array:
    return -picked(np.log1p(a), q)


def focal(a: Array, log_a: Array, q: Array) -> Array:
    return -picked((1 - a) ** 2 * log_a, q)


def doubled(a: Array, log_a: Array, q: Array) -> Array:
    return 2 * losses(a, log_a, q)


def bits(a: Array, log_a: Array, q: Array) -> Array:
    return losses(a, log_a, q) / np.log(2.0)


def log10(a: Array, log_a: Array, q: Array) -> Array:
    return losses(a, log_a, q) / np.log(10.0)


def zero_for_underflow(a: Array, log_a: Array, q: Array) -> Array:
    return picked(np.where(a > 0, -np.log(a), 0.0), q)


def all_multiplied(a: Array, log_a: Array, q: Array) -> Array:
    return -(q * log_a).sum(axis=1)  # 0 · −∞ is NaN


def hinge(a: Array, log_a: Array, q: Array) -> Array:
    """Of the outputs, whose differences are those of the logs."""
    margins = np.maximum(0, log_a - picked(log_a, q)[:, None] + 1)
    return np.asarray((margins * (q == 0)).sum(axis=1))


def hits(a: Array, log_a: Array, q: Array) -> Array:
    return (a.argmax(axis=1) == q.argmax(axis=1)).astype(float)


def misses(a: Array, log_a: Array, q: Array) -> Array:
    return 1 - hits(a, log_a, q)


def perplexity(J: Array, shape: Shape) -> Any:
    return np.exp(J.mean())


def total(J: Array, shape: Shape) -> Any:
    return J.sum()


def each(J: Array, shape: Shape) -> Any:
    return J if len(J) > 1 else J[0]  # one loss in an array is taken for a scalar


def mean_over_classes_too(J: Array, shape: Shape) -> Any:
    return J.mean() / shape[1]


def divided_twice(J: Array, shape: Shape) -> Any:
    return J.mean() / shape[0]


def times_n(J: Array, shape: Shape) -> Any:
    return J.sum() * shape[0]


def over_classes(J: Array, shape: Shape) -> Any:
    return J.sum() / shape[1]


def divided_by_n_minus_1(J: Array, shape: Shape) -> Any:
    return J.sum() / max(shape[0] - 1, 1)


def largest(J: Array, shape: Shape) -> Any:
    return J.max()


def median(J: Array, shape: Shape) -> Any:
    return np.median(J)


def log_of_mean(J: Array, shape: Shape) -> Any:
    return -np.log(np.exp(-J).mean())


def first_over_n(J: Array, shape: Shape) -> Any:
    return J[0] / shape[0]


def last_over_n(J: Array, shape: Shape) -> Any:
    return J[-1] / shape[0]


def last(J: Array, shape: Shape) -> Any:
    return J[-1]


def first(J: Array, shape: Shape) -> Any:
    return J[0]


def without_the_last(J: Array, shape: Shape) -> Any:
    return J[:-1].sum() / shape[0]


def root(J: Array, shape: Shape) -> Any:
    return np.sqrt((J**2).mean())


def _loss(id: str, title: str, why: str, step: Any, fix: str = FIX, **rest: Any) -> Mistake:
    return Mistake(id, title, why, fix, steps={"losses": step}, **rest)


def _mean(id: str, title: str, why: str, step: Any, fix: str = "J.mean()", **rest: Any) -> Mistake:
    return Mistake(id, title, why, fix, steps={"reduce": step}, **rest)


MISTAKES = [
    _loss(
        "no-minus",
        "the minus before the log is missing",
        "log a_y is negative: descent would make the true class less likely.",
        no_minus,
    ),
    _loss(
        "minus-probability",
        "−a_y: the log is missing",
        "The loss is the log of the probability; −a_y hardly moves where the model is most wrong.",
        minus_probability,
    ),
    _loss(
        "probability",
        "a_y is returned as the loss",
        "A loss gets smaller where the model gets better; the probability gets larger.",
        probability,
    ),
    _loss(
        "one-minus-probability",
        "1 − a_y",
        "That is the chance to be wrong, and not its log: it is bounded by 1.",
        one_minus_probability,
    ),
    _loss(
        "log-of-one-minus-a",
        "−log(1 − a_y)",
        "That is the loss if the class were not the true one.",
        log_of_the_rest,
    ),
    _loss(
        "all-classes",
        "−log a is summed over all classes",
        "Only the true class has a term: the others have the factor 0.",
        all_log_a,
        fix="J = -(q * log_a).sum(axis=1), with q one-hot",
    ),
    _loss(
        "other-classes",
        "−log a is summed over the other classes",
        "The true class has the term, and the others have none.",
        others,
        fix="J = -(q * log_a).sum(axis=1), with q one-hot",
    ),
    _loss(
        "binary-cross-entropy",
        "the others enter as −log(1 − a_n)",
        "That is the binary cross-entropy for a sigmoid of each class. Softmax has the one term "
        "−log a_y: the others are in its denominator.",
        binary,
        fix="J = -(q * log_a).sum(axis=1)",
    ),
    _loss(
        "entropy",
        "−Σ a log a: the entropy of the prediction",
        "The label must enter: −Σ q log a.",
        entropy,
        fix="J = -(q * log_a).sum(axis=1), with q from the label",
    ),
    _loss(
        "squared-error",
        "Σ (a − q)²",
        "That is the Brier score. Its gradient vanishes where the model is most wrong.",
        brier,
    ),
    _loss(
        "half-squared-error",
        "½ Σ (a − q)²",
        "That is half the Brier score. Its gradient vanishes where the model is most wrong.",
        half_brier,
    ),
    _loss(
        "mean-squared-error",
        "the mean of (a − q)² over the classes",
        "That is the mean squared error. Its gradient vanishes where the model is most wrong.",
        mean_brier,
    ),
    _loss(
        "loss-of-the-prediction",
        "−log of the largest probability, whatever the label",
        "The label decides which term counts.",
        of_the_prediction,
    ),
    _loss(
        "log-of-one-plus-a",
        "−log(1 + a_y)",
        "log1p is for 1 + S in the denominator, not for the probability.",
        log1p,
    ),
    _loss(
        "focal",
        "the focal loss, (1 − a_y)²·(−log a_y)",
        "Another loss: it gives less weight to examples that are right already.",
        focal,
        kind="convention",
    ),
    _loss(
        "zero-for-underflow",
        "the loss is 0 where the probability has become 0",
        "There the model is most wrong, and the loss should be largest.",
        zero_for_underflow,
        fix="take log softmax, z - m - log Σ exp(z - m): it is finite",
    ),
    Mistake(
        "zero-times-log-zero",
        "0 · log 0, which is NaN",
        "Where another class's probability rounds to 0 the one-hot sum has 0 · −∞ in it: the loss "
        "is NaN, for the best predictions too.",
        "take log softmax, z - m - log Σ exp(z - m); or pick: np.log(a[np.arange(N), y])",
        kind="weakness",
        steps={"softmax": log_of_underflow, "losses": all_multiplied},
    ),
    _loss(
        "hinge",
        "Σ max(0, z_n − z_y + 1): the hinge loss",
        "That is the loss of a support vector machine: it has no probabilities in it.",
        hinge,
    ),
    _loss(
        "accuracy",
        "the share of the examples that are right",
        "It has no slope: a small step of the outputs does not change it.",
        hits,
    ),
    _loss(
        "error-rate",
        "the share of the examples that are wrong",
        "It has no slope: a small step of the outputs does not change it.",
        misses,
    ),
    _loss("doubled", "twice the loss", "There is no factor 2: −log a_y.", doubled),
    _loss(
        "bits",
        "log base 2",
        "The loss in bits, 1/ln 2 times that in nats; its gradient would have that factor too.",
        bits,
        fix="np.log, the natural logarithm",
        kind="convention",
    ),
    _loss(
        "log10",
        "log base 10",
        "Frameworks and formulas use the natural logarithm.",
        log10,
        fix="np.log, the natural logarithm",
    ),
    _mean(
        "sum",
        "the sum over the examples and not the mean",
        "Then the size of a step depends on the number of examples.",
        total,
        kind="convention",
    ),
    _mean(
        "a-loss-for-each",
        "a loss for each example, and no mean of them",
        'That is reduction="none".',
        each,
        kind="convention",
    ),
    _mean(
        "perplexity",
        "exp of the mean loss",
        "That is the perplexity.",
        perplexity,
        kind="convention",
    ),
    _mean(
        "mean-over-classes-too",
        "the mean is taken over the classes too",
        "A mean of −q·log a over all N·C entries divides by C besides.",
        mean_over_classes_too,
        fix="-(q * log_a).sum(axis=1).mean()",
    ),
    _mean(
        "divided-twice",
        "divided by the number of examples twice",
        "The mean has done it already.",
        divided_twice,
    ),
    _mean(
        "times-n",
        "multiplied by the number of examples",
        "The mean divides by N.",
        times_n,
    ),
    _mean(
        "divided-by-classes",
        "divided by the number of classes, not of examples",
        "shape[0] is the number of examples, shape[1] that of the classes.",
        over_classes,
        fix="J.sum() / z.shape[0]",
    ),
    _mean(
        "divided-by-n-minus-1",
        "divided by N − 1",
        "That is for a variance; a mean divides by N.",
        divided_by_n_minus_1,
    ),
    _mean(
        "log-of-the-mean",
        "−log of the mean probability, not the mean of −log",
        "The log is taken for each example: a very wrong one must cost much.",
        log_of_mean,
        fix="-np.log(a[np.arange(N), y]).mean()",
    ),
    _mean("largest-loss", "the largest loss of the batch", "The mean is asked for.", largest),
    _mean("median-loss", "the median of the losses", "The mean is asked for.", median),
    _mean(
        "last-example-only",
        "the loss of the last example alone",
        "A loop that assigns where it should add keeps the last one.",
        last,
        also=({"reduce": last_over_n},),
        fix="total += J_i   # and not total = J_i",
    ),
    _mean(
        "first-example-only",
        "the loss of the first example alone",
        "A return inside the loop leaves after the first example.",
        first,
        also=({"reduce": first_over_n},),
        fix="return after the loop",
    ),
    _mean(
        "last-example-left-out",
        "the last example is left out",
        "A range that ends at N − 1 does not reach example N − 1.",
        without_the_last,
        fix="range(N)",
    ),
    _mean(
        "root-mean-square",
        "the root of the mean square of the losses",
        "The mean is asked for.",
        root,
    ),
]
