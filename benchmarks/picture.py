"""The picture: for each shape and call a bar per peer, whose length is its time over the limit."""

from __future__ import annotations

from html import escape

from .cases import WHATS
from .layout import digits
from .peers import PEERS
from .report import Report

COLOURS = {
    "library": "#0b6e4f",
    "tensors": "#3f9b7f",
    "inplace": "#8cc9b4",
    "torch": "#d1495b",
    "compile": "#edae49",
    "jax": "#30638e",
    "tensorflow": "#f79256",
    "sklearn": "#8d6a9f",
    "scipy": "#7d8597",
}
PANELS = ("gradient", "fresh", "loss")
WIDTH, LEFT, PANEL = 1160, 150, 330
#: right of a bar, room for its figure
FIGURE = 60
TOP, BAR, GAP, HEADING = 112, 12, 3, 32
#: A longer bar is cut, so that the others remain visible.
LONGEST = 30.0


def svg(report: Report) -> str:
    """A line of panels for each shape, a panel for each kind of call, in it a bar for each peer."""
    rows = [row for row in report.group("shapes") if row.case.rows and row.what in PANELS]
    ratios = [r for row in rows for name in report.names if (r := row.over_limit(name))]
    longest = min(LONGEST, max(ratios, default=1.0))
    scale = (PANEL - FIGURE) / longest

    top, parts = TOP, []
    for case in dict.fromkeys(row.case for row in rows):
        parts.append(f'<text x="12" y="{top + 20}" font-weight="600">{escape(case.name)}</text>\n')
        top += HEADING
        for name in report.names:
            title = escape(PEERS[name].title)
            parts.append(
                f'<text x="{LEFT - 8}" y="{top + BAR - 2}" text-anchor="end">{title}</text>\n'
            )
            for row in rows:
                ratio = row.over_limit(name)
                if row.case == case and ratio is not None:
                    left = LEFT + PANELS.index(row.what) * PANEL
                    parts.append(_bar(name, ratio, left, top, min(ratio, longest) * scale))
            top += BAR + GAP
    for panel, what in enumerate(PANELS):
        left = LEFT + panel * PANEL
        title, limit = WHATS[what]
        one = left + scale
        parts.append(
            f'<text x="{left}" y="88" font-weight="600">{escape(title)}</text>'
            f'<text x="{left}" y="104" fill="#555">1 is one {limit} of the logits</text>'
            f'<line x1="{one:.1f}" y1="{TOP}" x2="{one:.1f}" y2="{top}" stroke="#222" '
            'stroke-dasharray="3 3"/>\n'
        )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 16}" \
font-family="system-ui, sans-serif" font-size="12" fill="#222" role="img" aria-labelledby="title">
<title id="title">Time over the limit set by memory, per shape and peer</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="26" font-size="16" font-weight="600">Time over the limit set by memory</text>
<text x="12" y="46" fill="#555">{escape(report.where)}</text>
{"".join(parts)}</svg>
"""


def _bar(name: str, ratio: float, left: int, top: int, length: float) -> str:
    cut = " (cut)" if ratio > LONGEST else ""
    return (
        f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>'
        f'<text x="{left + length + 5:.1f}" y="{top + BAR - 2}">{digits(ratio)}{cut}</text>\n'
    )
