"""The processes that run the code of files, seen from the one that judges.

On Linux one process, the supervisor, runs them one after another, and answers for their lives
(supervisor.py). Elsewhere each is started anew, and killed with those of its group.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from .protocol import Ended

SUPERVISED = sys.platform == "linux"
PACKAGE = "softmaxloss.checking.sandbox"
MOST_BYTES = 1 << 12  # of a reply
LONGEST_END = 20  # seconds, until a supervisor that says nothing is given up
#: One thread for each process: several run at a time, and processor time is that of their threads.
ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # it compiles for each shape, for one call or two
}


class Running(Protocol):
    """A process that answers a request."""

    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""


class Worker:
    """Runs requests, one after another."""

    def __init__(self) -> None:
        self.supervisor: _Supervisor | None = None

    @contextlib.contextmanager
    def running(
        self, request: dict[str, Any], answer: BinaryIO, printed: BinaryIO
    ) -> Iterator[Running]:
        """The process that answers a request; in the end it is ended, with what it started.

        It writes the answer and what is printed to the two files.
        """
        if not SUPERVISED:
            alone = _Alone(request, answer, printed)
            try:
                yield alone
            finally:
                alone.end()
            return
        if self.supervisor is None or self.supervisor.is_lost:
            self.close()
            self.supervisor = _Supervisor()
        self.supervisor.begin(request, answer, printed)
        try:
            yield self.supervisor
        finally:
            self.supervisor.end()

    def close(self) -> None:
        """End the supervisor."""
        if self.supervisor is not None:
            self.supervisor.close()
            self.supervisor = None


class _Supervisor:
    """The supervisor, and the process of its request.

    `is_lost`: it has ended, or says nothing, and cannot be given another request.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._ended: Ended | None = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _started(
                "supervisor", theirs.fileno(), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def begin(self, request: dict[str, Any], answer: BinaryIO, printed: BinaryIO) -> None:
        """Start the process of a request."""
        self._ended = None
        with contextlib.suppress(OSError):  # it has ended; so the reply says
            files = [answer.fileno(), printed.fileno()]
            socket.send_fds(self._control, [json.dumps(request).encode()], files)

    def ended(self) -> Ended | None:
        """How the process of the request ended; None while it runs."""
        if self._ended is None and select.select([self._control], [], [], 0)[0]:
            self._ended = self._reply()
        return self._ended

    def end(self) -> None:
        """End the process of the request, and all that it started, if they have not ended."""
        with contextlib.suppress(OSError):
            self._control.send(b"end")  # a supervisor that has replied waits for this
        if self._ended is None:
            is_said = select.select([self._control], [], [], LONGEST_END)[0]
            self._ended = self._reply() if is_said else self._lost()

    def _reply(self) -> Ended:
        with contextlib.suppress(OSError):
            if reply := self._control.recv(MOST_BYTES):
                return Ended(*json.loads(reply))
        return self._lost()

    def _lost(self) -> Ended:
        self.is_lost = True
        return Ended(-signal.SIGKILL)

    def close(self) -> None:
        """End it: without its socket it ends the process of its request, and itself."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if self.is_lost else LONGEST_END)
        _kill_group(self._process)
        self._process.wait()


class _Alone:
    """A process for one request."""

    def __init__(self, request: dict[str, Any], answer: BinaryIO, printed: BinaryIO) -> None:
        self._process = _started(
            "child", os.getpid(), stdin=subprocess.PIPE, stdout=answer, stderr=printed
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(request).encode() + b"\n")

    def ended(self) -> Ended | None:
        code = self._process.poll()
        return None if code is None else Ended(code)

    def end(self) -> None:
        _kill_group(self._process)
        self._process.wait()


def _started(module: str, argument: int, **files: Any) -> subprocess.Popen[bytes]:
    """A process that runs a module of this package."""
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", f"{PACKAGE}.{module}", str(argument)],
        cwd=Path(sys.executable).anchor,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
        **files,
    )
    return process


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and those that it started in its group."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
