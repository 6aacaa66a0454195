"""What the text and the page of an example with several labels both say."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..options import MultiLabel
from .rendering.names import MOST
from .rendering.numbers import number
from .several_data import SeveralLabelsData

__all__ = [
    "MEANING",
    "TERMS",
    "TERMS_TITLE",
    "gradient_cells",
    "loss_cells",
    "outcome",
    "term_cells",
]

TERMS_TITLE = "1. The loss that each class would have"
TERMS = ["class", "target q", "output z", "probability a", "−log a"]

#: What each policy does with several labels.
MEANING: dict[MultiLabel, str] = {
    "error": "takes one label, or probabilities that sum to 1",
    "sum": "adds the losses of the labels, as PyTorch and TensorFlow do",
    "mean": "divides that sum by the sum of the target",
}


def term_cells(e: SeveralLabelsData, n: int) -> list[str]:
    """The row of class n in the table headed `TERMS`."""
    return _cells([e.target[n], e.logits[n], e.probabilities[n], e.terms[n]])


def loss_cells(e: SeveralLabelsData) -> list[str]:
    """The loss by each policy."""
    return _cells(policy.loss for policy in e.policies)


def gradient_cells(e: SeveralLabelsData, n: int) -> list[str]:
    """∂J/∂z_n by each policy."""
    return _cells(None if p.gradient is None else p.gradient[n] for p in e.policies)


def _cells(values: Iterable[float | None]) -> list[str]:
    return ["–" if value is None else number(value) for value in values]


def outcome(e: SeveralLabelsData) -> str:
    """Where gradient descent ends, in a sentence."""
    if not np.isfinite(e.probabilities).all():
        return "The row has no softmax: every probability and every derivative is NaN."
    labels = e.labels
    stuck = [n for n in labels if e.logits[n] == -math.inf]
    if stuck:
        return (
            f"The output of class {e.number(stuck[0])}, which is in the target, is −inf: the loss "
            "is infinite, and no step moves that output."
        )
    best = next((p for p in reversed(e.policies) if p.target is not None), None)
    if best is None or best.target is None or best.least_loss is None:
        return "No policy takes this target."
    if not labels:
        return 'No class is true, so no output is pushed: with "sum" the loss is 0.'
    if len(labels) == 1:
        return "Descent moves the probability of the one class in the target towards 1."
    share = best.target / best.target.sum()
    told = ", ".join(f"a_{e.number(n)} = {number(share[n])}" for n in labels[:MOST])
    more = ", …" if len(labels) > MOST else ""
    return (
        f"Descent moves the probabilities towards the target's shares, {told}{more}, where the "
        f'gradient is 0. The loss is then {number(best.least_loss)} with "{best.name}", not 0: '
        "classes that exclude each other cannot all be certain."
    )
