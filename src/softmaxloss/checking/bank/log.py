"""Mistakes in the log of the probabilities."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .mistake import Array, wrong_step

EPSILONS = (
    1e-7, 1e-8, 1e-6, 1e-5, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 2.0**-52, 2.0**-23, 1e-20, 1e-30,
    1e-37, 1e-38, 1e-45, 1e-100, 1e-300, 1e-308, 1e-11, 1e-13, 1e-14,
)  # fmt: skip


def changed(change: Callable[[Array, Any], Array], epsilon: float) -> Callable[..., Array]:
    """The log of the probabilities after a change by ε."""
    # An ε that is 0 in float32 changes nothing, which is another mistake.
    return lambda a, log_a: np.log(change(a, a.dtype.type(epsilon) or np.nan))


def guarded(change: Callable[[Array, Any], Array], epsilon: float) -> Callable[[Array], Array]:
    """The change of probabilities by ε."""
    return lambda a: change(a, a.dtype.type(epsilon))


def both_sides(a: Array, epsilon: Any) -> Array:
    return np.clip(a, epsilon, 1 - epsilon)


# In each entry the last argument is the wrong step: of the probabilities and their right log.
_log = partial(
    wrong_step,
    "log",
    fix="log_a = z - z.max(axis=1, keepdims=True); "
    "log_a -= np.log(np.exp(log_a).sum(axis=1, keepdims=True))",
    loop="m = z[i].max(); log_a = z[i] - m - np.log(np.exp(z[i] - m).sum())",
)

MISTAKES = [
    _log(
        "log-of-underflow",
        "the log of a probability that is rounded to 0",
        "Where the outputs are far apart, a_y is too small for a float and becomes 0: the loss is "
        "then infinite.",
        lambda a, log_a: np.log(a),
        kind="weakness",
    ),
    _log(
        "clipped",
        "the probabilities are clipped before the log",
        "The loss stops growing, near 16.1 for 1e-7, and has no gradient beyond.",
        *(changed(clip, epsilon) for epsilon in EPSILONS for clip in (both_sides, np.maximum)),
        kind="weakness",
    ),
    _log(
        "log-of-a-plus-epsilon",
        "a small number is added to the probability before the log",
        "It makes every loss slightly wrong, and log softmax does not need it.",
        *(changed(np.add, epsilon) for epsilon in (1e-8, *EPSILONS)),
        kind="weakness",
    ),
    _log(
        "log-softmax-of-logs",
        "the log of log-probabilities is taken",
        "log softmax already is the log.",
        lambda a, log_a: np.log(-log_a),
        fix="J = -log_a[np.arange(N), y]",
        loop="loss -= log_a[i, y[i]]",
    ),
]
