"""A limit on processor time, so that other work on the machine costs nobody his verdict."""

import signal
import time
from collections.abc import Callable
from types import FrameType

from ..calling.places import place_in

WAITING = 0.02  # a process waits if it uses less than this part of the time that passes


class Budget:
    """Seconds of processor time of this process, with all its threads, until it is ended.

    When they are spent, and again each time after that, `over` is called with one line that says
    so; it may raise an error in the code that runs. It is called, too, when code waits that long:
    for the network, for a lock, asleep. On Windows it is not called.
    """

    def __init__(self, seconds: float, again: float, over: Callable[[str], None]) -> None:
        self.seconds = seconds
        self.over = over
        self.began = time.monotonic(), time.process_time()
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGPROF, self._spent)
            signal.signal(signal.SIGALRM, self._passed)
            signal.setitimer(signal.ITIMER_PROF, seconds, again)
            signal.setitimer(signal.ITIMER_REAL, seconds, again)

    def end(self) -> None:
        """Call nothing from now on."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _spent(self, _: int, frame: FrameType | None) -> None:
        self._say("took", frame)

    def _passed(self, _: int, frame: FrameType | None) -> None:
        passed, used = time.monotonic() - self.began[0], time.process_time() - self.began[1]
        if used < WAITING * passed:
            self._say("waited", frame)

    def _say(self, what: str, frame: FrameType | None) -> None:
        place = place_in(frame)
        where = f" ({place})" if place else ""
        self.over(f"it {what} longer than {self.seconds:g} seconds{where}")
