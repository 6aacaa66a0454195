"""The limits of the process in which a function runs, which the system keeps."""

import contextlib
import math
import os
import signal
import sys
import time

MOST_WRITTEN = 64 << 20  # bytes in any one file
MOST_OPEN = 256  # files at a time
PARENT_DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36  # PR_SET_… of prctl(2)
GRACE = 5  # seconds of processor time beyond the most that it may take


def limit(memory: int, timeout: float) -> None:
    """Limit this process, and those that it starts; `timeout` is for loading the file."""
    most = 2 * math.ceil(timeout) + GRACE
    with contextlib.suppress(ImportError):  # Windows
        import resource

        limits = [
            (resource.RLIMIT_DATA, memory),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, most),
            (resource.RLIMIT_NOFILE, MOST_OPEN),
            (resource.RLIMIT_FSIZE, MOST_WRITTEN),  # an OSError: Python ignores SIGXFSZ
        ]
        for kind, value in limits:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))
    limit_time(timeout)


def limit_time(seconds: float) -> None:
    """Have the system end this process with SIGXCPU when it takes this much more processor time:
    where code does not return to Python, which would stop it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soonest = math.ceil(time.process_time() + seconds) + 1
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (min(soonest, hard), hard))


def end_with(parent: int) -> None:
    """Have this process killed when the one that started it ends, where the system can do that."""
    if sys.platform != "linux":
        return
    _set(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt() -> None:
    """Have the descendants of this process whose parents end become its children (Linux)."""
    _set(CHILD_SUBREAPER, 1)


def _set(option: int, value: int) -> None:
    """Set an option of this process, where the system has it."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
