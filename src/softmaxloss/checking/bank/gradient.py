"""Mistakes in the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from .mistake import Mistake

__all__ = ["MISTAKES"]

Array = Any  # NDArray, whose operators mypy takes for Any themselves
Shape = tuple[int, int]
FIX = "dz = a.copy(); dz[np.arange(N), y] -= 1; dz /= N"


def no_minus_one(a: Array, q: Array) -> Array:
    return a


def flipped(a: Array, q: Array) -> Array:
    return q - a


def true_class_only(a: Array, q: Array) -> Array:
    return (a - q) * (q != 0)


def others_only(a: Array, q: Array) -> Array:
    return a * (q == 0)


def derivative_of_probability(a: Array, q: Array) -> Array:
    return a * (1 - a)


def jacobian_row(a: Array, q: Array) -> Array:
    """∂a_y/∂z: the factor −1/a_y is missing."""
    a_y = (a * q).sum(axis=1, keepdims=True)
    return a_y * (q - a)


def by_probabilities(a: Array, q: Array) -> Array:
    return np.where(q != 0, -q / a, 0.0)


def minus_onehot(a: Array, q: Array) -> Array:
    return -q


def jacobian_twice(a: Array, q: Array) -> Array:
    """(diag(a) − aaᵀ)(a − q)"""
    g = a - q
    return a * (g - (a * g).sum(axis=1, keepdims=True))


def brier(a: Array, q: Array) -> Array:
    return 2 * (a - q)


def at_the_prediction(a: Array, q: Array) -> Array:
    return a - np.eye(a.shape[1])[a.argmax(axis=1)]


def others_negative(a: Array, q: Array) -> Array:
    return np.where(q != 0, a - 1, -a)


def minus_one_everywhere(a: Array, q: Array) -> Array:
    return a - 1


def plus_one(a: Array, q: Array) -> Array:
    return a + q


def zero(a: Array, q: Array) -> Array:
    return np.zeros_like(a)


def one_hot_left(a: Array, q: Array) -> Array:
    return np.sign(a - q)


def uniform(a: Array, q: Array) -> Array:
    """No softmax in it."""
    return 1 / a.shape[1] - q


def rows_sum_to_mean(a: Array, q: Array) -> Array:
    return a - q - (a - q).mean(axis=0, keepdims=True)


def times_probability(a: Array, q: Array) -> Array:
    return (a - q) * a


def assigned_minus_one(a: Array, q: Array) -> Array:
    return np.where(q != 0, -1.0, a)


def whole_column(a: Array, q: Array) -> Array:
    """dz[:, y] −= 1: one off for every row, in the columns of all labels."""
    return a - (q.sum(axis=0) > 0)


def not_divided(g: Array, shape: Shape) -> Array:
    return g


def divided_twice(g: Array, shape: Shape) -> Array:
    return g / shape[0] ** 2


def by_classes(g: Array, shape: Shape) -> Array:
    return g / shape[1]


def by_both(g: Array, shape: Shape) -> Array:
    return g / (shape[0] * shape[1])


def times_n(g: Array, shape: Shape) -> Array:
    return g * shape[0]


def mean_of_rows(g: Array, shape: Shape) -> Array:
    return np.broadcast_to(g.mean(axis=0), shape)


def last_row_only(g: Array, shape: Shape) -> Array:
    kept = np.zeros(shape)
    kept[-1] = g[-1] / shape[0]
    return kept


def first_row_only(g: Array, shape: Shape) -> Array:
    kept = np.zeros(shape)
    kept[0] = g[0] / shape[0]
    return kept


def in_bits(g: Array, shape: Shape) -> Array:
    return g / (shape[0] * np.log(2.0))


def _slope(id: str, title: str, why: str, step: Any, fix: str = FIX) -> Mistake:
    return Mistake(id, title, why, fix, steps={"gradient": step})


def _scale(id: str, title: str, why: str, step: Any, fix: str = "dz /= N", **rest: Any) -> Mistake:
    return Mistake(id, title, why, fix, steps={"scale": step}, **rest)


MISTAKES = [
    _slope(
        "no-minus-one",
        "the gradient is a: the − 1 at the true class is missing",
        "Its rows sum to 1 and not to 0: every output is pushed down, the true one too.",
        no_minus_one,
    ),
    _slope(
        "gradient-flipped",
        "the gradient has the wrong sign: onehot − a",
        "Descent would make the loss larger.",
        flipped,
    ),
    _slope(
        "true-class-only",
        "only the true class has a derivative",
        "The other outputs are in the denominator: their derivative is a_n.",
        true_class_only,
    ),
    _slope(
        "others-only",
        "the true class has no derivative",
        "Its derivative is a_y − 1.",
        others_only,
    ),
    _slope(
        "derivative-of-the-probability",
        "a·(1 − a), the derivative of each probability by its own output",
        "That is the diagonal of softmax's Jacobian, without the loss.",
        derivative_of_probability,
    ),
    _slope(
        "factor-one-over-a-missing",
        "the gradient of the probability a_y, not of its −log",
        "The factor −1/a_y of the log is missing in the chain rule.",
        jacobian_row,
    ),
    _slope(
        "by-the-probabilities",
        "−1/a_y: the derivative by the probabilities, not by the outputs",
        "The softmax between them must be differentiated too; together that is a − onehot.",
        by_probabilities,
    ),
    _slope(
        "minus-onehot",
        "−onehot: the denominator is not differentiated",
        "log Σ exp z has the derivative a.",
        minus_onehot,
    ),
    _slope(
        "jacobian-twice",
        "softmax's Jacobian is multiplied to a − onehot, which has it already",
        "a − onehot is the derivative by the outputs.",
        jacobian_twice,
        fix="dz = (a - q) / N, and nothing more",
    ),
    _slope(
        "gradient-doubled",
        "2·(a − onehot)",
        "There is no factor 2: that is from a squared error.",
        brier,
    ),
    _slope(
        "one-at-the-prediction",
        "1 is taken off at the likeliest class, not at the true one",
        "The label decides where.",
        at_the_prediction,
    ),
    _slope(
        "others-negative",
        "the other classes have −a_n",
        "A step against the gradient must push them down: their derivative is a_n.",
        others_negative,
    ),
    _slope(
        "minus-one-everywhere",
        "1 is taken off everywhere",
        "Only the true class has it.",
        minus_one_everywhere,
    ),
    _slope(
        "plus-one",
        "1 is added at the true class",
        "It is taken off: a_y − 1.",
        plus_one,
    ),
    _slope(
        "zero-gradient",
        "the gradient is zero",
        "Nothing would be learned; a detached tensor or an array that is never filled looks so.",
        zero,
    ),
    _slope(
        "sign-of-the-gradient",
        "the sign of a − onehot",
        "How much each output is pushed is lost.",
        one_hot_left,
    ),
    _slope(
        "no-softmax-in-the-gradient",
        "1/C − onehot: there is no softmax in it",
        "The derivative depends on the outputs: a − onehot.",
        uniform,
    ),
    _slope(
        "centred",
        "the mean over the batch is taken off the gradient",
        "Each example has a gradient of its own.",
        rows_sum_to_mean,
    ),
    _slope(
        "times-the-probability",
        "a·(a − onehot)",
        "The a before it is too much.",
        times_probability,
    ),
    _slope(
        "set-to-minus-one",
        "the true class's entry is −1, not a_y − 1",
        "1 is to be taken off, dz[…] −= 1, and not assigned.",
        assigned_minus_one,
    ),
    _slope(
        "one-off-for-all-rows",
        "dz[:, y] −= 1 in place of dz[np.arange(N), y] −= 1",
        "Every row loses 1 in the columns of all labels.",
        whole_column,
    ),
    _scale(
        "gradient-of-the-sum",
        "the gradient of the sum of the losses, not of their mean",
        "A mean of N losses has a gradient with the factor 1/N. It must fit the loss.",
        not_divided,
        kind="convention",
    ),
    _scale(
        "gradient-divided-twice",
        "the gradient is divided by N twice",
        "Once is right for a mean.",
        divided_twice,
    ),
    _scale(
        "gradient-divided-by-classes",
        "the gradient is divided by the number of classes, not of examples",
        "shape[0] is the number of examples.",
        by_classes,
        fix="dz /= z.shape[0]",
    ),
    _scale(
        "gradient-divided-by-both",
        "the gradient is divided by N·C",
        "The classes of a row are not averaged.",
        by_both,
    ),
    _scale("gradient-times-n", "the gradient is multiplied by N", "A mean divides by N.", times_n),
    _scale(
        "gradient-of-rows-averaged",
        "every row has the mean of all rows",
        "Each example has its own gradient, of shape (N, C).",
        mean_of_rows,
    ),
    _scale(
        "gradient-of-the-last-only",
        "only the last row has a gradient",
        "A loop that assigns the whole array keeps the last one.",
        last_row_only,
        fix="dz[i] = …   # and not dz = …",
    ),
    _scale(
        "gradient-of-the-first-only",
        "only the first row has a gradient",
        "A return inside the loop leaves after the first example.",
        first_row_only,
        fix="return after the loop",
    ),
    _scale(
        "gradient-in-bits",
        "the gradient has the factor 1/ln 2",
        "It belongs to a loss in bits.",
        in_bits,
        kind="convention",
    ),
]
