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
    """The loss as −log of a probability, or that of each class by its share."""
    more = f"{plural(x.rank - 1, 'class')} {'has' if x.rank == 2 else 'have'} a larger logit."
    if e.soft:
        return f"The loss is J = Σ q_n·(−log a_n) = {number(x.loss)} nats. {more}"
    shown = worked("−log {}", lambda a: -math.log(a), [x.probability], x.loss)
    return f"The loss is −log of the probability of the label: J = {shown} nats. {more}"


def _table(e: SetData, x: Example, strongest: Strongest) -> str:
    """The strongest classes, and which way descent moves them."""
    y = x.label - e.first_class
    with np.errstate(invalid="ignore", over="ignore"):
        a = np.exp(strongest.logits - strongest.logsumexp)
    rows = []
    columns = (strongest.classes, strongest.logits, a, strongest.target)
    for n, z, a_n, q_n in zip(*(column.tolist() for column in columns), strict=True):
        head = f'{e.number(n)}<span class="name">{as_html(name(e, n))}</span>'
        if x.rank == 0:
            rows.append(row(head, [number(z)], ' class="true"' if n == y else ""))
            continue
        a_n = x.probability if n == y else a_n
        slope, moves = slope_cells(a_n - q_n)
        target = [number(q_n)] if e.soft else []
        cells = [number(z), number(a_n), bar(a_n), *target, as_html(slope.text), moves.text]
        rows.append(row(head, cells, ' class="true"' if n == y else ""))
    heads = ["class", "logit z"]
    foot, others = "", e.counts.size - strongest.classes.size
    if x.rank:
        target = ["target q", "∂J/∂z = a − q"] if e.soft else ["∂J/∂z = a − onehot"]
        heads += ["probability a", "", *target, "descent"]
        if others:
            a_rest, q_rest = (max(0.0, 1.0 - math.fsum(x.tolist())) for x in (a, strongest.target))
            slope, moves = slope_cells(a_rest - q_rest) if e.soft else slope_cells(a_rest)
            target = [number(q_rest)] if e.soft else []
            cells = ["", number(a_rest), "", *target, as_html(slope.text), moves.text]
            foot = row(plural(others, "other"), cells)
    return table(f"Its largest logits of {plural(e.counts.size, 'class')}", heads, rows, foot)


def _name(e: SetData, label: int) -> str:
    return as_html(in_table(e, label - e.first_class, NAME))
