"""The cost of fresh memory, with and without huge pages, and of gradients of tensors with and
without the memory that is kept for them: `python -m benchmarks.pages`.

NumPy asks the system for huge pages (of 2 MiB) for its large arrays, on Linux, unless
NUMPY_MADVISE_HUGEPAGE=0; it reads that at import, so each row is a process of its own. They take
turns, one call each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import softmaxloss

from . import machine
from .cases import Case
from .layout import duration
from .peers import Library
from .worker import page_faults

CASE = Case(4096, 32000)
TURNS = 7
ROWS = [
    ("gradient", "1", "memory reused (`out=`)"),
    ("fresh", "1", "fresh memory, huge pages (NumPy's default)"),
    ("fresh", "0", "fresh memory, 4 KiB pages"),
    ("kept", "1", "tensors, forward and backward: the freed gradient is kept (default)"),
    ("not kept", "1", "tensors, forward and backward: `empty_cache()` before each call"),
]


def on_tensors() -> Callable[[], None]:
    """A forward and backward pass, whose gradient is freed."""
    import torch

    from softmaxloss.torch import cross_entropy

    z = torch.randn(CASE.rows, CASE.classes, requires_grad=True)
    y = torch.randint(CASE.classes, (CASE.rows,))

    def step() -> None:
        cross_entropy(z, y).backward()
        z.grad = None

    return step


def worker(what: str) -> None:
    """One timed call for each line on standard input; its seconds and page faults."""
    if what in ("kept", "not kept"):
        call: Callable[[], object] = on_tensors()
    else:
        call = Library(softmaxloss.get_num_threads()).prepare(CASE, what)
    for _ in sys.stdin:
        if what == "not kept":
            from softmaxloss.torch import empty_cache

            empty_cache()
        faults, start = page_faults(), perf_counter()
        call()
        print(perf_counter() - start, page_faults() - faults, flush=True)


def main() -> int:
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pages", what],
            env={**os.environ, "NUMPY_MADVISE_HUGEPAGE": huge},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what, huge, _ in ROWS
    ]
    seconds: list[list[float]] = [[] for _ in workers]
    faults = [0] * len(workers)
    for turn in range(TURNS + 1):
        for i, process in enumerate(workers):
            assert process.stdin
            assert process.stdout
            print(file=process.stdin, flush=True)
            time, count = process.stdout.readline().split()
            if turn:  # the first call is not counted
                seconds[i].append(float(time))
                faults[i] = int(count)
    for process in workers:
        process.communicate()
    print(f"{CASE.name}, loss + gradient, median of {TURNS} turns; {machine.dated()}.\n")
    print("| the gradient's memory | time | page faults |\n| --- | --- | --- |")
    for (_, _, title), times, count in zip(ROWS, seconds, faults, strict=True):
        print(f"| {title} | {duration(median(times))} | {count} |")
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(sys.argv[1])
    else:
        sys.exit(main())
