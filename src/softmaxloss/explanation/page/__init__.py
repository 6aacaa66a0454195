"""The explanation as one HTML file, and as HTML for a notebook.

The page is complete before its script runs: `sections.py` writes the words and tables, `chart.py`
the pictures. The script, maths.js, chart.js and page.js, then lets the numbers be changed.
Everything is in the file, nothing is fetched: a content policy forbids it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from ...text import printable

if TYPE_CHECKING:
    from ..explanation import Explanation
    from ..several import SeveralLabels

__all__ = ["asset", "document", "enclosed", "fragment", "text", "to_html"]


def to_html(explanation: Explanation | SeveralLabels) -> str:
    """The explanation as a page: one file of HTML.

    >>> from softmaxloss.explanation import explain
    >>> page = to_html(explain([2.0, 1.0, 0.1, -1.2], 2, classes=["a", "b", "<i>", "d"]))
    >>> "2.3435" in page, "<i>" in page, "http" in page.replace("http-equiv", "")
    (True, False, False)
    """
    from ..explanation import Explanation
    from . import sections, several

    if not isinstance(explanation, Explanation):
        return document(several.title(explanation), several.body(explanation))
    body = sections.body(explanation, controls=True)
    return document(sections.title(explanation), body, data=_data(explanation))


def fragment(explanation: Explanation | SeveralLabels) -> str:
    """The same for a place among other things, as in a notebook: without head and script."""
    from ..explanation import Explanation
    from . import sections, several

    if isinstance(explanation, Explanation):
        body = sections.body(explanation, controls=False)
    else:
        body = several.body(explanation)
    return enclosed(body)


def enclosed(body: str, *, css: str = "") -> str:
    """A body with the styles it needs, for a notebook. css: further rules."""
    return f'<div class="softmaxloss"><style>{asset("page.css")}{css}</style>\n{body}\n</div>\n'


def document(title: str, body: str, *, data: dict[str, object] | None = None, css: str = "") -> str:
    """A page around a body, with the styles; with data for it, also with the script.

    title: plain text. body: HTML whose untrusted text is escaped. css: further rules, after those
    of page.css.
    """
    style = asset("page.css") + css
    script = "" if data is None else _script()
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; "
        f"script-src {_hash(script) if script else repr('none')}; base-uri 'none'; "
        "form-action 'none'"
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f'<main class="softmaxloss">\n{body}\n</main>',
    ]
    if data is not None:
        # A `<` could end the element, or begin a comment in it.
        numbers = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
        parts.append(f'<script type="application/json" id="example">{numbers}</script>')
        parts.append(f'<script type="module">{script}</script>')
    return "\n".join([*parts, "</body>", "</html>", ""])


def text(untrusted: str) -> str:
    """Untrusted text as HTML that shows it: escaped, what does not print as an escape sequence."""
    return html.escape(printable(untrusted))


def _data(e: Explanation) -> dict[str, object]:
    """What the script starts from. All logits, to the bit: NaN and infinities too."""
    from .parts import drawn_path

    path = drawn_path(e)
    little_endian = e.before.logits.astype("<f8").tobytes()
    return {
        "logits": base64.b64encode(little_endian).decode(),
        "target": e.target,
        "step": e.step,
        "first": e.first_class,
        "path": []
        if path is None
        else [
            {"step": int(step), "a": float(a_y), "J": float(loss)}
            for step, a_y, loss in zip(path.steps, path.target_probability, path.loss, strict=True)
        ],
    }


@cache
def asset(name: str) -> str:
    """The text of a file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    """All modules as one: without what they import from each other."""
    modules = "".join(asset(name) for name in ("maths.js", "chart.js", "page.js"))
    return re.sub(r"^import .*\n|^export ", "", modules, flags=re.MULTILINE)


def _hash(content: str) -> str:
    """How a content policy names the one script or style that may be there."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
