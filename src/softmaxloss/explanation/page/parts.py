"""Parts of the page: numbers, names and tables.

Every number is in an element that says what it is, which the script looks for: data-v for the
quantity, data-n for the position of its class, "y" for the true one and "rest" for the classes that
are not listed. A sentence that is true only in some cases has its fact in data-if.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..one_data import ExampleData
from ..one_words import facts
from ..rendering.html import row, table, text
from ..rendering.names import name, others
from ..rendering.numbers import number

# Columns that a phone has no room for, with the class that hides them.
COLUMNS = {"": "bars", "exp(z−m)": "exp"}


def value(v: str, shown: str | float, n: int | str | None = None) -> str:
    """A number, in an element that says what it is."""
    place = "" if n is None else f' data-n="{n}"'
    words = shown if isinstance(shown, str) else number(shown)
    return f'<span data-v="{v}"{place}>{words}</span>'


class Parts:
    """What the sections of a page are made of.

    controls: whether a script will follow the numbers, which needs at least two classes.
    """

    def __init__(self, e: ExampleData, controls: bool) -> None:
        self.e = e
        self.controlled = controls and e.terms.size > 1
        self.shown = e.listed()
        self.rest = np.delete(np.arange(e.terms.size), self.shown)
        self.facts = facts(e)

    def index(self, n: int | str) -> str:
        """The number of a class, as the caller counts; "y" is the true class."""
        position = self.e.target if n == "y" else int(n)
        return f'<span data-class="{n}">{self.e.number(position)}</span>'

    def name(self, n: int) -> str:
        """The name of a class, after a space; empty without names."""
        return text(name(self.e, n))

    def of_rest(self, v: str, values: NDArray[np.float64]) -> str:
        """The sum over the classes that are not listed."""
        return value(v, float(values[self.rest].sum()), "rest")

    def when(self, fact: str, words: str, *, tag: str = "span", css: str = "") -> str:
        """Words for a fact. The script shows and hides them; without it they are left out."""
        if not self.controlled:
            return words if self.facts[fact] else ""
        style = f' class="{css}"' if css else ""
        hidden = "" if self.facts[fact] else " hidden"
        return f'<{tag}{style} data-if="{fact}"{hidden}>{words}</{tag}>'

    def warm(self, words: str) -> str:
        """A part of a formula for a temperature that is not 1, hidden while it is 1."""
        return self.when("warm", words, css="warm")

    def table(
        self,
        caption: str,
        heads: list[str],
        cells: Callable[[int], list[str]],
        rest: list[str],
        total: list[str],
    ) -> str:
        """A row for each class listed, one for the rest, one for the sums."""
        columns = [COLUMNS.get(head, "") for head in heads[1:]]
        rows = []
        for n in self.shown:
            place = f' data-n="{n}"' + (' class="true"' if n == self.e.target else "")
            known = f'{self.index(n)}<span class="name">{self.name(n)}</span>'
            rows.append(row(known, cells(n), place, columns=columns))
        if self.rest.size:
            place = ' data-n="rest" class="rest"'
            rows.append(row(others(self.rest.size), rest, place, columns=columns))
        foot = row("sum", total, columns=columns)
        return table(caption, heads, rows, foot=foot, columns=columns)
