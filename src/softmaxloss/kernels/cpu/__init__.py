"""The CPU kernel: the contract of `softmaxloss.kernels` in C++ (rows.h has the loops).

One source is compiled for several instruction-set levels, which give the same bits. The fastest
that this processor has is chosen at import. The environment variable SOFTMAXLOSS_CPU names another:
baseline, avx2, avx512, or reference for the kernel that is not compiled.
"""

import os
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...arrays import Array
from ...labels import ClassIndices, Target
from ...options import Options
from ...scores import Scores
from ..threads import get_num_threads

if os.environ.get("SOFTMAXLOSS_CPU") == "reference":
    raise ImportError("SOFTMAXLOSS_CPU=reference asks for the kernel that is not compiled")

try:
    from . import _cpu
except ImportError as error:
    if find_spec(f"{__name__}._cpu") is not None:
        message = f"NumPy computes, because the compiled kernel cannot be loaded: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    raise

levels = _cpu.levels
level = _cpu.level
direct = _cpu.direct  # see `softmaxloss.kernels.Kernel.direct`
direct_score = _cpu.direct_score
know_tensors = _cpu.know_tensors
share_threads = _cpu.share_threads
sum = _cpu.sum


def supports(dtype: np.dtype[Any]) -> bool:
    """Whether the kernel reads logits of this dtype.

    Raises ValueError if SOFTMAXLOSS_CPU names no level: here, before the first call, and not at
    import, where a command line would end with a traceback.
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


def cross_entropy(
    logits: Array,
    target: Target,
    weight: Array | None,
    sample_weight: Array | None,
    options: Options,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
) -> None:
    """See `softmaxloss.kernels.Kernel.cross_entropy`."""
    # The binding knows bfloat16 by its bits. (The size first: it is cheaper to ask for.)
    if logits.itemsize == 2 and logits.dtype.kind == "V":
        logits, grad = logits.view(np.uint16), None if grad is None else grad.view(np.uint16)
    y, ignore_index, threads = target.values, target.ignore_index, get_num_threads()
    _cpu.cross_entropy(
        logits, y, weight, sample_weight, options, ignore_index, factor, loss, grad, threads
    )


def score(logits: Array, target: ClassIndices, scores: Scores) -> None:
    """See `softmaxloss.kernels.Kernel.score`."""
    if logits.dtype.kind == "V":
        logits = logits.view(np.uint16)
    _cpu.score(logits, target.values, target.ignore_index, scores, get_num_threads())


def softcap(logits: Array, cap: float, grad: Array | None, out: Array) -> None:
    """See `softmaxloss.kernels.Kernel.softcap`."""
    _cpu.softcap(logits, cap, grad, out, get_num_threads())


def _leave_to_supports(*arguments: Any) -> None:
    """`direct`, and `direct_score`, where SOFTMAXLOSS_CPU names no level, as `supports` reports."""


_refused = os.environ.get("SOFTMAXLOSS_CPU", "")
if _refused in levels():
    use_level(_refused)
elif _refused:
    direct = direct_score = _leave_to_supports
