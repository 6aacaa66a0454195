"""Sections that are shown alike in a terminal and on a page: a heading, a table, sentences."""

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..data import Data
from .names import name
from .numbers import direction, signed


class Cell(NamedTuple):
    """A cell of plain text.

    Attributes:
        text: may be untrusted.
        tint: the colour in a terminal, as for an output that goes up or down; or code to copy.
        name: the name of a class, which follows its number.
        link: on a page, the id of the element that it links to.
        share: on a page, the length of a bar beside it, from 0 to 1; NaN for none.
    """

    text: str
    tint: Literal["", "up", "down", "faint", "code"] = ""
    name: str = ""
    link: str = ""
    share: float = math.nan


class Row(NamedTuple):
    """A row, whose first cell heads it. kind: of a true class, of a loss, or a sum."""

    cells: Sequence[str | Cell]
    kind: Literal["", "true", "loss", "sum"] = ""


@dataclass(frozen=True)
class Table:
    """A table. In a terminal the first column is aligned left, the others right; "<" or ">" before
    a header says otherwise."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Section:
    """A section. words: its paragraphs; a line that starts with three spaces is code."""

    title: str
    table: Table | None = None
    words: list[str] = field(default_factory=list)


def slope_cells(slope: float, *, moves: bool = True) -> tuple[Cell, Cell]:
    """A derivative and where descent moves its output."""
    word = direction(slope) if moves else ""
    tint: Literal["", "up", "down"] = "" if not word else "up" if slope < 0 else "down"
    return Cell(signed(slope), tint), Cell(word, tint)


def class_rows(
    e: Data,
    shown: Iterable[int],
    width: int,
    cells: Callable[[int], Sequence[str | Cell]],
    true: Container[int],
    before: str = "",
) -> list[Row]:
    """A row for each of these classes: `before`, the number, the name of at most `width` cells,
    then the cells of the class. true: the true classes."""
    words = {n: f"{before}{e.number(n)}" for n in shown}
    widest = max(map(len, words.values()))
    heads = {n: Cell(f"{word:>{widest}}", name=name(e, n, width)) for n, word in words.items()}
    return [Row([heads[n], *cells(n)], "true" if n in true else "") for n in heads]
