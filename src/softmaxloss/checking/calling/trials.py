"""Trying a form on small inputs: what is returned, and whether it looks right.

Forms are tried before any is called on all inputs. So a form that was not meant costs few small
calls, whatever it returns, and the form that was meant comes first.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..inputs import Input, gradient_wrt_weights, inputs_for
from ..reference import BY_SCORES, Results, softmax, target
from .arguments import arguments_for
from .forms import OPTIONS, Form
from .frameworks import call
from .nodes import Engine, engine_of
from .packed import Way
from .places import error_line
from .protocols import title_of
from .results import ShapeError, Value, in_one, is_near, parts_of, read_results, values_of
from .returned import returned_names
from .roles import Role
from .wording import Wording, wording_of

#: The options that are passed by their place where an argument has this role.
BY_PLACE: dict[Role, str] = {
    "mask": "mask", "left out": "mask", "lengths": "mask", "example weights": "mask",
    "class weights": "weight", "no class": "ignore_index", "temperature": "temperature",
}  # fmt: skip

LEAST_NO_CLASS = 100  # a label from here on is one to ignore, such as 255

RIGHT, PARTLY, FINITE, READABLE = range(4)  # how good a trial is, the best first

#: The results of a call, and the error that it raised, or None.
Outcome = tuple[Results, str | None]


class Trial(NamedTuple):
    """What a form gives on small inputs."""

    form: Form  # with what it returns
    score: int | None  # None: it raised an error, or nothing could be read
    problem: str | None
    seconds: float = 0.0  # that a call for the ordinary input takes
    read: int = 0  # on how many inputs something could be read


class Callee(NamedTuple):
    """What is called, and what is known of it."""

    way: Way
    names: Sequence[str]  # in its return statement
    node: Engine | None  # its own, with automatic differentiation
    asked: tuple[str, ...]  # the parts that were asked for; empty: all
    title: str  # what it is called
    wording: Wording  # what its text says
    ignored: int | None  # the label that its object ignores


def callee_for(target: Any, way: Way, kind: str | None) -> Callee:
    """What is called in a way to call the target."""
    asked = () if kind is None else tuple(kind.split("+"))
    names, title, wording = returned_names(way.signature), title_of(target), wording_of(target)
    return Callee(way, names, engine_of(target), asked, title, wording, _ignored_by(target))


def _ignored_by(target: Any) -> int | None:
    """The label that an object ignores, if it keeps one that is no class."""
    owner = getattr(target, "__self__", target)
    if isinstance(owner, type):
        with suppress(Exception):  # it may need arguments
            owner = owner()
    kept = (getattr(owner, name, None) for name in OPTIONS["ignore_index"])
    return next((k for k in kept if type(k) is int and not 0 <= k < LEAST_NO_CLASS), None)


def try_form(form: Form, callee: Callee, seed: int, dtype: Any) -> Trial:
    """Call a function in a form on small inputs."""
    score, problem, read = RIGHT, None, 0
    seconds: list[float] = []  # that a call for the ordinary input would take, by each call
    *plain, middle = _small_inputs(seed, form.dtype(dtype), form.classes)
    for input in (*plain, middle):
        if input is middle and score < READABLE:
            break  # only for labels that are off by one
        if form.scores != "logits":
            input = input._replace(z=softmax(input.z)[1].astype(input.z.dtype))
        try:
            with no_warnings():
                if not form.returns:
                    form = replace(form, returns=_returns(form, callee, input))
                began = time.thread_time()  # other threads may only be waiting, busily
                results = results_of(form, callee, input)
                took = time.thread_time() - began
                seconds.append(took * plain[0].z.size / input.z.size)
            scores = [_score(results, right) for right in rights_for(form, input)]
            score = max(score, min(scores))
            if "labels" in form.order and set(form.returns) <= {"softmax", "log_softmax", ""}:
                score = max(score, PARTLY)  # what it does with the labels is not known
            read += 1
        except SystemExit:
            return Trial(form, None, "it called sys.exit")
        except ShapeError as error:
            problem = problem or str(error)
            score = max(score, READABLE)
        except Exception as error:
            problem = problem or error_line(error)
            score = max(score, READABLE)
    # The first call of all also loads code and starts the threads of a framework.
    return Trial(form, score if form.returns else None, problem, min(seconds, default=0.0), read)


@lru_cache(maxsize=4)
def _small_inputs(seed: int, dtype: str, classes: int) -> list[Input]:
    """Three of the plain inputs, and one with labels that may be off by one without an error."""
    plain = {input.name: input for input in inputs_for(False, seed, dtype, classes=classes)}
    z = plain["ordinary"].z  # JAX compiles each shape anew
    middle = Input("labels in the middle", "", z, np.arange(len(z)) % min(4, z.shape[1] - 2) + 1)
    return [plain["ordinary"], plain["two examples"], plain["square"], middle]


def rights_for(form: Form, input: Input) -> list[Results]:
    """The right results; of probabilities, those with the gradient that is by logits as well."""
    right = right_for(form, input)
    if form.scores == "logits" or form.is_layer or "labels" not in form.order:
        return [right]
    by_logits = right_for(replace(form, order=("logits", "labels")), input)
    return [right, right._replace(gradient=by_logits.gradient)]


def right_for(form: Form, input: Input) -> Results:
    """The right results for an input of small logits, with which trials are compared."""
    z, y = np.atleast_2d(input.z).astype(np.float64), np.atleast_1d(input.y)
    a, log_a = softmax(z)
    q = target(y, (len(z), z.shape[1]))
    gradient = BY_SCORES["logits" if form.is_layer else form.scores](a, q) / len(z)
    parts = (
        a,
        -(q * log_a).sum(axis=1).mean(),
        gradient_wrt_weights(gradient) if form.is_layer and form.batch else gradient,
        log_a,
        gradient,
        gradient.sum(axis=0),
    )
    if form.is_layer and form.batch:
        return Results(*parts)
    return Results(*(part.reshape(input.z.shape) if np.ndim(part) else part for part in parts[:-1]))


def _returns(form: Form, callee: Callee, input: Input) -> tuple[str, ...]:
    one = input if form.batch else input.examples()[0]
    values = _values(form, callee, one)
    return parts_of(
        values, form, one, right_for(form, one), callee.names, callee.asked, callee.title
    )


def _score(got: Results, want: Results) -> int:
    """How good results are: all right, some right, finite; a gradient or a loss may be a sum."""
    parts = [(g, w) for g, w in zip(got, want, strict=True) if g is not None]
    if not parts or not all(np.isfinite(np.asarray(g)).all() for g, _ in parts):
        return READABLE
    near = [is_near(g, w, len(want.softmax)) for g, w in parts]  # type: ignore[arg-type]
    return RIGHT if all(near) else PARTLY if any(near) else FINITE


def results_of(form: Form, callee: Callee, input: Input) -> Results:
    """The results for an input, as a batch with examples in rows.

    Raises what the function raises, and ShapeError for a result of no known shape.
    """
    if form.batch:
        return read_results(_values(form, callee, input), form, input)
    every = [read_results(_values(form, callee, one), form, one) for one in input.examples()]
    together = {
        part: np.array([getattr(one, part) for one in every])
        for part in Results._fields
        if all(getattr(one, part) is not None for one in every)
    }
    if "loss" in together:
        together["loss"] = together["loss"].mean()
    for part in {"gradient", "feature_gradient", "bias_gradient"} & set(together):
        together[part] = together[part] / len(every)
    return Results(**together)


def outcome_of(form: Form, callee: Callee, input: Input) -> Outcome:
    """The results for an input, or none and the error."""
    try:
        with no_warnings():
            return results_of(form, callee, input), None
    except ShapeError as error:
        return Results(), str(error)
    except SystemExit:
        return Results(), "it called sys.exit"
    except Exception as error:
        return Results(), error_line(error)


def _values(form: Form, callee: Callee, input: Input) -> list[Value]:
    returned = in_one(call_once(form, callee, input), form, input)
    return values_of(returned, labelled="labels" in form.order)


def call_once(form: Form, callee: Callee, input: Input) -> Any:
    """What the function returns for one call, as arrays."""
    arguments = arguments_for(form, input)
    by_place = {BY_PLACE[role] for role in form.order if role in BY_PLACE}
    input = input._replace(options={k: v for k, v in input.options.items() if k not in by_place})
    dtype = "bfloat16" if input.about == "bfloat16" else form.dtype("")
    places = [form.order.index(role) for role in (form.scores,) if role in form.order]
    differentiable = places and "labels" in form.order and not form.is_layer
    return call(
        form.framework,
        callee.way.function,
        arguments,
        input,
        places[0] if places and (differentiable or callee.node is not None) else None,
        form.names,
        dtype,
        callee.node,
        labelled="labels" in form.order,
    )


@contextmanager
def no_warnings() -> Iterator[None]:
    """Without the warnings of forms that were not meant."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def takes_only_single(problem: str | None) -> bool:
    """Whether PyTorch says that float64 and float32 were mixed."""
    words = ("Double", "Float", "dtype", "double", "float")
    return problem is not None and sum(word in problem for word in words) >= 2
