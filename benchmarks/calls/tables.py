"""The tables of the calls, as plain text and as Markdown: the same cells."""

from __future__ import annotations

from .. import layout
from ..layout import NONE, Table, digits, duration, spread
from .cases import KINDS, OPTIONS
from .peers import PEERS
from .report import COMPARED, Report

TIMES = "Time of one call: median (smallest–largest)"
#: the lines at the foot of the first table: title, what it is in `Report.summary`, goal
FOOT = [
    ("geometric mean", "geometric_mean", "≥ 3"),
    ("minimum", "minimum", "≥ 1"),
    ("minimum where the logits exceed 16 MB", "minimum_of_large", "≥ 2.5"),
]


def against_peers(report: Report) -> Table:
    """Call × kind: our time, and how many times as fast as the fastest peer. Below 1: bold."""
    head = ["logits", "call"]
    for kind in COMPARED:
        head += [KINDS[kind], "best peer / ours"]
    body = []
    for call in report.calls:
        cells = [call.name, OPTIONS[call.option].title]
        for kind in COMPARED:
            ours, ratio = report.seconds(call, kind), report.ratio(call, kind)
            cells += [duration(ours) if ours else NONE, _bold_if(ratio, ratio and ratio < 1)]
        body.append(cells)
    return head, body + _foot(report)


def _foot(report: Report) -> list[list[str]]:
    """Geometric mean and minimum for each kind of call."""
    summaries = {kind: report.summary(kind) or {} for kind in COMPARED}
    foot = []
    for title, key, goal in FOOT:
        cells = [f"all calls: {title}", f"goal {goal}"]
        for kind in COMPARED:
            value = summaries[kind].get(key)
            cells += ["", _bold_if(value, value and value < 1)]
        foot.append(cells)
    cells = ["all calls: slower than the best peer", "goal 0"]
    for kind in COMPARED:
        summary = summaries[kind]
        cells += ["", f"{summary['below_1']} of {summary['calls']}" if summary else NONE]
    return [*foot, cells]


def over_plain(report: Report) -> Table:
    """Our time over that of another call of ours; in bold where the goal is missed."""
    head = ["logits", "call", "compared with", *(KINDS[kind] for kind in COMPARED), "goal"]
    body = []
    for relative in report.relatives():
        cells = [relative.name, relative.call, relative.compared_with]
        for kind in COMPARED:
            ratio = relative.ratios.get(kind)
            cells.append(_bold_if(ratio, ratio and ratio > relative.goal))
        body.append([*cells, f"≤ {relative.goal:g}"])
    return head, body


def times(report: Report) -> Table:
    """Call and kind: medians, and the smallest and the largest of all turns."""
    head = ["logits", "call", "", *(peer.title for peer in PEERS.values()), "turns"]
    body = [
        [
            row.case.name,
            OPTIONS[row.case.option].title,
            KINDS[row.what],
            *(spread(row.seconds.get(name)) for name in PEERS),
            str(max(map(len, row.seconds.values()), default=0)),
        ]
        for row in report.rows
    ]
    return head, body


def text(report: Report) -> str:
    """The complete output of a run."""
    return layout.text(report, [*_comparisons(report), (TIMES, times(report))])


def markdown(report: Report) -> str:
    """The same for a page, in which the long table of times is folded."""
    folded = ["<details>", f"<summary>{TIMES}</summary>", "", *layout.lines(times(report))]
    return "\n".join([layout.markdown(report, _comparisons(report)), "", *folded, "", "</details>"])


def _comparisons(report: Report) -> list[tuple[str, Table]]:
    return [
        ("How many times as fast as the faster of torch and torch.compile", against_peers(report)),
        ("How many times as long as the plain call", over_plain(report)),
    ]


def _bold_if(value: float | None, bold: object) -> str:
    if value is None:
        return NONE
    return f"**{digits(value)}**" if bold else digits(value)
