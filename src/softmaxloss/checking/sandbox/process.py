"""The check of a file's function in a process of its own, with limits.

The process calls the function and sends the results (child.py). They are compared here, where the
function's code does not run, as they arrive: the process is ended when a form is right. What the
code may do, and what it cannot, is in docs/security.md.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ...kernels.processors import processors
from ...text import plural
from ..calling.calls import Attempt
from ..calling.places import error_line
from ..diagnosis.verdict import judge
from ..report import Report
from ..settings import Settings
from .folder import temporary_folder
from .protocol import Done, Ended, Loaded, decode
from .worker import Running, Worker

MOST_PRINTED = 2000  # characters of what the code printed, kept
LONGEST = 4 << 20  # bytes of a line of the answer: ten times what an attempt takes
MOST_LINES = 200  # of the answer: several times what the search for a form can send
MEMORY = 4 << 30  # bytes of data that the process may hold, with all that it starts
PATIENCE = 12  # seconds on the clock for one of processor time, as other processes run as well
POLL = 0.002  # seconds between looks at the answer; until it is judged, further forms are tried


def check_files(
    wanted: Sequence[tuple[str, str]], settings: Settings, *, timeout: float
) -> Generator[tuple[tuple[str, str], Report]]:
    """The reports on functions of files, in the order in which they finish, several at a time.

    `wanted` has the path of the file and the name of the function, as for `check_file`. Each is
    loaded anew. Closing the generator ends the processes.
    """
    stop = threading.Event()
    idle: list[Worker] = []
    running: list[Worker] = []

    def checked(path: str, function: str) -> Report:
        try:
            worker = idle.pop()
        except IndexError:
            running.append(worker := Worker())
        report = check_file(path, function, settings, timeout=timeout, stop=stop, worker=worker)
        idle.append(worker)
        return report

    pool = ThreadPoolExecutor(processors())
    try:
        checks = {pool.submit(checked, *one): one for one in wanted}
        for done in as_completed(checks):
            yield checks[done], done.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        for worker in running:
            worker.close()


def check_file(
    path: str | os.PathLike[str],
    function: str,
    settings: Settings,
    *,
    timeout: float = 10.0,
    stop: threading.Event | None = None,
    worker: Worker | None = None,
) -> Report:
    """`check` of a function in a Python file or a notebook, in a process of its own.

    Whatever is wrong with the file, there is a report: if it cannot be run, or has no such
    function, the verdict is "not checked".

    Args:
        path: The file.
        function: Its name, or Class.method, or a class.
        settings: The settings of the check.
        timeout: The seconds of processor time that the calls may take, and that loading the file
            may take.
        stop: The check ends early when it is set.
        worker: What runs the process; None: one for this file alone.
    """
    began = time.monotonic()
    if worker is None:
        worker = Worker()
        try:
            return check_file(path, function, settings, timeout=timeout, stop=stop, worker=worker)
        finally:
            worker.close()
    try:
        with temporary_folder() as folder, ExitStack() as files:
            answer, lines = _opened(files, folder / "answer")
            prints, printed = _opened(files, folder / "printed")
            work = folder / "work"
            work.mkdir()
            request = {
                "file": os.path.realpath(path),
                "function": function,
                "settings": asdict(settings),
                "memory": MEMORY,
                "timeout": timeout,
                "work": str(work),
            }
            with worker.running(request, answer, prints) as process:
                reader = _Reader(process, lines, timeout, stop or threading.Event())
                report = judge(reader.attempts(), settings)
            text = printed.read(4 * MOST_PRINTED).decode("utf-8", "replace")[:MOST_PRINTED]
    except Exception as error:
        return Report.not_checked(error_line(error), settings)
    if reader.problem is not None and report.form is None:
        report = Report.not_checked(reader.problem, settings)
    elif reader.problem is not None and report.findings:
        first, *others = report.findings
        remark = f"other ways to call it were not tried: {reader.problem}"
        report = replace(report, findings=(first.with_remark(remark), *others))
    return replace(
        report,
        printed=text,
        function=reader.function,
        notes=(*reader.notes, *report.notes, *_notes_of(process.ended(), reader.problem)),
        seconds=time.monotonic() - began,
    )


def _opened(files: ExitStack, path: Path) -> tuple[BinaryIO, BinaryIO]:
    """A new file, for the process to write and for this one to read.

    It is opened by its name this once: what has the name later may be anything, such as a pipe.
    """
    return files.enter_context(open(path, "ab")), files.enter_context(open(path, "rb"))


def _notes_of(ended: Ended | None, known: str | None) -> Iterator[str]:
    """What is to be said of the end of a process, beside the problem that is known."""
    if ended is not None and ended.problem not in (None, known):
        yield f"it was ended: {ended.problem}"
    elif ended is not None and ended.left:
        yield f"it left {plural(ended.left, 'process')} running, which the check ended"


@dataclass
class _Reader:
    """Reads what a process sends.

    `function` is how the function is written in Python; `notes` are about its file; `problem` is
    why the process ended before all forms were tried, or None.
    """

    process: Running
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
        deadline = time.monotonic() + PATIENCE * self.timeout
        line, lines = b"", 0
        while len(line) < LONGEST and lines < MOST_LINES:
            ended = self.process.ended()  # before the read: nothing follows it then
            line += self.answer.readline(LONGEST)
            if line.endswith(b"\n"):
                yield line
                line, lines = b"", lines + 1
            elif ended is not None:
                self.problem = self._ending(ended)
                return
            elif time.monotonic() > deadline:
                self.problem = f"it did not end in {PATIENCE * self.timeout:g} seconds"
                return
            elif self.stop.wait(POLL):
                raise InterruptedError("the check was stopped")
        self.problem = "its results are too long"

    def _ending(self, ended: Ended) -> str:
        """Why a process ended too early."""
        code = ended.code
        if ended.problem is not None:
            return ended.problem
        if code >= 0:
            return f"it ended{f' with exit code {code}' if code else ''} before the check was over"
        if sys.platform != "win32" and -code == signal.SIGXCPU:
            return f"it took longer than {self.timeout:g} seconds"
        known = -code in list(signal.Signals)
        return f"it crashed: {signal.Signals(-code).name if known else f'signal {-code}'}"
