"""Laying out text for a terminal or a pipe: numbers, untrusted text, tables. Loads rich."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..text import printable, shorten
from .words import number

__all__ = [
    "FAINT",
    "INDENT",
    "indent",
    "lay_out",
    "number",
    "printable",
    "prose",
    "shorten",
    "table",
    "table_width",
    "to_ascii",
]

INDENT = 3
PROSE_WIDTH = 79
LEAST_WIDTH = 40  # of prose: no number is longer, so that none is broken
UNLIMITED = 10_000
FAINT = "dim"


def lay_out(parts: Iterable[RenderableType], *, color: bool, width: int = PROSE_WIDTH) -> str:
    """The parts one below the other, as text that ends in a newline; plain without `color`.

    Prose is broken to fit the width. Nothing is cut to it: half a number is a wrong number.
    """
    prose_width = max(LEAST_WIDTH, width)
    console = Console(
        file=io.StringIO(),
        width=UNLIMITED,
        force_terminal=color,
        force_jupyter=False,  # which would show the text beside what is returned
        color_system="standard" if color else None,
        markup=False,  # a class may be called [red]
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        for part in parts:
            console.print(part, width=prose_width if isinstance(part, Constrain) else None)
    return "".join(line.rstrip() + "\n" for line in capture.get().split("\n")[:-1])


def to_ascii(text: str) -> str:
    """The text for an output that cannot show the signs of mathematics.

    >>> to_ascii("∂J/∂z_2 = a_2 − 1 ↑")
    'dJ/dz_2 = a_2 - 1 ^'
    """
    signs = str.maketrans("∂−·↑↓←→█▉▊▋▌▍▎▏", "d-*^v<>#####   ", "")
    return text.translate(signs).replace("Σ", "sum").encode("ascii", "backslashreplace").decode()


def table(*headers: str) -> Table:
    """Columns without lines. "<" before a header aligns it left, which the first is anyhow, ">"
    right, which the others are."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT)
    for k, header in enumerate(headers):
        left = header.startswith("<") or (k == 0 and not header.startswith(">"))
        result.add_column(
            Text(header.lstrip("<>")), justify="left" if left else "right", no_wrap=True
        )
    return result


def table_width(part: Table) -> int:
    """The columns of a terminal that the table takes."""
    console = Console(width=UNLIMITED)
    return Measurement.get(console, console.options, part).maximum


def prose(text: Text | str, levels: int = 0) -> RenderableType:
    """Sentences, moved to the right and broken into lines."""
    return Constrain(indent(Text(text) if isinstance(text, str) else text, levels), PROSE_WIDTH)


def indent(part: RenderableType, levels: int = 1) -> RenderableType:
    """The part, moved to the right."""
    return Padding(part, (0, 0, 0, levels * INDENT), expand=False)
