"""Whether results that are wrong are evidence that a softmax loss is wrong.

A function that was called in a form for which it was not written, or that computes something else,
gives numbers that mean nothing. To accuse it, something must connect it with the loss: a mistake
of the bank gives its numbers, they are right or nearly right on some kinds of inputs, perhaps up to
a factor, or its name and its parameters say that it is the loss.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..calling.calls import Attempt
from ..inputs import EXTREME
from ..report import Finding
from .findings import multiple_of
from .mistakes import Observed

#: What any function gives that gets what it was not meant for.
VAGUE = {"constant", "always-nan"}

#: Inputs on which other functions may be right by chance: the loss is 0, log C, or that of one row.
TRIVIAL = EXTREME | {"equal outputs", "one example"}

_SQUARED = re.compile(r"mse|squared|brier|(?<![a-z])l2(?![a-z])", re.I)

#: What functions are called that compute something else on purpose, by the id of that as a mistake.
CALLED = {
    "accuracy": re.compile(r"acc(?![a-z])|accuracy", re.I),
    "hinge": re.compile(r"hinge|svm", re.I),
    "entropy": re.compile(r"(?<!cross)(?<!cross_)entropy", re.I),
    "binary-cross-entropy": re.compile(r"binary|bce|sigmoid", re.I),
    **dict.fromkeys(("squared-error", "half-squared-error", "mean-squared-error"), _SQUARED),
}

LEAST_RIGHT = 2  # other inputs on which a part is right
NEAR = 0.01  # of the largest entry


def connects(
    attempt: Attempt, observed: Mapping[str, Observed], findings: Sequence[Finding]
) -> bool:
    """Whether something connects wrong results with the softmax loss."""
    if attempt.named:
        return True
    ids = {mistake.id for finding in findings for mistake in finding.mistakes}
    if ids - VAGUE - _meant(attempt.title, ids) or any(
        finding.nearest is not None for finding in findings
    ):
        return True
    return any(_is_partly_right(one) or multiple_of(one) for one in observed.values())


def _meant(title: str, ids: Collection[str]) -> set[str]:
    """The mistakes that are what the function is called: an accuracy, a hinge loss.

    >>> _meant("accuracy", {"accuracy"}), _meant("cross_entropy", {"entropy"})
    ({'accuracy'}, set())
    """
    return {id for id in ids if id in CALLED and CALLED[id].search(title)}


def _is_partly_right(observed: Observed) -> bool:
    near = [
        observed.right[k] or _is_near(observed.values[k], observed.wanted(k))
        for k, input in enumerate(observed.inputs)
        if input.name not in TRIVIAL
    ]
    return sum(near) >= LEAST_RIGHT


def _is_near(got: object, want: object) -> bool:
    """Whether it is nearly right, up to the sign; a matrix, up to a factor."""
    x, y = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if x.shape != y.shape:
        return False
    with np.errstate(all="ignore"):
        factor = (x * y).sum() / (y * y).sum() if y.ndim == 2 else np.sign(x * y)
        apart = np.abs(x - factor * y).max()
        return bool(factor != 0 and apart <= NEAR * np.abs(x).max())
