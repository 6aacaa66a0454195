"""The page for a set of examples: tables, and the pushes as a map in SVG."""

import math
import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..text import as_html
from ..totals import Example
from .rendering.html import Page, paragraph, section, section_of, table_of
from .rendering.names import NAME, in_table
from .rendering.numbers import number
from .rendering.sections import Row, Table
from .set_data import SetData
from .set_sections import EMPTY, lead, sections

MAPPED = 40  # classes in the map; of more, those in the strongest pairs
LISTED = 20  # pairs, and classes
LABEL = 14  # cells of a name in the map


def page(e: SetData, command: Callable[[Example], str]) -> Page:
    """The page. command: what to type to explain one example."""
    title = f"Why the mean loss is {number(e.mean_loss)}"
    parts = [f"<h1>{title}</h1>", *map(paragraph, lead(e))]
    if e.counts.size > 1 and e.counts.any():
        parts.append(_map(e))
    parts += map(section_of, sections(e, LISTED, NAME, command, each=True))
    return Page(title, "\n".join(parts))


def _map(e: SetData) -> str:
    shown = _mapped(e)
    if not shown:
        return ""
    means = _means(e, shown)
    which = "" if len(shown) == e.counts.size else f", the {len(shown)} that push most"
    said = (
        "Each row is a true class, each column a class: the colour says how hard the examples of "
        "the true class push the output of the other down on average. On the diagonal they pull up "
        "the output of their own class. A row sums to 0 over all classes. The strength of the "
        "colour grows with the square root of the number, so that small numbers can be seen."
    )
    if e.pairs is not None:
        said += " Pairs too weak to be kept are blank."
    heading = f"A map of the pushes{which}"
    names = [in_table(e, n) for n in shown]
    rows = [
        Row([name, *(EMPTY if math.isnan(x) else number(x) for x in line)])
        for name, line in zip(names, means.tolist(), strict=True)
    ]
    caption = "Mean of ∂J/∂z: row by true class, column by class"
    numbers = table_of(Table(caption, ["true class", *names], rows))
    folded = f"<details><summary>The same as numbers</summary>{numbers}</details>"
    return section(heading, f"{paragraph(said)}{_svg(e, shown, means, heading)}{folded}")


def _mapped(e: SetData) -> list[int]:
    """The positions of the classes in the map, in their order."""
    if e.counts.size <= MAPPED:
        return list(range(e.counts.size))
    chosen: set[int] = set()
    for push in e.strongest(MAPPED * MAPPED):  # so many pairs have more classes than that
        if len(chosen | {push.true, push.pushed}) > MAPPED:
            break
        chosen |= {push.true, push.pushed}
    return sorted(chosen)


def _means(e: SetData, shown: list[int]) -> NDArray[np.float64]:
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


def _svg(e: SetData, shown: list[int], means: NDArray[np.float64], heading: str) -> str:
    """The map. A label is beside its row and, turned, above its column."""
    size = 30 if len(shown) <= 12 else 18
    names = [in_table(e, n, LABEL) for n in shown]
    cells = [sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in name) for name in names]
    margin = 14 + 7 * max(cells)
    side = margin + size * len(shown) + 2
    largest = float(np.nanmax(np.abs(means), initial=0.0))
    parts = [
        f'<svg class="push-map" role="img" viewBox="0 0 {side} {side}" width="{side}" '
        f'height="{side}" xmlns="http://www.w3.org/2000/svg" font-size="12" fill="currentColor">'
        f"<title>{as_html(heading)}: the table below has the same numbers</title>"
    ]
    for k, name in enumerate(names):
        middle = margin + size * k + size / 2
        parts.append(
            f'<text x="{margin - 6}" y="{middle + 4}" text-anchor="end">{as_html(name)}</text>'
            f'<text x="{middle + 4}" y="{margin - 6}" '
            f'transform="rotate(-90 {middle + 4} {margin - 6})">{as_html(name)}</text>'
        )
    for down, i in enumerate(shown):
        for right, n in enumerate(shown):
            x = float(means[down, right])
            kind = "empty" if math.isnan(x) else "up" if x < 0 else "down"
            strength = math.sqrt(abs(x) / largest) if largest and not math.isnan(x) else 0.0
            parts.append(
                f'<rect class="{kind}" x="{margin + size * right}" y="{margin + size * down}" '
                f'width="{size - 1}" height="{size - 1}" fill-opacity="{strength:.3f}">'
                f"<title>{as_html(_said(e, i, n, x))}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _said(e: SetData, i: int, n: int, x: float) -> str:
    """One cell of the map in words."""
    examples = f"the examples of class {in_table(e, i)}"
    if math.isnan(x):
        return f"there are no examples of class {in_table(e, i)}"
    if i == n:
        return f"{examples} pull their own output up by {number(-x)} on average"
    if x == 0 and e.pairs is not None:
        least = number(float(e.pairs.short[i]))
        return f"{examples} push class {in_table(e, n)} down by {least} at most on average"
    return f"{examples} push class {in_table(e, n)} down by {number(x)} on average"
