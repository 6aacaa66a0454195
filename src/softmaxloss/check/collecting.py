"""Calling a function in every form that it may be meant to be called in, and keeping what comes.

Nothing is judged here: in a process of its own the function cannot reach what judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .forms import Form, Part, candidates
from .probes import Probe
from .steps import Results

__all__ = ["Try", "collect"]

RAISED = Results(None, None, None)


class Try(NamedTuple):
    """What a function gave in one form: results for each probe, and the ids of what its calls do
    besides, such as writing to their arguments."""

    form: Form
    results: list[Results]
    calls: list[str]


def collect(
    fn: Callable[..., Any], kind: Part | None, given: Sequence[Probe]
) -> tuple[list[Try], str]:
    """The tries of a function, and what was wrong with the last form that gave nothing at all."""
    tries, problem = [], "it takes no arguments that are logits, or logits and labels"
    for form in candidates(fn, kind):
        results = []
        for probe in given:
            try:
                with np.errstate(all="ignore"):
                    results.append(form.call(fn, probe))
            except Exception as error:
                if not results:
                    problem = f"{type(error).__name__}: {error}".partition("\n")[0]
                results.append(RAISED)
        if any(part is not None for result in results for part in result):
            tries.append(Try(form, results, _calls(fn, form, given[0])))
    return tries, problem


def _calls(fn: Callable[..., Any], form: Form, probe: Probe) -> list[str]:
    """What is seen by watching calls: arguments written to, results that are not repeated."""
    if form.framework != "numpy" or not form.batch:
        return []
    logits = probe.z.T.copy() if form.columns else probe.z.copy()
    labels: Any = probe.y.copy()
    if form.labels == "one-hot":
        labels = np.eye(probe.z.shape[1], dtype=probe.z.dtype)[probe.y]
        labels = labels.T.copy() if form.columns else labels
    arguments = form._in_order(logits, labels)
    before = [argument.copy() for argument in arguments]
    found: list[str] = []
    with np.errstate(all="ignore"):
        try:
            first = fn(*arguments)
            changed = [not np.array_equal(a, b) for a, b in zip(arguments, before, strict=True)]
            values = first if isinstance(first, tuple) else (first,)
            kept = [np.array(value, copy=True) for value in values]
            shares = any(
                isinstance(value, np.ndarray) and np.shares_memory(value, logits)
                for value in values
            )
            again = fn(*[argument.copy() for argument in before])
        except Exception:
            return []
    names = ["logits"] if form.labels == "none" else ["logits", "labels"]
    if form.first == "labels":
        names.reverse()
    found += [f"{name}-overwritten" for name, was in zip(names, changed, strict=True) if was]
    if shares:
        found.append("result-is-the-input")
    second = again if isinstance(again, tuple) else (again,)
    if not all(
        np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
        for a, b in zip(kept, second, strict=True)
    ):
        found.append("not-repeatable")
    return found
