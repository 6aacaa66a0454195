"""The names that a function returns, which say what each of its results is."""

import dis
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any


def returned_names(function: Callable[..., Any]) -> list[str]:
    """The names that a function returns: `return loss, dW` has two.

    Empty where it returns something else, or has no code in Python.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return []
    names: list[str] = []
    tupled: list[str] = []
    for step in dis.get_instructions(code):
        if step.opname == "RETURN_VALUE" and tupled:
            return tupled
        tupled = []
        if step.opname.startswith("LOAD_FAST"):
            names += step.argval if isinstance(step.argval, tuple) else [step.argval]
            continue
        if step.opname == "BUILD_TUPLE" and step.arg is not None and len(names) >= step.arg > 1:
            tupled = names[len(names) - step.arg :]
        names = []
    return []
