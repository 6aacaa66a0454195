"""How many threads one call may use.

One number holds for every call of the process, the first of these that is given:

1. a limit of threadpoolctl, while its context lasts (see `limits`);
2. `set_num_threads`;
3. the environment variable SOFTMAXLOSS_NUM_THREADS, read at import;
4. PyTorch's number, `torch.get_num_threads()` at the time of the call, once the losses on tensors
   are loaded;
5. the environment variable OMP_NUM_THREADS, read at import;
6. the number of processors that this process may use (processors.py).

So without a number of its own the library follows `torch.set_num_threads`, and with it PyTorch's
one thread in the workers of a DataLoader. Small calls use fewer threads than they may.
"""

import os
import warnings
from collections.abc import Callable
from numbers import Integral

from ..text import shown
from .processors import processors

MOST_THREADS = 1024


def get_num_threads() -> int:
    """The largest number of threads that one call uses."""
    return _number or _followed()


def set_num_threads(threads: int | None) -> None:
    """Set the largest number of threads that one call uses.

    This number wins over PyTorch's and over the environment. Results have the same bits for any
    number of threads.

    Args:
        threads: A positive integer; numbers beyond 1024 count as 1024. None for the default again:
            SOFTMAXLOSS_NUM_THREADS; else PyTorch's number, once the losses on tensors are loaded;
            else OMP_NUM_THREADS; else the number of processors.

    Raises:
        ValueError: `threads` is not a positive integer.

    Example:
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(None)
    """
    if threads is None:
        _fix(_own_from_environment())
        return
    if isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1:
        raise ValueError(f"the number of threads must be a positive integer, got {threads!r}")
    _fix(min(int(threads), MOST_THREADS))


def follow(number: Callable[[], int]) -> None:
    """From now on ask this function where the library has no number of its own."""
    global _followed
    _followed = number


def get_limit() -> int | None:
    """The number that wins over all others, if there is one."""
    return _limit


def set_limit(threads: int | None) -> None:
    """A number that wins over all others from now on, or None for none."""
    global _limit
    _limit = None if threads is None else max(1, min(threads, MOST_THREADS))
    _fix(_own)


def _fix(own: int | None) -> None:
    global _own, _number
    _own, _number = own, _limit or own


def _from_environment(name: str) -> int | None:
    # OMP_NUM_THREADS may be a list with one number per nesting level: the first one applies.
    value = os.environ.get(name, "").split(",")[0].strip().lstrip("0")
    # Of a number with more digits than Python converts, the first are enough.
    return min(int(value[:9]), MOST_THREADS) if value.isdecimal() and int(value[:9]) else None


def _own_from_environment() -> int | None:
    """The number of SOFTMAXLOSS_NUM_THREADS. A warning if that is none: as with OMP_NUM_THREADS,
    results do not depend on it, so a program goes on."""
    name = "SOFTMAXLOSS_NUM_THREADS"
    number, value = _from_environment(name), os.environ.get(name, "")
    if number is None and value.strip():
        message = f"{name} must be a positive integer, got {shown(value)}; it is ignored"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return number


_default = _from_environment("OMP_NUM_THREADS") or processors()
_followed: Callable[[], int] = lambda: _default  # noqa: E731
_own: int | None  # what set_num_threads or the environment gave
_limit: int | None = None  # of threadpoolctl
_number: int | None  # the limit, or else its own
_fix(_own_from_environment())
