"""The page for one example with several labels."""

from __future__ import annotations

from .rendering.html import Page, section_of
from .rendering.names import NAME
from .several_data import SeveralLabelsData
from .several_sections import sections


def page(e: SeveralLabelsData) -> Page:
    """The page."""
    title = f"One example with {len(e.labels)} labels"
    lead = f"{e.terms.size} classes, numbered from {e.first_class}."
    parts = [f'<h1>{title}</h1>\n<p class="lead">{lead}</p>']
    return Page(title, "\n".join(parts + [section_of(part) for part in sections(e, NAME)]))
