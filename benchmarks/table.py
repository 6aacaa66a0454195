"""The tables, as plain text and as Markdown: the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .cases import LINEAR, WHATS
from .peers import LIMITS, PEERS
from .report import Report

Table = tuple[list[str], list[list[str]]]
NONE = "–"


def ratios(report: Report) -> Table:
    """Shape × kind of call: the limit in seconds, each peer as a multiple of it."""
    head = ["logits", "call", "limit"]
    head += [PEERS[name].title for name in report.names]
    head += ["against the fastest"]
    body = []
    for row in report.group("shapes"):
        limit = NONE if row.limit is None else f"{WHATS[row.what][1]} {duration(row.limit)}"
        cells = [row.case.name, WHATS[row.what][0], limit]
        cells += [_times(row.over_limit(name)) for name in report.names]
        cells += [_faster(row.against_fastest)]
        body.append(cells)
    return head, body


def times(report: Report) -> Table:
    """Shape × kind of call: medians, and the smallest and the largest of all turns."""
    names = [name for name in PEERS if name in (*LIMITS, *report.names)]
    head = ["logits", "call", *(PEERS[name].title for name in names)]
    body = [
        [row.case.name, WHATS[row.what][0], *(spread(row.seconds.get(name)) for name in names)]
        for row in report.group("shapes")
    ]
    return head, body


def as_people_call(report: Report) -> Table:
    """This library with a given buffer, the peers by default, with fresh memory in each call."""
    head = ["logits", "this library, given buffer", "fastest of torch, torch.compile, JAX"]
    body = []
    for fresh in report.group("shapes"):
        given = report.row(fresh.case, "gradient")
        if fresh.what == "fresh" and given and (faster := given.against_fastest_of(fresh)):
            ours = given.median("library")
            assert ours is not None
            body.append(
                [fresh.case.name, duration(ours), f"{duration(faster * ours)}, {faster:.1f}×"]
            )
    return head, body


def autograd(report: Report) -> Table:
    """Forward and backward pass through autograd, by default: how many times as fast."""
    head = ["logits", "faster of torch, torch.compile", "this library", "this library, in place"]
    body = []
    for row in report.group("shapes"):
        theirs = [time for name in ("torch", "compile") if (time := row.median(name))]
        ours = [row.median(name) for name in ("tensors", "inplace")]
        if row.what == "fresh" and theirs and any(ours):
            fastest = min(theirs)
            cells = [f"{duration(time)}, {fastest / time:.1f}×" if time else NONE for time in ours]
            body.append([row.case.name, duration(fastest), *cells])
    return head, body


def linear(report: Report) -> Table:
    """Nanoseconds per logit in growing sizes, over N and over C."""
    head = ["elements"]
    for group in ("N × 1000", "1 × C"):
        head += [f"{group}: ns per logit", "× copy"]
    body = []
    for size in dict.fromkeys(case.elements for case in LINEAR):
        cells = [f"{size:.0e}".replace("e+0", "e")]
        for group in ("over N", "over C"):
            row = next((r for r in report.group(group) if r.case.elements == size), None)
            ours = row.median("library") if row else None
            cells += [f"{ours / size * 1e9:.3f}" if ours else NONE]
            cells += [_times(row.over_limit("library") if row else None)]
        if set(cells[1:]) != {NONE}:
            body.append(cells)
    return head, body


def text(report: Report) -> str:
    """The complete output of a run."""
    lines = [
        f"{report.date}, {report.repeat} turns" + (f", {report.options}" if report.options else "")
    ]
    lines += [f"{name}: {value}" for name, value in _facts(report).items()]
    for title, table in tables(report):
        if table[1]:
            lines += ["", title, *_aligned(table)]
    if report.notes:
        lines += ["", *report.notes]
    return "\n".join(lines)


def markdown(report: Report) -> str:
    lines = [
        f"Measured on {report.date}, {report.repeat} turns"
        + (f", with `{report.options}`: not a whole run" if report.options else "")
        + ".",
        "",
        *(f"- {name}: {value}" for name, value in _facts(report).items()),
    ]
    for title, (head, body) in tables(report):
        if body:
            lines += ["", f"### {title}", "", _line(head), _line(["---"] * len(head))]
            lines += [_line(cells) for cells in body]
    if report.notes:
        lines += ["", *(f"- {note}" for note in report.notes)]
    return "\n".join(lines)


def tables(report: Report) -> list[tuple[str, Table]]:
    return [
        (
            "Time over the limit, and against the fastest of torch, torch.compile, JAX",
            ratios(report),
        ),
        ("Into a given buffer, against the peers as they come", as_people_call(report)),
        ("Forward and backward pass through autograd", autograd(report)),
        ("Cost over N and over C, loss + gradient into a given buffer", linear(report)),
        ("Time of one call: median (smallest–largest)", times(report)),
    ]


def digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    unit, scale = _unit(seconds)
    return f"{digits(seconds * scale)} {unit}"


def spread(seconds: list[float] | None) -> str:
    if not seconds:
        return NONE
    middle = median(seconds)
    unit, scale = _unit(middle)
    low, high = (digits(value * scale) for value in (min(seconds), max(seconds)))
    return f"{digits(middle * scale)} ({low}–{high}) {unit}"


def _unit(seconds: float) -> tuple[str, float]:
    if seconds >= 1:
        return "s", 1
    return ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)


def _times(ratio: float | None) -> str:
    return NONE if ratio is None else digits(ratio)


def _faster(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.1f}×"


def _facts(report: Report) -> dict[str, str]:
    versions = {PEERS[n].title: text for n, text in report.versions.items() if n not in LIMITS}
    peers = ", ".join(f"{title} {version}" for title, version in versions.items())
    return report.machine | {"packages": peers}


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _aligned(table: Table) -> list[str]:
    head, body = table
    widths = [max(len(cells[i]) for cells in [head, *body]) for i in range(len(head))]
    left = [title in ("logits", "call") for title in head]
    return [
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(cells, widths, left, strict=True)
        ).rstrip()
        for cells in [head, *body]
    ]
