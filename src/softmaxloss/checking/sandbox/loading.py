"""The object of a file that is checked: a function, a method, a class or an instance of one."""

import contextlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..calling.attributes import attributes_read, of_attributes
from ..calling.networks import sizes_for
from ..calling.nodes import is_node
from ..calling.objects import needs_shape
from ..calling.protocols import has_methods
from .absent import Absent
from .modules import UserModules
from .source import LoadError

MOST_NAMES = 10  # in a message


class Found(NamedTuple):
    """What a name stands for in a file."""

    value: Any
    expression: str  # how Python gets it from the module, such as `Loss().forward`
    notes: list[str]  # what was converted, left out, or is not here


def load(path: Path, name: str, seconds: float) -> Found:
    """The object of this name in a file.

    `Loss.forward` is a method of an instance made without arguments; `Loss` is such an instance, or
    the class if it cannot be made. The file can import modules beside it and up to the root of its
    repository, but they shadow none.

    Args:
        path: A Python file or a notebook.
        name: The name, with dots.
        seconds: The processor time that statements may take which are no definitions.

    Raises:
        LoadError: There is no such object, or the file cannot be read.
    """
    files = UserModules(path, seconds)
    first = name.partition(".")[0]
    module = files.load(first)
    if isinstance(vars(module).get(first), Absent):
        if first in files.failed:
            raise LoadError(f"importing it failed: {files.failed[first]}")
        vars(module)[first]()  # says why it is not here
    try:
        value, expression = _object(module, name, path.name)
    except LoadError as error:
        unread = [note for note in files.notes if note.startswith("left out")]
        raise LoadError("; ".join([str(error), *unread])) from None
    return Found(value, expression, files.notes)


def _object(module: ModuleType, name: str, file: str) -> tuple[Any, str]:
    value: Any = module
    owner, expression = file, ""
    for part in name.split("."):
        if not hasattr(value, part):
            known = _callables(value, module)
            instead = f"; it has {known}" if known else ", nor anything else that can be called"
            raise LoadError(f"{owner} has no {part}{instead}")
        if isinstance(value, type) and not _needs_no_instance(value, part):
            try:
                value, expression = value(), f"{expression}()"
            except TypeError as error:
                with contextlib.suppress(Exception):
                    sizes = sizes_for(value)
                    value = value(**sizes)
                    passed = ", ".join(f"{name}={size}" for name, size in sizes.items())
                    expression = f"{expression}({passed})"
                    value = getattr(value, part)
                    owner = expression = f"{expression}.{part}"
                    continue
                if is_node(value):
                    # A tensor: its method is a function of logits.
                    owner = expression = f"{expression}.{part}"
                    value = getattr(value, part)
                    continue
                bare = _method_of_bare(value, part)
                if bare is not None:
                    value, expression = bare, f"object.__new__({expression}).{part}"
                    owner = expression
                    continue
                why = f"cannot be made without arguments: {error}"
                raise LoadError(f"{owner} {why}") from None
        value = getattr(value, part)
        owner = expression = f"{expression}.{part}" if expression else part
    if isinstance(value, type):
        if not has_methods(value):
            known = _callables(value, module, f"{name}.") or "it has none"
            raise LoadError(f"instances of {name} cannot be called; name a method: {known}")
        if not needs_shape(value):
            # Otherwise its arguments are found with those of its methods.
            with contextlib.suppress(Exception):
                value, expression = value(), f"{expression}()"
    elif not callable(value) and not has_methods(value):
        raise LoadError(f"{name} in {file} is not a function: {type(value).__name__}")
    return value, expression


def _method_of_bare(owner: type, name: str) -> Any:
    """The method of an object that was not initialised, if it only reads what can be set."""
    with contextlib.suppress(Exception):
        method = getattr(object.__new__(owner), name)
        return method if not attributes_read(method) or any(of_attributes(method)) else None
    return None


def _callables(value: Any, module: ModuleType, before: str = "") -> str:
    """The names of what can be called in a module or class, those defined in the file first."""
    within = value if isinstance(value, ModuleType | type) else type(value)
    found = {
        name: one for name, one in vars(within).items()
        if not name.startswith("_") and callable(one) and not isinstance(one, Absent)
    }  # fmt: skip
    names = sorted(
        found, key=lambda name: getattr(found[name], "__module__", None) != module.__name__
    )
    more = [", …"] if len(names) > MOST_NAMES else []
    return "".join([", ".join(f"{before}{name}" for name in names[:MOST_NAMES]), *more])


def _needs_no_instance(owner: type, name: str) -> bool:
    static = inspect.getattr_static(owner, name)
    return isinstance(static, staticmethod | classmethod | type)
