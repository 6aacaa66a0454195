"""Matrix products on a CPU by the library that is fastest at them: NumPy's BLAS, oneDNN, or the
BLAS of torch.mm.

The fastest differs by processor, dtype and shape, up to twofold. So the first large call of a kind
measures them, on numbers of its own, in some tenths of a second; the process remembers what it
found. A library wins only if it is clearly faster than the ones before it in the order of
`PREFERRED`. Calls whose products are small take the first of `LIBRARIES` without a measurement, and
so do all calls where PyTorch is asked for deterministic algorithms. The environment variable
SOFTMAXLOSS_PRODUCTS names the library to use instead: "onednn", "numpy" or "torch".

All round alike; sums are added in another order. So two runs may differ in the last bits where the
measurements differ.
"""

import math
import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import OptionError
from ...kernels import HOST
from ...kernels.processors import processors
from ...text import shown
from .._private import fast_product
from ..tensors import as_numpy

VARIABLE = "SOFTMAXLOSS_PRODUCTS"
#: A call with fewer multiplications takes less time than a measurement.
SMALL_CALL = 5e7
#: And with fewer per thread NumPy's are not used, where there are several threads: PyTorch's, awake
#: for some hundredths of a second after the model's operations, hold their processors.
SMALL_FOR_NUMPY = 2.5e9
#: At most so many multiplications in a product that is measured, and rows in it.
MOST_MEASURED, MOST_ROWS = 2.5e8, 512
ROUNDS, SECONDS = 20, 0.1
#: oneDNN returns its results in memory of its own, at most so many bytes, or 64 rows, at a time:
#: larger ones leave holes in the heap. And it is slower at more columns.
PIECE, WIDE = 1 << 21, 1024
#: Of libraries that take about as long the first wins: torch.mm, which adds in place, too. Another
#: one must be so much faster: in a busy moment the slower one may seem a little faster.
PREFERRED, CLEARLY = ("torch", "numpy", "onednn"), 1.3


class Product(NamedTuple):
    """a·bᵀ as one library computes it; a is (m, k), b is (n, k), out is (m, n)."""

    put: Callable[[Tensor, Tensor, Tensor | None, Tensor], None]
    """put(a, b, bias, out): out = a·bᵀ + bias, where bias is (n,) or None."""
    adds: bool
    """Whether `add` needs no memory for the product."""

    def add(self, a: Tensor, b: Tensor, out: Tensor, memory: Tensor) -> None:
        """out += a·bᵀ. `memory` holds the product, if that takes any."""
        if self.adds and out.dtype == a.dtype:
            out.addmm_(a, b.t())
            return
        product = memory[: out.numel()].view(out.shape)
        self.put(a, b, None, product)
        out += product


def _torch(a: Tensor, b: Tensor, bias: Tensor | None, out: Tensor) -> None:
    if bias is None:
        torch.mm(a, b.t(), out=out)
    else:
        torch.addmm(bias, a, b.t(), out=out)


def _onednn(a: Tensor, b: Tensor, bias: Tensor | None, out: Tensor) -> None:
    product = fast_product()
    assert product is not None
    if not (b.is_contiguous() or b.t().is_contiguous()):  # which is slow
        b = b.contiguous()
    bias = None if bias is None else bias.contiguous()
    wide = WIDE if b.is_contiguous() else len(b)
    step = max(64, PIECE // (min(wide, len(b)) * out.itemsize))
    for j in range(0, len(b), wide):
        across = slice(j, j + wide)
        for i in range(0, len(a), step):
            some = None if bias is None else bias[across]
            out[i : i + step, across] = product(a[i : i + step], b[across], some)


def _numpy(a: Tensor, b: Tensor, bias: Tensor | None, out: Tensor) -> None:
    # What is no matrix to BLAS, NumPy multiplies without it.
    a, b = (t if _is_matrix(t) else t.contiguous() for t in (a, b))
    np.matmul(as_numpy(a), as_numpy(b).T, out=as_numpy(out))
    if bias is not None:
        out += bias


def _is_matrix(t: Tensor) -> bool:
    """Whether the rows or the columns lie one after the other in memory."""
    (m, n), (down, across) = t.shape, t.stride()
    return (across == 1 and down >= n) or (down == 1 and across >= m)


LIBRARIES = {
    "onednn": Product(_onednn, adds=False),
    "numpy": Product(_numpy, adds=False),
    "torch": Product(_torch, adds=True),
}

_chosen: dict[tuple[object, ...], str] = {}
_measuring = Lock()


def library_for(
    dtype: torch.dtype,
    device: str,
    rows: int,
    chunk: int,
    shape: tuple[int, int],
    all_rows: int,
    alone: bool,
) -> str:
    """Which of `LIBRARIES` multiplies blocks of `rows` rows with chunks of `chunk` classes, for a
    weight of `shape` (classes, features) and a call with `all_rows` rows. `alone` says whether no
    operation of PyTorch runs between the products."""
    classes, features = shape
    names = available(dtype, device) if features else ["torch"]  # oneDNN refuses no features
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", *LIBRARIES):
        listed = ", ".join(f'"{name}"' for name in LIBRARIES)
        raise OptionError(f"{VARIABLE} must be one of {listed}, got {shown(asked)}")
    if asked:
        return asked if asked in names else "torch"
    multiplications, threads = all_rows * classes * features, torch.get_num_threads()
    if "numpy" in names and not (
        # PyTorch's threads wait busily for their next work, on the processors of NumPy's threads:
        # a product takes twice as long, a small one up to twenty times.
        threads == 1 == _threads_of_numpy()
        or (
            alone
            and threads == _threads_of_numpy()
            and multiplications >= SMALL_FOR_NUMPY * threads
        )
    ):
        names.remove("numpy")
    small = multiplications < SMALL_CALL
    if len(names) == 1 or small or torch.are_deterministic_algorithms_enabled():
        return names[0]
    # Batches of another length are of the same class of shapes.
    rows = min(2 ** math.ceil(math.log2(rows)), MOST_ROWS)
    chunk = 2 ** math.floor(math.log2(min(chunk, max(1.0, MOST_MEASURED / (rows * features)))))
    names.sort(key=PREFERRED.index)
    place = (tuple(names), threads, dtype, rows, chunk, features)
    with _measuring:
        if place not in _chosen:
            _chosen[place] = _measured(names, dtype, rows, chunk, features)
        return _chosen[place]


def available(dtype: torch.dtype, device: str) -> list[str]:
    """The libraries for products of this dtype, in the order of `LIBRARIES`."""
    names = []
    if device == HOST and dtype in (torch.float32, torch.float64):
        onednn = dtype is torch.float32 and torch.backends.mkldnn.enabled
        if onednn and fast_product() is not None:
            names.append("onednn")
        names.append("numpy")
    return [*names, "torch"]


@cache
def _threads_of_numpy() -> int:
    """The threads of NumPy's BLAS, which reads the number from the environment when it is loaded;
    by default that of all processors."""
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value):
            return int(value)
    return processors()


def _measured(names: list[str], dtype: torch.dtype, rows: int, classes: int, features: int) -> str:
    x, W, G = (
        torch.full(shape, 0.5, dtype=dtype)
        for shape in ((rows, features), (classes, features), (rows, classes))
    )
    # Those that make logits, the input's gradient and the weight's gradient.
    products = (
        (x, W, G),
        (G, W.t(), torch.empty_like(x)),
        (G.t(), x.t(), torch.empty_like(W)),
    )

    def seconds(name: str) -> float:
        # One library after the other: the threads of the last one stay awake for a while.
        put, least, start = LIBRARIES[name].put, [math.inf] * len(products), perf_counter()
        for _ in range(ROUNDS):
            for i, (a, b, out) in enumerate(products):
                began = perf_counter()
                put(a, b, None, out)
                least[i] = min(least[i], perf_counter() - began)
            if perf_counter() - start > SECONDS:
                break
        return sum(least)

    # The threads of NumPy's BLAS stay awake longest, and would hold the others' processors.
    measured = {name: seconds(name) for name in sorted(names, key="numpy".__eq__)}
    return clearly_fastest({name: measured[name] for name in names})


def clearly_fastest(seconds: dict[str, float]) -> str:
    """The first name, or a later one if that is clearly faster.

    >>> clearly_fastest({"a": 1.2, "b": 1.0, "c": 0.9})
    'c'
    """
    best = next(iter(seconds))
    for name, time in seconds.items():
        if time * CLEARLY < seconds[best]:
            best = name
    return best
