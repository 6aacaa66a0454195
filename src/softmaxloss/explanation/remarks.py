"""What is unusual about an example, each in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .explanation import Explanation

__all__ = ["remarks"]


def remarks(e: Explanation) -> list[str]:
    """The sentences; for most examples there are none.

    >>> from softmaxloss.explanation import explain
    >>> remarks(explain([5.0, 5.0], 0))[0]
    'The largest logit is shared by classes 0 and 1: the first of them is taken as the prediction.'
    """
    z, y, a = e.before.logits, e.target, e.before.probabilities
    if not e.defined:
        return [_no_softmax(e)]
    found = []
    loss = e.before.loss
    if z[y] == -math.inf:
        found += [
            "The logit of the true class is -inf: it has no chance at all, and the loss is "
            "infinite.",
            "The gradient is finite all the same (-1 for the true class), but no step moves a "
            "logit away from -inf.",
        ]
    masked = np.flatnonzero((z == -math.inf) & (np.arange(z.size) != y))
    if masked.size:
        found.append(
            f"The logit of {_classes(e, masked)} is -inf: masked out, probability 0, and not "
            "pushed at all. The loss is as if there were no such class."
        )
    largest = np.flatnonzero(z == z.max())
    if largest.size > 1:
        found.append(
            f"The largest logit is shared by {_classes(e, largest)}: the first of them is taken as "
            "the prediction."
        )
    if math.isfinite(loss):
        if loss > 0 and not math.isclose(loss, e.loss_from_logits, rel_tol=1e-6):
            found.append(
                "−z_y + log Σ exp z has lost digits here, because its two parts cancel in float64. "
                "The loss itself is computed as (m − z_y) + log(1 + S), where nothing cancels: m "
                "is the largest logit, S the sum of exp(z_n − m) over the other classes."
            )
        if a[y] == 0.0:
            found.append(
                "The probability of the true class is too small for float64 and rounds to 0. The "
                "loss is computed from the logits and stays right; log of the probability would "
                "be -inf."
            )
        if z.size > 1 and not e.gradient.any():
            found.append(
                "Every derivative is 0: the true class has all the probability, and nothing is "
                "pushed."
            )
        if e.after.loss == loss and loss > 0:
            found.append(
                "The step changes nothing that float64 can show: it is too small beside these "
                "logits."
            )
    return found


def _no_softmax(e: Explanation) -> str:
    """Why this row has no softmax, in one sentence."""
    z = e.before.logits
    nan, infinite = np.flatnonzero(np.isnan(z)), np.flatnonzero(z == math.inf)
    if nan.size:
        return (
            f"The logit of {_classes(e, nan)} is NaN (not a number), so every probability, the "
            "loss and the whole gradient are NaN: find out where the NaN comes from."
        )
    if infinite.size:
        return (
            f"The logit of {_classes(e, infinite)} is +inf, and softmax would divide infinity by "
            "infinity: every probability, the loss and the whole gradient are NaN."
        )
    return (
        "Every logit is -inf, so every class is masked out and softmax would divide 0 by 0: the "
        "probabilities, the loss and the gradient are NaN."
    )


def _classes(e: Explanation, positions: NDArray[np.intp]) -> str:
    """Class numbers as words, at most five of them."""
    numbers = [str(e.number(int(n))) for n in positions[:5]]
    if positions.size == 1:
        return f"class {numbers[0]}"
    if positions.size > 5:
        return f"classes {', '.join(numbers)} and {positions.size - 5} more"
    return f"classes {', '.join(numbers[:-1])} and {numbers[-1]}"
