"""What runs in a process of its own: the function of a file, called in every form.

On Linux the process is a copy of the supervisor (supervisor.py). Elsewhere it is
`python -m softmaxloss.checking.sandbox.child PARENT`, which reads one request from standard input,
a line of JSON. The attempts are written, one by one, to the answer.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from ...text import first_line
from ..calling.calls import call_in_every_form
from ..calling.places import error_line
from ..settings import Settings
from . import substitutes
from .budget import Budget
from .confinement import confine
from .limits import MOST_OPEN, end_with, limit, limit_time
from .loading import load
from .protocol import Done, Loaded, Message, encode
from .source import LoadError

MOST_PRINTED = 20_000  # characters
PACKAGE = __name__.partition(".")[0]
ANSWER = 3  # the descriptor to which the attempts are written


def main() -> None:
    """Answer one request; standard output is the answer, standard error is for what is printed."""
    prepare()
    answer(json.loads(sys.stdin.buffer.readline()), os.dup(1), os.dup(2), int(sys.argv[1]))


def prepare() -> None:
    """Prepare a process for the code of any file."""
    substitutes.install()
    np.random  # noqa: B018 - NumPy loads it when it is first used, which would be in each copy
    builtins.get_ipython = _Anything  # type: ignore[attr-defined]  # for exported notebooks


def answer(request: dict[str, Any], lines: int, printed: int, parent: int) -> NoReturn:
    """Answer a request, and exit at once, without waiting for threads and exit handlers.

    Args:
        request: What is to be called, and the limits.
        lines: The descriptor to which the attempts are written.
        printed: The descriptor to which the code prints.
        parent: The process with which this one ends.
    """
    end_with(parent)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for old, new in ((printed, 1), (printed, 2), (lines, ANSWER)):
        os.dup2(old, new)
    os.closerange(ANSWER + 1, MOST_OPEN)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))  # without what was read for others
    sys.stdout = sys.stderr = _Beginning(io.FileIO(1, "w", closefd=False), "utf-8", "replace")
    os.chdir(request["work"])
    os.environ["TMPDIR"] = request["work"]
    tempfile.tempdir = None
    # An editable installation has a module with the package's name in its own, too.
    for name in [name for name in sys.modules if PACKAGE in name]:
        del sys.modules[name]  # the code runs as it does elsewhere: who imports it gets it anew
    sys.orig_argv = [sys.executable, request["file"]]
    np.random.seed()  # noqa: NPY002 - copies of one process would have the same random numbers
    limit(request["memory"], request["timeout"])
    confine(request["work"])
    with open(ANSWER, "wb", buffering=0) as messages:
        try:
            _attempts(request, messages)
        except LoadError as error:
            messages.write(encode(Done(first_line(error))))
        except SystemExit as error:
            messages.write(encode(Done(first_line(f"it called sys.exit: {error}"))))
        except BaseException as error:  # MemoryError and KeyboardInterrupt too
            messages.write(encode(Done(error_line(error))))
    os._exit(0)


def _attempts(request: dict[str, Any], messages: BinaryIO) -> None:
    """Write what was found in the file, and the attempts to call it."""
    process, numpy = os.getpid(), dict(vars(np))

    def write(message: Message) -> None:
        if os.getpid() != process:  # a copy of this process, forked by the function
            os._exit(0)
        messages.write(encode(message))

    def end(problem: str) -> None:
        write(Done(problem))
        os._exit(0)

    timeout = request["timeout"]
    found = load(Path(request["file"]), request["function"], timeout / 2)
    write(Loaded(found.expression, found.notes))
    limit_time(timeout)
    Budget(timeout, timeout, end)
    for attempt in call_in_every_form(found.value, Settings(**request["settings"])):
        if any(vars(np).get(name) is not value for name, value in numpy.items()):
            attempt = attempt._replace(behaviour=[*attempt.behaviour, "numpy-changed"])
        write(attempt)
    write(Done(None))


class _Beginning(io.TextIOWrapper):
    """Keeps the beginning of what is printed, so that printing takes no time and no space."""

    left = MOST_PRINTED

    def write(self, text: str) -> int:
        if self.left:
            super().write(text[: self.left])
            self.left -= len(text[: self.left])
            self.flush()
        return len(text)


class _Anything:
    """Has every attribute and accepts every call: `get_ipython().run_line_magic("time", "")`."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *arguments: Any, **options: Any) -> _Anything:
        return self


if __name__ == "__main__":
    main()
