"""What there is to say about an example with several labels, for its text and its page."""

import math

import numpy as np

from ..options import MultiLabel
from ..text import plural
from .rendering.names import MOST, in_sentence, listed
from .rendering.numbers import number, zero
from .rendering.sections import Row, Section, Table, class_rows
from .several_data import SeveralLabelsData

#: What each policy does with several labels.
MEANING: dict[MultiLabel, str] = {
    "error": "takes one label, or probabilities that sum to 1",
    "sum": "adds the losses of the labels, as PyTorch and TensorFlow do",
    "mean": "divides that sum by the sum of the target",
}


def lead(e: SeveralLabelsData, cells: int) -> str:
    """The first sentence; `cells` is the width of a class name."""
    labels = e.labels
    known = listed([in_sentence(e, n, cells) for n in labels]) if labels else ""
    if not labels:
        said = "no label: its target is all zeros"
    elif set(e.target[labels]) == {1.0}:
        said = f"{len(labels)} labels: {known}"
    else:
        said = f"a target that gives {len(labels)} of them a share: {known}"
    classes = plural(e.terms.size, "class")
    return f"One example with {classes}, numbered from {e.first_class}, and {said}."


def sections(e: SeveralLabelsData, cells: int) -> list[Section]:
    """The sections; `cells` is the width of a class name."""
    shown, policies = e.listed(), e.policies

    columns = (e.target, e.logits, e.probabilities, e.terms)
    terms = class_rows(e, shown, cells, lambda n: [number(x[n]) for x in columns], e.labels)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        target, share = (number(float(x[rest].sum())) for x in (e.target, e.probabilities))
        terms.append(Row([plural(rest.size, "other"), target, "", share, ""]))

    def slopes(n: int) -> list[str]:
        return ["–" if p.gradient is None else number(p.gradient[n]) for p in policies]

    gradients = class_rows(e, shown, cells, slopes, e.labels, "∂J/∂z_")
    sums = ("–" if p.gradient_sum is None else zero(p.gradient_sum) for p in policies)
    losses = ("–" if p.loss is None else number(p.loss) for p in policies)
    words = []
    for policy in policies:
        here = "" if policy.error is None else f" Here: {policy.error}."
        words.append(f'"{policy.name}" {MEANING[policy.name]}.{here}')
    heads = ["class", "target q", "output z", "probability a", "−log a"]
    return [
        Section(
            "1. The loss that each class would have",
            Table("The loss of the example if the class were true", heads, terms),
        ),
        Section(
            "2. The loss and its gradient for each meaning of several labels",
            Table(
                "The loss J and its gradient ∂J/∂z",
                ["", *(f'"{policy.name}"' for policy in policies)],
                [Row(["J", *losses], "loss"), *gradients, Row(["sum", *sums], "sum")],
            ),
            [*words, outcome(e)],
        ),
    ]


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
