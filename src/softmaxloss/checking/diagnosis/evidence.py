"""Whether results that are wrong show that a softmax or its loss is wrong.

A function that computes something else, or that was called in a form for which it was not written,
gives numbers that mean nothing. To accuse it, something must connect it with the loss. Either
somebody says that it is one: who asks for this kind, or its name and its parameters. Or its numbers
are related to the right ones: a known mistake gives all of them, or, unless it is called something
else, they are right or nearly right on several inputs, or increase with the right ones everywhere.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..calling.calls import Attempt
from ..calling.roles import TITLE
from ..inputs import EXTREME
from ..report import Finding
from ..settings import AS_IN_TEXTBOOKS, Settings
from .mistakes import Observed

SOMETHING_ELSE = "this function does something else, or its form is not known"

#: What many functions show that get what they were not meant for; of logits and labels none does.
VAGUE = {
    "constant", "always-nan", "nan-for-good-logits", "zero-gradient", "same-for-other-logits",
    "not-repeatable", "depends-on-the-caller",
}  # fmt: skip

#: Formulas of one array that are used for much else: a softmax must be called one.
COMMON = {"no-exp", "not-normalised", "sigmoid-for-softmax", "takes-probabilities"}

#: Inputs on which other functions may be right by chance: the loss is 0, log C, or that of one row.
TRIVIAL = EXTREME | {"equal outputs", "one example"}

#: Formulas that are those of a regression, where a gradient alone or a squared error has them.
OF_REGRESSION = {"takes-probabilities", "sigmoid-for-softmax"}

_SQUARED = re.compile(r"mse|squared|brier|(?<![a-z])l2(?![a-z])|value|critic|regress|ridge", re.I)

BINARY = (
    "it computes the binary cross-entropy of each output, and no softmax; if a softmax loss of "
    "probabilities is meant, ask for it with --kind loss"
)

OF_LOGS = (
    "it computes −z_y, the loss of log-probabilities: right for the result of a log softmax; of "
    "logits log softmax is missing. --kind loss judges it as a loss of logits"
)

OF_OTHERS_TOO = (
    "it computes the predictions less the labels, which is the gradient of a softmax loss and of "
    "other losses, and its name says of none; if the first is meant, ask with --kind gradient"
)

#: What a loss for classes is called, and a gradient.
OF_CLASSES = re.compile(r"class|categ|multi|softmax", re.I)
OF_GRADIENT = re.compile(
    r"grad|deriv|delta|backward|bwd|bprop|prime|jac|(?<![a-z])d[a-z](?![a-z])|slope|diff", re.I
)

#: What functions are called that compute on purpose what would be a mistake in a softmax loss.
CALLED = {
    "accuracy": re.compile(
        r"acc(?![a-z])|accuracy|(?<![a-z])f1(?![0-9])|precision|recall|metric", re.I
    ),
    "error-rate": re.compile(r"error_?rate|zero_?one", re.I),
    "hinge": re.compile(r"hinge|svm", re.I),
    "entropy": re.compile(r"(?<!cross)(?<!cross_)entropy", re.I),
    # One that is said to be for classes should have been the other cross-entropy.
    "binary-cross-entropy": re.compile(r"^(?!.*(class|categ|multi)).*(binary|bce|sigmoid)", re.I),
    **dict.fromkeys(("squared-error", "half-squared-error", "mean-squared-error"), _SQUARED),
}

LEAST_RIGHT = 2  # inputs on which a part is right, beside the trivial ones
LEAST_ORDERED = 6  # inputs that are in the order of their right losses; by chance: 1 in 720
NEAR = 0.01  # of the largest entry


def doubt(
    attempt: Attempt,
    observed: Mapping[str, Observed],
    findings: Sequence[Finding],
    settings: Settings,
) -> str | None:
    """Why wrong results do not show that a softmax or its loss is wrong; None: they do."""
    if settings.kind is not None:
        return None
    ids = {m.id for finding in findings for m in finding.mistakes if m.kind == "mistake"}
    ids |= VAGUE & set(attempt.behaviour)
    rest = ids - OF_REGRESSION
    is_regression = rest < ids and rest <= {*CALLED, "gradient-doubled"}
    if attempt.told != "all" and is_regression and ("loss" not in observed or rest):
        return SOMETHING_ELSE
    meant = _meant(attempt.title, ids)
    of_loss = {m.id for f in findings if f.part == "loss" for m in f.mistakes}
    if meant and (attempt.told != "all" or meant in (ids - VAGUE, of_loss & ids)):
        return f"it computes what its name says, {', '.join(sorted(meant))}, and no softmax loss"
    if not ids and CALLED["binary-cross-entropy"].search(attempt.title):
        return SOMETHING_ELSE
    if {"binary-cross-entropy", "binary-gradient"} & ids and _may_be_binary(attempt):
        return BINARY
    if "loss-is-minus-z" in ids and not attempt.has_words:
        return OF_LOGS
    if not ids and {*observed} == {"gradient"} and not OF_GRADIENT.search(attempt.title):
        return SOMETHING_ELSE  # it may be a loss of each output
    is_stub = ids <= VAGUE and "reg" not in attempt.form.order
    if attempt.told == "another loss" or (not is_stub and _has_no_words(attempt, observed)):
        return SOMETHING_ELSE
    has_labels = "labels" in attempt.form.order
    vague = (set() if attempt.told == "arguments" else VAGUE) | (set() if has_labels else COMMON)
    if attempt.told == "all" or (ids - vague and not _only_pairs(attempt, findings)):
        return None
    is_related = attempt.told != "something else" and (
        any(finding.nearest is not None for finding in findings)
        or any(_is_partly_right(one) or _increases(one) for one in observed.values())
    )
    return None if is_related else SOMETHING_ELSE


def doubt_of_right(
    attempt: Attempt, observed: Mapping[str, Observed], settings: Settings
) -> str | None:
    """Why right results do not show that the gradient of a softmax loss is meant; None: they do.

    Predictions less labels are the gradient of a softmax loss, of a binary cross-entropy and of a
    squared error alike; so code that has no more than that must be called a gradient.
    """
    alone = settings.kind is None and {*observed} == {"gradient"} and not attempt.has_words
    if not alone or attempt.form.is_layer or attempt.form.scores != "probabilities":
        return None
    by_logits = observed["gradient"].numbers.by == "logits"
    return OF_OTHERS_TOO if by_logits and not OF_GRADIENT.search(attempt.title) else None


def _may_be_binary(attempt: Attempt) -> bool:
    """Whether it is passed probabilities, and nothing says that they are those of classes."""
    return attempt.form.scores == "probabilities" and not OF_CLASSES.search(attempt.title)


def _only_pairs(attempt: Attempt, findings: Sequence[Finding]) -> bool:
    """Whether only two mistakes at once give the numbers, of a function of which no name tells what
    it gets, or that is called another loss: of so many pairs one may fit something else."""
    named = [
        sum(m.kind == "mistake" and m.id not in AS_IN_TEXTBOOKS for m in finding.mistakes)
        for finding in findings
        if finding.part != "calls"
    ]
    named_so = attempt.told == "nothing" and re.search("loss|cost|grad", attempt.title, re.I)
    if named_so or attempt.told not in ("nothing", "something else"):
        return False
    return max(named, default=0) > 1 and 1 not in named


def _has_no_words(attempt: Attempt, observed: Mapping[str, Observed]) -> bool:
    """Whether there is no exponential and no logarithm where a loss or a softmax needs one, in code
    that is not called so."""
    if any(all(one.right) for one in observed.values()):
        return False
    if attempt.told == "arguments" and attempt.form.scores == "logits":
        return False
    needs = bool({"loss", "softmax", "log_softmax"} & set(observed))
    return (
        needs
        and attempt.form.scores != "log-probabilities"
        and not attempt.has_words
        and not TITLE.search(attempt.title)
    )


def _meant(title: str, ids: Collection[str]) -> set[str]:
    """The mistakes that are what the function is called: an accuracy, a hinge loss.

    >>> _meant("accuracy", {"accuracy"}), _meant("cross_entropy", {"entropy"})
    ({'accuracy'}, set())
    >>> _meant("bce", {"binary-cross-entropy"}), _meant("class_bce", {"binary-cross-entropy"})
    ({'binary-cross-entropy'}, set())
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
    if got is None:
        return False
    x, y = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if x.shape != y.shape:
        return False
    with np.errstate(all="ignore"):
        factor = (x * y).sum() / (y * y).sum() if y.ndim == 2 else np.sign(x * y)
        apart = np.abs(x - factor * y).max()
        return bool(factor != 0 and apart <= NEAR * np.abs(x).max())


def _increases(observed: Observed) -> bool:
    """Whether a loss has the inputs in the order of their right losses, or all in reverse."""
    if observed.part != "loss":
        return False
    pairs = [
        (float(np.mean(got)), float(observed.wanted(k)))
        for k, got in enumerate(observed.values)
        if got is not None and observed.inputs[k].name not in TRIVIAL
    ]
    # Equal right losses, as those of a common offset, are one.
    by_right = dict(sorted((round(want, 6), got) for got, want in pairs if np.isfinite(got)))
    steps = np.diff([*by_right.values()])
    return len(by_right) >= LEAST_ORDERED and bool((steps > 0).all() or (steps < 0).all())
