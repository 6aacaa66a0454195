"""The explanation of a set as the body of an HTML page: tables, and the pushes as a map in SVG.

Class names are untrusted: every text goes through `_text`, which escapes what HTML or a reader
would take for more than text. No scripts and no inline styles, so that a strict content policy lets
it through; the colours are in set.css.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from ..files.evaluation import Example
from ..text import printable, shorten
from . import page
from .set_explanation import SetExplanation
from .set_text import INVALID, NET, ONE_CLASS, heaviest, how_short, net_gradient, no_pushes, plural
from .terminal import number

__all__ = ["body", "fragment", "title", "to_html"]

Vector = NDArray[np.float64]

MAPPED = 40  # classes in the map; of more than these the ones in the strongest pairs
PAIRS = 20  # listed
CLASSES = 20  # listed
NAME = 24  # characters of a name in a table, LABEL of them in the map
LABEL = 14

EMPTY = "none"  # where there is no number


def to_html(e: SetExplanation, command: Callable[[Example], str]) -> str:
    """The whole page."""
    return page.document(title(e), _headed(e, command), css=page.asset("set.css"))


def fragment(e: SetExplanation, command: Callable[[Example], str]) -> str:
    """The same for a place among other things, as in a notebook."""
    return page.enclosed(_headed(e, command), css=page.asset("set.css"))


def _headed(e: SetExplanation, command: Callable[[Example], str]) -> str:
    return f"<h1>{_text(title(e))}</h1>\n{body(e, command)}"


def title(e: SetExplanation) -> str:
    """The title of the page, as plain text."""
    return f"{plural(e.examples, 'example')}, {plural(e.counts.size, 'class')}"


def body(e: SetExplanation, command: Callable[[Example], str] | None = None) -> str:
    """The sections of the page, as HTML; classes of set.css are on the elements.

    command: what to type to see one example explained; default: a call of `explain`.

    >>> from softmaxloss.explanation import explain_set
    >>> page = body(explain_set([[0.0, 1.0]], [0], classes=["<b>", "&"]))
    >>> "<b>" in page, "&lt;b&gt;" in page
    (False, True)
    """
    parts = [_summary(e)]
    if e.counts.size > 1 and e.counts.any():
        parts += [_map(e), _strongest(e), _net(e)]
    if e.top:
        parts.append(_hardest(e, command or e.call))
    return "\n".join(parts)


def _summary(e: SetExplanation) -> str:
    classes = e.counts.size
    facts = [
        ("examples", str(e.examples)),
        ("classes", f"{classes}, numbered from {e.first_class}"),
        ("mean loss", f"{number(e.mean_loss)} nats"),
        ("loss of a uniform guess", f"ln {classes} = {number(e.uniform_loss)}"),
        ("accuracy", f"{100 * e.accuracy:.2f} %"),
    ]
    if e.ignored:
        facts.append(("rows ignored", str(e.ignored)))
    if e.invalid:
        facts.append(("rows without a softmax", str(e.invalid)))
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts)
    notes = ""
    if e.invalid:
        notes += _paragraph(INVALID)
    if classes == 1:
        notes += _paragraph(ONE_CLASS)
    return f'<section class="set-summary"><dl>{rows}</dl>{notes}</section>'


def _map(e: SetExplanation) -> str:
    shown = _mapped(e)
    if not shown:
        return ""
    means = _means(e, shown)
    which = "" if len(shown) == e.counts.size else f", the {len(shown)} that push most"
    said = (
        "Each row is a true class, each column a class: the colour says how hard the examples of "
        "the one push the output of the other down on average. On the diagonal they pull up the "
        "output of their own class. A row sums to 0 over all classes. The strength of the colour "
        "grows with the square root of the number, so that small ones can be seen."
    )
    if e.pairs is not None:
        said += " Pairs too weak to be kept are blank."
    heading = f"Which classes push which{which}"
    columns = [_name(e, n, NAME) for n in shown]
    rows = (
        [name, *(number(x) if not math.isnan(x) else EMPTY for x in line)]
        for name, line in zip(columns, means.tolist(), strict=True)
    )
    numbers = _table(
        "mean of ∂J/∂z: row by true class, column by class", ["true class", *columns], rows
    )
    return (
        f'<section class="set-map"><h2>{_text(heading)}</h2>{_paragraph(said)}'
        f"{_svg(e, shown, means, heading)}"
        f"<details><summary>The same as numbers</summary>{numbers}</details></section>"
    )


def _mapped(e: SetExplanation) -> list[int]:
    """The positions of the classes in the map, in their order."""
    if e.counts.size <= MAPPED:
        return list(range(e.counts.size))
    chosen: set[int] = set()
    for push in e.strongest(MAPPED * MAPPED):  # so many pairs have more classes than that
        if len(chosen | {push.true, push.pushed}) > MAPPED:
            break
        chosen |= {push.true, push.pushed}
    return sorted(chosen)


def _means(e: SetExplanation, shown: list[int]) -> Vector:
    """The part of the matrix of pushes for these classes; 0 for pairs that are not kept."""
    if e.pushes is not None:
        return np.asarray(e.pushes[np.ix_(shown, shown)])
    assert e.pairs is not None
    means = np.diag(e.pulls[shown])
    means[e.counts[shown] == 0] = math.nan
    among = np.isin(e.pairs.true, shown) & np.isin(e.pairs.pushed, shown)
    rows = np.searchsorted(shown, e.pairs.true[among])
    columns = np.searchsorted(shown, e.pairs.pushed[among])
    means[rows, columns] = e.pairs.mean[among]
    return means


def _svg(e: SetExplanation, shown: list[int], means: Vector, heading: str) -> str:
    """The map. A label is beside its row and, turned, above its column."""
    size = 30 if len(shown) <= 12 else 18
    names = [_name(e, n, LABEL) for n in shown]
    margin = 14 + 7 * max(map(cell_len, names))
    side = margin + size * len(shown) + 2
    largest = float(np.nanmax(np.abs(means), initial=0.0))
    parts = [
        f'<svg class="push-map" role="img" viewBox="0 0 {side} {side}" width="{side}" '
        f'height="{side}" xmlns="http://www.w3.org/2000/svg" font-size="12" fill="currentColor">'
        f"<title>{_text(heading)}: the table below has the same numbers</title>"
    ]
    for k, name in enumerate(names):
        middle = margin + size * k + size / 2
        parts.append(
            f'<text x="{margin - 6}" y="{middle + 4}" text-anchor="end">{_text(name)}</text>'
            f'<text x="{middle + 4}" y="{margin - 6}" '
            f'transform="rotate(-90 {middle + 4} {margin - 6})">{_text(name)}</text>'
        )
    for row, i in enumerate(shown):
        for column, n in enumerate(shown):
            x = float(means[row, column])
            kind = "empty" if math.isnan(x) else "up" if x < 0 else "down"
            strength = math.sqrt(abs(x) / largest) if largest and not math.isnan(x) else 0.0
            parts.append(
                f'<rect class="{kind}" x="{margin + size * column}" y="{margin + size * row}" '
                f'width="{size - 1}" height="{size - 1}" fill-opacity="{strength:.3f}">'
                f"<title>{_text(_said(e, i, n, x))}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _said(e: SetExplanation, i: int, n: int, x: float) -> str:
    """One cell of the map in words."""
    examples = f"the examples of class {_name(e, i, NAME)}"
    if math.isnan(x):
        return f"there are no examples of class {_name(e, i, NAME)}"
    if i == n:
        return f"{examples} pull their own output up by {number(-x)} on average"
    if x == 0 and e.pairs is not None:
        least = number(float(e.pairs.short[i]))
        return f"{examples} push class {_name(e, n, NAME)} down by {least} at most on average"
    return f"{examples} push class {_name(e, n, NAME)} down by {number(x)} on average"


def _strongest(e: SetExplanation) -> str:
    strongest = e.strongest(PAIRS)
    heading = "The strongest pushes"
    if not strongest:
        return _section("set-strongest", heading, _paragraph(no_pushes(e)))
    rows = (
        [
            _name(e, push.true, NAME),
            _name(e, push.pushed, NAME),
            number(push.mean),
            str(push.examples),
            f"{100 * push.share:.1f} %",
        ]
        for push in strongest
    )
    headers = ["examples of class", "push down class", "on average by", "examples", "of all pushes"]
    said = (
        "An example pushes the output of every other class n down by its probability a_n of that "
        "class, so the average says how far the model takes the one class for the other. The order "
        "is by number of examples times average."
    )
    if e.pairs is not None:
        said += f" {how_short(e, strongest)}"
    return _section(
        "set-strongest", heading, _paragraph(said) + _table("strongest pushes", headers, rows)
    )


def _net(e: SetExplanation) -> str:
    shown = heaviest(e, CLASSES)
    rows = []
    for n in shown:
        slope = net_gradient(e, [n])
        rows.append(
            [
                _name(e, n, NAME),
                str(int(e.counts[n])),
                number(float(e.class_loss[n])) if e.counts[n] else EMPTY,
                number(float(e.shares[n])),
                number(float(e.mean_probability[n])),
                number(slope),
                "up" if slope < 0 else "down" if slope > 0 else "",
            ]
        )
    headers = ["class", "examples", "mean loss", "share", "mean a_n", "∂J/∂z_n", "descent"]
    said = NET
    if len(shown) < e.counts.size:
        said += f" Listed are the {len(shown)} classes that are moved most."
    return _section(
        "set-net",
        "Where all the examples together push each output",
        _paragraph(said) + _table("net gradient by class", headers, rows),
    )


def _hardest(e: SetExplanation, command: Callable[[Example], str]) -> str:
    def rows() -> Iterator[list[str]]:
        for example in e.top:
            valid = example.rank > 0
            yield [
                str(example.row),
                _name(e, example.label - e.first_class, NAME),
                _name(e, example.predicted - e.first_class, NAME) if valid else EMPTY,
                number(example.loss),
                number(example.probability),
                str(example.rank) if valid else EMPTY,
                command(example),
            ]

    headers = ["row", "label", "predicted", "loss", "label's probability", "rank", "explain it"]
    return _section(
        "set-hardest",
        "Examples to look at first",
        _table("the examples with the highest loss", headers, rows(), code=True),
    )


def _section(kind: str, heading: str, content: str) -> str:
    return f'<section class="{kind}"><h2>{_text(heading)}</h2>{content}</section>'


def _paragraph(text: str) -> str:
    return f"<p>{_text(text)}</p>"


def _table(
    label: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, code: bool = False
) -> str:
    """A table of plain texts; the first cell of a row heads it. code: the last one is to copy."""
    head = "".join(f'<th scope="col">{_text(header)}</th>' for header in headers)
    lines = []
    for first, *cells in rows:
        line = [f"<td>{_text(cell)}</td>" for cell in cells]
        if code:
            line[-1] = f"<td><code>{_text(cells[-1])}</code></td>"
        lines.append(f'<tr><th scope="row">{_text(first)}</th>{"".join(line)}</tr>')
    return (
        f'<div class="scroll"><table aria-label="{_text(label)}"><thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _name(e: SetExplanation, n: int, cells: int) -> str:
    """The class as plain text: its number, and its name where it has one."""
    known = "" if e.classes is None else f" {shorten(e.classes[n], cells)}"
    return f"{e.number(n)}{known}"


def _text(text: str) -> str:
    """Any text as HTML that shows it: on one line, without control characters."""
    return html.escape(printable(text))
