"""Calling a function in every form that it may be meant to be called in, and keeping what comes.

Nothing is judged here: in a process of its own the function cannot reach what judges it.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .forms import NOTHING, Besides, Form, candidates, options_of
from .frameworks import Derived, as_numpy, passed
from .probes import Probe
from .problems import told
from .returned import ShapeError
from .situations import battery_of
from .steps import Results
from .terms import Terms

__all__ = ["Further", "Try", "collect"]

RAISED = Results(None, None, None)


class Further(NamedTuple):
    """What came in a situation, by its name; what it raised, or None."""

    name: str
    results: Results
    problem: str | None


class Try(NamedTuple):
    """What a function gave in one form.

    results  for each probe
    problem  the first thing that it raised, or None
    calls    the ids of what its calls do besides, such as writing to their arguments
    further  what came in the situations that its form and parameters allow
    derived  whether the gradient is one that a framework derived
    follows  whether it is then the slope of the loss as it came
    """

    form: Form
    results: list[Results]
    problem: str | None
    calls: list[str]
    further: list[Further]
    derived: bool
    follows: bool


def collect(fn: Callable[..., Any], terms: Terms) -> Iterator[Try]:
    """The tries of a function, the likeliest form first."""
    battery, options = battery_of(terms.seed, terms.dtype), options_of(fn)
    settings = _settings()
    for form in candidates(fn, terms):
        results, problem = [], None
        for probe in battery.probes:
            result, raised = _call(fn, form, probe, NOTHING)
            results.append(result)
            problem = problem or raised
        if all(part is None for result in results for part in result):
            yield Try(form, results, problem, [], [], False, False)
            continue
        further = [
            Further(s.name, *_call(fn, form, s.probe, s.besides_of(options)))
            for s in battery.situations
            if s.applies(form, options)
        ]
        with _quiet():
            watched = [p for p in battery.probes if p.name in ("ordinary", "mixed")]
            calls = [*dict.fromkeys(id for probe in watched for id in _calls(fn, form, probe))]
            derived, follows = _follows(fn, form)
        if _settings() != settings:
            calls.append("settings-changed")
        yield Try(form, results, problem, calls, further, derived, follows)


def _call(
    fn: Callable[..., Any], form: Form, probe: Probe, besides: Besides
) -> tuple[Results, str | None]:
    """What a call gives, and what it raises."""
    try:
        with _quiet():
            return form.call(fn, probe, besides), None
    except ShapeError as error:
        return RAISED, str(error)
    except SystemExit:
        return RAISED, "it called sys.exit"
    except Exception as error:
        return RAISED, told(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of forms that were not meant."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _calls(fn: Callable[..., Any], form: Form, probe: Probe) -> list[str]:
    """What is seen by watching calls: arguments written to, results that are not repeated."""
    z, y = (probe.z, probe.y) if form.batch else (probe.z[0], probe.y[0])

    def fresh() -> list[Any]:
        return [passed(form.framework, argument) for argument in form.arguments(z, y)]

    arguments, before = fresh(), fresh()
    found: list[str] = []
    try:
        first = _arrays(fn(*arguments))
        kept = [value.copy() for value in first]
        again = _arrays(fn(*fresh()))
    except (Exception, SystemExit):
        return []
    for name, now, was in zip(form.order, arguments, before, strict=True):
        if name != "reg" and not np.array_equal(as_numpy(now), as_numpy(was)):
            found.append(f"{'labels' if name == 'labels' else 'logits'}-overwritten")
    given = [array for array in map(as_numpy, arguments) if isinstance(array, np.ndarray)]
    if any(np.shares_memory(value, argument) for value in first for argument in given):
        found.append("result-is-the-input")
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(kept, again, strict=False)):
        found.append("not-repeatable")
    return found


def _arrays(value: Any) -> list[Any]:
    """What a call gave, as arrays of numbers; what is no number is left out."""
    several = value.values() if isinstance(value, dict) else value
    several = several if isinstance(value, tuple | dict) else [value]
    arrays = [np.asarray(as_numpy(one)) for one in several]
    return [array for array in arrays if array.dtype.kind in "fiu"]


def _settings() -> tuple[Any, ...]:
    """What a call should leave as it is."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - it is what others may use
    return (
        np.geterr(), np.get_printoptions(), os.getcwd(), repr(state), random.getstate(),
    )  # fmt: skip


def _follows(fn: Callable[..., Any], form: Form) -> tuple[bool, bool]:
    """Whether a framework derived the gradient, and whether it is then the slope of the loss as it
    came: by differences, at one point."""
    if form.framework == "numpy" or "labels" not in form.order or form.is_layer or not form.batch:
        return False, False
    z, y = np.array([[0.5, -1.0, 0.25], [-0.75, 0.125, 1.5]]), np.array([2, 0])
    step = 2.0**-6  # error step², a few 1e-4; in float32 too: its rounding is 1e-7/step

    def derived(z: Any) -> Any:
        return form.one_call(fn, z, y, NOTHING)

    wanted = np.zeros(z.shape)
    try:
        at = derived(z)
        if not isinstance(at, Derived):
            return False, False
        for place in np.ndindex(z.shape):
            aside = np.zeros(z.shape)
            aside[place] = step
            high, low = derived(z + aside).loss, derived(z - aside).loss
            wanted[place] = np.sum(high - low) / (2 * step)
    except (Exception, SystemExit):
        return False, False
    slope = at.gradient.T if form.columns else at.gradient
    return True, bool((abs(slope - wanted) <= 2e-3 * (1 + abs(wanted))).all())
