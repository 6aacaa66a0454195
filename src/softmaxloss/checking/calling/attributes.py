"""Methods that read from their object what others are passed: the weights of a layer, the features,
the labels, the probabilities that forward kept. Each as a function of what is set before the call.
"""

import dis
import inspect
import itertools
from collections.abc import Iterator
from types import CodeType
from typing import Any

import numpy as np

from .packed import Way, signature
from .roles import parameters_of, required_of, role_of

#: Attributes in which a classifier keeps its weights, its bias, its features and its labels.
WEIGHTS = ("W", "weights", "w", "theta", "coef_", "weight", "Theta")
BIASES = ("b", "bias", "biases", "intercept_", "b1")
FEATURES = ("X", "x", "input", "inputs", "data", "features")
LABELS = ("y", "Y", "label", "labels", "t", "target", "targets")
#: Attributes in which forward keeps probabilities.
PROBABILITIES = ("out", "output", "probs", "p", "a", "y_hat", "y_pred", "A", "A2", "a2", "softmax",
                 "probabilities", "yhat", "outputs")  # fmt: skip


def of_attributes(method: Any) -> Iterator[Way]:
    """The ways to call a method of an object that keeps its weights or its probabilities."""
    owner = getattr(method, "__self__", None)
    if owner is None or isinstance(owner, type):
        return
    read = attributes_read(method)
    names = [p.name for p in parameters_of(method) or () if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = [p.name for p in required_of(method)]
    weights = next((n for n in WEIGHTS if n in read or _keeps(owner, n)), None)
    takes = any(role_of(name) in ("weights", "theta") for name in names)
    if weights is not None and names and not takes:
        yield _with_weights(owner, method, weights, read)
    stored = [next((n for n in known if n in read), None) for known in (FEATURES, LABELS)]
    if weights is not None and not required and None not in stored:
        yield _with_all(owner, method, weights, [str(name) for name in stored], read)
    passed = [name for name in required if role_of(name) in ("weights", "theta", "bias")]
    if passed == required and passed and None not in stored:
        yield _with_data(method, [str(name) for name in stored])
    probabilities = next((n for n in PROBABILITIES if n in read), None)
    if probabilities is not None and [role_of(name) for name in required] == ["labels"]:
        yield _with_probabilities(owner, method, probabilities)


def _keeps(owner: Any, name: str) -> bool:
    return not callable(getattr(owner, name, print))


def attributes_read(method: Any) -> set[str]:
    """The attributes of its object that a method reads, and those of its own that it calls."""
    owner = type(getattr(method, "__self__", None))
    found: set[str] = set()
    waiting = [getattr(method, "__name__", "")]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        function = getattr(owner, name, None)
        code = getattr(function, "__code__", None)
        if name in seen or not isinstance(code, CodeType) or not code.co_varnames:
            continue
        seen.add(name)
        steps = [*dis.get_instructions(code)]
        for before, step in itertools.pairwise(steps):
            of_self = before.opname.startswith("LOAD_FAST") and before.argval == code.co_varnames[0]
            if of_self and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                found.add(step.argval)
                waiting.append(step.argval)
    return {name for name in found if not callable(getattr(owner, name, None))}


def _set_weights(owner: Any, name: str, W: Any, X: Any, read: set[str]) -> None:
    setattr(owner, name, W)
    for bias in BIASES:
        if bias in read or _keeps(owner, bias):
            setattr(owner, bias, np.zeros(_bias_shape(np.shape(W), np.shape(X))))


def _bias_shape(W: tuple[int, ...], X: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the bias: a column where the examples are columns."""
    if len(W) != 2 or not X or X[-1] == W[0]:
        return W[1:]
    if X[-1] == W[1]:
        return W[:1]
    by_class = X[0] == W[1]
    return (W[0] if by_class else W[1], 1)


def _with_weights(owner: Any, method: Any, name: str, read: set[str]) -> Way:
    parameters = [p for p in parameters_of(method) or () if p.kind is p.POSITIONAL_OR_KEYWORD]

    def call(W: Any, *arguments: Any, **options: Any) -> Any:
        _set_weights(owner, name, W, arguments[0] if arguments else None, read)
        return method(*arguments, **options)

    if len(parameters) == 1:  # the features
        parameters = [parameters[0].replace(name="X")]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = inspect.Parameter("W", kind)
    vars(call)["__signature__"] = inspect.Signature([first, *parameters])
    return Way(call, call, f"self.{name} = W; {method.__name__}")


def _with_all(owner: Any, method: Any, name: str, stored: list[str], read: set[str]) -> Way:
    def call(W: Any, X: Any, y: Any) -> Any:
        _set_weights(owner, name, W, X, read)
        for attribute, value in zip(stored, (X, y), strict=True):
            setattr(owner, attribute, value)
        return method()

    vars(call)["__signature__"] = signature("W", "X", "y")
    shown = ", ".join(f"self.{one} = {what}" for one, what in zip(stored, "Xy", strict=True))
    return Way(call, call, f"self.{name} = W, {shown}; {method.__name__}()")


def _with_data(method: Any, stored: list[str]) -> Way:
    """A method that is passed the weights, of an object that keeps the features and the labels."""
    owner = method.__self__

    def call(*arguments: Any) -> Any:
        *weights, X, y = arguments
        for attribute, value in zip(stored, (X, y), strict=True):
            setattr(owner, attribute, value)
        return method(*weights)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    data = [inspect.Parameter(name, kind) for name in "Xy"]
    vars(call)["__signature__"] = inspect.Signature([*required_of(method), *data])
    shown = ", ".join(f"self.{one} = {what}" for one, what in zip(stored, "Xy", strict=True))
    given = ", ".join(p.name for p in required_of(method))
    return Way(call, call, f"{shown}; {method.__name__}({given})")


def _with_probabilities(owner: Any, method: Any, name: str) -> Way:
    def call(probabilities: Any, y: Any) -> Any:
        setattr(owner, name, probabilities)
        return method(y)

    vars(call)["__signature__"] = signature("probabilities", "y")
    return Way(call, call, f"self.{name} = a; {method.__name__}(y)")
