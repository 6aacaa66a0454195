"""The page for one example with several labels, or with probabilities as target. It has no script.

Its first screen is the stage of stage.py, where each probability has its target beside it: the
distance between the two is the push.
"""

import math

import numpy as np

from ...text import as_html, plural
from ..rendering.html import Page, paragraph, section_of
from ..rendering.names import NAME, in_table
from ..rendering.numbers import percent
from ..several_data import SeveralLabelsData
from ..several_sections import lead, sections, title
from . import drawing
from .numerals import short
from .parts import picture
from .stage import chance, move, moved_by, pushed, row_of, stage_of


def several_page(e: SeveralLabelsData) -> Page:
    """The page."""
    parts = [f"<h1>{title(e)}</h1>", paragraph(lead(e, NAME)), _stage(e)]
    parts += map(section_of, sections(e, NAME))
    return Page(title(e), "\n".join(parts))


def _stage(e: SeveralLabelsData) -> str:
    shown = e.listed()
    rest = np.delete(np.arange(e.terms.size), shown)
    scale = drawing.scale_of([float(e.logits[n]) for n in shown])
    gradient = e.as_given.gradient
    assert gradient is not None
    unit = drawing.UNIT / max(1.0, math.fsum(e.target))
    rows, true = [], e.true
    for n in shown:
        z, moves = float(e.logits[n]), move(float(e.logits[n]), float(gradient[n]))
        tag = f"target {short(float(e.target[n]))}" if e.target[n] else ""
        rows.append(
            row_of(
                n,
                f'<span class="known">{as_html(in_table(e, n, NAME))}</span>'
                f'<span class="tag">{tag}</span>',
                _bar(float(e.probabilities[n]), float(e.shares[n]), n),
                picture("arrow", drawing.arrow(moves, unit), pushed(moves), n),
                field=f'<span class="still">{short(z)}</span>',
                slide=picture("track", drawing.track(z, scale), n=n),
                kind="true" if n in true else "",
            )
        )
    if rest.size:
        a, share, slope = (float(x[rest].sum()) for x in (e.probabilities, e.shares, gradient))
        arrow = picture("arrow", drawing.arrow(-slope, unit), pushed(-slope), "rest")
        others = plural(rest.size, "other")
        rows.append(row_of("rest", others, _bar(a, share, "rest"), arrow, kind="rest"))
    what = "its target" if e.sums_to_one else "its share of the target"
    heads = [
        "output z",
        f"probability a, and<br> <small>in green {what}</small>",
        moved_by(f"{e.step:g}"),
    ]
    return stage_of(heads, rows, scale)


def _bar(a: float, share: float, n: int | str) -> str:
    """A probability with its share of the target as a line."""
    drawn = drawing.share_bar(a) + drawing.mark(share)
    return picture("share", drawn, f"{chance(a)}, target {as_html(percent(share))}", n)
