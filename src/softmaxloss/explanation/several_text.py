"""The explanation of one example with several labels, in words and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from ..text import printable
from .several import MEANING, SeveralLabels
from .terminal import FAINT, indent, lay_out, number, prose, table
from .text import TRUE, Names, heading
from .words import others

__all__ = ["render"]


def render(explanation: SeveralLabels, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline; `text.render` says more.

    >>> from softmaxloss.explanation import explain
    >>> print(render(explain([2.0, 1.0, 0.1], [0, 1, 1])).splitlines()[0])
    One example with 3 classes, numbered from 0, and 2 labels: classes 1 and 2.
    """
    return lay_out(_parts(explanation, width), color=color, width=width)


def _parts(e: SeveralLabels, width: int) -> Iterator[RenderableType]:
    labels, shown = e.labels, e.listed()
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
        terms.add_row(f"  {others(rest.size)}", number(float(e.target[rest].sum())), "", share)
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
    yield Text()
    yield prose(e.outcome(), 1)


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


def _cells(values: Iterable[float | None]) -> list[str]:
    return ["–" if value is None else number(value) for value in values]
