"""What the sections of the page for one example are made of.

Every number is in an element that says what it is, which the script looks for: data-v for the
quantity, data-n for the position of its class, "y" for the true one and "rest" for the classes that
are not listed. data-name and data-sub have the name of such a class, data-class its number. What is
true only in some cases has its fact in data-if.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...text import as_html, plural, shorten
from ..one_data import ExampleData
from ..rendering.html import row, table
from ..rendering.names import NAME, name
from ..rendering.numbers import number
from .facts import facts, formulas, riser

SUB = 10  # cells of a class name in a formula and in a picture


def value(v: str, shown: str | float, n: int | str | None = None) -> str:
    """A number, in an element that says what it is."""
    place = "" if n is None else f' data-n="{n}"'
    words = shown if isinstance(shown, str) else number(shown)
    return f'<span data-v="{v}"{place}>{words}</span>'


def names(e: ExampleData, n: int) -> tuple[str, str]:
    """The name of a class in a sentence and in a formula, as plain text."""
    if e.classes is None:
        return f"class {e.number(n)}", str(e.number(n))
    return shorten(e.classes[n], NAME), shorten(e.classes[n], SUB)


class Parts:
    """The parts of one page, which the sections put together.

    Attributes:
        e: the explanation.
        controlled: whether a script will follow the numbers, which needs at least two classes.
        shown: the positions of the classes listed.
        rest: those of the others.
        facts: which facts hold.
        roles: the positions of "y", the true class; "top", the first with the largest output;
            "faller", the strongest of the others; "riser", see facts.py.
        formulas: the operands of each formula, see facts.py.
        y, a_y, J: the true class as an index, its probability, the loss, as HTML.
    """

    def __init__(self, e: ExampleData, controls: bool) -> None:
        self.e = e
        self.controlled = controls and e.terms.size > 1
        self.shown = e.listed()
        self.rest = np.delete(np.arange(e.terms.size), self.shown)
        self.facts = facts(e)
        self.formulas = formulas(e)
        self.roles = {"y": e.target, "top": e.predicted or 0, "faller": 0, "riser": riser(e) or 0}
        if e.terms.size > 1:
            self.roles["faller"] = e.strongest_other
        self.y = self.sub("y")
        self.a_y = value("a", e.before.probabilities[e.target], "y")
        self.J = value("J", e.before.loss)

    def position(self, n: int | str) -> int:
        """Of a class listed, or of a role."""
        if isinstance(n, int):
            return n
        return self.roles[n]

    def name(self, n: int | str) -> str:
        """The name of a class in a sentence; "class 2" without names."""
        known = as_html(names(self.e, self.position(n))[0])
        return f'<span class="known" data-name="{n}">{known}</span>'

    def sub(self, n: int | str) -> str:
        """The class as the index of a formula."""
        return f'<sub data-sub="{n}">{as_html(names(self.e, self.position(n))[1])}</sub>'

    def operand(self, formula: str, k: int = 0) -> str:
        """The operand number k of a formula, with enough digits to compute it again."""
        shown = self.formulas.get(formula)
        return value(f"op-{formula}-{k}", shown[k] if shown else "")

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
        rows = []
        for n in self.shown:
            place = f' data-n="{n}"' + (' class="true"' if n == self.e.target else "")
            known = f'<span class="name" data-known="{n}">{as_html(name(self.e, n))}</span>'
            index = f'<span data-class="{n}">{self.e.number(n)}</span>'
            mark = " (true)" if n == self.e.target and not self.controlled else ""
            rows.append(row(index + known + mark, cells(n), place))
        if self.rest.size:
            place = ' data-n="rest" class="rest"'
            rows.append(row(plural(self.rest.size, "other"), rest, place))
        return table(caption, heads, rows, row("sum", total))

    def given(self, these: str) -> str:
        """A line about what does not follow the numbers, shown once they are changed."""
        words = f"{these} about the example as it was given."
        return self.when("changed", words, tag="p", css="stale")


def numbers(content: str, summary: str = "Show the numbers") -> str:
    """What is folded until someone asks for it."""
    return f'<details class="numbers"><summary>{summary}</summary>{content}</details>'


def picture(kind: str, drawing: str, said: str = "", n: int | str | None = None) -> str:
    """A picture, drawn again by the script. said: what it shows, in words."""
    place = "" if n is None else f' data-n="{n}"'
    role = f'role="img" aria-label="{said}"' if said else 'aria-hidden="true"'
    box = ' viewBox="0 0 220 118"' if kind == "curve" else ""
    return f'<svg class="{kind}" data-draw="{kind}"{place}{box} {role}>{drawing}</svg>'
