"""What connects a function with the softmax loss, its name or its numbers; no other is accused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.planted import log_softmax, softmax_only

from softmaxloss import check
from softmaxloss.checking import BANK
from softmaxloss.checking.calling.roles import told_by_names
from softmaxloss.checking.reference import Steps

Function = Callable[..., Any]


def called(name: str, function: Function) -> Function:
    """The function under another name."""
    function.__name__ = function.__qualname__ = name
    return function


# --- functions that compute something else, on purpose --------------------------------------------


def triplet(anchor: Any, other: Any) -> Any:
    return np.maximum(0, ((anchor - other) ** 2).sum() - 1)


def kl_divergence(p: Any, q: Any) -> Any:
    return (p * np.log((p + 1e-9) / (q + 1e-9))).sum()


def dice(pred: Any, target: Any) -> Any:
    return 1 - 2 * (pred * target).sum() / (pred.sum() + target.sum() + 1.0)


def info_nce(query: Any, keys: Any) -> Any:
    z = query @ keys.T / 0.07
    return (np.log(np.exp(z - z.max()).sum(axis=1)) + z.max() - np.diag(z)).mean()


def margin_softmax_loss(z: Any, y: Any) -> Any:
    z = z.copy()
    z[np.arange(len(y)), y] -= 0.35
    return log_softmax(z, y)


def focal_loss(z: Any, y: Any) -> Any:
    p = softmax_only(z)[np.arange(len(y)), y]
    return -((1 - p) * np.log(p + 1e-9)).mean()


def sparsemax(z: Any) -> Any:
    in_order = -np.sort(-z, axis=1)
    sums = in_order.cumsum(axis=1) - 1
    count = (in_order * np.arange(1, z.shape[1] + 1) > sums).sum(axis=1)
    top = sums[np.arange(len(z)), count - 1] / count
    return np.maximum(z - top[:, None], 0)


def normalise(x: Any) -> Any:
    return (x - x.mean()) / (x.std() + 1e-6)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def smooth_labels(y: Any, classes: Any) -> Any:
    return np.full((len(y), classes), 0.1)


def cosine(u: Any, v: Any) -> Any:
    return (u * v).sum() / np.sqrt((u * u).sum() * (v * v).sum())


@pytest.mark.parametrize(
    "other",
    [triplet, kl_divergence, dice, info_nce, margin_softmax_loss, focal_loss, sparsemax, normalise,
     sigmoid, smooth_labels, cosine],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_something_else_is_not_accused(other: Function) -> None:
    report = check(other, seed=3)
    assert report.verdict == "not checked", str(report)


# --- the evidence that a name is ------------------------------------------------------------------


def test_a_name_is_evidence() -> None:
    """Of the same wrong numbers, that of no known mistake, under two names."""

    def wrong(z: Any, y: Any) -> Any:
        return np.tanh(z).std() + y.mean()

    assert check(called("cross_entropy", wrong)).verdict == "wrong"
    assert check(called("step", wrong)).verdict == "not checked"


def test_what_names_say() -> None:
    both: Any = ("logits", "labels")
    layer: Any = ("weights", "features", "labels", "reg")
    assert told_by_names("softmax_loss", lambda z, y: 0, both) == "all"
    assert told_by_names("Net.nll", lambda outputs, targets: 0, both) == "all"
    assert told_by_names("train", lambda W, X, y, reg: 0, layer) == "all"
    assert told_by_names("distance", lambda z, y: 0, both) == "arguments"
    assert told_by_names("distance", lambda u, v: 0, both) == "nothing"
    assert told_by_names("softmax_loss", lambda queries, keys: 0, both) == "nothing"
    assert told_by_names("gumbel_softmax", lambda logits: 0, ("logits",)) == "something else"


def test_the_kind_that_is_asked_for_is_evidence() -> None:
    """Even for what is called something else."""

    def accuracy(z: Any, y: Any) -> Any:
        return (z.argmax(axis=1) == y).mean()

    assert check(accuracy).verdict == "not checked"
    assert check(accuracy, "loss").mistakes == ["accuracy"]
    assert check(cosine, "loss").verdict == "wrong"


@pytest.mark.parametrize(
    ("id", "honest", "other"),
    [
        ("accuracy", "accuracy_on_batch", "loss"),
        ("hinge", "svm_loss", "cross_entropy"),
        ("squared-error", "brier_score", "softmax_loss"),
        ("binary-cross-entropy", "binary_cross_entropy", "f"),
        ("binary-cross-entropy", "bce", "bce_for_classes"),
        ("entropy", "entropy", "cross_entropy"),
    ],
)
def test_what_a_name_says_is_no_mistake(id: str, honest: str, other: str) -> None:
    """But under another name it is one."""

    def function(z: Any, y: Any) -> Any:
        return Steps(**BANK[id].steps[0]).run(z, y).loss

    report = check(called(honest, function), layout="rows", seed=1)
    assert report.verdict == "not checked"
    assert report.problem == f"it computes what its name says, {id}, and no softmax loss"
    report = check(called(other, function), layout="rows", seed=1)
    assert report.verdict == "wrong"
    assert id in report.mistakes


# --- the evidence that numbers are ----------------------------------------------------------------


@pytest.mark.parametrize("id", ["no-minus", "labels-from-one", "all-classes", "log-of-the-mean"])
def test_the_numbers_of_a_known_mistake_are_evidence(id: str) -> None:
    """Whatever the function and its parameters are called."""

    def contrastive(queries: Any, keys: Any) -> Any:
        return Steps(**BANK[id].steps[0]).run(queries, keys).loss

    report = check(contrastive, layout="rows", seed=1)
    assert report.verdict == "wrong", str(report)
    assert id in report.mistakes


RELATED: dict[str, Function] = {
    "of two inputs only": lambda a, b: log_softmax(a, b) * (1 if a.shape[1] in (3, 7) else 3.7),
    "to the third digit": lambda a, b: log_softmax(a, b) * (1 + 4e-3 * np.sin(a.sum())),
    "times a number": lambda a, b: 0.3 * log_softmax(a, b),
    "plus a number": lambda a, b: log_softmax(a, b) + 0.25,
    "in the same order": lambda a, b: np.sqrt(log_softmax(a, b)) + 3,
    "in the opposite order": lambda a, b: 1 / (1 + log_softmax(a, b)),
}


@pytest.mark.parametrize("function", RELATED.values(), ids=RELATED)
def test_numbers_that_are_related_to_the_right_ones_are_evidence(function: Function) -> None:
    report = check(called("compare", function), seed=2)
    assert report.verdict == "wrong", str(report)


def test_probabilities_that_are_nearly_right_are_evidence() -> None:
    report = check(called("activate", lambda x: softmax_only(x) * 1.002), seed=2)
    assert report.verdict == "wrong", str(report)


def test_numbers_that_any_function_gives_are_no_evidence() -> None:
    """A constant, NaN, or what is right where all classes are alike."""
    assert check(called("step", lambda a, b: 0.5)).verdict == "not checked"
    assert check(called("step", lambda a, b: np.nan)).verdict == "not checked"
    size = called("step", lambda a, b: np.log(a.shape[1]))
    assert check(size).verdict == "not checked"
    # But a function of logits and labels depends on them.
    assert check(called("step", lambda x, y: 0.5)).mistakes == ["constant"]
