"""Further calls of a softmax, after the plain ones: of its backward, and with a mask.

Each can be meant in several ways. The one that gives what is right is kept, else the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..inputs import Input
from ..reference import Results, jacobian_product, masked_softmax, softmax
from .arguments import arguments_for
from .forms import Form, Layout
from .places import error_line
from .results import is_near, read, values_of
from .trials import Callee, Outcome, no_warnings, outcome_of


def backward_of(form: Form, backward: Callable[[Any, Any], Any], input: Input) -> Outcome:
    """The gradient that the backward of a softmax returns for an upstream gradient; of one example
    as a column or as a vector."""
    layouts: tuple[Layout, ...] = (form.layout,) if form.batch else ("one column", form.layout)
    outcomes: list[Outcome] = []
    for layout in layouts:
        try:
            with no_warnings():
                gradient = _of_each(replace(form, layout=layout), backward, input)
            outcomes.append((Results(gradient=gradient), None))
        except (Exception, SystemExit) as error:
            outcomes.append((Results(), error_line(error)))
    right = jacobian_product(softmax(input.z)[0], input.upstream)
    return _likeliest(outcomes, [is_near(one.gradient, right, 1) for one, _ in outcomes])


def with_mask(form: Form, callee: Callee, input: Input) -> Outcome:
    """The probabilities where a mask says which outputs count, which do not, or is added."""
    mask = input.options["mask"]
    masks = [mask]
    if "mask" in form.order:
        # One of what is left out may be −1e9 times 1: with all outputs left out, nearly right.
        masks += [~mask, np.where(mask, 0.0, -np.inf).astype(input.z.dtype)]
    outcomes = [outcome_of(form, callee, input._replace(options={"mask": one})) for one in masks]
    right = masked_softmax(input.z, mask)
    return _likeliest(outcomes, [is_near(one.probabilities, right, 1) for one, _ in outcomes])


def _likeliest(outcomes: Sequence[Outcome], right: Sequence[bool]) -> Outcome:
    """The first that is right, else the first without an error."""
    order = sorted(range(len(outcomes)), key=lambda k: (not right[k], outcomes[k][1] is not None))
    return outcomes[order[0]]


def _of_each(form: Form, backward: Callable[[Any, Any], Any], input: Input) -> Any:
    """What backward returns, (N, C), for a batch or for one example after another."""
    ones = [input] if form.batch else input.examples()
    upstream = [input.upstream] if form.batch else list(np.asarray(input.upstream))
    found = []
    for one, above in zip(ones, upstream, strict=True):
        z = arguments_for(form, one)[0]
        given = arguments_for(form, one._replace(z=np.asarray(above)))[0]
        (value,) = values_of(backward(z, given))
        found.append(read(value.array, "gradient", form, one))
    return found[0] if form.batch else np.array(found)
