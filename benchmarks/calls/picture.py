"""The picture: for each call how many times as fast as the fastest peer, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from ..layout import digits
from .cases import KINDS, OPTIONS, Call
from .report import COMPARED, Report

COLOURS = {"autograd": "#0b6e4f", "loss": "#edae49", "buffer": "#30638e"}
WIDTH, LEFT, RIGHT = 1160, 400, 1020
TOP, LINE, GAP = 116, 17, 9
#: The axis covers at least these ratios, and all that there are.
AXIS = (0.25, 16.0)


def svg(report: Report) -> str:
    """A line for each call: a bar from 1 to the ratio through autograd, and a mark for each kind of
    call. What is left of 1 is slower than a peer."""
    ratios = [ratio for kind in COMPARED for ratio in report.ratios(kind)]
    low, high = 0.9 * min([AXIS[0], *ratios]), 1.1 * max([AXIS[1], *ratios])

    def place(ratio: float) -> float:
        return LEFT + (RIGHT - LEFT) * math.log(ratio / low) / math.log(high / low)

    top, lines = TOP, []
    before: Call | None = None
    for call in report.calls:
        if before and call.logits != before.logits:
            top += GAP
        before = call
        lines.append(_line(report, call, top + LINE // 2, place))
        top += LINE
    axis = [_tick(place(ratio), top, ratio) for ratio in _ticks(low, high)]
    slower = (
        f'<rect x="{LEFT}" y="{TOP}" width="{place(1) - LEFT:.1f}" height="{top - TOP}" '
        'fill="#fbeaec"/>\n'
    )
    heads = (
        f'<text x="{place(1) - 40:.1f}" y="88" text-anchor="end" fill="#555">slower</text>'
        f'<text x="{place(1) + 40:.1f}" y="88" fill="#555">this library is faster</text>'
        f'<text x="{RIGHT + 16}" y="88" fill="#555">{escape(KINDS["autograd"])}</text>\n'
    )
    legend = "".join(
        f'{_mark(kind, LEFT + 10 + number * 190, 66)}<text x="{LEFT + 22 + number * 190}" y="70">'
        f"{escape(KINDS[kind])}</text>\n"
        for number, kind in enumerate(COMPARED)
    )
    title = "How many times as fast as the faster of torch and torch.compile"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 16}" \
font-family="system-ui, sans-serif" font-size="12" fill="#222" role="img" aria-labelledby="title">
<title id="title">{title}, per call</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="26" font-size="16" font-weight="600">{title}</text>
<text x="12" y="46" fill="#555">{escape(report.where)}</text>
{legend}{heads}{slower}{"".join(axis)}{"".join(lines)}</svg>
"""


def _line(report: Report, call: Call, middle: int, place: Callable[[float], float]) -> str:
    name = f"{call.name}, {OPTIONS[call.option].title}"
    parts = [f'<text x="{LEFT - 12}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>']
    found = {kind: ratio for kind in COMPARED if (ratio := report.ratio(call, kind)) is not None}
    if (ratio := found.get("autograd")) is not None:
        parts.append(
            f'<line x1="{place(1):.1f}" y1="{middle}" x2="{place(ratio):.1f}" y2="{middle}" '
            f'stroke="{COLOURS["autograd"]}" stroke-width="5" stroke-opacity="0.35"/>'
            f'<text x="{RIGHT + 16}" y="{middle + 4}"{_emphasis(ratio)}>{digits(ratio)}</text>'
        )
    # The first kind last, so that it lies on top.
    parts += [
        _mark(kind, place(found[kind]), middle) for kind in reversed(COMPARED) if kind in found
    ]
    return "".join(parts) + "\n"


def _emphasis(ratio: float) -> str:
    return ' font-weight="700" fill="#b3202f"' if ratio < 1 else ""


def _mark(kind: str, x: float, y: float) -> str:
    """A shape for each kind, for eyes that do not tell the colours apart."""
    colour = f'fill="{COLOURS[kind]}"'
    if kind == "autograd":
        return f'<circle cx="{x:.1f}" cy="{y}" r="5" {colour}/>'
    if kind == "loss":
        return f'<path d="M{x:.1f} {y - 5}l5 5l-5 5l-5 -5z" {colour}/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" {colour}/>'


def _tick(x: float, bottom: int, ratio: float) -> str:
    one = ratio == 1
    return (
        f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" '
        f'stroke="{"#222" if one else "#ddd"}" stroke-width="{1.5 if one else 1}"/>'
        f'<text x="{x:.1f}" y="{TOP - 6}" text-anchor="middle"'
        f"{' font-weight=' + chr(34) + '600' + chr(34) if one else ''}>{ratio:g}</text>\n"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Powers of two."""
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    return [2.0**power for power in range(first, last + 1)]
