"""What runs in a process of its own: the function of a file, called in every form.

`python -m softmaxloss.checking.sandbox.child copies PARENT` reads requests from standard input, a
line of JSON each. A copy of the process answers each request, so that Python and NumPy are loaded
once for all files. With `itself` for `copies`, for systems that cannot do that, the process answers
one request and ends. The attempts are written, one by one, to the file that the request names.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...text import first_line
from ..calling.calls import call_in_every_form
from ..calling.places import error_line
from ..settings import Settings
from . import substitutes
from .budget import Budget
from .limits import end_with, limit, limit_time
from .loading import load
from .protocol import Done, Loaded, Message, encode
from .source import LoadError

MOST_PRINTED = 20_000  # characters


def main() -> None:
    """Answer the requests until there are no more."""
    who, parent = sys.argv[1:]
    end_with(int(parent))
    substitutes.install()
    builtins.get_ipython = _Anything  # type: ignore[attr-defined]  # for exported notebooks
    server = os.getpid()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if who == "itself":
            _answer(request)
        process = os.fork()
        if not process:
            os.setpgid(0, 0)
            end_with(server)
            _answer(request)
        with contextlib.suppress(OSError):
            os.setpgid(process, process)  # here as well: it may be killed as soon as it is known
        _send(process)
        ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        _send(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)
        sys.stdin.buffer.readline()  # until then its number is not given to another process
        with contextlib.suppress(OSError):
            os.killpg(process, signal.SIGKILL)  # what it started
        os.waitpid(process, 0)


def _send(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def _answer(request: dict[str, Any]) -> None:
    """Answer a request, and exit at once, without waiting for threads and exit handlers."""
    for mode, name, descriptors in (("rb", os.devnull, [0]), ("wb", request["printed"], [1, 2])):
        with open(name, mode) as file:
            for descriptor in descriptors:
                os.dup2(file.fileno(), descriptor)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))  # without what was read for others
    sys.stdout = sys.stderr = _Beginning(io.FileIO(1, "w", closefd=False), "utf-8", "replace")
    os.chdir(request["work"])
    os.environ["TMPDIR"] = request["work"]
    tempfile.tempdir = None
    limit(request["memory"], request["timeout"])
    with open(request["answer"], "wb", buffering=0) as answer:
        try:
            _attempts(request, answer)
        except LoadError as error:
            answer.write(encode(Done(first_line(error))))
        except SystemExit as error:
            answer.write(encode(Done(first_line(f"it called sys.exit: {error}"))))
        except BaseException as error:  # MemoryError and KeyboardInterrupt too
            answer.write(encode(Done(error_line(error))))
    os._exit(0)


def _attempts(request: dict[str, Any], answer: BinaryIO) -> None:
    """Write what was found in the file, and the attempts to call it."""
    process, numpy = os.getpid(), dict(vars(np))

    def write(message: Message) -> None:
        if os.getpid() != process:  # a copy of this process, forked by the function
            os._exit(0)
        answer.write(encode(message))

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
