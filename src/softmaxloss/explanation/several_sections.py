"""What there is to say about an example with several labels, for its text and its page."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..options import MultiLabel
from ..text import plural
from .rendering.names import MOST, in_sentence, listed
from .rendering.numbers import number, told_apart, worked, zero
from .rendering.sections import Cell, Row, Section, Table, class_rows, slope_cells
from .several_data import SeveralLabelsData

WORKED = 3  # terms of the loss that a formula shows

#: What each policy does with several labels.
MEANING: dict[MultiLabel, str] = {
    "error": "takes one label, or probabilities that sum to 1",
    "sum": "adds the losses of the labels, as PyTorch and TensorFlow do",
    "mean": "divides that sum by the sum of the target",
}


def title(e: SeveralLabelsData) -> str:
    """The title of the page."""
    if e.sums_to_one:
        return "One example with probabilities as its target"
    return f"One example with {plural(len(e.labels), 'label')}"


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


def sections(e: SeveralLabelsData, cells: int) -> Iterator[Section]:
    """The sections; `cells` is the width of a class name."""
    yield _loss(e, cells)
    if np.isfinite(e.probabilities).all():
        yield _pushes(e, cells)
        yield _after(e, cells)
    if not e.sums_to_one:
        yield _policies(e, cells)


def _table(
    e: SeveralLabelsData,
    width: int,
    caption: str,
    heads: list[str],
    cells: Callable[[int], list[str | Cell]],
    total: Callable[[NDArray[np.intp] | slice], list[str | Cell]],
) -> Table:
    """A row for each class listed, one for those that are not, one for the sums. total: the cells
    for some classes together."""
    shown = e.listed()
    rows = class_rows(e, shown, width, cells, e.true)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        rows.append(Row([plural(rest.size, "other"), *total(rest)]))
    return Table(caption, heads, [*rows, Row(["sum", *total(slice(None))], "sum")])


def _loss(e: SeveralLabelsData, width: int) -> Section:
    q, z, a, terms, added = e.target, e.logits, e.probabilities, e.terms, e.contributions

    def cells(n: int) -> list[str | Cell]:
        share = Cell(number(a[n]), share=float(a[n]))
        return [number(q[n]), number(z[n]), share, number(terms[n]), number(added[n])]

    def total(classes: NDArray[np.intp] | slice) -> list[str | Cell]:
        sums = [number(float(x[classes].sum())) for x in (q, a, added)]
        return [sums[0], "", sums[1], "", sums[2]]

    heads = ["class", "target q", "output z", "probability a", "−log a", "q·(−log a)"]
    table = _table(e, width, "The loss, class by class", heads, cells, total)
    words = ["The loss adds the −log a of every class, each times its target:"]
    words.append(f"   J = Σ q_n·(−log a_n) = {_worked_loss(e)}")
    if (q == 0).any():
        words.append(
            "A class with the target 0 adds nothing. Yet its output counts, because it is in the "
            "denominator of every a_n."
        )
    return Section("1. The loss J", table, words)


def _worked_loss(e: SeveralLabelsData) -> str:
    """The loss with its terms, where they are few."""
    labels, loss = e.labels, e.as_given.loss
    assert loss is not None
    if not 0 < len(labels) <= WORKED or not math.isfinite(loss):
        return number(loss)
    if set(e.target[labels]) == {1.0}:
        return worked(" + ".join(["{}"] * len(labels)), _add, e.terms[labels].tolist(), loss)
    parts = [float(x[n]) for n in labels for x in (e.target, e.terms)]
    return worked(" + ".join(["{}·{}"] * len(labels)), _add_products, parts, loss)


def _add(*terms: float) -> float:
    return sum(terms)


def _add_products(*operands: float) -> float:
    return sum(q * term for q, term in zip(operands[::2], operands[1::2], strict=True))


def _pushes(e: SeveralLabelsData, width: int) -> Section:
    given = e.as_given
    gradient, gradient_sum, after = given.gradient, given.gradient_sum, given.after
    assert gradient is not None
    assert gradient_sum is not None
    assert after is not None

    def cells(n: int) -> list[str | Cell]:
        a, q = number(e.probabilities[n]), number(e.target[n])
        return [a, q, *slope_cells(float(gradient[n]), moves=bool(after.logits[n] != -math.inf))]

    def total(classes: NDArray[np.intp] | slice) -> list[str | Cell]:
        a, q = (number(float(x[classes].sum())) for x in (e.probabilities, e.target))
        if isinstance(classes, slice):
            return [a, q, zero(gradient_sum), ""]
        return [a, q, *slope_cells(float(gradient[classes].sum()))]

    heads = ["class", "probability a", "target q", "∂J/∂z", "<z goes"]
    table = _table(e, width, "The gradient ∂J/∂z", heads, cells, total)
    total_q = math.fsum(e.target)
    formula, goal = "a_n − q_n", "its target"
    if not e.sums_to_one:
        formula = f"Q·a_n − q_n, with Q = Σ q = {number(total_q)}"
        goal = "its share of the target, q_n/Q"
    words = [f"   ∂J/∂z_n = {formula}"]
    if total_q and gradient.any():
        words.append(
            f"Descent moves each output against its derivative: up where its probability is below "
            f"{goal}, down where it is above, and not at all where they are equal. The derivatives "
            "sum to 0: all pushes up together are as strong as all pushes down."
        )
    words.append(outcome(e))
    return Section("2. Which output is raised, and which lowered", table, words)


def _after(e: SeveralLabelsData, width: int) -> Section:
    loss, after = e.as_given.loss, e.as_given.after
    assert loss is not None
    assert after is not None

    def cells(n: int) -> list[str | Cell]:
        return [
            number(x[n]) for x in (e.logits, after.logits, e.probabilities, after.probabilities)
        ]

    def total(classes: NDArray[np.intp] | slice) -> list[str | Cell]:
        sums = (number(float(x[classes].sum())) for x in (e.probabilities, after.probabilities))
        return ["", "", *sums]

    heads = ["class", "z", "z after", "a", "a after"]
    table = _table(e, width, "Before the step and after it", heads, cells, total)
    title = f"3. After one step of descent, z − {e.step:g} · ∂J/∂z"
    return Section(title, table, [f"   J: {' → '.join(told_apart(loss, after.loss))}"])


def _policies(e: SeveralLabelsData, width: int) -> Section:
    """What each policy makes of the target, where they differ."""
    policies = e.policies

    def slopes(n: int) -> list[str]:
        return ["–" if p.gradient is None else number(p.gradient[n]) for p in policies]

    gradients = class_rows(e, e.listed(), width, slopes, e.true, "∂J/∂z_")
    sums = ("–" if p.gradient_sum is None else zero(p.gradient_sum) for p in policies)
    losses = ("–" if p.loss is None else number(p.loss) for p in policies)
    words = []
    for policy in policies:
        here = "" if policy.error is None else f" Here: {policy.error}."
        words.append(f'"{policy.name}" {MEANING[policy.name]}.{here}')
    return Section(
        "What each multi_label makes of it",
        Table(
            "The loss J and its gradient ∂J/∂z",
            ["", *(f'"{policy.name}"' for policy in policies)],
            [Row(["J", *losses], "loss"), *gradients, Row(["sum", *sums], "sum")],
        ),
        ['Above, the target is used as it is given, as with multi_label="sum".', *words],
    )


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
    if not labels:
        return 'No class is true, so no output is pushed: with "sum" the loss is 0.'
    if len(labels) == 1:
        return "Descent moves the probability of the one class in the target towards 1."
    least_loss, share = e.as_given.least_loss, e.shares
    assert least_loss is not None
    told = ", ".join(f"a_{e.number(n)} = {number(share[n])}" for n in labels[:MOST])
    more = ", …" if len(labels) > MOST else ""
    if e.sums_to_one:
        whose, end = "the target", "the entropy of the target, and not 0."
    else:
        whose = "the target's shares"
        end = "not 0: classes that exclude each other cannot all be certain."
    return (
        f"Descent moves the probabilities towards {whose}, {told}{more}, where the gradient is 0. "
        f"The loss is then {number(least_loss)}, {end}"
    )
