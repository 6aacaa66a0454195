"""The objects whose methods are called: made by the names of their constructor's arguments, with
its options, and without a class that is ignored."""

import copy
import dis
import inspect
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

import numpy as np

from .roles import CLASS_WEIGHTS, parameters_of

#: Attributes in which an object keeps the class that it ignores, and one that no label is.
PADDING = ("ignore_index", "ignore_label", "pad_index", "pad_idx", "pad_id", "padding_idx", "pad")
NO_CLASS = -100

#: Arguments of a constructor that are options of the loss.
MADE_WITH = {*CLASS_WEIGHTS, "ignore_index", "label_smoothing", "reduction"}

#: Arguments of a constructor by name: what they get for logits of some shape.
BY_SHAPE = {
    "num_classes": -1, "n_classes": -1, "n_class": -1, "num_class": -1, "classes": -1, "k": -1,
    "c": -1, "output_size": -1, "num_labels": -1, "vocab": -1, "vocab_size": -1, "n_vocab": -1,
    "size": -1, "batch_size": 0, "n": 0, "n_samples": 0,
}  # fmt: skip
SHAPES = {"shape", "input_shape", "in_shape", "shape_in", "output_shape", "out_shape"}
BY_NAME: dict[str, Any] = {
    "axis": -1, "dim": -1, "reduction": "mean", "name": "loss", "eps": 1e-12, "epsilon": 1e-12,
    "temperature": 1.0, "T": 1.0, "t": 1.0, "tau": 1.0, "smoothing": 0.0, "label_smoothing": 0.0,
}  # fmt: skip


class ObjectError(TypeError):
    """No object of a class could be made."""


def without_padding(target: Any) -> Any:
    """An object, or a method of one, for which no class is one to ignore where it keeps one."""
    owner = getattr(target, "__self__", target)
    kept = getattr(owner, "__dict__", {})
    if isinstance(owner, type) or inspect.isroutine(owner) or inspect.ismodule(owner):
        return target
    names = [n for n in PADDING if type(kept.get(n)) is int and kept[n] >= 0]
    if not names or hasattr(owner, "state_dict"):
        return target
    other = copy.copy(owner)
    vars(other).update(dict.fromkeys(names, NO_CLASS))
    return other if owner is target else getattr(other, target.__name__)


def copied(target: Any) -> Any:
    """A copy of an object with all that it keeps, or where there is none the object itself."""
    if isinstance(target, type):
        return target
    try:
        return copy.deepcopy(target)
    except Exception:
        return target


def object_of(target: Any, arguments: Sequence[Any], options: dict[str, Any] | None = None) -> Any:
    """The object itself; of a class, or with options of the constructor, a new one, with arguments
    of the constructor by their name."""
    given: dict[str, Any] = dict(options or {})
    if not isinstance(target, type):
        if not options:
            return target
        given = {p.name: getattr(target, p.name) for p in parameters_of(type(target)) or ()} | given
        target = type(target)
    shapes = [np.shape(a) for a in arguments if np.ndim(a) >= 1]
    unknown: list[str] = []
    for parameter in parameters_of(target) or ():
        if (
            (parameter.default is not parameter.empty and not _is_to_be_given(parameter))
            or parameter.name in given
            or (parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD))
        ):
            continue
        name = parameter.name.lower()
        if name in CLASS_WEIGHTS and shapes:
            matrix = max(arguments, key=np.ndim)
            row = matrix.reshape(-1, np.shape(matrix)[-1])[0] * 0 + 1
            given[parameter.name] = row.detach() if hasattr(row, "detach") else row
        elif name in BY_SHAPE and shapes:
            given[parameter.name] = max(shapes, key=len)[BY_SHAPE[name]]
        elif name in SHAPES and shapes:
            given[parameter.name] = max(shapes, key=len)[-1:]
        elif name in PADDING:
            given[parameter.name] = NO_CLASS
        elif name in BY_NAME:
            given[parameter.name] = BY_NAME[name]
        else:
            unknown.append(parameter.name)
    try:  # what it needs may be for others, such as a name
        return target(**given, **dict.fromkeys(unknown))
    except Exception:
        if unknown:
            raise ObjectError(f"{target.__name__} needs {unknown[0]} to be made") from None
        raise


def needs_shape(owner: type) -> bool:
    """Whether the constructor can be called without arguments, and what it makes does not know the
    number of classes, which is None."""
    return any(map(_is_to_be_given, parameters_of(owner) or ()))


def _is_to_be_given(parameter: inspect.Parameter) -> bool:
    return parameter.default is None and BY_SHAPE.get(parameter.name.lower()) == -1


def options_of(target: Any) -> set[str]:
    """The options of the loss that the constructor of a class, or of an object, has."""
    owner = target if isinstance(target, type) else type(target)
    if inspect.isroutine(target) or owner.__module__ in ("builtins", "functools", "torch.nn"):
        return set()
    made_by = str(getattr(inspect.getattr_static(owner, "__init__"), "__module__", ""))
    if made_by.startswith("torch.") and made_by != owner.__module__:
        return set()  # the options of a class of PyTorch, which another forward need not use
    parameters = parameters_of(owner) or ()
    if owner is not target and not all(hasattr(target, p.name) for p in parameters):
        return set()  # it could not be made again with the same values
    used = _names_used(inspect.getattr_static(owner, "__init__"))
    found = {p.name for p in parameters if p.name.lower() in MADE_WITH}
    if "reduction" in found and not _knows(owner, "none"):  # it has the sum and the mean
        found.remove("reduction")
    return found if used is None else found & used


def _knows(owner: type, word: str) -> bool:
    """Whether a word stands in the code of a class's methods; True if one has no code in Python."""
    for value in vars(owner).values():
        if inspect.isroutine(value):
            code = getattr(inspect.unwrap(value), "__code__", None)
            if not isinstance(code, CodeType):
                return True
            parts = (c if isinstance(c, tuple | frozenset) else (c,) for c in code.co_consts)
            if any(word in part for part in parts):
                return True
    return False


def _names_used(function: Any) -> set[str] | None:
    """The names of the values that a function uses; None if it has no code in Python. An argument
    that it does not use is only there for others."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    steps = [step for step in dis.get_instructions(code) if step.opname.startswith("LOAD")]
    values = (step.argval for step in steps)
    return {n for value in values for n in (value if isinstance(value, tuple) else (value,))}


def made_with(target: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method as one that is passed the options of the constructor as well."""
    parameters = parameters_of(method) or []
    more = options_of(target) - {p.name for p in parameters}
    if not more or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return method

    def call() -> None: ...

    kind = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, kind, default=None) for name in sorted(more)]
    vars(call)["__signature__"] = inspect.Signature([*parameters, *added])
    vars(call)["__wrapped__"] = method
    return call


def split_options(target: Any, method: Any, options: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The options of the method, and those of the constructor."""
    own = {p.name for p in parameters_of(method) or ()}
    made = {k: v for k, v in options.items() if k not in own and k in options_of(target)}
    return {k: v for k, v in options.items() if k not in made}, made
