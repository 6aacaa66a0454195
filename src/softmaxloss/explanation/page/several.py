"""The words and tables of the page, for one example with several labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...text import shorten
from ..several import MEANING
from ..words import number

if TYPE_CHECKING:
    from ..several import SeveralLabels

__all__ = ["body", "title"]

NAME = 24  # characters of a class name


def title(e: SeveralLabels) -> str:
    """The title of the page, as plain text."""
    return f"One example with {len(e.labels)} labels"


def body(e: SeveralLabels) -> str:
    """All sections, as HTML."""
    from . import text

    shown = e.listed()

    def name(n: int) -> str:
        known = "" if e.classes is None else f" {text(shorten(e.classes[n], NAME))}"
        return f'<th scope="row">{e.number(n)}<span class="name">{known}</span></th>'

    def row(n: int, cells: list[str]) -> str:
        true = ' class="true"' if e.target[n] else ""
        return f"<tr{true}>{name(n)}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

    def table(caption: str, heads: list[str], rows: list[str]) -> str:
        head = "".join(f'<th scope="col">{head}</th>' for head in heads)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
            f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    def cell(x: float | None) -> str:
        return "–" if x is None else number(x)

    losses = table(
        "The losses that the classes would have",
        ["class", "target q", "output z", "probability a", "−log a"],
        [
            row(n, [number(v[n]) for v in (e.target, e.logits, e.probabilities, e.terms)])
            for n in shown
        ],
    )
    policies = e.policies
    total = "".join(f"<td>{cell(p.loss)}</td>" for p in policies)
    by_class = [
        row(n, [cell(None if p.gradient is None else float(p.gradient[n])) for p in policies])
        for n in shown
    ]
    compared = table(
        "The loss and its derivatives ∂J/∂z",
        ["", *(f"“{policy.name}”" for policy in policies)],
        [f'<tr><th scope="row">J</th>{total}</tr>', *by_class],
    )
    meanings = "".join(
        f"<dt>“{p.name}”</dt><dd>{MEANING[p.name]}."
        f"{f' Here: {text(p.error)}.' if p.error else ''}</dd>"
        for p in policies
    )
    rest = e.terms.size - len(shown)
    more = f" {rest} other classes are not listed." if rest else ""
    return (
        f"<h1>{title(e)}</h1>\n"
        f'<p class="lead">{e.terms.size} classes, numbered from {e.first_class}.{more}</p>\n'
        f"<section>\n<h2>1. The losses that the classes would have</h2>\n{losses}\n</section>\n"
        "<section>\n<h2>2. What several labels are to mean</h2>\n"
        f"{compared}\n<dl>{meanings}</dl>\n<p>{e.outcome()}</p>\n</section>"
    )
