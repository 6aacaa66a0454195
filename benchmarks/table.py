"""The tables of the headline shapes."""

from __future__ import annotations

from . import layout
from .cases import LINEAR, WHATS
from .layout import NONE, Table, digits, duration, spread
from .peers import LIMITS, PEERS
from .report import Report


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
    return layout.text(report, tables(report))


def markdown(report: Report) -> str:
    return layout.markdown(report, tables(report))


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


def _times(ratio: float | None) -> str:
    return NONE if ratio is None else digits(ratio)


def _faster(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.1f}×"
