"""The explanation of one example with several labels, as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from ..text import printable
from . import several_words as words
from .rendering.names import in_sentence, listed, others, plural
from .rendering.numbers import number, zero
from .rendering.terminal import FAINT, TRUE, Rows, heading, indent, lay_out, prose, table
from .several_data import SeveralLabelsData

__all__ = ["render"]


def render(explanation: SeveralLabelsData, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline; for `width` and `color` see `to_text`.

    >>> import numpy as np
    >>> e = SeveralLabelsData.of(np.array([2.0, 1.0, 0.1]), np.array([0.0, 1.0, 1.0]), step=0.1)
    >>> print(render(e).splitlines()[0])
    One example with 3 classes, numbered from 0, and 2 labels: classes 1 and 2.
    """
    return lay_out(_parts(explanation, width), color=color, width=width)


def _parts(e: SeveralLabelsData, width: int) -> Iterator[RenderableType]:
    labels, shown = e.labels, e.listed()
    rows = Rows(e, shown, width, labels)
    yield _title(e, rows.cells)

    yield heading(words.TERMS_TITLE)
    terms = table(*words.TERMS)
    for n in shown:
        terms.add_row(rows.name(n), *words.term_cells(e, n), style=TRUE if n in labels else None)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        target, share = float(e.target[rest].sum()), float(e.probabilities[rest].sum())
        terms.add_row(f"  {others(rest.size)}", number(target), "", number(share))
    yield indent(terms)

    yield heading("2. The loss and its gradient for each meaning of several labels")
    columns = table("", *(f'"{policy.name}"' for policy in e.policies))
    columns.add_row("J", *words.loss_cells(e), style=TRUE)
    for n in shown:
        columns.add_row(Text.assemble("∂J/∂z ", rows.name(n)), *words.gradient_cells(e, n))
    sums = ["–" if p.gradient_sum is None else zero(p.gradient_sum) for p in e.policies]
    columns.add_row("sum", *sums, style=FAINT)
    yield indent(columns)
    yield Text()
    for policy in e.policies:
        yield prose(f'"{policy.name}" {words.MEANING[policy.name]}.', 1)
        if policy.error is not None:
            yield prose(f"Here: {printable(policy.error)}.", 2)
    yield Text()
    yield prose(words.outcome(e), 1)


def _title(e: SeveralLabelsData, cells: int) -> RenderableType:
    labels = e.labels
    known = listed([in_sentence(e, n, cells) for n in labels]) if labels else ""
    if not labels:
        said = "no label: its target is all zeros"
    elif set(e.target[labels]) == {1.0}:
        said = f"{len(labels)} labels: {known}"
    else:
        said = f"a target that gives {len(labels)} of them a share: {known}"
    classes = plural(e.terms.size, "class")
    return prose(f"One example with {classes}, numbered from {e.first_class}, and {said}.")
