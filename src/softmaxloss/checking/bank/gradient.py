"""Mistakes in the gradient of an example."""

from collections.abc import Callable
from functools import partial

import numpy as np

from .log import EPSILONS, both_sides, guarded
from .mistake import Array, wrong_step


def last_writes(written: Array, added: Array) -> Array:
    """The rows in order: where `written`, an assignment drops what the rows before had."""
    lost = np.cumsum(written[::-1], axis=0)[::-1] - written > 0
    return np.where(lost, 0.0, added)


def column_assigned(a: Array, q: Array) -> Array:
    """dW[:, y[i]] = −X[i] after the other classes were added."""
    return last_writes(q, np.where(q != 0, -1.0, a))


def column_of_the_true_class_assigned(a: Array, q: Array) -> Array:
    return last_writes(q, a - q)


def columns_of_the_others_assigned(a: Array, q: Array) -> Array:
    return last_writes(1.0 - q, a - q)


def left_out(column: int) -> list[Callable[[Array, Array], Array]]:
    """A class that the loop over the classes does not reach; its −1 may be outside that loop."""

    def without(a: Array, q: Array) -> Array:
        gradient = a - q
        gradient[:, column] = 0.0
        return gradient

    def minus_one_only(a: Array, q: Array) -> Array:
        gradient = a - q
        gradient[:, column] = -q[:, column]
        return gradient

    return [without, minus_one_only]


def binary_gradient(change: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """−q/a + (1 − q)/(1 − a), of changed probabilities."""
    return lambda a, q: (1 - q) / (1 - change(a)) - q / change(a)


def clipped(change: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda a, q: change(a) - q


# In each entry the last argument is the wrong step: of the probabilities a and the target q.
_gradient = partial(
    wrong_step,
    "gradient",
    fixes=(
        "dz = a.copy(); dz[np.arange(N), y] -= 1; dz /= N",
        "dz[i, k] = (a[i, k] - (k == y[i])) / N",
    ),
)
ALL_CLASSES = "for k in range(C)"

MISTAKES = [
    _gradient(
        "no-minus-one",
        "the gradient is a: the − 1 at the true class is missing",
        "Each row sums to 1 instead of 0: every output is pushed down, the true one too.",
        lambda a, q: a,
    ),
    _gradient(
        "gradient-flipped",
        "the gradient has the wrong sign: onehot − a",
        "Gradient descent would increase the loss.",
        lambda a, q: q - a,
        {"scale": lambda g, shape: -g / shape[0]},
    ),
    _gradient(
        "true-class-only",
        "only the entry of the true class is filled",
        "The other outputs are in the denominator: the derivative with respect to z_n is a_n.",
        lambda a, q: (a - q) * (q != 0),
    ),
    _gradient(
        "others-only",
        "the entry of the true class is 0",
        "The derivative with respect to z_y is a_y − 1.",
        lambda a, q: a * (q == 0),
    ),
    _gradient(
        "derivative-of-the-probability",
        "a·(1 − a): the derivative of each probability with respect to its own output",
        "That is the diagonal of the softmax Jacobian; the loss is not differentiated.",
        lambda a, q: a * (1 - a),
        lambda a, q: np.where(q != 0, a - 1, a * (1 - a)),
    ),
    _gradient(
        "factor-one-over-a-missing",
        "the gradient of the probability a_y instead of −log a_y",
        "The chain rule has the factor −1/a_y, the derivative of −log a_y.",
        lambda a, q: (a * q).sum(axis=1, keepdims=True) * (q - a),
        lambda a, q: (a * q).sum(axis=1, keepdims=True) * (a - q),
    ),
    _gradient(
        "by-the-probabilities",
        "−1/a_y: the derivative with respect to the probabilities, not the outputs",
        "Softmax must be differentiated as well; together they give a − onehot.",
        lambda a, q: np.where(q != 0, -q / a, 0.0),
    ),
    _gradient(
        "binary-gradient",
        "the gradient of the binary cross-entropy with respect to the probabilities",
        "(a − q)/(a·(1 − a)) is for a sigmoid per class; the other classes have no term of their "
        "own in −log a_y.",
        binary_gradient(np.positive),
        *(
            binary_gradient(guarded(change, epsilon))
            for change in (both_sides, np.add)
            for epsilon in EPSILONS[:10]
        ),
    ),
    _gradient(
        "clipped-in-the-gradient",
        "the probabilities in the gradient are clipped, or a small number is added to them",
        "The gradient is a − onehot of the probabilities as they are, however small.",
        *(
            clipped(guarded(change, epsilon))
            for epsilon in (1e-5, *EPSILONS[:12])
            for change in (both_sides, np.maximum, np.add)
        ),
        kind="weakness",
    ),
    _gradient(
        "minus-onehot",
        "−onehot: the denominator is not differentiated",
        "log Σ exp z has the derivative a.",
        lambda a, q: -q,
    ),
    _gradient(
        "jacobian-twice",
        "a − onehot is multiplied by the softmax Jacobian, which it already contains",
        "a − onehot is the derivative with respect to the outputs.",
        lambda a, q: a * (a - q - (a * (a - q)).sum(axis=1, keepdims=True)),
        fix="dz = (a - q) / N, and nothing more",
    ),
    _gradient(
        "gradient-doubled",
        "2·(a − onehot)",
        "The factor 2 belongs to a squared error.",
        lambda a, q: 2 * (a - q),
        {"scale": lambda g, shape: 2 * g / shape[0]},
    ),
    _gradient(
        "one-at-the-prediction",
        "1 is subtracted at the predicted class instead of the true class",
        "The label says where 1 is subtracted.",
        lambda a, q: a - np.eye(a.shape[1])[a.argmax(axis=1)],
    ),
    _gradient(
        "others-negative",
        "the entries of the other classes are −a_n",
        "A step against the gradient must push their outputs down: the derivative is a_n.",
        lambda a, q: np.where(q != 0, a - 1, -a),
        lambda a, q: -a - q,
    ),
    _gradient(
        "minus-one-everywhere",
        "1 is subtracted from every entry",
        "It is subtracted at the true class only.",
        lambda a, q: a - 1,
    ),
    _gradient(
        "plus-one",
        "1 is added at the true class",
        "It must be subtracted: a_y − 1.",
        lambda a, q: a + q,
    ),
    _gradient(
        "zero-gradient",
        "the gradient is zero",
        "Nothing would be learned: a tensor may be detached, or an array never filled.",
        lambda a, q: np.zeros_like(a),
    ),
    _gradient(
        "sign-of-the-gradient",
        "the sign of a − onehot",
        "How hard each output is pushed is lost.",
        lambda a, q: np.sign(a - q),
    ),
    _gradient(
        "no-softmax-in-the-gradient",
        "the probabilities are missing: 1 − onehot, or 1/C − onehot",
        "The derivative depends on the outputs: a − onehot.",
        lambda a, q: 1 / a.shape[1] - q,
        lambda a, q: 1 - q,
    ),
    _gradient(
        "centred",
        "the mean over the batch is subtracted from the gradient",
        "The gradient of an example does not depend on the other examples.",
        lambda a, q: a - q - (a - q).mean(axis=0, keepdims=True),
    ),
    _gradient(
        "times-the-probability",
        "a·(a − onehot)",
        "The factor a is too much.",
        lambda a, q: (a - q) * a,
    ),
    _gradient(
        "set-to-minus-one",
        "the entry of the true class is −1, not a_y − 1",
        "Subtract 1, dz[…] -= 1, instead of assigning −1.",
        lambda a, q: np.where(q != 0, -1.0, a),
        fix="dz[np.arange(N), y] -= 1",
        loop="dz[i, y[i]] -= 1",
    ),
    _gradient(
        "column-assigned",
        "dW[:, y[i]] = … instead of dW[:, y[i]] += …",
        "The assignment drops what earlier examples have added to that column.",
        column_of_the_true_class_assigned,
        column_assigned,
        columns_of_the_others_assigned,
        fix="dW[:, k] += (a[i, k] - (k == y[i])) * X[i]",
    ),
    _gradient(
        "minus-one-for-each-class",
        "1 is subtracted once for each class",
        "The line stands inside the loop over the classes; it belongs after that loop.",
        lambda a, q: a - a.shape[1] * q,
        fix="dz[i, y[i]] -= 1, after the loop over the classes",
    ),
    _gradient(
        "minus-one-after-the-division",
        "1 is subtracted after the gradient was divided by N",
        "a/N − 1 is not (a − 1)/N: subtract first, then divide.",
        lambda a, q: a - len(a) * q,
        fix="dz[np.arange(N), y] -= 1; dz /= N",
        loop="dz[i, y[i]] -= 1 in the loop; dz /= N after it",
    ),
    _gradient(
        "divided-in-part",
        "only a part of the gradient is divided by N",
        "Divide a − onehot as a whole: p - 1 / N is p − (1/N), not (p − 1)/N.",
        lambda a, q: len(a) * a - q,
        lambda a, q: a - q / len(a),
        lambda a, q: np.where(q != 0, len(a) * a - 1, a),
        lambda a, q: np.where(q != 0, len(a) * (a - 1), a),
        lambda a, q: np.where(q != 0, a - 1, len(a) * a),
        fix="dz = (a - q) / N",
        loop="dz[i, k] = (p - (k == y[i])) / N",
    ),
    _gradient(
        "true-class-flipped",
        "the entry of the true class has the wrong sign: 1 − a_y",
        "The derivative with respect to z_y is a_y − 1.",
        lambda a, q: np.where(q != 0, 1 - a, a),
    ),
    _gradient(
        "minus-a-for-the-true-class",
        "the entry of the true class is −a_y",
        "The derivative with respect to z_y is a_y − 1.",
        lambda a, q: np.where(q != 0, -a, a),
    ),
    _gradient(
        "branches-swapped",
        "1 is subtracted from the entries of the other classes, not from that of the true class",
        "The condition is the wrong way round.",
        lambda a, q: a - 1 + q,
    ),
    _gradient(
        "classes-after-the-true-one-missing",
        "the entries after the true class are not filled",
        "A break or return ends the loop over the classes there.",
        lambda a, q: (a - q) * (np.cumsum(q, axis=1) - q <= 0),
        fix="no break in the loop over the classes",
    ),
    _gradient(
        "times-a-one-minus-a",
        "(a − onehot)·a·(1 − a)",
        "That factor belongs to a sigmoid with a squared error.",
        lambda a, q: (a - q) * a * (1 - a),
    ),
    _gradient(
        "first-class-has-no-gradient",
        "the gradient of class 0 is missing",
        "Classes count from 0: a loop over the classes that starts at 1 leaves class 0 out.",
        *left_out(0),
        fix=ALL_CLASSES,
    ),
    _gradient(
        "last-class-has-no-gradient",
        "the gradient of the last class is missing",
        "A range that ends at C − 1 does not reach class C − 1.",
        *left_out(-1),
        fix=ALL_CLASSES,
    ),
    _gradient(
        "one-off-for-all-rows",
        "dz[:, y] -= 1 instead of dz[np.arange(N), y] -= 1",
        "Every row loses 1 in the columns of all labels.",
        lambda a, q: a - (q.sum(axis=0) > 0),
    ),
]
