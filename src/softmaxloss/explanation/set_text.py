"""The explanation of a set of examples as text, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rich.console import RenderableType
from rich.text import Text

from ..files.evaluation import Example
from ..text import printable
from .rendering.names import in_table, plural
from .rendering.numbers import number
from .rendering.sections import Section
from .rendering.terminal import indent, lay_out, prose, section
from .set_data import SetData
from .set_sections import hardest, net, notes, pushes

PAIRS = 10  # listed, the strongest of all
CLASSES = 12  # listed; of more, those that the set moves most


def render(
    explanation: SetData, *, width: int = 80, color: bool = False, command: Callable[[Example], str]
) -> str:
    """The explanation as text that ends in a newline; for the arguments see `to_text`."""
    return lay_out(_parts(explanation, width, command), color=color, width=width)


def _parts(e: SetData, width: int, command: Callable[[Example], str]) -> Iterator[RenderableType]:
    """The sections, top to bottom."""
    cells = max(6, (width - 60) // 2)  # of two names; the numbers take the rest
    yield from _title(e)
    parts = []
    if e.counts.size > 1 and e.counts.any():
        parts += [pushes(e, PAIRS, cells), net(e, CLASSES, cells)]
    if e.top:
        examples = hardest(e.top, lambda label: in_table(e, label - e.first_class, cells))
        title = "Examples to look at first, those with the highest loss"
        parts.append(Section(title, examples, ["Why the first of them?"]))
    for number_, part in enumerate(parts, 4 - len(parts)):
        yield from section(replace(part, title=f"{number_}. {part.title}"))
    if e.top:
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
    yield from map(prose, notes(e))
