"""What runs in a process of its own: the function of a file, called in every form.

`python -m softmaxloss.checking.child` reads a request from standard input, and writes what comes to
the file that it names, try by try, for others to judge.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .collecting import collect
from .lines import Ended, Loaded, Message, written
from .loading import NotThereError, load
from .problems import cut, told
from .terms import Terms

MOST_WRITTEN = 64 << 20  # bytes in any one file
GRACE = 5  # seconds of work beyond the timeout, after which nobody waits for it any more


def main() -> None:
    """Answer the request, and end at once: threads and exit handlers are not waited for."""
    request = json.loads(sys.stdin.buffer.read())
    _limit(request["memory"], request["timeout"])
    _end_with(request["parent"])
    builtins.get_ipython = _Anything  # type: ignore[attr-defined]  # for exported notebooks
    process = os.getpid()
    with open(request["answer"], "wb", buffering=0) as answer:

        def write(message: Message) -> None:
            if os.getpid() != process:  # a copy of this process, which the function made
                os._exit(0)
            answer.write(written(message))

        try:
            for message in _messages(Path(request["file"]), request["function"], request["terms"]):
                write(message)
            write(Ended(None))
        except NotThereError as error:
            write(Ended(cut(str(error))))
        except SystemExit as error:
            write(Ended(cut(f"it called sys.exit: {error}")))
        except BaseException as error:  # MemoryError and KeyboardInterrupt too
            write(Ended(told(error)))
    os._exit(0)


def _messages(file: Path, name: str, terms: dict[str, Any]) -> Iterator[Message]:
    numpy = dict(vars(np))
    function, expression = load(file, name)
    yield Loaded(expression)
    for attempt in collect(function, Terms(**terms)):
        if any(vars(np).get(name) is not value for name, value in numpy.items()):
            attempt.calls.append("numpy-changed")
        yield attempt


class _Anything:
    """Has every attribute and takes every call: `get_ipython().run_line_magic("time", "")`."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *arguments: Any, **options: Any) -> _Anything:
        return self


def _limit(memory: int, timeout: float) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    seconds = (math.ceil(timeout) + GRACE) * (os.cpu_count() or 1)  # threads' times are summed
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
    """Let this process be killed when the one that waits for it ends, where that can be asked."""
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
