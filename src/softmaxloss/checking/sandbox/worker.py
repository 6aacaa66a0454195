"""Processes that run the code of files, and the ending of them (child.py is what they run)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

COPIES = sys.platform == "linux"  # elsewhere, a copy of a process with NumPy may crash
CHILD = "softmaxloss.checking.sandbox.child"
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

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""


class Worker:
    """Runs requests, one after another."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self, request: dict[str, Any]) -> Iterator[Running]:
        """The process that answers a request; in the end it is killed, with what it started."""
        if self.server is None or self.server.poll() is not None:
            self.close()
            who = "copies" if COPIES else "itself"
            self.server = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", CHILD, who, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(sys.executable).anchor,
                env=os.environ | ENVIRONMENT,
                start_new_session=True,
                bufsize=0,  # so that `select` sees all that is there to be read
            )
        self._send(json.dumps(request).encode())
        if not COPIES:
            try:
                yield self.server
            finally:
                self.close()
            return
        copy = _Copy(self.server)
        try:
            yield copy
        finally:
            copy.end()
            self._send(b"")
            if copy.is_lost:
                self.close()

    def _send(self, line: bytes) -> None:
        assert self.server is not None
        assert self.server.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.server.stdin.write(line + b"\n")

    def close(self) -> None:
        """End the process."""
        if self.server is not None:
            if sys.platform == "win32":
                self.server.kill()
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.server.pid, signal.SIGKILL)
            for pipe in (self.server.stdin, self.server.stdout):
                if pipe is not None:
                    pipe.close()
            self.server.wait()
            self.server = None


class _Copy:
    """A copy of the server, of which the server says when it has ended."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        assert server.stdout is not None
        self.says = server.stdout
        self.code: int | None = None
        self.is_lost = False  # whether the server has ended, and the copy with it
        self.process = self._number()

    def poll(self) -> int | None:
        if self.code is None and select.select([self.says], [], [], 0)[0]:
            self.code = self._number()
        return self.code

    def end(self) -> None:
        """Kill it, with the processes in its group."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
            self.code = self._number()

    def _number(self) -> int:
        """The next number that the server sends."""
        line = self.says.readline()
        if not line:
            self.is_lost, self.code = True, -signal.SIGKILL
        return int(line or self.code or 0)
