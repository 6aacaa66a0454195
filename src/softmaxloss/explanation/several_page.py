"""The page for one example with several labels."""

from __future__ import annotations

from .rendering.html import document, enclosed, section_of
from .rendering.names import NAME
from .several_data import SeveralLabelsData
from .several_sections import sections

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
    lead = f"{e.terms.size} classes, numbered from {e.first_class}."
    parts = [f'<h1>{_title(e)}</h1>\n<p class="lead">{lead}</p>']
    return "\n".join(parts + [section_of(part) for part in sections(e, NAME)])
