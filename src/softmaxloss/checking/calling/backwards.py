"""The methods that compute a gradient: what they are passed after forward, and what they return."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .frameworks import framework_of
from .methods import kept, unbound
from .nodes import numbers_of
from .objects import copied, object_of
from .packed import UPSTREAM
from .roles import SCORES, parameters_of, required_of, role_of

#: Names of a learning rate that backward is passed, for layers with weights.
RATES = {"lr", "learning_rate", "alpha", "rate"}

#: Names of what forward returns beside its result, for backward.
CACHES = {"cache", "caches", "ctx", "context", "saved", "memory", "tape"}

#: Words in the names of an upstream gradient that `UPSTREAM` does not have.
_OF_UPSTREAM = re.compile(r"grad|^d_?(out|loss|y|a|z|l)$|^d[a-z]_?d[a-z]|upstream|delta", re.I)

#: Words in the names of an option to keep what backward needs.
_TO_KEEP = re.compile(r"cache|save|store|retain|remember", re.I)

Arguments = Sequence[Any]
Pick = Callable[[Arguments, Any, Any], list[Any]]  # from the arguments, the result, the object


def without_rates(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters that are no learning rate."""
    return [p for p in parameters if p.name.lower() not in RATES]


def in_training(made: Any, forward: str) -> dict[str, bool]:
    """What forward is passed so that it keeps what backward needs: some do so in training only, or
    if they are told to."""
    parameters = parameters_of(getattr(made, forward)) or ()
    named = [p for p in parameters if role_of(p.name) == "training" or _TO_KEEP.search(p.name)]
    return {p.name: True for p in named if p.default is False}


def gradient_of(made: Any, backward: str, *arguments: Any) -> Any:
    """What backward returns, or the gradient that the object then keeps.

    It may return one for each input, None for the labels, and take a learning rate.
    """
    method = getattr(made, backward)
    rates = {p.name: 0.0 for p in required_of(method) if p.name.lower() in RATES}
    gradient = method(*arguments, **rates)
    if isinstance(gradient, tuple) and gradient and all(one is None for one in gradient[1:]):
        gradient = gradient[0]
    gradient = kept(made, "gradient") if gradient is None else gradient
    return gradient if framework_of(gradient) != "numpy" else numbers_of(gradient)


def gradient_after(
    made: Any, forward: str, arguments: Sequence[Any], backward: str, *passed: Any
) -> Any:
    """The gradient that backward returns after forward; where backward needs what the object keeps
    when it is called itself, after that call, which leaves the object as it was."""
    before = dict(vars(made))
    try:
        return gradient_of(made, backward, *passed)
    except AttributeError:
        if forward != "forward" or not callable(made):
            raise
        returned = made(*arguments)
        gradient = gradient_of(made, backward, *passed)
        del returned  # not before: the object may keep a weak reference to it
        vars(made).clear()
        vars(made).update(before)
        return gradient


def softmax_backward(target: Any, forward: str, backward: str) -> Callable[[Any, Any], Any] | None:
    """A function of logits and an upstream gradient that returns the gradient of the logits; None
    if backward takes something else.

    Some objects keep the logits of each call of forward, for one backward for all: so it is a copy
    of the object as it was.
    """
    back = unbound(target, backward)
    passed = _passed_by_softmax(back)
    if passed is None or not parameters_of(back):
        return None
    before = copied(target)

    def call(z: Any, upstream: Any) -> Any:
        made = object_of(copied(before), [z])
        value = getattr(made, forward)(z, **in_training(made, forward))
        a, cache = value if isinstance(value, tuple) and len(value) == 2 else (value, z)
        given = {"z": z, "a": a, "upstream": upstream, "cache": cache, "gradients": {}}
        return gradient_after(made, forward, [z], backward, *(given[one] for one in passed))

    return call


def _passed_by_softmax(backward: Callable[..., Any]) -> list[str] | None:
    """What each argument of the backward of a softmax is, by its name: the upstream gradient, the
    logits z, the probabilities a, what forward kept, or where gradients of weights are put. One
    that its name does not tell is the upstream gradient. None if that is not known.

    >>> _passed_by_softmax(lambda x, cache, dout: 0), _passed_by_softmax(lambda x, y_true: 0)
    (['z', 'cache', 'upstream'], None)
    """
    required = without_rates(required_of(backward))
    if len(required) < 2:
        return ["upstream"]
    passed = [_of_softmax(p.name) for p in required]
    if "upstream" not in passed and passed.count("") == 1:
        unknown = passed.index("")
        if role_of(required[unknown].name) == "labels" and required[unknown].name != "y":
            return None  # y may be the probabilities
        passed[unknown] = "upstream"
    first = passed.index("upstream") if "upstream" in passed else len(passed)
    rest = ["gradients" if one == "upstream" else one for one in passed[first + 1 :]]
    passed = [*passed[: first + 1], *rest]
    known = "" not in passed and "upstream" in passed and passed.count("gradients") < 2
    return passed if known else None


def _of_softmax(name: str) -> str:
    lower, role = name.lower(), role_of(name)
    if lower in CACHES:
        return "cache"
    if lower in UPSTREAM or _OF_UPSTREAM.search(lower):
        return "upstream"
    if lower in ("a", "out", "output", "softmax", "s") or role in ("probabilities", "predictions"):
        return "a"
    if lower in ("x", "z", "input", "inputs", "inp") or role in SCORES:
        return "z"
    return ""


def backward_arguments(
    backward: Callable[..., Any], forward: Callable[..., Any]
) -> Iterator[tuple[str, Pick]]:
    """What backward may be called with, each as text and as a function of what forward was called
    with, of what it returned, and of the object."""
    required = without_rates(required_of(backward))
    same = len(parameters_of(forward) or ())
    if not required:
        yield "", lambda arguments, value, made: []
        return
    by_name = _of_same_names(required, forward)
    if by_name is not None:
        yield by_name
    if len(required) == 1:
        if required[0].name.lower() in UPSTREAM or role_of(required[0].name) != "labels":
            yield "1", lambda arguments, value, made: [ones(value)]
        yield "y", lambda arguments, value, made: [arguments[-1]]
        return
    if len(required) == same or len(required) == 2:
        yield "the same", lambda arguments, value, made: list(arguments)
        yield "a, y", lambda arguments, value, made: [kept(made, "softmax"), arguments[-1]]
        yield "1, y", lambda arguments, value, made: [ones(value), arguments[-1]]
    if len(required) == 3:
        yield (
            "z, a, y",
            lambda arguments, value, made: [
                arguments[0],
                arguments[0] if kept(made, "softmax") is None else kept(made, "softmax"),
                arguments[-1],
            ],
        )


def _of_same_names(
    required: Sequence[inspect.Parameter], forward: Callable[..., Any]
) -> tuple[str, Pick] | None:
    """The call of backward with the arguments of forward by their names, in another order or beside
    an upstream gradient or what forward kept; None if the names do not tell."""
    names = [p.name for p in parameters_of(forward) or ()]
    wanted = [p.name for p in required]
    if len(wanted) < 2 or wanted == names[: len(wanted)] or not set(names) & set(wanted):
        return None
    others = [name for name in wanted if name not in names]
    of_upstream = [n for n in others if n.lower() in UPSTREAM or _OF_UPSTREAM.search(n)]
    if len(of_upstream) > 1 or any(n.lower() not in CACHES for n in others if n not in of_upstream):
        return None

    def pick(arguments: Arguments, value: Any, made: Any) -> list[Any]:
        given = dict(zip(names, arguments, strict=False))
        loss, cache = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
        rest = {n: ones(loss) if n in of_upstream else cache for n in others}
        return [(given | rest)[name] for name in wanted]

    shown = {n: "1" if n in of_upstream else n for n in wanted}
    return ", ".join(shown.values()), pick


def ones(value: Any) -> Any:
    """The upstream gradient of a loss that is the final result: 1 for each number in it."""
    return np.ones_like(value) if isinstance(value, np.ndarray) and value.ndim else 1.0
