"""The most surprising results: each kind of mistake, and the implementations that make it."""

from __future__ import annotations

from collections.abc import Callable

from .judge import Verdict
from .trials import Trial

Judged = list[tuple[Trial, Verdict]]


def _mistake(name: str) -> Callable[[Trial, Verdict], bool]:
    return lambda trial, verdict: verdict.mistake == name


def _accepts(row: str, mistake: str = "accepts") -> Callable[[Trial, Verdict], bool]:
    return lambda trial, verdict: trial.row.startswith(row) and verdict.mistake == mistake


#: sentence of the page → whether it is true of a verdict
FINDINGS: dict[str, Callable[[Trial, Verdict], bool]] = {
    "A label outside 0..C−1 gets a number": _accepts("a label outside"),
    "A label outside 0..C−1 gets NaN": _accepts("a label outside", "accepts NaN"),
    "Booleans or floats are taken for labels": _accepts("booleans or floats"),
    "A loss that is not 0 is given as 0": _mistake("0 for a number"),
    "NaN for a loss that is a number": _mistake("NaN for a number"),
    "NaN in the gradient of what does not count": _mistake("gradient: NaN for a number"),
    "A number for a row that has no softmax": _mistake("a number for NaN"),
    "A finite loss for a class that is impossible": _mistake("finite for infinite"),
    "An infinite loss for a class that is possible": _mistake("infinite for finite"),
    "Digits are lost, beyond rounding": _mistake("digits lost"),
    "The gradient is not that of the loss, but a − q": lambda trial, verdict: (
        trial.row.startswith("several labels") and verdict.mistake == "gradient a − q"
    ),
    "A negative weight is taken": lambda trial, verdict: (
        trial.row == "`weight`" and trial.name == "negative" and verdict.mistake == "accepts"
    ),
}


def findings(judged: dict[str, Judged]) -> list[str]:
    """One line for each kind of mistake that occurs. The keys of `judged` are titles."""
    lines = []
    for text, holds in FINDINGS.items():
        places = []
        for title, pairs in judged.items():
            found = [(trial, verdict) for trial, verdict in pairs if holds(trial, verdict)]
            if found:
                trial, verdict = found[0]
                others = len({(t.row, t.name) for t, _ in found}) - 1
                more = f", and {others} more" if others else ""
                places.append(f"{title} ({verdict.detail}: “{trial.name}”{more})")
        if places:
            lines.append(f"**{text}**: {'; '.join(places)}.")
    return lines
