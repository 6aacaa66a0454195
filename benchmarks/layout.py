"""Numbers as cells, and tables as plain text and as Markdown: the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .results import Run

#: the heads of the columns, and the lines
Table = tuple[list[str], list[list[str]]]
NONE = "–"
#: columns of words, which are aligned to the left
WORDS = ("logits", "call", "compared with")


def digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    unit, scale = _unit(seconds)
    return f"{digits(seconds * scale)} {unit}"


def spread(seconds: list[float] | None) -> str:
    """The median, and the smallest and the largest of all turns."""
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


def text(run: Run, tables: list[tuple[str, Table]]) -> str:
    """The facts of a run, its tables with their titles, its notes."""
    lines = [f"{run.date}, {run.turns}" + (f", {run.options}" if run.options else "")]
    lines += [f"{name}: {value}" for name, value in run.facts.items()]
    for title, table in tables:
        if table[1]:
            lines += ["", title, *_aligned(table)]
    if run.notes:
        lines += ["", *run.notes]
    return "\n".join(lines)


def markdown(run: Run, tables: list[tuple[str, Table]]) -> str:
    """The same for a page."""
    parts = [
        f"Measured on {run.date}, {run.turns}"
        + (f", with `{run.options}`: not a whole run" if run.options else "")
        + ".",
        "",
        *(f"- {name}: {value}" for name, value in run.facts.items()),
    ]
    for title, table in tables:
        if table[1]:
            parts += ["", f"### {title}", "", *lines(table)]
    if run.notes:
        parts += ["", *(f"- {note}" for note in run.notes)]
    return "\n".join(parts)


def lines(table: Table) -> list[str]:
    """A table in Markdown."""
    head, body = table
    return [_line(cells) for cells in [head, ["---"] * len(head), *body]]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _aligned(table: Table) -> list[str]:
    head, body = table
    widths = [max(len(cells[i]) for cells in [head, *body]) for i in range(len(head))]
    left = [title in WORDS for title in head]
    return [
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(cells, widths, left, strict=True)
        ).rstrip()
        for cells in [head, *body]
    ]
