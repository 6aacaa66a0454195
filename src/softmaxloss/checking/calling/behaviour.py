"""What the calls of a function do beside returning results, and on what the results depend.

A result should depend on the arguments alone: not on earlier calls, nor on who calls.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array
from ..inputs import Input
from ..reference import Results
from .arguments import arguments_for
from .forms import Form
from .frameworks import OWN, as_numpy, call_by_names, to_framework
from .results import values_of
from .trials import Callee, results_of

#: How far the result of the same call may differ, relative to it and in all: sums in another order.
NEAR = {"rtol": 1e-4, "atol": 1e-6}

MOST_AGAIN = 1000  # logits of an input on which a function of one example is called again


def watch(
    form: Form, callee: Callee, inputs: Sequence[Input], before: Sequence[Results], slow: bool
) -> list[str]:
    """The ids of mistakes that the calls show; `before` has the results for the inputs.

    A slow function is called again on one of the inputs only, and one of one example not on those
    with many examples or classes: its calls are as many as the examples, most are loops in Python.
    """
    named = {input.name: (input, results) for input, results in zip(inputs, before, strict=True)}
    found = [id for name in ("ordinary", "mixed") if name in named
             for id in _of_one_input(form, callee, named[name][0])]  # fmt: skip
    again = [named["ordinary"]] if slow else [*reversed(named.values())]
    if not form.batch:
        again = [(input, results) for input, results in again if input.z.size <= MOST_AGAIN]
    if any(_is_another(form, callee, *one) for one in again):
        found.append("not-repeatable")
    if _is_same_for_others(form, callee, *named["ordinary"]):
        found.append("same-for-other-logits")
    return list(dict.fromkeys(found))


def _of_one_input(form: Form, callee: Callee, input: Input) -> list[str]:
    """What calls do to their arguments, and whether they differ, in the same way or called from
    elsewhere."""
    if form.framework in (*OWN, "lists"):
        return []
    one = input if form.batch else input.examples()[0]

    def new_arguments() -> list[Any]:
        return [to_framework(form.framework, argument) for argument in arguments_for(form, one)]

    def call(arguments: Sequence[Any]) -> list[Any]:
        return _arrays(call_by_names(callee.way.function, arguments, form.names), form)

    arguments, before = new_arguments(), new_arguments()
    found: list[str] = []
    try:
        first = call(arguments)
        kept = [value.copy() for value in first]
        again = call(new_arguments())
    except (Exception, SystemExit):
        return []
    for role, argument, copy in zip(form.order, arguments, before, strict=True):
        now, was = as_numpy(argument), as_numpy(copy)
        if isinstance(now, np.ndarray) and not np.array_equal(now, was):
            if role == "labels":
                found.append("labels-overwritten")
            else:
                found.append("logits-shifted" if _is_shift(now - was) else "logits-overwritten")
    given = [array for array in map(as_numpy, arguments) if isinstance(array, np.ndarray)]
    if any(np.shares_memory(value, argument) for value in first for argument in given):
        found.append("result-is-the-input")
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(kept, again, strict=False)):
        found.append("not-repeatable")
    elif not _are_near(kept, _arrays_aside(form, callee, new_arguments(), kept)):
        found.append("depends-on-the-caller")
    return found


def _is_shift(change: Array) -> bool:
    """Whether all classes changed by the same number, which leaves their softmax as it was. Another
    axis than that of the classes shows in the results."""
    return any(
        np.allclose(change, change.take([0], axis), equal_nan=True, **NEAR)
        for axis in range(change.ndim)
        if change.shape[axis] > 1
    )


def _arrays_aside(
    form: Form, callee: Callee, arguments: Sequence[Any], otherwise: list[Any]
) -> list[Any]:
    """What a function returns in a thread in which no code of this package calls it; otherwise, if
    it needs the main thread."""
    with ThreadPoolExecutor(1) as pool:
        submit = partial(pool.submit, callee.way.function)
        try:
            return _arrays(call_by_names(submit, arguments, form.names).result(), form)
        except (Exception, SystemExit):
            return otherwise


def _is_another(form: Form, callee: Callee, input: Input, before: Results) -> bool:
    """Whether an input that had results has others now, after many more calls."""
    if all(part is None for part in before):
        return False
    try:
        return not _are_near(before, results_of(form, callee, input))
    except (Exception, SystemExit):
        return True


def _is_same_for_others(form: Form, callee: Callee, input: Input, before: Results) -> bool:
    """Whether logits of the same shape, with the same labels, have the same results."""
    if all(part is None for part in before):
        return False
    try:
        others = results_of(form, callee, input._replace(z=-0.5 * input.z))
    except (Exception, SystemExit):
        return False
    pairs = zip(before, others, strict=True)
    return all(was is None or np.array_equal(was, now) for was, now in pairs)


def _are_near(before: Sequence[Any], now: Sequence[Any]) -> bool:
    pairs = zip(before, now, strict=False)
    return all(
        was is None or (now is not None and np.allclose(was, now, equal_nan=True, **NEAR))
        for was, now in pairs
    )


def _arrays(returned: Any, form: Form) -> list[Any]:
    """The arrays of the form's parts in what was returned."""
    values = values_of(as_numpy(returned), labelled="labels" in form.order)
    parts = zip(values, form.returns, strict=False)
    return [np.asarray(value.array) for value, part in parts if part]
