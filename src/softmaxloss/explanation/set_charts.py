"""The pictures of a set as SVG, without a script: what is under the pointer tells its numbers."""

import itertools
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..text import as_html, plural
from ..totals import LOSS_EDGES
from .rendering.names import in_table
from .rendering.numbers import fixed_percent, number
from .set_data import SetData

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 30, 48
BARS = 160  # of a curve over classes
LABEL = 14  # cells of a name in a map
FULL = 0.8  # the highest bar of the histogram, below two labels
FLIP = 0.7  # from here on, the label of a line is on its left
STRONGEST = 0.6  # opacity: text on it can still be read

Tick = tuple[float, str]


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _plot(said: str, inside: str, x: tuple[str, list[Tick]], y: tuple[str, list[Tick]]) -> str:
    """A picture with its axes: the name of each, and its ticks at shares of its length.

    said: what the picture shows, for readers who do not see it.
    """
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{as_html(said)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    for share, text in y[1]:
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(share):.1f}" '
            f'y2="{_y(share):.1f}"/><text class="end" x="{LEFT - 6}" y="{_y(share) + 5:.1f}">'
            f"{text}</text>"
        )
    for share, text in x[1]:
        parts.append(
            f'<line class="tick" x1="{_x(share):.1f}" x2="{_x(share):.1f}" y1="{_y(0):.1f}" '
            f'y2="{_y(0) + 4:.1f}"/><text class="middle" x="{_x(share):.1f}" '
            f'y="{_y(0) + 19:.1f}">{text}</text>'
        )
    parts += [
        inside,
        f'<text class="middle name" x="{_x(0.5):.1f}" y="{HEIGHT - 8}">{x[0]}</text>',
        f'<text class="name" x="4" y="16">{y[0]}</text>',
        "</svg>",
    ]
    return "".join(parts)


def _bar(css: str, x: float, width: float, bottom: float, top: float, said: str) -> str:
    """A bar; all but `said` are shares of the axes."""
    return (
        f'<rect class="{css}" x="{_x(x):.2f}" width="{_x(x + width) - _x(x):.2f}" '
        f'y="{_y(top):.2f}" height="{_y(bottom) - _y(top):.2f}"><title>{as_html(said)}</title>'
        "</rect>"
    )


def _line(css: str, points: Sequence[tuple[float, float]]) -> str:
    """A line through points in shares of the axes."""
    where = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline class="{css}" points="{where}"/>'


def _curve(points: Sequence[tuple[float, float, float]]) -> str:
    """The cubics through points with their slopes: x, y and dy/dx in shares of the axes."""
    parts = [f"M{_x(points[0][0]):.1f},{_y(points[0][1]):.1f}"]
    for (x0, y0, m0), (x1, y1, m1) in itertools.pairwise(points):
        third = (x1 - x0) / 3
        handles = [(x0 + third, y0 + third * m0), (x1 - third, y1 - third * m1), (x1, y1)]
        parts.append("C" + " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in handles))
    return f'<path class="curve" d="{"".join(parts)}"/>'


def _key(entries: Sequence[tuple[str, str]]) -> str:
    """A legend, from the right of the line above the picture: (class of a bar, words)."""
    parts, x = [], WIDTH - RIGHT
    for css, words in reversed(entries):
        x -= 8 * len(words)
        parts.append(f'<text x="{x}" y="16">{words}</text>')
        x -= 18
        parts.append(f'<rect class="{css}" x="{x}" y="6" width="12" height="12"/>')
        x -= 10
    return "".join(parts)


def _percents() -> list[Tick]:
    return [(k / 4, f"{25 * k} %") for k in range(5)]


# --- losses ---------------------------------------------------------------------------------------


class LossBin(NamedTuple):
    """A bar of the histogram: the examples with a loss from `least` on and below `below`."""

    least: float
    below: float
    examples: int
    wrong: int


def loss_bins(e: SetData) -> list[LossBin]:
    """The bins between the first and the last that have examples, each of a factor of 2^½, or of 2
    or more where they are many."""
    edges = [0.0, *LOSS_EDGES.tolist(), math.inf]
    used = np.flatnonzero(e.losses)
    if not used.size:
        return []
    width = 2
    while (used[-1] - used[0]) / width > 30:
        width *= 2
    # The bin below the first edge stands alone.
    starts = range(max(int(used[0] - 1) // width * width + 1, 1), int(used[-1]) + 1, width)
    bins = [(k, min(k + width, e.losses.size)) for k in starts]
    if e.losses[0]:
        bins.insert(0, (0, 1))
    return [
        LossBin(edges[a], edges[b], int(e.losses[a:b].sum()), int(e.wrong_losses[a:b].sum()))
        for a, b in bins
    ]


def losses(e: SetData) -> str:
    """The histogram of the losses, on a logarithmic scale."""
    bins = loss_bins(e)
    most = max(one.examples for one in bins)
    size, inside = 1 / len(bins), []
    for k, one in enumerate(bins):
        span = f"a loss from {one.least:.3g} to {one.below:.3g}"
        heights = ((one.examples - one.wrong) / most * FULL, one.examples / most * FULL)
        shown = f"{plural(one.examples, 'example')} with {span}, {one.wrong} predicted wrong"
        inside.append(_bar("right", size * k, size * 0.9, 0.0, heights[0], shown))
        inside.append(_bar("wrong", size * k, size * 0.9, heights[0], heights[1], shown))
    marks = [(e.uniform_loss, f"ln {e.counts.size}"), (e.mean_loss, "mean")]
    placed = [(at, name) for loss, name in marks if (at := _place(bins, loss)) is not None]
    # The line of the second label ends below the first label, which may lie across it.
    for nth, (at, name) in enumerate(sorted(placed, key=lambda mark: -abs(mark[0] - FLIP))):
        side = "label end" if at > FLIP else "label"
        inside.append(_line("mark", [(at, 0), (at, 1 - 0.1 * nth)]))
        inside.append(
            f'<text class="{side}" x="{_x(at) + (-4 if at > FLIP else 4):.1f}" '
            f'y="{_y(1) + 14 + 18 * nth:.1f}">{name}</text>'
        )
    inside.append(_key([("right", "right"), ("wrong", "wrong")]))
    places = [(_place(bins, 10.0**k), f"{10.0**k:g}") for k in range(-4, 4)]
    ticks = [(at, text) for at, text in places if at is not None]
    if not ticks:
        ticks = [(0.0, f"{bins[0].least:.3g}"), (1.0, f"{bins[-1].below:.3g}")]
    if bins[0].least == 0:
        ticks.insert(0, (0.0, "0"))
    counts = [(FULL * at, text) for at, text in _counts(most)]
    said = (
        f"Histogram of the losses of {plural(int(e.losses.sum()), 'example')}; the table below "
        "has its numbers."
    )
    return _plot(said, "".join(inside), ("loss in nats", ticks), ("examples", counts))


def _place(bins: Sequence[LossBin], loss: float) -> float | None:
    """Where a loss is on the axis of the histogram."""
    for k, one in enumerate(bins):
        if 0 < one.least <= loss < one.below < math.inf:
            return (k + math.log(loss / one.least) / math.log(one.below / one.least)) / len(bins)
    return None


def _counts(most: int) -> list[Tick]:
    """Round numbers up to a count."""
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step // 5, step // 2, step, 2 * step) if s and most / s <= 6)
    return [(n / most, f"{n}") for n in range(0, most + 1, step)]


# --- recall ---------------------------------------------------------------------------------------


def recalls(e: SetData) -> str:
    """The recall of all classes that have examples, the lowest first."""
    known = np.flatnonzero(e.counts)
    order = known[np.argsort(e.confusions.recall[known], kind="stable")]
    groups = np.array_split(order, min(BARS, order.size))
    inside, done = [], 0
    for group in groups:
        recall = e.confusions.recall[group]
        if group.size == 1:
            said = f"{in_table(e, int(group[0]))}: recall {recall[0]:.4f}"
        else:
            said = f"{group.size} classes: recall from {recall[0]:.4f} to {recall[-1]:.4f}"
        width = group.size / order.size
        inside.append(_bar("right", done / order.size, width, 0.0, float(recall.mean()), said))
        done += group.size
    said = f"The recall of {plural(order.size, 'class')}, the lowest first."
    ticks = [(0.0, "1"), (0.5, f"{order.size // 2}"), (1.0, f"{order.size}")]
    axis = "classes, the lowest recall first"
    return _plot(said, "".join(inside), (axis, ticks), ("recall", _percents()))


# --- calibration ----------------------------------------------------------------------------------


def reliability(e: SetData) -> str:
    """Accuracy against confidence, with the distance between the two."""
    c, inside = e.calibration, []
    bins = c.counts.size
    for k in np.flatnonzero(c.counts).tolist():
        accuracy, confidence = float(c.accuracy[k]), float(c.confidence[k])
        said = (
            f"{plural(int(c.counts[k]), 'example')} with a confidence from {k / bins:.2f} to "
            f"{(k + 1) / bins:.2f}, {fixed_percent(confidence)} on average: "
            f"{fixed_percent(accuracy)} right"
        )
        low, high = sorted((accuracy, confidence))
        inside.append(_bar("right", k / bins, 0.9 / bins, 0.0, accuracy, said))
        inside.append(_bar("gap", k / bins, 0.9 / bins, low, high, said))
    inside.append(_line("mark", [(0, 0), (1, 1)]))
    inside.append(_key([("right", "accuracy"), ("gap", "distance")]))
    said = (
        f"Accuracy against confidence in {bins} bins. The expected calibration error is "
        f"{fixed_percent(c.ece)}."
    )
    axes = ("confidence: probability of the prediction", _percents()), ("accuracy", _percents())
    return _plot(said, "".join(inside), *axes)


def temperatures(e: SetData) -> str:
    """The mean loss against the temperature; empty where there is none to choose."""
    c = e.calibration
    finite = np.isfinite(c.losses) & np.isfinite(c.slopes)
    if not finite.all() or not c.best.temperature > 0:
        return ""
    at_1, least = float(c.losses[c.temperatures.tolist().index(1.0)]), c.best.loss
    # What is far from the best would hide the difference that matters.
    near = c.losses <= least + max(4 * (at_1 - least), 0.25 * least)
    T, loss, slopes = c.temperatures[near], c.losses[near], c.slopes[near]
    if T.size < 2 or least == float(loss.max()):
        return ""
    span, rise = math.log(float(T[-1] / T[0])), float(loss.max()) - least

    def place(temperature: float, x: float) -> tuple[float, float]:
        return math.log(temperature / float(T[0])) / span, (x - least) / rise

    slopes = slopes * span / rise  # in shares of the axes
    known = [(*place(t, x), float(slope)) for t, x, slope in zip(T, loss, slopes, strict=True)]
    inside = [_curve(known)]
    for css, t, x in (("point", 1.0, at_1), ("best point", c.best.temperature, c.best.loss)):
        at, high = place(t, x)
        inside.append(
            f'<circle class="{css}" cx="{_x(at):.1f}" cy="{_y(high):.1f}" r="5">'
            f"<title>T = {t:.3g}: mean loss {number(x)}</title></circle>"
        )
    inside.append(_key([("right", "T = 1"), ("best", "best T")]))
    ticks = [(place(t, least)[0], f"{t:.3g}") for t in T.tolist()[:: 1 + T.size // 7]]
    losses = [(k / 4, f"{least + k / 4 * rise:.3g}") for k in range(5)]
    said = (
        f"The mean loss against the temperature T. It is {number(at_1)} at T = 1 and least, "
        f"{number(c.best.loss)}, at T = {c.best.temperature:.3g}."
    )
    return _plot(said, "".join(inside), ("temperature T", ticks), ("mean loss", losses))


# --- maps of classes by classes ------------------------------------------------------------------


class MapCell(NamedTuple):
    """A cell of a map: its kind ("up", "down", "true", "empty"), the strength of its colour from 0
    to 1, what the pointer tells, what is written in it."""

    kind: str
    strength: float
    said: str
    text: str = ""


def heat_map(
    e: SetData,
    shown: list[int],
    cells: Sequence[Sequence[MapCell]],
    title: str,
    axes: tuple[str, str] = ("true class", "class"),
) -> str:
    """A map of classes by classes. A label is beside its row and, turned, above its column."""
    written = any(cell.text for line in cells for cell in line)
    size = 40 if written else 30 if len(shown) <= 12 else 18
    names = [in_table(e, n, LABEL) for n in shown]
    widths = [sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in name) for name in names]
    margin = 30 + 7 * max(widths)
    side = margin + size * len(shown) + 2
    parts = [
        f'<svg class="push-map" role="img" viewBox="0 0 {side} {side}" width="{side}" '
        f'height="{side}" xmlns="http://www.w3.org/2000/svg" font-size="12" fill="currentColor">'
        f"<title>{as_html(title)}: the table below has the same numbers</title>"
        f'<text class="name" x="{margin}" y="12">{axes[1]} →</text>'
        f'<text class="name" x="12" y="{margin}" transform="rotate(90 12 {margin})" dy="4">'
        f"{axes[0]} →</text>"
    ]
    for k, name in enumerate(names):
        middle = margin + size * k + size / 2
        parts.append(
            f'<text x="{margin - 6}" y="{middle + 4}" text-anchor="end">{as_html(name)}</text>'
            f'<text x="{middle + 4}" y="{margin - 6}" '
            f'transform="rotate(-90 {middle + 4} {margin - 6})">{as_html(name)}</text>'
        )
    for down, line in enumerate(cells):
        for right, cell in enumerate(line):
            x, y = margin + size * right, margin + size * down
            parts.append(
                f'<rect class="{cell.kind}" x="{x}" y="{y}" width="{size - 1}" '
                f'height="{size - 1}" fill-opacity="{STRONGEST * cell.strength:.3f}">'
                f"<title>{as_html(cell.said)}</title></rect>"
            )
            if cell.text:
                parts.append(
                    f'<text x="{x + size / 2 - 0.5}" y="{y + size / 2 + 4}" text-anchor="middle" '
                    f'pointer-events="none">{cell.text}</text>'
                )
    return "".join(parts) + "</svg>"
