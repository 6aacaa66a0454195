"""The process that owns the lives of those in which functions run, on Linux.

`python -m softmaxloss.checking.sandbox.supervisor SOCKET` answers requests one after another. For
each it forks a copy of itself, so that Python and NumPy are loaded once for all files; the copy
calls the function (child.py). Whatever the copy starts, in sessions of its own or with its parent
gone, is a descendant of this process, which counts them all, adds up their memory, and ends them
all before it says that the request is over.

A request is JSON, with the descriptors to write the answer and the prints to. "end", or the end of
the socket, asks to end it early. The reply says how it ended, once every descendant is gone.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from glob import iglob
from typing import Any

from . import child
from .limits import adopt
from .protocol import Ended

MOST_BYTES = 1 << 17  # of a request
MOST_PROCESSES = 32  # that a function may have at a time
LOOK = 0.03  # seconds between looks at the processes
PAUSE = 0.001  # seconds, while processes that were killed end


def main() -> None:
    """Answer the requests until there are no more."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    adopt()
    child.prepare()
    while True:
        request, descriptors, *_ = socket.recv_fds(control, MOST_BYTES, 2)
        if not request:
            return
        ended, asked = _run(json.loads(request), descriptors, control)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for the reply
            control.send(json.dumps(ended).encode())
        if not asked:
            control.recv(MOST_BYTES)


def _run(
    request: dict[str, Any], descriptors: Sequence[int], control: socket.socket
) -> tuple[Ended, bool]:
    """How a request ended, and whether that was asked for."""
    parent = os.getpid()
    process = os.fork()
    if not process:
        control.close()
        os.setsid()
        lines, printed = descriptors
        child.answer(request, lines, printed, parent)
    family = _Family(process)
    problem, asked = None, False
    while problem is None and not asked and family.code is None:
        asked = bool(select.select([control], [], [], LOOK)[0])
        family.reap()
        problem = family.problem(request["memory"])
    if asked:
        control.recv(MOST_BYTES)
    left = sum(_bytes_of(member) > 0 for member in family.members() - {process})
    family.end()
    assert family.code is not None
    return Ended(family.code, problem, left), asked


class _Family:
    """A process, and those that it started: all the descendants of this process.

    `code` is its exit code, or minus the signal that ended it; None while it runs.
    """

    def __init__(self, process: int) -> None:
        self.process = process
        self.code: int | None = None

    def members(self) -> set[int]:
        """Those that there are. One that ends meanwhile may be missing, with its children."""
        found: set[int] = set()
        parents = [os.getpid()]
        while parents:
            for tasks in iglob(f"/proc/{parents.pop()}/task/*/children"):
                children = [int(number) for number in _text(tasks).split()]
                parents += children
                found.update(children)
        return found

    def problem(self, memory: int) -> str | None:
        """Which limit they exceed together: on their number, or on the bytes that they hold."""
        members = self.members()
        if len(members) > MOST_PROCESSES:
            return f"it started more than {MOST_PROCESSES} processes"
        if sum(map(_bytes_of, members)) > memory:
            return f"it took more than {memory / 2**30:g} GB of memory"
        return None

    def reap(self) -> bool:
        """Take note of those that have ended; whether any are left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not process:
                return True
            if process == self.process and self.code is None:
                self.code = os.waitstatus_to_exitcode(status)

    def end(self) -> None:
        """Kill them until none is left: the children of those that end become this process's."""
        while self.reap():
            for process in self.members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(PAUSE)


def _bytes_of(process: int) -> int:
    """The memory that a process holds, without what is read from files; 0 if it has ended."""
    fields = (line.split() for line in _text(f"/proc/{process}/status").splitlines())
    return sum(
        1024 * int(field[1]) for field in fields if field and field[0] in ("RssAnon:", "RssShmem:")
    )


def _text(name: str) -> str:
    """The text of a file about a process; empty if the process has ended."""
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
