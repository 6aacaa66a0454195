"""Memory for large gradients and blocks of logits: what was freed last, or fresh from the system.

The system hands out memory page by page, at the first write, and the faults of a fresh gradient
cost up to as much as computing it; in a virtual machine that returns free memory to its host they
cost several times that. A training loop frees a gradient in each step and needs another of the same
size in the next; the linear loss needs a block of logits besides. So what was freed last is kept
for the next call.

What is kept is bounded and given back: it is two such arrays at most, the system may take their
pages whenever it needs memory (MADV_FREE, as after free() in other allocators; until then they
count as used by this process), and `empty_cache` returns them at once. Where the system has no
MADV_FREE nothing is kept.
"""

import mmap
import weakref
from collections import deque

import numpy as np
from numpy.typing import NDArray

# Bytes. Less memory is reused by the C library.
KEPT_FROM = 1 << 25
_HUGE_PAGE = 1 << 21

#: A gradient, and a block of logits.
MOST_KEPT = 2
_kept: deque[mmap.mmap] = deque(maxlen=MOST_KEPT)  # its methods are atomic


def empty_cache() -> None:
    """Return the memory that is kept for the next large arrays to the system.

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
    """What is kept and fits: the last batch of an epoch is often smaller."""
    for _ in range(MOST_KEPT):
        try:
            memory = _kept.pop()
        except IndexError:
            return None
        if size <= len(memory) <= 2 * size:
            return memory
        _kept.appendleft(memory)
    return None


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
