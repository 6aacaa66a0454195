"""Mistakes with the labels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..inputs import sequence_shape
from ..reference import Shape, target
from .mistake import Array, wrong_step


def all_with_all(y: Array, shape: Shape) -> Array:
    """a[:, y] has a column for each label: every example is charged with the labels of all."""
    counts = np.bincount(y, minlength=shape[1]).astype(float)
    return np.tile(counts, (shape[0], 1))


def label_0_ignored(y: Array, shape: Shape) -> Array:
    return target(y, shape) * (y != 0)[:, None]


def row_number(y: Array, shape: Shape) -> Array:
    """k == i for the class k: no class for a row beyond them."""
    return np.eye(*shape)


def of_the_class(y: Array, shape: Shape) -> Array:
    """y[k] for the class k: an error if there are more classes than examples."""
    k = np.arange(shape[1])
    return np.tile((y[k] == k).astype(float), (shape[0], 1))


# In each entry the last argument is the wrong target: of the labels y and the shape (N, C).
_target = partial(wrong_step, "target", fixes=("a[np.arange(N), y]", "a[i, y[i]]"))


def _next_label(sequences: Callable[[Shape], int]) -> dict[str, Any]:
    """The steps of a loss of the next label, in that number of sequences."""

    def shifted(y: Array, shape: Shape) -> Array:
        q = target(y, shape).reshape(sequences(shape), -1, shape[1])
        return np.concatenate([q[:, 1:], 0 * q[:, :1]], axis=1).reshape(shape)

    def mean(J: Array, shape: Shape) -> Array:
        return J.sum() / np.float64(shape[0] - sequences(shape))

    return {"target": shifted, "reduce": mean}


MISTAKES = [
    _target(
        "labels-from-one",
        "the labels are taken to count from 1",
        "Class y is read as class y − 1; label 0 becomes the last class, by Python's index −1.",
        lambda y, shape: target(y - 1, shape),
        lambda y, shape: target(y - 1, shape) * (y != 0)[:, None],
        fix="a[np.arange(N), y], without - 1",
        loop="a[i, y[i]], without - 1",
    ),
    _target(
        "label-plus-one",
        "the class after the true class is used",
        "Labels count from 0 already, and no class follows the last one.",
        lambda y, shape: target(y + 1, shape),
        fix="a[np.arange(N), y], without + 1",
        loop="a[i, y[i]], without + 1",
    ),
    _target(
        "label-plus-one-wrapped",
        "the class after the true class is used; for the last class, class 0",
        "Labels count from 0 already.",
        lambda y, shape: target((y + 1) % shape[1], shape),
        fix="a[np.arange(N), y], without + 1",
        loop="a[i, y[i]], without + 1",
    ),
    _target(
        "classes-from-the-end",
        "the classes are counted from the end",
        "Label y belongs to column y, not to column C − 1 − y.",
        lambda y, shape: target(shape[1] - 1 - y, shape),
    ),
    _target(
        "all-columns-for-all-rows",
        "a[:, y] instead of a[np.arange(N), y]",
        "a[:, y] takes the columns of all labels for every row: the result is N × N.",
        all_with_all,
        {"target": all_with_all, "reduce": lambda J, shape: J.sum() / shape[0] ** 2},
    ),
    _target(
        "first-label-for-all",
        "the label of the first example is used for all examples",
        "Each row has its own label.",
        lambda y, shape: target(np.full_like(y, y[0]), shape),
    ),
    _target(
        "last-label-for-all",
        "the label of the last example is used for all examples",
        "Each row has its own label: after a loop the index stays at the last example.",
        lambda y, shape: target(np.full_like(y, y[-1]), shape),
    ),
    _target(
        "label-of-the-class-index",
        "y[k] with the class k instead of y[i] with the example i",
        "y has one label for each example. With more classes than examples it raises an error.",
        of_the_class,
        fix="y[i], with the example i",
    ),
    _target(
        "row-number-as-label",
        "the number of the example is used as its class",
        "The class of example i is y[i].",
        row_number,
        lambda y, shape: target(np.arange(len(y)), shape),
    ),
    _target(
        "labels-out-of-order",
        "the labels are sorted, the examples are not",
        "np.sort and np.unique separate the labels from their rows.",
        lambda y, shape: target(np.sort(y), shape),
        fix="leave the labels in their order",
    ),
    _target(
        "label-of-the-next",
        "each example gets the label of the next one",
        "The labels are shifted against the rows; in a language model: shifted twice.",
        lambda y, shape: target(np.roll(y, -1), shape),
        fix="shift once",
    ),
    _target(
        "next-label",
        "the loss of the next label: row i predicts label i + 1",
        "So language models are trained where the labels are the inputs themselves.",
        _next_label(lambda shape: 1),
        _next_label(lambda shape: sequence_shape(shape[0])[0]),
        fix="pass labels that are shifted already",
        kind="convention",
    ),
    _target(
        "label-0-left-out",
        "examples with label 0 are left out",
        "0 is a class like any other; `if y:` and a mask made from y treat it as missing.",
        label_0_ignored,
        {"target": label_0_ignored, "reduce": lambda J, shape: J.sum() / max((J != 0).sum(), 1)},
        fix="if y is not None, or a separate ignore_index",
    ),
    _target(
        "smoothed",
        "label smoothing by 0.1 over all classes",
        "The target is 0.9·onehot + 0.1/C.",
        lambda y, shape: 0.9 * target(y, shape) + 0.1 / shape[1],
        fix="label_smoothing=0",
        kind="convention",
    ),
    _target(
        "smoothed-over-the-others",
        "label smoothing by 0.1 over the other classes",
        "The target is 0.9 for the true class and 0.1/(C−1) for each other class.",
        lambda y, shape: np.where(target(y, shape) == 1, 0.9, 0.1 / max(shape[1] - 1, 1)),
        fix="label_smoothing=0",
        kind="convention",
    ),
]
