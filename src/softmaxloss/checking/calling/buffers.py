"""Functions that return nothing and write their results to arrays that they are passed, as code in
C does: each as a function that returns the results."""

import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import numpy as np

from .packed import UPSTREAM, Way, signature
from .roles import required_of, role_of

#: Names of an array for the results that do not say which.
OUT = {"out", "output", "result", "results", "res", "dst", "buf", "buffer"}

#: Names of an array for one part of the results.
PARTS = {
    **dict.fromkeys(("loss", "losses", "cost", "costs", "nll"), "loss"),
    **dict.fromkeys(("grad", "grads", "gradient", "dlogits", "dz", "dx", "dscores", "dinp"),
                    "gradient"),
    **dict.fromkeys(("probs", "prob", "probabilities", "p", "a", "softmax", "sm"), "softmax"),
}  # fmt: skip


def of_buffers(function: Callable[..., Any]) -> Iterator[Way]:
    """The ways to call a function with arrays for its results, which come first or last; of a
    function of one array, that array itself.

    >>> def softmax(probs, logits): probs[:] = 0
    >>> [way.protocol for way in of_buffers(softmax)]
    ['f(probs=…, z)']
    """
    names = [p.name for p in required_of(function)]
    if not names:
        return
    if not _returns_nothing(function):
        if len(names) == 3 and PARTS.get(names[2].lower()) == "gradient":
            yield _with_buffers(function, names, [2])
        return
    if len(names) == 1:
        yield _in_place(function, names[0])
        return
    for size in (1, 2):
        for places in (range(size), range(len(names) - size, len(names))):
            if size < len(names) and all(_part_of(names[k]) is not None for k in places):
                yield _with_buffers(function, names, [*places])


def _in_place(function: Callable[..., Any], name: str) -> Way:
    def call(z: Any) -> Any:
        given = z.copy()
        function(given)
        return given

    vars(call)["__signature__"] = signature(name)
    return Way(call, call, "f(z), which changes z")


def _with_buffers(function: Callable[..., Any], names: list[str], places: list[int]) -> Way:
    """With new arrays of zeros at these places, and 1/N for each upstream gradient."""
    above = [
        k for k, name in enumerate(names) if name.lower() in UPSTREAM - {*PARTS} and k not in places
    ]
    passed = [k for k in range(len(names)) if k not in places and k not in above]
    labelled = len(passed) > 1

    def call(*arguments: Any) -> Any:
        arrays = [np.asarray(one) for one in arguments]
        matrix = max(arrays, key=lambda array: (array.ndim, array.dtype.kind == "f"))
        of_each = min(arrays, key=lambda array: array.ndim)
        shape = of_each.shape if of_each.ndim < matrix.ndim else matrix.shape[:-1]
        made: dict[str, Any] = {}
        given: list[Any] = [None] * len(names)
        for k, one in zip(passed, arguments, strict=True):
            given[k] = one
        for k in above:
            given[k] = np.full(shape, 1.0 / max(1, int(np.prod(shape))))
        for k in places:
            part = _part_of(names[k]) or ("loss" if labelled else "softmax")
            given[k] = made[part] = np.zeros(shape if part == "loss" else matrix.shape)
        loss = function(*given)
        return made if loss is None else {"loss": loss} | made

    vars(call)["__signature__"] = signature(*(names[k] for k in passed))
    shown = [
        f"{name}=…" if k in places else "1/N" if k in above
        else "y" if labelled and role_of(name) == "labels" else "a" if labelled else "z"
        for k, name in enumerate(names)
    ]  # fmt: skip
    return Way(call, call, f"f({', '.join(shown)})")


def _part_of(name: str) -> str | None:
    """The part of the results that an array of this name is for; empty: it does not say."""
    lower = name.lower()
    return "" if lower in OUT else PARTS.get(lower)


def _returns_nothing(function: Callable[..., Any]) -> bool:
    """Whether its code in Python returns None everywhere."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType) or code.co_flags & inspect.CO_GENERATOR:
        return False
    steps = [*dis.get_instructions(code)]
    before = {step.offset: steps[k - 1] for k, step in enumerate(steps) if k}
    for step in steps:
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        if step.opname == "RETURN_VALUE":
            last = before[step.offset]
            if last.opname != "LOAD_CONST" or last.argval is not None:
                return False
    return True
