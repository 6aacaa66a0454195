"""The examples that the page of a set lists, each with its own explanation in the page."""

import math
from collections.abc import Callable

import numpy as np

from ..text import as_html, plural
from ..totals import Example, Strongest
from .rendering.html import bar, paragraph, row, table
from .rendering.names import NAME, in_table, name
from .rendering.numbers import number, worked
from .rendering.sections import slope_cells
from .set_data import SetData
from .set_words import why_listed


def explained(e: SetData, command: Callable[[Example], str], *, links: bool) -> str:
    """The explanations of these examples, folded. links: whether tables link to them."""
    x = e.examined
    return "".join(_explained(e, one, command, links) for one in (*x.suspects, *x.hard, *x.invalid))


def _explained(e: SetData, x: Example, command: Callable[[Example], str], links: bool) -> str:
    id = e.examined.ids.get(x.row)
    called = f"Row {x.row}" + (f", {as_html(id[:200])}" if id is not None else "")
    taken = "predicted right" if x.label == x.predicted else f"taken for {_name(e, x.predicted)}"
    if x.rank == 0:
        taken = "no softmax: a logit is NaN or +inf, or all are −inf"
    parts = [] if x.rank == 0 else [paragraph(why_listed(e, x)), paragraph(_loss(e, x))]
    if x.row in e.examined.strongest:
        parts.append(_table(e, x, e.examined.strongest[x.row]))
    parts.append(paragraph("All of it:"))
    parts.append(f"<pre>{as_html(command(x))}</pre>")
    place = f' id="row-{x.row}"' if links else ""
    return (
        f'<details class="explained"><summary>{called}: label {_name(e, x.label)}, {taken}'
        f"</summary><div{place}>{''.join(parts)}</div></details>"
    )


def _loss(e: SetData, x: Example) -> str:
    """The loss as −log of a probability."""
    shown = worked("−log {}", lambda a: -math.log(a), [x.probability], x.loss)
    return (
        f"The loss is −log of the probability of the label: J = {shown} nats. "
        f"{plural(x.rank - 1, 'class')} {'has' if x.rank == 2 else 'have'} a larger logit."
    )


def _table(e: SetData, x: Example, strongest: Strongest) -> str:
    """The strongest classes, and which way descent moves them."""
    y = x.label - e.first_class
    with np.errstate(invalid="ignore", over="ignore"):
        a = np.exp(strongest.logits - strongest.logsumexp)
    rows = []
    for n, z, a_n in zip(
        strongest.classes.tolist(), strongest.logits.tolist(), a.tolist(), strict=True
    ):
        head = f'{e.number(n)}<span class="name">{as_html(name(e, n))}</span>'
        if x.rank == 0:
            rows.append(row(head, [number(z)], ' class="true"' if n == y else ""))
            continue
        a_n = x.probability if n == y else a_n
        slope, moves = slope_cells(a_n - (n == y))
        cells = [number(z), number(a_n), bar(a_n), as_html(slope.text), moves.text]
        rows.append(row(head, cells, ' class="true"' if n == y else ""))
    heads = ["class", "logit z"]
    foot, others = "", e.counts.size - strongest.classes.size
    if x.rank:
        heads += ["probability a", "", "∂J/∂z = a − onehot", "descent"]
        if others:
            rest = number(max(0.0, 1.0 - math.fsum(a.tolist())))
            foot = row(plural(others, "other"), ["", rest, "", f"+{rest}", "↓ down"])
    return table(f"Its largest logits of {plural(e.counts.size, 'class')}", heads, rows, foot)


def _name(e: SetData, label: int) -> str:
    return as_html(in_table(e, label - e.first_class, NAME))
