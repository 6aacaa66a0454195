"""The page for one example with several labels."""

from __future__ import annotations

from . import several_words as words
from .rendering.html import document, enclosed, row, section, table, text
from .rendering.names import name
from .several_data import SeveralLabelsData

__all__ = ["to_fragment", "to_html"]


def to_html(e: SeveralLabelsData) -> str:
    """The whole page."""
    return document(_title(e), _body(e))


def to_fragment(e: SeveralLabelsData) -> str:
    """The page as a part of another, as in a notebook."""
    return enclosed(_body(e))


def _title(e: SeveralLabelsData) -> str:
    return f"One example with {len(e.labels)} labels"


def _body(e: SeveralLabelsData) -> str:
    shown, policies = e.listed(), e.policies

    def line(n: int, cells: list[str]) -> str:
        known = f'{e.number(n)}<span class="name">{text(name(e, n))}</span>'
        return row(known, cells, ' class="true"' if e.target[n] else "")

    losses = table(
        "The loss that each class would have",
        words.TERMS,
        [line(n, words.term_cells(e, n)) for n in shown],
    )
    compared = table(
        "The loss J and its gradient ∂J/∂z",
        ["", *(f"“{policy.name}”" for policy in policies)],
        [row("J", words.loss_cells(e)), *(line(n, words.gradient_cells(e, n)) for n in shown)],
    )
    meanings = "".join(
        f"<dt>“{p.name}”</dt><dd>{words.MEANING[p.name]}."
        f"{f' Here: {text(p.error)}.' if p.error else ''}</dd>"
        for p in policies
    )
    rest = e.terms.size - len(shown)
    more = f" {rest} other classes are not listed." if rest else ""
    lead = f"{e.terms.size} classes, numbered from {e.first_class}.{more}"
    meaning = f"{compared}\n<dl>{meanings}</dl>\n<p>{words.outcome(e)}</p>"
    return "\n".join(
        [
            f'<h1>{_title(e)}</h1>\n<p class="lead">{lead}</p>',
            section(words.TERMS_TITLE, losses),
            section("2. What several labels mean", meaning),
        ]
    )
