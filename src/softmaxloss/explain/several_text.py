"""The explanation of one example with several labels, in words and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from .several import SeveralLabels
from .terminal import FAINT, indent, lay_out, number, printable, prose, table
from .text import SHOWN, TRUE, Names, heading

__all__ = ["render"]

MEANING = {
    "error": "takes one label, or probabilities that sum to 1",
    "sum": "adds the losses of the labels, as PyTorch and TensorFlow do",
    "mean": "divides that by the sum of the target",
}


def render(explanation: SeveralLabels, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline; `text.render` says more.

    >>> from softmaxloss.explain import explain
    >>> print(render(explain([2.0, 1.0, 0.1], [0, 1, 1])).splitlines()[0])
    One example with 3 classes, numbered from 0, and 2 labels: classes 1 and 2.
    """
    return lay_out(_parts(explanation, width), color=color, width=width)


def _parts(e: SeveralLabels, width: int) -> Iterator[RenderableType]:
    labels = e.labels
    order = sorted(range(e.terms.size), key=lambda n: (n not in labels, -e.probabilities[n]))
    shown = sorted(order[:SHOWN]) if e.terms.size > SHOWN else list(range(e.terms.size))
    names = Names(e, shown, width, set(labels))
    yield _title(e, names)

    yield heading("1. The losses that the classes would have")
    terms = table("class", "target q", "output z", "probability a", "−log a")
    for n in shown:
        numbers = (e.target[n], e.logits[n], e.probabilities[n], e.terms[n])
        style = TRUE if n in labels else None
        terms.add_row(names.row(n), *(number(x) for x in numbers), style=style)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        share = number(float(e.probabilities[rest].sum()))
        terms.add_row(f"  {rest.size} others", number(float(e.target[rest].sum())), "", share)
    yield indent(terms)

    yield heading("2. The loss and its derivatives, by what several labels are to mean")
    columns = table("", *(f'"{policy.name}"' for policy in e.policies))
    columns.add_row("J", *_cells(policy.loss for policy in e.policies), style=TRUE)
    for n in shown:
        cells = _cells(None if p.gradient is None else p.gradient[n] for p in e.policies)
        columns.add_row(Text.assemble("∂J/∂z ", names.row(n)), *cells)
    cells = _cells(p.gradient_sum and round(p.gradient_sum, 9) for p in e.policies)
    columns.add_row("sum", *cells, style=FAINT)
    yield indent(columns)
    yield Text()
    for policy in e.policies:
        yield prose(f'"{policy.name}" {MEANING[policy.name]}.', 1)
        if policy.error is not None:
            yield prose(f"Here: {printable(policy.error)}.", 2)
    least = next((p for p in reversed(e.policies) if p.target is not None), None)
    if least is None or least.target is None or least.least_loss is None:
        return
    yield Text()
    if not least.target.any():
        yield prose("Nothing is true, so nothing is pushed: the loss is 0.", 1)
        return
    share = least.target / least.target.sum()
    yield prose(
        f"Descent moves the probabilities towards the target's shares, {_shares(e, share)}, where "
        f"the derivatives are 0. The loss is then {number(least.least_loss)} by "
        f'"{least.name}", and not 0: classes that exclude each other cannot all be certain.'
        if (share < 1).all()
        else "Descent moves the probability of the one class in the target towards 1.",
        1,
    )


def _title(e: SeveralLabels, names: Names) -> RenderableType:
    classes, labels = e.terms.size, e.labels
    count = "1 class" if classes == 1 else f"{classes} classes"
    if not labels:
        known = "no label: its target is all zeros"
    elif set(e.target[labels]) == {1.0}:
        known = f"{len(labels)} labels: {_list(names, labels)}"
    else:
        known = f"a target that gives {len(labels)} of them a part: {_list(names, labels)}"
    return prose(f"One example with {count}, numbered from {e.first_class}, and {known}.")


def _list(names: Names, labels: list[int]) -> str:
    shown = [names.plain(n) for n in labels[:5]]
    if len(labels) == 1:
        return f"class {shown[0]}"
    if len(labels) > 5:
        return f"classes {', '.join(shown)} and {len(labels) - 5} more"
    return f"classes {', '.join(shown[:-1])} and {shown[-1]}"


def _shares(e: SeveralLabels, share: NDArray[np.float64]) -> str:
    labels = e.labels[:5]
    told = ", ".join(f"a_{e.number(n)} = {number(share[n])}" for n in labels)
    return told + (", …" if len(e.labels) > 5 else "")


def _cells(values: Iterable[float | None]) -> list[str]:
    return ["–" if value is None else number(value) for value in values]
