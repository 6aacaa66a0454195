"""What the code of a function tells before it is called: its loops, its words, and the functions,
classes and numbers that it uses."""

import builtins
import contextlib
import dis
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from .roles import required_of


def globals_of(function: Any) -> dict[str, Any]:
    """The names of the module in which a function, a method or a class is defined."""
    one = inspect.unwrap(function)
    one = getattr(one, "__func__", one)
    found = getattr(one, "__globals__", None)
    if found is None:
        owner = one if isinstance(one, type) else type(one)
        found = vars(sys.modules.get(owner.__module__, None) or builtins)
    return found if found is not vars(builtins) else {}


def is_installed(module: ModuleType) -> bool:
    """Whether a module is Python's or of an installed package, and not beside the user's file."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return True
    return any(Path(file).is_relative_to(one) for one in {sys.prefix, sys.base_prefix})


def has_loops(function: Any) -> bool:
    """Whether the function, or one of its own module that it calls, is written with loops."""
    steps = (step for code in _codes(function) for step in dis.get_instructions(code))
    return any(step.opname == "FOR_ITER" for step in steps)


#: What code of a softmax or its loss uses, directly or in a function that it calls.
OF_LOSS = re.compile(
    r"^_?(exp|log)(1p|2p?|10|m1)?$|^e$|softmax|log_?sum_?exp|logaddexp|entropy|nll|likelihood|xent"
    r"|loss|criterion|sigmoid",
    re.I,
)


def has_words_of_loss(function: Any) -> bool:
    """Whether its code has an exponential, a logarithm, or something called a softmax or a loss.

    >>> import numpy as np
    >>> has_words_of_loss(lambda z, y: np.log(z[y])), has_words_of_loss(lambda z, y: abs(z - y))
    (True, False)
    """
    owner = getattr(function, "__self__", None)
    own = [one for base in type(owner).__mro__ for one in vars(base).values()]
    codes = _codes(function) + [one.__code__ for one in own if inspect.isfunction(one)]
    home = globals_of(function)
    known = ("numpy", "scipy", "math", "torch", "jax", "builtins")
    elsewhere = any(
        inspect.isfunction(one) and one.__globals__ is not home and package_of(one) not in known
        for one in used_by(function)
    )
    if not codes or elsewhere:  # of an extension, or of another file: it does not tell
        return True
    for code in codes:  # with the functions that are made in it
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    names = {name for code in codes for name in code.co_names}
    numbers = [one for code in codes for one in code.co_consts if type(one) is float]
    is_e = any(abs(one - np.e) < 1e-2 for one in numbers)
    return is_e or any(OF_LOSS.search(name) for name in names)


def transposes(function: Any) -> bool:
    """Whether its code transposes an array."""
    return any({"T", "transpose"} & {*code.co_names} for code in _codes(function))


#: The words of code that reduces along an axis.
AXES = {"axis", "dim", "keepdims", "keepdim"}


MOST_CLASSES = 1000  # that are written in someone's code

#: The names of the number of examples, and words of a docstring on a batch.
COUNTS = {"num_train", "num_examples", "num_samples", "n_samples", "n_examples"}
IN_TEXT = re.compile(
    r"batch|\b(examples|samples|instances|rows|row-wise)\b|\([Nnm], *\w+\)|\bN x ", re.ASCII
)


def words_of_batches(function: Any) -> set[str]:
    """The words in its code that are those of a batch: an axis, a shape, an index per row."""
    words: set[Any] = set()
    for code in _codes(function):
        words.update(code.co_names)
        # The names of keyword arguments are constants.
        words.update(w for c in code.co_consts if isinstance(c, tuple) for w in c)
    return words & (AXES | {"shape", "arange", "len", "zip", "enumerate"})


def speaks_of_batches(function: Any) -> bool:
    """Whether the docstring, an annotation or a variable says that it is meant for a batch."""
    one = inspect.unwrap(function)
    one = getattr(one, "__func__", one)
    code = getattr(one, "__code__", None)
    names = set(code.co_varnames) if isinstance(code, CodeType) else set()
    if names & COUNTS or any("batch" in name.lower() for name in names):
        return True
    text = [getattr(one, "__doc__", None), *getattr(one, "__annotations__", {}).values()]
    return any(IN_TEXT.search(str(part)) for part in text if part is not None)


def fixed_classes(function: Any) -> list[int]:
    """The whole numbers in its code that may be the number of classes, 10 first."""
    values = [c for code in _codes(function) for c in code.co_consts] + used_by(function)
    flat = [one for value in values for one in (value if isinstance(value, tuple) else [value])]
    found = dict.fromkeys(n for n in flat if type(n) is int and 3 <= n <= MOST_CLASSES)
    return sorted(found, key=lambda n: n != 10)


def _codes(function: Any) -> list[CodeType]:
    """The code of the function and of those of its own module that it calls."""
    home = globals_of(function)
    own = [one for one in used_by(function) if getattr(one, "__globals__", None) is home]
    return [one.__code__ for one in own if isinstance(one.__code__, CodeType)]


def used_by(function: Any) -> list[Any]:
    """The function, what it wraps, and the values of the names that it uses; for functions of its
    own module among them, what those use as well."""
    home = globals_of(function)
    found: list[Any] = []
    waiting = [function]
    owner = function if isinstance(function, type) else type(function)
    if not inspect.isroutine(function) and owner.__module__ not in ("builtins", "functools"):
        methods = [one for base in owner.__mro__ for one in vars(base).values()]
        waiting += [one for one in methods if inspect.isfunction(one)]
    while waiting:
        one = waiting.pop()
        if any(one is seen for seen in found):
            continue
        found += [one, type(one)]
        if hasattr(one, "__wrapped__"):
            waiting.append(one.__wrapped__)
        code, known = getattr(one, "__code__", None), getattr(one, "__globals__", {})
        if not isinstance(code, CodeType) or (known is not home and one is not function):
            continue
        waiting += [known[name] for name in code.co_names if name in known]
        for cell in one.__closure__ or ():
            with contextlib.suppress(ValueError):  # the cell is still empty
                waiting.append(cell.cell_contents)
    return found


def package_of(value: Any) -> str:
    """The top-level package in which something is defined."""
    name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return str(name).partition(".")[0]


def takes_first_alone(function: Callable[..., Any]) -> bool:
    """Whether all it does with its only argument is to take entry 0 of it."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    required = required_of(function)
    if len(required) != 1 or not isinstance(code, CodeType):
        return False
    name = required[0].name
    steps = [*dis.get_instructions(code)]
    uses = [k for k, step in enumerate(steps) if name in (step.argval, *_parts(step.argval))]
    return bool(uses) and all(
        steps[k].opname.startswith("LOAD_FAST")
        and steps[k].argval == name
        and steps[k + 1].argval == 0
        and (steps[k + 2].opname == "BINARY_SUBSCR" or steps[k + 2].argrepr == "[]")
        for k in uses
    )


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()
