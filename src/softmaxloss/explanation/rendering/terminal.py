"""Text for a terminal or a pipe: sentences, tables, bars. Loads rich."""

from __future__ import annotations

import io
import math
from collections.abc import Container, Iterable

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..data import Data
from .names import name
from .numbers import direction, signed

__all__ = [
    "FAINT",
    "INDENT",
    "TRUE",
    "Rows",
    "bar",
    "descent_cells",
    "heading",
    "indent",
    "lay_out",
    "prose",
    "table",
    "table_width",
    "to_ascii",
]

INDENT = 3
PROSE_WIDTH = 79
LEAST_WIDTH = 40  # of prose: no number is longer, so that none is broken
UNLIMITED = 10_000
FAINT, TRUE, UP, DOWN = "dim", "bold", "green", "red"


def lay_out(parts: Iterable[RenderableType], *, color: bool, width: int = PROSE_WIDTH) -> str:
    """The parts one below the other, as text that ends in a newline; plain without `color`.

    Sentences are broken to fit the width. Nothing is cut: half a number is a wrong number.
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
    """The text in ASCII, for an output whose encoding lacks mathematical signs.

    >>> to_ascii("∂J/∂z_2 = a_2 − 1 ↑")
    'dJ/dz_2 = a_2 - 1 ^'
    """
    signs = str.maketrans("∂−·↑↓←→█▉▊▋▌▍▎▏", "d-*^v<>#####   ", "")
    return text.translate(signs).replace("Σ", "sum").encode("ascii", "backslashreplace").decode()


def table(*headers: str) -> Table:
    """A table without lines. The first column is aligned left, the others right; "<" or ">" before
    a header says otherwise."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT)
    for k, header in enumerate(headers):
        left = header.startswith("<") or (k == 0 and not header.startswith(">"))
        result.add_column(
            Text(header.lstrip("<>")), justify="left" if left else "right", no_wrap=True
        )
    return result


def table_width(part: Table) -> int:
    """The width of the table in columns of the terminal."""
    console = Console(width=UNLIMITED)
    return Measurement.get(console, console.options, part).maximum


def prose(text: Text | str, levels: int = 0) -> RenderableType:
    """Sentences, indented and broken into lines."""
    return Constrain(indent(Text(text) if isinstance(text, str) else text, levels), PROSE_WIDTH)


def indent(part: RenderableType, levels: int = 1) -> RenderableType:
    """The part, indented."""
    return Padding(part, (0, 0, 0, levels * INDENT), expand=False)


def heading(text: str) -> RenderableType:
    """The heading of a section, after an empty line."""
    return Text(f"\n{text}", "bold")


def bar(share: float, width: int) -> str:
    """A bar for a share between 0 and 1, to an eighth of a cell."""
    if not width or math.isnan(share):
        return ""
    eighths = round(min(share, 1.0) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def descent_cells(slope: float, *, moves: bool = True) -> tuple[Text, Text]:
    """A derivative and where descent moves its output, coloured."""
    word = direction(slope) if moves else ""
    style = "" if not word else UP if slope < 0 else DOWN
    return Text(signed(slope), style), Text(word, style)


class Rows:
    """The classes as the first cells of table rows: number and name, true classes marked.

    Attributes:
        cells: the cells that a name may take.
    """

    def __init__(self, e: Data, shown: list[int], width: int, true: Container[int]) -> None:
        self.e, self.true = e, true
        self.digits = max(len(str(e.number(n))) for n in shown)
        self.cells = max(6, width - 62)

    def name(self, n: int) -> Text:
        """The cell for the class at position n."""
        mark = ">" if n in self.true else " "
        known = f"{self.e.number(n):>{self.digits}}{name(self.e, n, self.cells)}"
        return Text(f"{mark} {known}")
