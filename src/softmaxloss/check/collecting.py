"""Calling a function in every form that it may be meant to be called in, and keeping what comes.

Nothing is judged here: in a process of its own the function cannot reach what judges it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .forms import Form, Part, candidates
from .probes import Probe
from .steps import Results

__all__ = ["Try", "collect"]

RAISED = Results(None, None, None)


class Try(NamedTuple):
    """What a function gave in one form: results for each probe; the ids of what its calls do
    besides, such as writing to their arguments; the first thing that it raised, or None."""

    form: Form
    results: list[Results]
    calls: list[str]
    problem: str | None


def collect(fn: Callable[..., Any], kind: Part | None, given: Sequence[Probe]) -> Iterator[Try]:
    """The tries of a function, the likeliest form first."""
    for form in candidates(fn, kind):
        results, problem = [], None
        for probe in given:
            try:
                with _quiet():
                    results.append(form.call(fn, probe))
            except Exception as error:
                problem = problem or f"{type(error).__name__}: {error}".partition("\n")[0]
                results.append(RAISED)
        calls = []
        if any(part is not None for result in results for part in result):
            with _quiet():
                calls = _calls(fn, form, given[0])
        yield Try(form, results, calls, problem)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of forms that were not meant."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _calls(fn: Callable[..., Any], form: Form, probe: Probe) -> list[str]:
    """What is seen by watching calls: arguments written to, results that are not repeated."""
    if form.framework != "numpy" or not form.batch:
        return []
    arguments = form.arguments(probe.z, probe.y)
    before = form.arguments(probe.z, probe.y)
    found: list[str] = []
    try:
        first = _values(fn(*arguments))
        kept = [np.array(value, copy=True) for value in first]
        again = _values(fn(*form.arguments(probe.z, probe.y)))
    except Exception:
        return []
    names = form.named(arguments)
    for name, now, was in zip(names, arguments, before, strict=True):
        if name != "reg" and not np.array_equal(now, was):
            found.append(f"{'labels' if name == 'labels' else 'logits'}-overwritten")
    arrays = [value for value in first if isinstance(value, np.ndarray)]
    given = [argument for argument in arguments if isinstance(argument, np.ndarray)]
    if any(np.shares_memory(value, argument) for value in arrays for argument in given):
        found.append("result-is-the-input")
    if not all(
        np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
        for a, b in zip(kept, again, strict=False)
    ):
        found.append("not-repeatable")
    if form.weights != "none":
        found += _regularisation(fn, form, probe)
    return found


def _regularisation(fn: Callable[..., Any], form: Form, probe: Probe) -> list[str]:
    """What the last argument of f(W, X, y, reg) adds: reg·ΣW² with the gradient 2·reg·W, or half of
    both."""
    reg = 0.5
    try:
        loss, slope = fn(*form.arguments(probe.z, probe.y))
        more, steeper = fn(*form.arguments(probe.z, probe.y, reg))
    except Exception:
        return ["no-regularisation"]
    W = form.arguments(probe.z, probe.y)[0]
    added = float(np.asarray(more - loss)) / (reg * float((W * W).sum()))
    by_weight = np.asarray(steeper) - np.asarray(slope)

    def near(x: float, y: float) -> bool:
        return abs(x - y) < 1e-3

    if near(added, 0.0):
        return ["no-regularisation"]
    if not near(added, 1.0) and not near(added, 0.5):
        return ["regularisation-wrong"]
    if not np.allclose(by_weight, 2 * added * reg * W, rtol=1e-3, atol=1e-5):
        return ["regularisation-gradient"]
    return ["half-regularisation"] if near(added, 0.5) else []


def _values(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
