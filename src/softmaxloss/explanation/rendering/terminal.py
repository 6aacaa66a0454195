"""Text for a terminal or a pipe: sentences, tables, bars. Loads rich."""

import io
import math
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Literal

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ...text import printable
from .sections import Cell, Section, Table

INDENT = 3
PROSE_WIDTH = 79
LEAST_WIDTH = 40  # of prose: no number is longer, so that none is broken
UNLIMITED = 10_000
FAINT = "dim"
STYLES = {"": "", "true": "bold", "loss": "bold", "sum": FAINT, "faint": FAINT, "code": ""}
STYLES |= {"up": "green", "down": "red"}


def lay_out(parts: Iterable[RenderableType], *, color: bool, width: int = PROSE_WIDTH) -> str:
    """The parts one below the other, as text that ends in a newline; plain without `color`.

    Sentences are broken to fit the width, and tables shown in parts. Nothing is cut: half a number
    is a wrong number. Code is not broken.
    """
    width = max(LEAST_WIDTH, width)
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
            if isinstance(part, Padding) and isinstance(part.renderable, RichTable):
                for k, table in enumerate(_fitting(part.renderable, width - part.left)):
                    console.print(Padding(table, (int(k > 0), 0, 0, part.left)), width=width)
            else:
                console.print(part, width=width if isinstance(part, Constrain) else None)
    return "".join(line.rstrip() + "\n" for line in capture.get().split("\n")[:-1])


def to_ascii(text: str) -> str:
    """The text in ASCII, for an output whose encoding lacks mathematical signs.

    >>> to_ascii("∂J/∂z_2 = a_2 − 1 ↑")
    'dJ/dz_2 = a_2 - 1 ^'
    """
    signs = str.maketrans("∂−·↑↓←→█▉▊▋▌▍▎▏", "d-*^v<>#####   ", "")
    return text.translate(signs).replace("Σ", "sum").encode("ascii", "backslashreplace").decode()


def table_of(part: Table) -> RichTable:
    """A table without lines, in which the rows of true classes are marked."""
    result = _empty()
    for k, header in enumerate(part.heads):
        left = header.startswith("<") or (k == 0 and not header.startswith(">"))
        justify: Literal["left", "right"] = "left" if left else "right"
        result.add_column(Text(header.lstrip("<>")), justify=justify, no_wrap=True)
    marked = any(row.kind == "true" for row in part.rows)
    for (head, *cells), kind in part.rows:
        mark = "" if not marked else "> " if kind == "true" else "  "
        result.add_row(Text.assemble(mark, _cell(head)), *map(_cell, cells), style=STYLES[kind])
    return result


def _cell(cell: str | Cell) -> Text:
    if isinstance(cell, str):
        return Text(printable(cell))
    return Text(printable(cell.text) + cell.name, STYLES[cell.tint])


def table_width(part: RichTable) -> int:
    """The width of the table in columns of the terminal."""
    console = Console(width=UNLIMITED)
    return Measurement.get(console, console.options, part).maximum


def _fitting(table: RichTable, width: int) -> list[RichTable]:
    """The table, if it is no wider than that; else the parts that are, with the first column in
    each. Headers are then broken, and a column that is too wide by itself."""
    if table_width(table) <= width:
        return [table]
    columns = table.columns
    cells = [[Text(str(cell)).cell_len for cell in column.cells] for column in columns]
    bodies = [max(lengths, default=0) for lengths in cells]
    heads = [
        wrap(str(column.header), max(body, *map(len, str(column.header).split()), 1))
        for column, body in zip(columns, bodies, strict=True)
    ]
    widths = [max([body, *map(len, head)]) for body, head in zip(bodies, heads, strict=True)]
    groups = [[0]]
    for k in range(1, len(columns)):
        if len(groups[-1]) > 1 and sum(widths[j] + 2 for j in groups[-1]) + widths[k] > width:
            groups.append([0])
        groups[-1].append(k)
    return [_part(table, group, heads) for group in groups]


def _part(table: RichTable, group: list[int], heads: list[list[str]]) -> RichTable:
    """Some columns of a table, with these lines as their headers."""
    part = _empty(show_header=table.show_header)
    for k in group:
        column = table.columns[k]
        header = Text("\n".join(heads[k]))
        part.add_column(header, justify=column.justify, vertical="bottom", no_wrap=k == 0)
    rows = zip(*(table.columns[k].cells for k in group), strict=True)
    for row, cells in zip(table.rows, rows, strict=True):
        part.add_row(*cells, style=row.style)
    return part


def _empty(*, show_header: bool = True) -> RichTable:
    """A table without lines."""
    return RichTable(
        box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT, show_header=show_header
    )


def prose(text: Text | str, levels: int = 0) -> RenderableType:
    """Sentences, indented and broken into lines."""
    return Constrain(indent(Text(text) if isinstance(text, str) else text, levels), PROSE_WIDTH)


def indent(part: RenderableType, levels: int = 1) -> RenderableType:
    """The part, indented."""
    return Padding(part, (0, 0, 0, levels * INDENT), expand=False)


def heading(text: str) -> RenderableType:
    """The heading of a section, after an empty line."""
    return Constrain(Text(f"\n{text}", "bold"), PROSE_WIDTH)


def bar(share: float, width: int) -> str:
    """A bar for a share between 0 and 1, to an eighth of a cell."""
    if not width or math.isnan(share):
        return ""
    eighths = round(min(share, 1.0) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def name_cells(width: int) -> int:
    """The width of a class name in a table beside its numbers."""
    return max(4, min(6, width - 36), width - 62)


def section(part: Section) -> Iterator[RenderableType]:
    """A heading, the table, the sentences below it."""
    yield heading(part.title)
    if part.table is not None:
        yield indent(table_of(part.table))
        if part.words:
            yield Text()
    for words in part.words:
        yield from paragraph(words)


def paragraph(words: str) -> Iterator[RenderableType]:
    """A paragraph of plain text; a line that starts with three spaces is code."""
    for line in map(printable, words.split("\n")):
        yield indent(Text(line)) if line.startswith("   ") else prose(line, 1)


def document(lead: Iterable[str], sections: Iterable[Section], *, width: int, color: bool) -> str:
    """Sentences and the sections below them, as by `lay_out`."""
    below = (part for one in sections for part in section(one))
    return lay_out([*map(prose, lead), *below], width=width, color=color)
