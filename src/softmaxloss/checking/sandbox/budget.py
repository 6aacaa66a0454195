"""A limit on the time that statements take: one is stopped, and those after it go on."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

PATIENCE = 6  # seconds on the clock for one of processor time, as other processes run as well
AFTERWARDS = 1.0  # seconds for each statement when the time is spent


class TooLongError(BaseException):
    """The statement is stopped; no `except Exception` of the user's catches it."""


class Budget:
    """Seconds of processor time for all statements together.

    A statement that waits, for the network or another process, is stopped by the clock. On Windows
    nothing is stopped.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.depth = 0
        self._start(seconds, AFTERWARDS)

    @contextlib.contextmanager
    def spent(self) -> Iterator[None]:
        """Where statements run. Raises TooLongError in it when the time is spent."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def end(self) -> None:
        """Stop nothing from now on."""
        self._start(0.0, 0.0)

    def _start(self, seconds: float, again: float) -> None:
        if not hasattr(signal, "setitimer"):
            return
        for sent in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(sent, self._over)
        signal.setitimer(signal.ITIMER_PROF, seconds, again)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds, PATIENCE * again)

    def _over(self, _: int, __: FrameType | None) -> None:
        if self.depth:
            raise TooLongError(f"it took longer than {self.seconds:g} seconds")
