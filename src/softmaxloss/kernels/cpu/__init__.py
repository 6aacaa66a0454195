"""The CPU kernel: the contract of `softmaxloss.kernels` in C++ (rows.h has the loops).

One source is compiled for several instruction-set levels, which give the same bits. The fastest
that this processor has is chosen at import. The environment variable SOFTMAXLOSS_CPU names another:
baseline, avx2, avx512, or reference for the kernel that is not compiled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels import ClassIndices, Target
from ...options import Options
from ...rows import Block, blocks, class_last, in_rows
from ...scores import Scores
from ..threads import get_num_threads

if os.environ.get("SOFTMAXLOSS_CPU") == "reference":
    raise ImportError("SOFTMAXLOSS_CPU=reference asks for the kernel that is not compiled")

from . import _cpu

__all__ = ["cross_entropy", "level", "levels", "one_example", "score", "supports", "use_level"]

Array = NDArray[Any]
levels = _cpu.levels
level = _cpu.level
one_example = _cpu.one_example  # see `softmaxloss.kernels.Kernel.one_example`


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
    options: Options,
    factor: float | Array,
    loss: Array,
    grad: Array | None,
) -> None:
    """See `softmaxloss.kernels.Kernel.cross_entropy`."""
    # The binding knows bfloat16 by its bits. (The size first: it is cheaper to ask for.)
    if logits.itemsize == 2 and logits.dtype.kind == "V":
        logits, grad = logits.view(np.uint16), None if grad is None else grad.view(np.uint16)
    y, threads = target.values, get_num_threads()
    if in_rows(logits) and (grad is None or in_rows(grad)) and (y.ndim == 2 or in_rows(y)):
        _cpu.cross_entropy(
            logits, y, weight, options, target.ignore_index, factor, loss, grad, threads
        )
        return
    for block in _blocks(logits):
        x = _copy(logits, block)
        made = None if grad is None else np.empty_like(x)
        _cpu.cross_entropy(
            x,
            _part(y, block) if y.ndim == 2 else _copy(y, block),
            weight,
            options,
            target.ignore_index,
            factor if isinstance(factor, float) else _part(factor, block),
            part := np.empty((len(x), 1), loss.dtype),
            made,
            threads,
        )
        loss[block.place] = part.reshape(loss[block.place].shape)
        if grad is not None and made is not None:
            there = class_last(grad)[block.place]
            there[...] = made.reshape(there.shape)


def score(logits: Array, target: ClassIndices, scores: Scores) -> None:
    """See `softmaxloss.kernels.Kernel.score`."""
    if logits.dtype.kind == "V":
        logits = logits.view(np.uint16)
    y, ignore_index, threads = target.values, target.ignore_index, get_num_threads()
    if in_rows(logits):
        _cpu.score(logits, y, ignore_index, *scores, threads)
        return
    for block in _blocks(logits):
        x = _copy(logits, block)
        parts = [np.empty((len(x), 1), array.dtype) for array in scores]
        _cpu.score(x, _part(y, block), ignore_index, *Scores(*parts), threads)
        for array, part in zip(scores, parts, strict=True):
            array[block.place] = part.reshape(array[block.place].shape)


def _blocks(x: Array) -> Iterator[Block]:
    outer, classes, inner = x.shape
    return blocks((outer, inner), classes)


def _copy(x: Array, block: Block) -> Array:
    """Some rows of (outer, classes, inner), contiguous, as (rows, classes, 1)."""
    rows = np.ascontiguousarray(class_last(x)[block.place])
    return rows.reshape(-1, x.shape[1], 1)


def _part(values: Array, block: Block) -> Array:
    """Some values of (outer, inner), contiguous, as (rows, 1)."""
    return np.ascontiguousarray(values[block.place]).reshape(-1, 1)


_refused = os.environ.get("SOFTMAXLOSS_CPU", "")
if _refused in levels():
    use_level(_refused)
