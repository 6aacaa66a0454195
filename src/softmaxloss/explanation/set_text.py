"""The explanation of a set of examples as text, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..files.evaluation import Example
from ..text import printable
from . import set_words as words
from .rendering.names import in_sentence, in_table, others, plural
from .rendering.numbers import number
from .rendering.terminal import descent_cells, heading, indent, lay_out, prose, table
from .set_data import Push, SetData

__all__ = ["hardest", "render"]

PAIRS = 10  # listed, the strongest of all
CLASSES = 12  # listed; of more, those that the set moves most


def render(
    explanation: SetData,
    *,
    width: int = 80,
    color: bool = False,
    command: Callable[[Example], str],
) -> str:
    """The explanation as text that ends in a newline; for the arguments see `to_text`."""
    return lay_out(_parts(explanation, width, command), color=color, width=width)


def hardest(top: Iterable[Example], name: Callable[[int], str]) -> Table:
    """The table of the examples with the highest loss. name: shows a label."""
    row, label, predicted, *rest = words.HARDEST
    examples = table(f">{row}", f"<{label}", f"<{predicted}", *rest)
    for example in top:
        examples.add_row(*words.hardest_cells(example, name))
    return examples


def _parts(e: SetData, width: int, command: Callable[[Example], str]) -> Iterator[RenderableType]:
    """The sections, top to bottom."""
    cells = max(6, (width - 60) // 2)  # of two names; the numbers take the rest
    yield from _title(e)
    if e.counts.size > 1 and e.counts.any():
        yield from _pushes(e, cells)
        yield from _net(e, cells)
    if e.top:
        yield heading("3. Examples to look at first, those with the highest loss")
        yield indent(hardest(e.top, lambda label: in_table(e, label - e.first_class, cells)))
        yield prose("\nWhy the first of them?", 1)
        yield indent(Text(printable(command(e.top[0]))), 2)


def _title(e: SetData) -> Iterator[RenderableType]:
    examples, classes = plural(e.examples, "example"), plural(e.counts.size, "class")
    yield prose(f"{examples}, {classes}, numbered from {e.first_class}.")
    uniform = f"ln {e.counts.size} = {number(e.uniform_loss)}"
    yield prose(
        Text.assemble(
            "Mean loss ",
            (f"{number(e.mean_loss)} nats", "bold"),
            f" (a uniform guess: {uniform}), accuracy ",
            (f"{100 * e.accuracy:.2f} %", "bold"),
            ".",
        )
    )
    if e.ignored:
        yield prose(f"{plural(e.ignored, 'row')} with the label to ignore left out.")
    yield from map(prose, words.notes(e))


def _pushes(e: SetData, cells: int) -> Iterator[RenderableType]:
    yield heading("1. Which classes push which down")
    strongest = e.strongest(PAIRS)
    if not strongest:
        yield prose(words.no_pushes(e), 1)
        return
    first_header, second, *rest = words.PUSHES
    pushes = table(first_header, f"<{second}", *rest)
    for push in strongest:
        true, pushed, _, *after = words.push_cells(e, push, cells)
        pushes.add_row(true, pushed, descent_cells(push.mean)[0], *after)
    yield indent(pushes)
    yield Text()
    yield prose(_strongest(e, strongest[0], cells), 1)
    yield prose(
        "Every example pulls up the output of its own class by as much as it pushes the others "
        "down: ∂J/∂z_n = a_n for every other class n, a_y − 1 for its own, and these sum to 0.",
        1,
    )
    if said := words.short(e, strongest):
        yield prose(said, 1)


def _strongest(e: SetData, push: Push, cells: int) -> str:
    """The first row of the table in words."""
    i, n = in_sentence(e, push.true, cells), in_sentence(e, push.pushed, cells)
    verb, average, whose = (
        ("push", " on average", "their mean") if push.examples > 1 else ("pushes", "", "its")
    )
    return (
        f"The {plural(push.examples, 'example')} of class {i} {verb} the output of class {n} down "
        f"by {number(push.mean)}{average}, {whose} probability of class {e.number(push.pushed)}: "
        "the higher, the more the model takes one for the other. Listed are the pairs that push "
        "most in total, number of examples times average."
    )


def _net(e: SetData, cells: int) -> Iterator[RenderableType]:
    yield heading(f"2. {words.NET_TITLE}")
    *heads, last = words.NET
    net = table(*heads, f"<{last}")
    shown = words.heaviest(e, CLASSES)
    rest = np.delete(np.arange(e.counts.size), shown).tolist()
    rows = [([n], in_table(e, n, cells)) for n in shown]
    if rest:
        rows.append((rest, others(len(rest))))
    for classes, name in rows:
        *before, _, _ = words.net_cells(e, classes, name)
        net.add_row(*before, *descent_cells(words.net_gradient(e, classes)))
    yield indent(net)
    yield Text()
    yield prose(words.NET_ABOUT, 1)
