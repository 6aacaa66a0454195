"""What runs in the process of its own: the function of a file, called in every form.

`python -m softmaxloss.checking.sandbox.child` reads a request from standard input, and writes the
attempts, one by one, to the file that the request names.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ...text import first_line
from ..calling.calls import call_in_every_form, error_line
from ..settings import Settings
from . import substitutes
from .loading import load
from .protocol import Done, Loaded, Message, encode
from .source import LoadError

MOST_WRITTEN = 64 << 20  # bytes in any one file
GRACE = 5  # seconds of processor time beyond the timeout


def main() -> None:
    """Answer the request, and exit at once, without waiting for threads and exit handlers."""
    request = json.loads(sys.stdin.buffer.read())
    _limit(request["memory"], request["timeout"])
    _end_with(request["parent"])
    builtins.get_ipython = _Anything  # type: ignore[attr-defined]  # for exported notebooks
    substitutes.install()
    process = os.getpid()
    with open(request["answer"], "wb", buffering=0) as answer:

        def write(message: Message) -> None:
            if os.getpid() != process:  # a copy of this process, forked by the function
                os._exit(0)
            answer.write(encode(message))

        try:
            numpy = dict(vars(np))
            found = load(Path(request["file"]), request["function"], request["timeout"] / 2)
            write(Loaded(found.expression, found.notes))
            for attempt in call_in_every_form(found.value, Settings(**request["settings"])):
                if any(vars(np).get(name) is not value for name, value in numpy.items()):
                    attempt = attempt._replace(behaviour=[*attempt.behaviour, "numpy-changed"])
                write(attempt)
            write(Done(None))
        except LoadError as error:
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


if __name__ == "__main__":
    main()
