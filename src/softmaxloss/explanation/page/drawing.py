"""The pictures of a page as SVG, without a script. drawing.js draws again those that follow the
numbers.

Horizontal positions are percentages, so that a picture is as wide as its place and text keeps its
size. Class names in them are escaped.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...text import as_html
from ..rendering.numbers import number, percent
from .numerals import amount, short

LARGEST = 8e307  # the end of a slider: the distance between two of them is finite
UNIT = 30  # of the width, for an arrow of length 1
ROOM = 4  # characters of each number below an axis with five of them
TOP = 5  # the largest loss on the axis, unless the loss is larger


class Share(NamedTuple):
    """A part of a picture: its class ("rest" for those not listed), its name, its size."""

    n: int | str
    name: str
    size: float
    true: bool = False


def fits(name: str, share: float, width: int) -> bool:
    """Whether a name fits a share of so many pixels."""
    cells = sum(6.5 if ord(c) < 0x2E80 else 13 for c in name)
    return cells + 4 <= share * width


def round_up(x: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, …, at most `LARGEST`."""
    power = math.floor(math.log10(x))
    steps = (float(f"{digit}e{power}") for digit in (1, 2, 5))
    return min(next((s for s in steps if s >= x), float(f"1e{power + 1}")), LARGEST)


def scale_of(outputs: Sequence[float]) -> float:
    """Where the axis of the outputs ends, on both sides."""
    largest = max((abs(z) for z in outputs if math.isfinite(z)), default=0.0)
    return 4.0 if largest <= 4 else round_up(max(largest, 10.0))


def track(z: float, scale: float) -> str:
    """An output on the axis, filled from zero."""
    lines = "".join(
        f'<line class="grid{" zero" if x == 50 else ""}" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>'
        for x in (0, 25, 50, 75, 100)
    )
    lines += '<line class="rail" x1="0" x2="100%" y1="50%" y2="50%"/>'
    if not math.isfinite(z):
        return f'{lines}<text x="0" y="50%" dx="6" dy="-8">{number(z)}</text>'
    x = f"{50 + 50 * max(-1.0, min(z / scale, 1.0)):.2f}"
    return (
        f'{lines}<line class="fill" x1="50%" x2="{x}%" y1="50%" y2="50%"/>'
        f'<circle cx="{x}%" cy="50%" r="10"/>'
    )


def axis(scale: float) -> str:
    """The numbers below the outputs; where they are long, only the ends and zero."""
    ends = [(0, -1.0), (25, -0.5), (50, 0.0), (75, 0.5), (100, 1.0)]
    if len(short(scale / 2)) > ROOM:
        ends = ends[::2]
    return "".join(
        f'<text class="middle" x="{x}%" y="14">{short(scale * part)}</text>' for x, part in ends
    )


def share_bar(a: float) -> str:
    """A probability as a bar, with its number."""
    if math.isnan(a):
        return '<rect class="room" width="100%" height="100%" rx="3"/>'
    x = f"{100 * a:.2f}"
    inside = a > 0.7
    place = 'class="inside" text-anchor="end" dx="-8"' if inside else 'dx="8"'
    return (
        '<rect class="room" width="100%" height="100%" rx="3"/>'
        f'<rect class="part" width="{x}%" height="100%" rx="3"/>'
        f'<text {place} x="{x}%" y="50%" dy=".36em">{as_html(percent(a))}</text>'
    )


def mark(share: float) -> str:
    """Where the bar of a probability would end at its target: above it and below, clear of text."""
    x = f"{100 * share:.2f}"
    return "".join(
        f'<line class="mark" x1="{x}%" x2="{x}%" y1="{y1}%" y2="{y2}%"/>'
        for y1, y2 in ((-24, 8), (92, 124))
    )


def arrow(move: float, unit: float, parts: Sequence[Share] = ()) -> str:
    """How an output moves: to the right if it is raised.

    Args:
        move: −∂J/∂z.
        unit: the length of an arrow for 1, in percent of the width.
        parts: of the true class, the moves of the others, which together are as long.
    """
    lines = '<line class="grid zero" x1="50%" x2="50%" y1="0" y2="100%"/>'
    if math.isnan(move):
        return lines
    size = unit * abs(move)
    start = 50 - size if move < 0 else 50.0
    tip = f"{50 + unit * move:.2f}"
    shaft = f'<rect class="part" x="{start:.2f}%" width="{size:.2f}%" y="50%" height="14"/>'
    if parts:
        shaft, at = "", 50.0
        for part in parts:
            width = unit * abs(part.size)
            place = f'x="{at:.2f}%" width="{width:.2f}%"'
            shaft += f'<rect class="part" {place} y="50%" height="14"/>'
            if fits(part.name, width / 100, 340):
                middle = f"{at + width / 2:.2f}"
                shaft += (
                    f'<text class="inside middle" x="{middle}%" y="50%" dy=".34em">'
                    f"{part.name}</text>"
                )
            at += width
    if move == 0:
        return f'{lines}<text x="50%" y="50%" dx="8" dy=".36em">0</text>'
    head, side = ("M0 -7 L-9 0 L0 7z", 'text-anchor="end" dx="-14"')
    if move > 0:
        head, side = "M0 -7 L9 0 L0 7z", 'dx="14"'
    return (
        f'{lines}{shaft}<svg x="{tip}%" y="50%" overflow="visible"><path class="part" d="{head}"/>'
        f'</svg><text {side} x="{tip}%" y="50%" dy=".36em">{amount(move)}</text>'
    )


def stack(shares: Sequence[Share]) -> str:
    """Probabilities that share one bar."""
    at, drawn = 0.0, ""
    for share in shares:
        if math.isnan(share.size):
            continue
        width = 100 * share.size
        fill, words = ("true", "inside middle true") if share.true else ("part", "inside middle")
        drawn += f'<rect class="{fill}" x="{at:.2f}%" width="{width:.2f}%" height="100%"/>'
        if fits(share.name, share.size, 320):
            place = f'x="{at + width / 2:.2f}%" y="50%" dy=".36em"'
            drawn += f'<text class="{words}" {place}>{share.name}</text>'
        at += width
    return drawn


def curve(loss: float) -> str:
    """The loss as a point on the curve −log a."""
    top = TOP if not TOP < loss / 0.9 < math.inf else round_up(loss / 0.9)

    def at(J: float) -> str:
        return f"{26 + 186 * math.exp(-J):.1f},{8 + 92 * (1 - J / top):.1f}"

    points = " ".join(at(top * (1 - k / 64) ** 2) for k in range(65))
    drawn = (
        '<path class="axes" d="M26 4 V100 H216"/>'
        f'<polyline points="{points}"/>'
        '<text x="18" y="16" class="end">J</text><text x="18" y="104" class="end">0</text>'
        '<text x="216" y="115" class="end">a → 1</text>'
    )
    if not math.isfinite(loss):
        return drawn
    x, y = at(loss).split(",")
    return f'{drawn}<path class="drop" d="M{x} {y} V100"/><circle cx="{x}" cy="{y}" r="6"/>'
