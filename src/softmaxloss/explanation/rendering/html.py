"""HTML: untrusted text, tables, and the document around the body of a page.

A page is one file that fetches nothing, and a content policy in it forbids that. Elements have no
inline styles or handlers; the styles are in `page.css`, and those that keep a notebook's away in
`notebook.css`.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ...text import as_html
from .sections import Cell, Section, Table


def paragraph(words: str) -> str:
    """A paragraph of plain text; it is code where its lines start with three spaces."""
    lines = words.split("\n")
    if words.startswith("   "):
        return f"<pre>{chr(10).join(as_html(line[3:]) for line in lines)}</pre>"
    return f"<p>{'<br/>'.join(map(as_html, lines))}</p>"


def section(heading: str, content: str, kind: str = "") -> str:
    """A section of HTML. kind: its class."""
    css = f' class="{kind}"' if kind else ""
    return f"<section{css}>\n<h2>{heading}</h2>\n{content}\n</section>"


def section_of(part: Section) -> str:
    """A section of plain text."""
    table = "" if part.table is None else table_of(part.table)
    return section(as_html(part.title), table + "".join(map(paragraph, part.words)))


def table_of(part: Table) -> str:
    """A table of plain text."""
    rows, names = [], [k for k, head in enumerate(part.heads[1:], 2) if head.startswith("<")]
    for (head, *cells), kind in part.rows:
        css, mark = (' class="true"', " (true)") if kind == "true" else ("", "")
        rows.append(row(_words(head) + mark, map(_words, cells), css))
    heads = [as_html(head.lstrip("<>")) for head in part.heads]
    words = table(as_html(part.caption), heads, rows)
    kinds = " ".join(f"left-{k}" for k in names)
    return f'<div class="{kinds}">{words}</div>' if kinds else words


def _words(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return as_html(cell)
    if cell.tint == "code":
        return f"<code>{as_html(cell.text)}</code>"
    known = f'<span class="name">{as_html(cell.name)}</span>' if cell.name else ""
    words = as_html(cell.text) + known + ("" if math.isnan(cell.share) else bar(cell.share))
    return f'<a href="#{cell.link}">{words}</a>' if cell.link else words


def bar(share: float) -> str:
    """A bar of a length between 0 and 1, beside its number."""
    return (
        '<svg class="bar" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{min(share, 1.0):.5g}" height="1"/></svg>'
    )


def row(head: str, cells: Iterable[str], attributes: str = "") -> str:
    """A row of a table; `head` heads it. All of it is HTML."""
    data = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr{attributes}><th scope="row">{head}</th>{data}</tr>'


def table(caption: str, heads: Iterable[str], rows: Iterable[str], foot: str = "") -> str:
    """A table that scrolls where it is too wide, of `<tr>` elements. caption: plain text without
    markup; heads: HTML, empty for a column without a header."""
    head = "".join(f'<th scope="col">{head}</th>' if head else "<td></td>" for head in heads)
    end = f"<tfoot>{foot}</tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody>{end}</table></div>"
    )


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: plain text.
        body: HTML in which untrusted text is escaped.
        script: the script of the page, if any.
        data: what the script starts from.
        styles: styles beside those that all pages have.
    """

    title: str
    body: str
    script: str = ""
    data: dict[str, object] = field(default_factory=dict)
    styles: str = ""

    def fragment(self) -> str:
        """The body with its styles, to be shown among other things, as in a notebook."""
        styles = _in_notebook(self._styles())
        return f'<div class="softmaxloss"><style>{styles}</style>\n{self.body}\n</div>\n'

    def document(self) -> str:
        """The page as a file."""
        allowed = _hash(self.script) if self.script else "'none'"
        policy = (
            f"default-src 'none'; style-src {_hash(self._styles())}; script-src {allowed}; "
            "base-uri 'none'; form-action 'none'"
        )
        parts = [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{as_html(self.title)}</title>",
            f"<style>{self._styles()}</style>",
            "</head>",
            "<body>",
            f'<main class="softmaxloss">\n{self.body}\n</main>',
        ]
        if self.script:
            # A `<` could end the element, or begin a comment in it.
            numbers = json.dumps(self.data, allow_nan=False).replace("<", "\\u003c")
            parts.append(f'<script type="application/json" id="example">{numbers}</script>')
            parts.append(f'<script type="module">{self.script}</script>')
        return "\n".join([*parts, "</body>", "</html>", ""])

    def _styles(self) -> str:
        return _common_styles() + self.styles


@cache
def _common_styles() -> str:
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


@cache
def _in_notebook(styles: str) -> str:
    """The styles where others apply, too: with the weight of an id, though there is no such id."""
    reset = Path(__file__).with_name("notebook.css").read_text(encoding="utf-8")
    return (reset + styles).replace(".softmaxloss", ":is(.softmaxloss, #softmaxloss)")


def _hash(content: str) -> str:
    """The source expression of a content policy for this one script or style."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
