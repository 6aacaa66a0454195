"""The function that a name stands for in a file: a function, a method, or an instance."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["NotThereError", "load"]

MOST_NAMES = 10  # that a message lists
MODULE = "submission"


class NotThereError(Exception):
    """The file has no such function: one line that says what it has."""


def load(path: Path, name: str) -> tuple[Any, str]:
    """The function of a file that a name stands for, and how Python gets it from the module.

    `Loss.forward` is a method of an instance made without arguments; `Loss` is such an instance,
    where instances can be called. Modules beside the file can be imported by it, and hide none.
    """
    value: Any = _module(path)
    there, written = path.name, ""
    for part in name.split("."):
        if not hasattr(value, part):
            known = _callables(value)
            instead = f"; there is {known}" if known else ", and nothing else that can be called"
            raise NotThereError(f"there is no {part} in {there}{instead}")
        if isinstance(value, type) and not _needs_no_instance(value, part):
            value, written = _instance(value), f"{written}()"
        value = getattr(value, part)
        there = written = f"{written}.{part}" if written else part
    if isinstance(value, type):
        if not any("__call__" in vars(base) for base in value.__mro__):
            known = _callables(value, f"{name}.") or "it has none"
            raise NotThereError(f"instances of {name} cannot be called; name a method: {known}")
        value, written = _instance(value), f"{written}()"
    if not callable(value):
        raise NotThereError(f"{name} in {path.name} is no function but: {type(value).__name__}")
    return value, written


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise NotThereError(f"there is no file {path.name}")
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise NotThereError(f"{path.name} is no Python file")
    sys.path.append(str(path.parent))  # last: a queue.py there is not the queue that others import
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    return module


def _callables(value: Any, before: str = "") -> str:
    """What can be called in a module or a class, by name, what was written in the file first."""
    within = value if isinstance(value, ModuleType | type) else type(value)
    found = {name: getattr(within, name) for name in vars(within) if not name.startswith("_")}
    names = [name for name, one in found.items() if callable(one)]
    names.sort(key=lambda name: getattr(found[name], "__module__", None) != MODULE)
    more = [", …"] if len(names) > MOST_NAMES else []
    return "".join([", ".join(f"{before}{name}" for name in names[:MOST_NAMES]), *more])


def _needs_no_instance(owner: type, name: str) -> bool:
    static = inspect.getattr_static(owner, name)
    return isinstance(static, staticmethod | classmethod | type)


def _instance(owner: type) -> Any:
    try:
        return owner()
    except TypeError as error:
        raise NotThereError(f"{owner.__name__} cannot be made without arguments: {error}") from None
