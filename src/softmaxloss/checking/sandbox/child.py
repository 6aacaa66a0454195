"""What runs in the process of its own: the function of a file, called in every form.

`python -m softmaxloss.checking.sandbox.child` reads a request from standard input, and writes the
attempts, one by one, to the file that the request names.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import inspect
import json
import math
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...text import first_line
from ..calling.calls import call_in_every_form, error_line
from ..settings import Settings
from .protocol import Done, Loaded, Message, encode

MOST_WRITTEN = 64 << 20  # bytes in any one file
GRACE = 5  # seconds of processor time beyond the timeout
MOST_NAMES = 10  # in a message
MODULE = "submission"


def main() -> None:
    """Answer the request, and exit at once, without waiting for threads and exit handlers."""
    request = json.loads(sys.stdin.buffer.read())
    _limit(request["memory"], request["timeout"])
    _end_with(request["parent"])
    builtins.get_ipython = _Anything  # type: ignore[attr-defined]  # for exported notebooks
    process = os.getpid()
    with open(request["answer"], "wb", buffering=0) as answer:

        def write(message: Message) -> None:
            if os.getpid() != process:  # a copy of this process, forked by the function
                os._exit(0)
            answer.write(encode(message))

        try:
            numpy = dict(vars(np))
            function, expression = load(Path(request["file"]), request["function"])
            write(Loaded(expression))
            for attempt in call_in_every_form(function, Settings(**request["settings"])):
                if any(vars(np).get(name) is not value for name, value in numpy.items()):
                    attempt = attempt._replace(behaviour=[*attempt.behaviour, "numpy-changed"])
                write(attempt)
            write(Done(None))
        except NotFoundError as error:
            write(Done(first_line(error)))
        except SystemExit as error:
            write(Done(first_line(f"it called sys.exit: {error}")))
        except BaseException as error:  # MemoryError and KeyboardInterrupt too
            write(Done(error_line(error)))
    os._exit(0)


class _Anything:
    """Has every attribute and accepts every call: `get_ipython().run_line_magic("time", "")`."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *arguments: Any, **options: Any) -> _Anything:
        return self


def _limit(memory: int, timeout: float) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    seconds = (math.ceil(timeout) + GRACE) * (os.cpu_count() or 1)  # the sum over threads
    limits = [
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),  # an OSError: Python ignores SIGXFSZ
    ]
    for kind, most in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _end_with(parent: int) -> None:
    """Have this process killed when the one that started it ends, where the system can do that."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


# --- the function of a file -----------------------------------------------------------------------


class NotFoundError(Exception):
    """The file has no such function; the message is one line that says what it has."""


def load(path: Path, name: str) -> tuple[Any, str]:
    """The function that a name stands for in a file, and how Python gets it from the module.

    `Loss.forward` is a method of an instance made without arguments; `Loss` is such an instance,
    if instances can be called. The file can import modules beside it, but they shadow none.
    """
    value: Any = _module(path)
    owner, expression = path.name, ""
    for part in name.split("."):
        if not hasattr(value, part):
            known = _callables(value)
            instead = f"; it has {known}" if known else ", nor anything else that can be called"
            raise NotFoundError(f"{owner} has no {part}{instead}")
        if isinstance(value, type) and not _needs_no_instance(value, part):
            value, expression = _instance(value), f"{expression}()"
        value = getattr(value, part)
        owner = expression = f"{expression}.{part}" if expression else part
    if isinstance(value, type):
        if not any("__call__" in vars(base) for base in value.__mro__):
            known = _callables(value, f"{name}.") or "it has none"
            raise NotFoundError(f"instances of {name} cannot be called; name a method: {known}")
        value, expression = _instance(value), f"{expression}()"
    if not callable(value):
        raise NotFoundError(f"{name} in {path.name} is not a function: {type(value).__name__}")
    return value, expression


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise NotFoundError(f"no such file: {path.name}")
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{path.name} is not a Python file")
    sys.path.append(str(path.parent))  # last, so that a queue.py there does not replace Python's
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    return module


def _callables(value: Any, before: str = "") -> str:
    """The names of what can be called in a module or class, those defined in the file first."""
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
        raise NotFoundError(f"{owner.__name__} cannot be made without arguments: {error}") from None


if __name__ == "__main__":
    main()
