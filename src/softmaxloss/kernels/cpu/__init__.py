"""The CPU kernel: the contract of `softmaxloss.kernels` in C++ (rows.h has the loops).

One source is compiled for several instruction-set levels, which give the same bits; the fastest
that this processor has is chosen at import. Two environment variables are read then:

SOFTMAXLOSS_CPU          baseline, avx2 or avx512: take this level instead
SOFTMAXLOSS_NUM_THREADS  as many threads at most (default: OMP_NUM_THREADS, else the processors
                         that this process may run on)
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _cpu

__all__ = [
    "cross_entropy",
    "get_num_threads",
    "level",
    "levels",
    "one_example",
    "score",
    "set_num_threads",
    "supports",
    "use_level",
]

Array = NDArray[Any]
MOST_THREADS = 1024
levels = _cpu.levels
level = _cpu.level
one_example = _cpu.one_example  # see `softmaxloss.kernels.Kernel.one_example`


def supports(dtype: np.dtype[Any]) -> bool:
    """Whether the kernel reads logits of this dtype.

    Raises ValueError if SOFTMAXLOSS_CPU is no level: here, before the first call, and not at
    import, which would leave a command line with a traceback.
    """
    if _refused:
        use_level(_refused)
    name = dtype.names[0] if dtype.names else dtype.name  # bfloat16 as its bits, or of ml_dtypes
    return dtype.isnative and name in ("float32", "float64", "float16", "bfloat16")


def use_level(name: str) -> None:
    """Run this instruction-set level from now on; for tests and measurements.

    >>> use_level("baseline"); level()
    'baseline'
    >>> use_level(levels()[-1])
    """
    global _refused
    if not _cpu.use_level(name):
        raise ValueError(
            f"no instruction-set level {name!r} on this processor; it has {', '.join(levels())}"
        )
    _refused = ""


def get_num_threads() -> int:
    """The largest number of threads that a call uses."""
    return _num_threads


def set_num_threads(threads: int) -> None:
    """Use at most this many threads from now on. The results have the same bits for any number.

    >>> before = get_num_threads()
    >>> set_num_threads(1); get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _num_threads
    if isinstance(threads, bool) or not hasattr(threads, "__index__") or threads < 1:
        raise ValueError(f"the number of threads must be a positive integer, got {threads!r}")
    _num_threads = min(int(threads), MOST_THREADS)


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None,
    label_smoothing: float,
    ignore_index: int,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
) -> None:
    """See `softmaxloss.kernels.Kernel.cross_entropy`."""
    # bfloat16, which the binding knows by its bits. (The size first: it is cheaper to ask for.)
    if logits.itemsize == 2 and logits.dtype.kind == "V":
        logits, grad = logits.view(np.uint16), None if grad is None else grad.view(np.uint16)
    _cpu.cross_entropy(
        logits, target, weight, label_smoothing, ignore_index, factor, loss, grad, _num_threads
    )


def score(
    logits: Array,
    target: Array,
    ignore_index: int,
    loss: Array,
    probability: Array,
    predicted: Array,
    rank: Array,
    entropy: Array,
    logsumexp: Array,
) -> None:
    """See `softmaxloss.kernels.Kernel.score`."""
    _cpu.score(
        logits.view(np.uint16) if logits.dtype.kind == "V" else logits,
        target,
        ignore_index,
        loss,
        probability,
        predicted,
        rank,
        entropy,
        logsumexp,
        _num_threads,
    )


def _default_num_threads() -> int:
    for name in ("SOFTMAXLOSS_NUM_THREADS", "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may be a list, one number per level of nesting: the first is ours.
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdecimal() and int(value) > 0:
            return min(int(value), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_num_threads = _default_num_threads()
_refused = os.environ.get("SOFTMAXLOSS_CPU", "")
if _refused in levels():
    use_level(_refused)
