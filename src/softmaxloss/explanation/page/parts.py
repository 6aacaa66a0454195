"""Pieces of the page: numbers, names and tables.

Every number is in an element that says what it is, which the script looks for: data-v for the
quantity, data-n for the position of its class, "y" for the true one and "rest" for those that are
not listed. A sentence that is true in some cases only has the case in data-if.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...text import shorten
from ..words import others

if TYPE_CHECKING:
    from ..explanation import Explanation, Path

__all__ = ["SHOWN", "Parts", "drawn_path", "value"]

SHOWN = 12  # classes listed; of more than these the strongest are shown, the rest as one line
NAME = 24  # characters of a class name
COLUMNS = {"": "bars", "exp(z−m)": "exp"}  # which a phone has no room for


def value(v: str, shown: str, n: int | str | None = None) -> str:
    """A number with what it is."""
    place = "" if n is None else f' data-n="{n}"'
    return f'<span data-v="{v}"{place}>{shown}</span>'


def drawn_path(e: Explanation) -> Path | None:
    """The path of descent, where it can be drawn: its losses do not overflow."""
    path = e.path
    return path if path is not None and np.isfinite(path.loss).all() else None


def cases(e: Explanation) -> dict[str, bool]:
    """What is the case for this example. page.js has the same for the example it shows."""
    y, slopes = e.target, e.gradient
    possible = e.before.logits[y] > -math.inf
    others = np.delete(slopes, y)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        product = e.gradient_by_probability * e.jacobian_row
        multiplied = bool((np.abs(product - slopes) <= 1e-6 * np.abs(slopes)).all())
    path = drawn_path(e)
    return {
        "softmax": e.defined,
        "pushed": possible and bool(slopes.any()),
        "still": not slopes.any(),
        "moving": bool(slopes.any()),
        "impossible": not possible,
        "all-others": bool((others > 0).all()),
        "some-others": not (others > 0).all(),
        "product": multiplied,
        "no-product": not multiplied,
        "path": path is not None and int(path.steps[-1]) > 1,
        "reached": path is not None and path.reached,
        "not-reached": path is not None and not path.reached,
        "unchanged": True,
        "changed": False,
        "renumbered": False,
        "stale": False,
        "warm": False,
    }


class Parts:
    """What the sections of a page are made of.

    controls: whether a script will follow the numbers, which needs two classes at least.
    """

    def __init__(self, e: Explanation, controls: bool) -> None:
        self.e = e
        self.controlled = controls and e.terms.size > 1
        self.many = e.terms.size > SHOWN
        self.shown = e.strongest(SHOWN) if self.many else list(range(e.terms.size))
        self.rest = np.delete(np.arange(e.terms.size), self.shown)
        self.cases = cases(e)

    def index(self, n: int | str) -> str:
        """The number of a class, as the caller counts; "y": the true one's."""
        position = self.e.target if n == "y" else int(n)
        return f'<span data-class="{n}">{self.e.number(position)}</span>'

    def name(self, n: int) -> str:
        from . import text

        classes = self.e.classes
        return "" if classes is None else f" {text(shorten(classes[n], NAME))}"

    def when(self, case: str, words: str, *, tag: str = "span", css: str = "") -> str:
        """Words for a case. The script shows and hides them; without it they are there or not."""
        if not self.controlled:
            return words if self.cases[case] else ""
        style = f' class="{css}"' if css else ""
        hidden = "" if self.cases[case] else " hidden"
        return f'<{tag}{style} data-if="{case}"{hidden}>{words}</{tag}>'

    def stale(self, words: str, case: str) -> str:
        """A line about what does not follow the numbers, shown once they are changed."""
        return self.when(case, words, tag="p", css="stale")

    def numbered(self) -> str:
        """How the classes are numbered in a text that does not follow."""
        return self.when("renumbered", f", with its classes numbered from {self.e.first_class}")

    def warm(self, words: str) -> str:
        """A part of a formula for a temperature that is not 1, hidden while it is 1."""
        return self.when("warm", words, css="warm")

    def row_name(self, n: int) -> str:
        return f'<th scope="row">{self.index(n)}<span class="name">{self.name(n)}</span></th>'

    def table(
        self,
        caption: str,
        heads: list[str],
        cells: Callable[[int], list[str]],
        rest: list[str],
        total: list[str],
    ) -> str:
        """A row for each class listed, one for the rest, one for the sums."""
        styles = [f' class="{COLUMNS[head]}"' if head in COLUMNS else "" for head in heads]

        def data(row: list[str]) -> str:
            pairs = zip(styles[1:], row, strict=True)
            return "".join(f"<td{style}>{cell}</td>" for style, cell in pairs)

        rows = []
        for n in self.shown:
            true = ' class="true"' if n == self.e.target else ""
            rows.append(f'<tr data-n="{n}"{true}>{self.row_name(n)}{data(cells(n))}</tr>')
        if self.rest.size:
            name = others(self.rest.size)
            rows.append(
                f'<tr data-n="rest" class="rest"><th scope="row">{name}</th>{data(rest)}</tr>'
            )
        head = "".join(
            f'<th scope="col"{style}>{head}</th>' if head else f"<td{style}></td>"
            for style, head in zip(styles, heads, strict=True)
        )
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
            f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody>"
            f'<tfoot><tr><th scope="row">sum</th>{data(total)}</tr></tfoot></table></div>'
        )
