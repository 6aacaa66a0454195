"""Mistakes with the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..steps import target
from .mistake import Mistake

__all__ = ["MISTAKES"]

Array = Any  # NDArray, whose operators mypy takes for Any themselves
Shape = tuple[int, int]


def one_too_high(y: Array, shape: Shape) -> Array:
    return target(y + 1, shape)


def one_too_low(y: Array, shape: Shape) -> Array:
    return target(y - 1, shape)  # −1 is the last class in Python


def one_too_high_wrapped(y: Array, shape: Shape) -> Array:
    return target((y + 1) % shape[1], shape)


def from_the_end(y: Array, shape: Shape) -> Array:
    return target(shape[1] - 1 - y, shape)


def all_with_all(y: Array, shape: Shape) -> Array:
    """a[:, y] has a column for each label: every example is charged with the labels of all."""
    counts = np.bincount(y, minlength=shape[1]).astype(float)
    return np.tile(counts, (shape[0], 1))


def first_label_for_all(y: Array, shape: Shape) -> Array:
    return target(np.full_like(y, y[0]), shape)


def labels_sorted(y: Array, shape: Shape) -> Array:
    return target(np.sort(y), shape)


def next_example(y: Array, shape: Shape) -> Array:
    return target(np.roll(y, -1), shape)


def label_0_ignored(y: Array, shape: Shape) -> Array:
    q = target(y, shape)
    q[y == 0] = 0.0
    return q


def mean_of_all_pairs(J: Array, shape: Shape) -> Array:
    return J.sum() / shape[0] ** 2


def mean_of_the_rest(J: Array, shape: Shape) -> Array:
    return J.sum() / max((J != 0).sum(), 1)


def smoothed(y: Array, shape: Shape) -> Array:
    q = target(y, shape)
    return np.asarray(0.9 * q + 0.1 / shape[1])


def smoothed_over_the_others(y: Array, shape: Shape) -> Array:
    q = target(y, shape)
    return np.asarray(0.9 * q + 0.1 * (1 - q) / max(shape[1] - 1, 1))


MISTAKES = [
    Mistake(
        "labels-from-one",
        "the labels are taken as counted from 1",
        "Class y is taken for class y − 1: label 0 becomes the last class, by Python's index −1.",
        "a[np.arange(N), y], without − 1",
        steps={"target": one_too_low},
    ),
    Mistake(
        "label-plus-one",
        "the class after the true one is taken",
        "Labels count from 0 already; the last class has no class after it.",
        "a[np.arange(N), y], without + 1",
        steps={"target": one_too_high},
    ),
    Mistake(
        "label-plus-one-wrapped",
        "the class after the true one is taken, class 0 after the last",
        "Labels count from 0 already.",
        "a[np.arange(N), y], without + 1",
        steps={"target": one_too_high_wrapped},
    ),
    Mistake(
        "classes-from-the-end",
        "the classes are counted from the end",
        "Label y belongs to column y, not to column C − 1 − y.",
        "a[np.arange(N), y]",
        steps={"target": from_the_end},
    ),
    Mistake(
        "all-columns-for-all-rows",
        "a[:, y] in place of a[np.arange(N), y]",
        "a[:, y] takes the columns of all labels for every row, an N × N result.",
        "a[np.arange(N), y]",
        steps={"target": all_with_all},
        also=({"target": all_with_all, "reduce": mean_of_all_pairs},),
    ),
    Mistake(
        "first-label-for-all",
        "the label of the first example is taken for all",
        "Each row has its own label.",
        "a[np.arange(N), y]",
        steps={"target": first_label_for_all},
    ),
    Mistake(
        "labels-out-of-order",
        "the labels are sorted, the examples are not",
        "np.sort or np.unique moves the labels away from their rows.",
        "leave the labels in their order",
        steps={"target": labels_sorted},
    ),
    Mistake(
        "label-of-the-next",
        "each example gets the label of the next one",
        "Labels and rows are shifted against each other, as when the shift of a language model is "
        "done twice.",
        "shift once",
        steps={"target": next_example},
    ),
    Mistake(
        "label-0-left-out",
        "examples with label 0 are left out",
        "Class 0 is a class; `if y:` and a mask by 0 take it for nothing.",
        "if y is not None, or a separate ignore_index",
        steps={"target": label_0_ignored},
        also=({"target": label_0_ignored, "reduce": mean_of_the_rest},),
    ),
    Mistake(
        "smoothed",
        "label smoothing by 0.1, over all classes",
        "The target is 0.9·onehot + 0.1/C.",
        "label_smoothing=0",
        kind="convention",
        steps={"target": smoothed},
    ),
    Mistake(
        "smoothed-over-the-others",
        "label smoothing by 0.1, over the other classes",
        "The target is 0.9 for the true class and 0.1/(C−1) for each other.",
        "label_smoothing=0",
        kind="convention",
        steps={"target": smoothed_over_the_others},
    ),
]
