"""Whose threads the kernels run on: those of PyTorch's OpenMP runtime, or their own.

After their work PyTorch's threads stay awake for a while, so the kernels use them too: threads of
their own would compete with those. Between matrix products of NumPy it is the other way round.
NumPy's BLAS has a pool of its own, and a product takes up to twenty times as long while PyTorch's
threads, awake but idle, hold the processors. There the kernels start threads for each call.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from . import HOST, direct_on

_lock = Lock()
_parallel = 0  # the address of GOMP_parallel, 0 for none
_calls = 0  # inside `own_threads`


def share_threads(parallel: int) -> None:
    """From now on run on the threads of the OpenMP runtime whose GOMP_parallel has this address."""
    global _parallel
    with _lock:
        _parallel = parallel
        if not _calls:
            direct_on(HOST).share_threads(parallel)


@contextmanager
def own_threads() -> Iterator[None]:
    """Inside, the kernels wake no thread of OpenMP, whichever thread calls them.

    >>> with own_threads():
    ...     pass
    """
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _calls
    with _lock:
        _calls += change
        if _parallel and _calls == max(change, 0):  # the first one begins, or the last one ends
            direct_on(HOST).share_threads(0 if _calls else _parallel)


def _forked() -> None:
    """A child process has one thread, no pool of OpenMP, and the kernels know that."""
    global _lock, _parallel, _calls
    _lock, _parallel, _calls = Lock(), 0, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
