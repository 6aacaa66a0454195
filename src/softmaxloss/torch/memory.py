"""Memory for large gradients: the last one that was freed, or fresh from the system.

The system hands out memory page by page, at the first write, and the faults of a fresh gradient
cost up to as much as computing it. A training loop frees a gradient in each step and needs another
of the same size in the next. So one freed gradient is kept for the next call.

What is kept is bounded and given back: it is one gradient at most, the system may take its pages
whenever it needs memory (MADV_FREE, as after free() in other allocators; until then they count as
used by this process), and `empty_cache` returns it at once. Where the system has no MADV_FREE
nothing is kept.
"""

import mmap
import weakref
from collections import deque

import numpy as np
from numpy.typing import NDArray

# Bytes. Less memory is reused by the C library.
KEPT_FROM = 1 << 25
_HUGE_PAGE = 1 << 21

_kept: deque[mmap.mmap] = deque(maxlen=1)  # its methods are atomic


def empty_cache() -> None:
    """Return the memory that is kept for the next large gradient to the system.

    Never needed for correctness: the system takes that memory by itself when it runs short.

    >>> empty_cache()
    """
    _kept.clear()


def large_memory(size: int) -> NDArray[np.uint8]:
    """`size` bytes with undefined content, at least KEPT_FROM. When the array is freed, and with it
    every tensor on its memory, the memory is kept for the next call."""
    if not hasattr(mmap, "MADV_FREE"):
        return np.empty(size, np.uint8)
    memory = _take(size) or _fresh(size)
    array = np.frombuffer(memory, np.uint8, size)
    weakref.finalize(array, _keep, memory).atexit = False
    return array


def _take(size: int) -> mmap.mmap | None:
    """The memory that is kept, if it fits: the last batch of an epoch is often smaller."""
    try:
        memory = _kept.pop()
    except IndexError:
        return None
    return memory if size <= len(memory) <= 2 * size else None


def _fresh(size: int) -> mmap.mmap:
    # Private: a fork does not share it. Whole huge pages: Linux then places them at multiples of
    # their size, and no small pages at the ends make the advice slow.
    whole = -(-size // _HUGE_PAGE) * _HUGE_PAGE
    try:
        memory = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no memory for {size} bytes: {error}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        _advise(memory, mmap.MADV_HUGEPAGE)
    return memory


def _keep(memory: mmap.mmap) -> None:
    if _advise(memory, mmap.MADV_FREE):
        _kept.append(memory)


def _advise(memory: mmap.mmap, advice: int) -> bool:
    """Whether this system follows the advice."""
    try:
        memory.madvise(advice)
    except OSError:
        return False
    return True
