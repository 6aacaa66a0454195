"""Calling a function in every form in which it may be meant to be called.

Nothing is compared here: in a process of its own, the function cannot reach what judges it.
"""

import os
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ...text import first_line
from ..inputs import Input, option_inputs, plain_inputs
from ..reference import Results
from ..settings import Settings
from .forms import Form, forms_of, option_names
from .frameworks import Differentiated, as_numpy, to_framework
from .places import place_of
from .results import ShapeError

#: The results of a call, and the error that it raised, or None.
Outcome = tuple[Results, str | None]


class Attempt(NamedTuple):
    """What a function returned in one form."""

    form: Form
    results: list[Results]  # for each plain input
    problem: str | None = None  # the first error that it raised
    behaviour: Sequence[str] = ()  # ids of mistakes such as writing to the arguments
    with_options: Mapping[str, Outcome] = {}  # for the other inputs that are allowed, by name
    differentiated: bool = False  # whether the gradient is from automatic differentiation,
    gradient_of_loss: bool = False  # and if so, whether it is the slope of the loss as returned

    @property
    def raised(self) -> int:
        """On how many inputs there is no result."""
        return sum(all(part is None for part in result) for result in self.results)


def call_in_every_form(fn: Callable[..., Any], settings: Settings) -> Iterator[Attempt]:
    """The attempts to call a function, the likeliest form first."""
    plain, others = (make(settings.seed, settings.dtype) for make in (plain_inputs, option_inputs))
    names = option_names(fn)
    before = _process_state()
    for form in forms_of(fn, settings):
        results, problem = [], None
        for input in plain:
            result, raised = _call(fn, form, input)
            results.append(result)
            problem = problem or raised
        attempt = Attempt(form, results, problem)
        if attempt.raised == len(results):
            yield attempt
            continue
        with_options = {
            input.name: _call(fn, form, _renamed(input, names))
            for input in others
            if _applies(input, form, names)
        }
        with _no_warnings():
            watched = [input for input in plain if input.name in ("ordinary", "mixed")]
            behaviour = [id for input in watched for id in _watch(fn, form, input)]
            differentiated, gradient_of_loss = _differentiation(fn, form)
        if _process_state() != before:
            behaviour.append("settings-changed")
        yield attempt._replace(
            behaviour=list(dict.fromkeys(behaviour)),
            with_options=with_options,
            differentiated=differentiated,
            gradient_of_loss=gradient_of_loss,
        )


def _applies(input: Input, form: Form, names: Mapping[str, str]) -> bool:
    """Whether a function in this form, with these options, can be called with the input."""
    if input.about == "reg" or form.is_layer:
        return input.about == "reg" and "reg" in form.order
    if not form.batch or "labels" not in form.order or set(input.options) - set(names):
        return False
    if input.about in ("upstream", "bfloat16"):
        return form.framework != "numpy"
    return input.about not in ("ignore_index", "labels") or form.labels == "index"


def _renamed(input: Input, names: Mapping[str, str]) -> Input:
    """The input for a function with its own names for the options."""
    options = {names[option]: value for option, value in input.options.items()}
    if input.about == "labels" and "ignore_index" in names:
        options[names["ignore_index"]] = -100  # none of the labels is ignored
    return input._replace(options=options)


def _call(fn: Callable[..., Any], form: Form, input: Input) -> Outcome:
    try:
        with _no_warnings():
            return form.call(fn, input), None
    except ShapeError as error:
        return Results(), str(error)
    except SystemExit:
        return Results(), "it called sys.exit"
    except Exception as error:
        return Results(), error_line(error)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Without the warnings of forms that were not meant."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _watch(fn: Callable[..., Any], form: Form, input: Input) -> list[str]:
    """What calls do in addition: write to arguments, share their memory, differ when repeated."""
    one = input if form.batch else input.examples()[0]

    def new_arguments() -> list[Any]:
        return [to_framework(form.framework, argument) for argument in form.arguments(one)]

    arguments, before = new_arguments(), new_arguments()
    found: list[str] = []
    try:
        first = _arrays(fn(*arguments))
        kept = [value.copy() for value in first]
        again = _arrays(fn(*new_arguments()))
    except (Exception, SystemExit):
        return []
    for role, now, was in zip(form.order, arguments, before, strict=True):
        if role != "reg" and not np.array_equal(as_numpy(now), as_numpy(was)):
            found.append(f"{'labels' if role == 'labels' else 'logits'}-overwritten")
    given = [array for array in map(as_numpy, arguments) if isinstance(array, np.ndarray)]
    if any(np.shares_memory(value, argument) for value in first for argument in given):
        found.append("result-is-the-input")
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(kept, again, strict=False)):
        found.append("not-repeatable")
    return found


def _arrays(value: Any) -> list[Any]:
    """The arrays of numbers in what was returned."""
    values = value.values() if isinstance(value, dict) else value
    values = values if isinstance(value, tuple | dict) else [value]
    arrays = [np.asarray(as_numpy(one)) for one in values]
    return [array for array in arrays if array.dtype.kind in "fiu"]


def _process_state() -> tuple[Any, ...]:
    """The settings of the process that a call should not change."""
    state = pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002 - others may use it
    return np.geterr(), np.get_printoptions(), os.getcwd(), state, random.getstate()


def _differentiation(fn: Callable[..., Any], form: Form) -> tuple[bool, bool]:
    """Whether the gradient is from automatic differentiation, and if so, whether it is the slope of
    the loss as it was returned: by central differences, at one point."""
    if form.framework == "numpy" or "labels" not in form.order or form.is_layer or not form.batch:
        return False, False
    z = np.array([[0.5, -1.0, 0.25], [-0.75, 0.125, 1.5]])
    input = Input("", "", z, np.array([2, 0]))
    step = 2.0**-6  # its error is step², a few 1e-4, also in float32: rounding adds 1e-7/step
    slope = np.zeros(z.shape)
    try:
        at = form.call_once(fn, input)
        if not isinstance(at, Differentiated):
            return False, False
        for place in np.ndindex(z.shape):
            aside = np.zeros(z.shape)
            aside[place] = step
            both = [input._replace(z=z + side) for side in (aside, -aside)]
            high, low = (form.call_once(fn, one).loss for one in both)
            slope[place] = np.sum(high - low) / (2 * step)
    except (Exception, SystemExit):
        return False, False
    gradient = at.gradient.T if form.columns else at.gradient
    return True, bool((abs(gradient - slope) <= 2e-3 * (1 + abs(slope))).all())


def error_line(error: BaseException) -> str:
    """The type and the message of an error, on one line, and the line of the file it is from."""
    # Not longer, so that the place is kept where lines are cut.
    name, message, place = type(error).__name__, first_line(error, 200), place_of(error)
    line = name if message == name else f"{name}: {message}"
    return f"{line} ({place})" if place else line
