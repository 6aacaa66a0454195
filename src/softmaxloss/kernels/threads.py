"""How many threads one call may use.

The default is read from the environment at import: SOFTMAXLOSS_NUM_THREADS, else OMP_NUM_THREADS,
else the number of processors that this process may run on.
"""

import os
from numbers import Integral

MOST_THREADS = 1024


def get_num_threads() -> int:
    """The largest number of threads that one call uses."""
    return _num_threads


def set_num_threads(threads: int) -> None:
    """Set the largest number of threads that one call uses.

    Results have the same bits for any number of threads.

    Args:
        threads: a positive integer; numbers beyond 1024 count as 1024.

    Raises:
        ValueError: `threads` is not a positive integer.

    Example:
        >>> before = get_num_threads()
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(before)
    """
    global _num_threads
    if isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1:
        raise ValueError(f"the number of threads must be a positive integer, got {threads!r}")
    _num_threads = min(int(threads), MOST_THREADS)


def _default_num_threads() -> int:
    for name in ("SOFTMAXLOSS_NUM_THREADS", "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may be a list with one number per nesting level: the first one applies.
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdecimal() and int(value) > 0:
            return min(int(value), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_num_threads = _default_num_threads()
