"""The check of a file's function in a process of its own, with limits.

The process calls the function and writes down what comes (child.py); what is right is computed and
compared here, where the function's code is not, and as it comes: when a form is right, the process
is ended. Endless loops, crashes, exits, prints and a NumPy that was changed harm nobody. It is no
protection from malice: the process has the user's rights.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from .collecting import Try
from .judge import judge
from .lines import Ended, Loaded, read
from .problems import told
from .report import Report
from .terms import Terms

__all__ = ["check_file", "check_files"]

MOST_SAID = 2000  # characters of what the code printed, kept
LONGEST = 4 << 20  # bytes of a line of the answer: ten times what a try takes
OFTEN = 0.01  # seconds between looks at the answer


def check_files(
    paths: Sequence[str], function: str, terms: Terms, *, timeout: float
) -> Generator[tuple[str, Report]]:
    """Each file and its report, in the order in which they are done, several files at a time.

    Closing it ends what runs.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        checks = {
            pool.submit(check_file, path, function, terms, timeout=timeout, stop=stop): path
            for path in paths
        }
        for done in as_completed(checks):
            yield checks[done], done.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def check_file(
    path: str | os.PathLike[str],
    function: str,
    terms: Terms,
    *,
    timeout: float = 10.0,
    memory: int = 4 << 30,
    stop: threading.Event | None = None,
) -> Report:
    """`check` of a function in a Python file, in a process of its own.

    timeout: seconds that the process may take. memory: bytes of data that it may hold. stop: ends
    the check early when it is set.

    A file that cannot be run gives a report that says why, as does a function that is not there:
    whatever is wrong with a file, there is a report.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="softmaxloss-check-", ignore_cleanup_errors=True
        ) as folder:
            request = {
                "file": os.path.realpath(path),
                "function": function,
                "terms": asdict(terms),
                "memory": memory,
                "timeout": timeout,
            }
            return _checked(request, terms, Path(folder), stop or threading.Event())
    except Exception as error:
        return Report("wrong", None, (), (), terms, told(error))


def _checked(request: dict[str, Any], terms: Terms, folder: Path, stop: threading.Event) -> Report:
    answer, printed, work = folder / "answer", folder / "printed", folder / "work"
    answer.touch()
    work.mkdir()
    with (
        open(printed, "wb") as output,
        open(answer, "rb") as lines,
        _process(request | {"answer": str(answer)}, work, output) as process,
    ):
        coming = _Coming(process, lines, request["timeout"], stop)
        report = judge(coming.tries(), terms)
    with open(printed, "rb") as beginning:
        said = beginning.read(4 * MOST_SAID).decode("utf-8", "replace")[:MOST_SAID]
    if coming.problem is not None and report.form is None:
        report = replace(report, problem=coming.problem)
    elif coming.problem is not None and report.findings:
        first, *others = report.findings
        remark = f"other ways to call it were not tried: {coming.problem}"
        first = replace(first, remarks=(*first.remarks, remark))
        report = replace(report, findings=(first, *others))
    return replace(report, printed=said, function=coming.function)


@contextlib.contextmanager
def _process(
    request: dict[str, Any], work: Path, output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """The process that answers a request; in the end it is killed, with what it started."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "softmaxloss.checking.child"],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        cwd=work,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(work), "MPLBACKEND": "Agg"},
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(json.dumps(request | {"parent": os.getpid()}).encode())
        yield process
    finally:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Coming:
    """What comes from a process.

    function  how the function is written in Python
    problem   why it ended before all was tried, or None
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        answer: BinaryIO,
        timeout: float,
        stop: threading.Event,
    ) -> None:
        self.function = ""
        self.problem: str | None = None
        self._process, self._answer, self._stop = process, answer, stop
        self._timeout = timeout

    def tries(self) -> Iterator[Try]:
        """The tries, as they come."""
        for line in self._lines():
            try:
                message = read(line)
            except ValueError as error:
                self.problem = str(error)
                return
            if isinstance(message, Try):
                yield message
            elif isinstance(message, Loaded):
                self.function = message.function
            elif isinstance(message, Ended):
                self.problem = message.problem
                return

    def _lines(self) -> Iterator[bytes]:
        """The complete lines; sets the problem where they end without a last message."""
        deadline = time.monotonic() + self._timeout
        line = b""
        while len(line) < LONGEST:
            ended = self._process.poll() is not None  # then what is there now is all
            line += self._answer.readline(LONGEST)
            if line.endswith(b"\n"):
                yield line
                line = b""
            elif ended:
                self.problem = _ending(self._process.returncode)
                return
            elif time.monotonic() > deadline:
                self.problem = f"it took longer than {self._timeout:g} seconds"
                return
            elif self._stop.wait(OFTEN):
                self.problem = "the check was stopped"
                return
        self.problem = "what it wrote down is too long"


def _ending(code: int) -> str:
    """Why a process ended too early."""
    if code < 0:
        known = -code in list(signal.Signals)
        return f"it crashed: {signal.Signals(-code).name if known else f'signal {-code}'}"
    return f"it ended{f' with exit code {code}' if code else ''} before the check was over"
