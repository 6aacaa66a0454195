"""The check of a file's function in a process of its own, with limits.

The process calls the function and sends the results (child.py). They are compared here, where the
function's code does not run, as they arrive: the process is ended when a form is right. Endless
loops, crashes, exits, prints and a modified NumPy do no harm. It is no protection from malice: the
process has the user's rights.
"""

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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ..calling.calls import Attempt, error_line
from ..diagnosis.verdict import judge
from ..report import Report
from ..settings import Settings
from .protocol import Done, Loaded, decode

MOST_PRINTED = 2000  # characters of what the code printed, kept
LONGEST = 4 << 20  # bytes of a line of the answer: ten times what an attempt takes
POLL = 0.01  # seconds between looks at the answer


def check_files(
    paths: Sequence[str], function: str, settings: Settings, *, timeout: float
) -> Generator[tuple[str, Report]]:
    """Each file and its report, in the order in which they finish, several files at a time.

    Closing the generator ends the processes.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        checks = {
            pool.submit(check_file, path, function, settings, timeout=timeout, stop=stop): path
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
    settings: Settings,
    *,
    timeout: float = 10.0,
    memory: int = 4 << 30,
    stop: threading.Event | None = None,
) -> Report:
    """`check` of a function in a Python file, in a process of its own.

    Whatever is wrong with the file, there is a report: if it cannot be run, or has no such
    function, the verdict is "not checked".

    `function` is its name, or Class.method, or a class with `__call__`. The process may take
    `timeout` seconds and hold `memory` bytes of data, and ends early when `stop` is set.
    """
    try:
        request = {
            "file": os.path.realpath(path),
            "function": function,
            "settings": asdict(settings),
            "memory": memory,
            "timeout": timeout,
        }
        with tempfile.TemporaryDirectory(
            prefix="softmaxloss-check-", ignore_cleanup_errors=True
        ) as folder:
            answer, printed, work = (Path(folder, name) for name in ("answer", "printed", "work"))
            answer.touch()
            work.mkdir()
            with (
                open(printed, "wb") as output,
                open(answer, "rb") as lines,
                _process(request | {"answer": str(answer)}, work, output) as process,
            ):
                reader = _Reader(process, lines, timeout, stop or threading.Event())
                report = judge(reader.attempts(), settings)
            with open(printed, "rb") as beginning:
                text = beginning.read(4 * MOST_PRINTED).decode("utf-8", "replace")[:MOST_PRINTED]
    except Exception as error:
        return Report.not_checked(error_line(error), settings)
    if reader.problem is not None and report.form is None:
        report = Report.not_checked(reader.problem, settings)
    elif reader.problem is not None and report.findings:
        first, *others = report.findings
        remark = f"other ways to call it were not tried: {reader.problem}"
        report = replace(report, findings=(first.with_remark(remark), *others))
    return replace(report, printed=text, function=reader.function, notes=reader.notes)


@contextlib.contextmanager
def _process(
    request: dict[str, Any], work: Path, output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """The process that answers a request; in the end it is killed, with what it started."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "softmaxloss.checking.sandbox.child"],
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


@dataclass
class _Reader:
    """Reads what a process sends.

    `function` is how the function is written in Python; `notes` are about its file; `problem` is
    why the process ended before all forms were tried, or None.
    """

    process: subprocess.Popen[bytes]
    answer: BinaryIO
    timeout: float
    stop: threading.Event
    function: str = ""
    notes: tuple[str, ...] = ()
    problem: str | None = None

    def attempts(self) -> Iterator[Attempt]:
        """The attempts, as they arrive."""
        for line in self._lines():
            try:
                message = decode(line)
            except ValueError as error:
                self.problem = str(error)
                return
            if isinstance(message, Attempt):
                yield message
            elif isinstance(message, Loaded):
                self.function, self.notes = message.function, tuple(message.notes)
            elif isinstance(message, Done):
                self.problem = message.problem
                return

    def _lines(self) -> Iterator[bytes]:
        """The complete lines; sets the problem if they end without a last message."""
        deadline = time.monotonic() + self.timeout
        line = b""
        while len(line) < LONGEST:
            ended = self.process.poll() is not None  # before the read: nothing follows it then
            line += self.answer.readline(LONGEST)
            if line.endswith(b"\n"):
                yield line
                line = b""
            elif ended:
                self.problem = _ending(self.process.returncode)
                return
            elif time.monotonic() > deadline:
                self.problem = f"it took longer than {self.timeout:g} seconds"
                return
            elif self.stop.wait(POLL):
                raise InterruptedError("the check was stopped")
        self.problem = "its results are too long"


def _ending(code: int) -> str:
    """Why a process ended too early."""
    if code < 0:
        known = -code in list(signal.Signals)
        return f"it crashed: {signal.Signals(-code).name if known else f'signal {-code}'}"
    return f"it ended{f' with exit code {code}' if code else ''} before the check was over"
