"""The loss of a linear layer's logits, forward and backward pass: `python -m benchmarks.linear`.

One process per peer; they take turns, one call each, the first not counted. Memory is the highest
resident memory of a call above what it was before, less the gradients themselves (Linux only).
"three products" is what nobody can leave out, x·Wᵀ, G·W and Gᵀ·x, through torch.mm into memory that
is there already.

The logits are like those of a trained language model: classes as frequent as words (1/rank), a bias
that knows it, and an input that points to the true class. Only skip_below's time depends on that.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import softmaxloss

from . import machine
from .layout import duration
from .worker import give_back_memory

FEATURES = 512
#: rows, classes
SHAPES = [(1024, 128256), (2048, 32000)]
#: name → its title, dtype
PEERS = {
    "ours": ("this library", "float32"),
    "bfloat16": ("this library, bfloat16", "bfloat16"),
    "skip": ("this library, skip_below=1e-4", "float32"),
    "products": ("three products", "float32"),
    "eager": ("torch, all logits", "float32"),
    "compiled": ("torch.compile, all logits", "float32"),
    "chunked": ("torch, chunked", "float32"),
}
TURNS = 5


def prepare(name: str, rows: int, classes: int) -> tuple[Callable[[], Any], int]:
    """A call, and the bytes of its gradients."""
    import torch

    F = torch.nn.functional
    torch.manual_seed(0)
    dtype = getattr(torch, PEERS[name][1])
    frequency = 1 / torch.arange(1.0, classes + 1)
    y = torch.multinomial(frequency, rows, replacement=True)
    W = torch.empty(classes, FEATURES).normal_(0, 0.05)
    x = (6 * W[y] + torch.randn(rows, FEATURES)).to(dtype).requires_grad_()
    W = W.to(dtype).requires_grad_()
    b = (frequency / frequency.sum()).log().to(dtype).requires_grad_()
    gradients = (x.numel() + W.numel() + b.numel()) * x.element_size()

    if name == "products":
        G, X = torch.zeros(rows, classes), torch.empty(rows, FEATURES)
        V = torch.empty(classes, FEATURES).fill_(0.0)

        def products() -> None:
            with torch.no_grad():
                torch.mm(x, W.t(), out=G)
                torch.mm(G, W, out=X)
                torch.mm(G.t(), x, out=V)

        return products, 0

    def all_logits(x: Any, W: Any, y: Any, linear_bias: Any) -> Any:
        return F.cross_entropy(F.linear(x, W, linear_bias), y)

    losses: dict[str, Callable[..., Any]] = {
        "ours": softmaxloss.linear_cross_entropy,
        "bfloat16": softmaxloss.linear_cross_entropy,
        "skip": partial(softmaxloss.linear_cross_entropy, skip_below=1e-4),
        "eager": all_logits,
        "compiled": torch.compile(all_logits),
    }
    if name == "chunked":
        options = torch.nn.LinearCrossEntropyOptions()
        losses[name] = partial(F.linear_cross_entropy, options=options)
    loss = losses[name]

    def fresh() -> None:  # no call may find memory that the last one left
        loss(x, W, y, linear_bias=b).backward()
        x.grad = W.grad = b.grad = None

    return fresh, gradients


def highest() -> int:
    """The highest resident memory since `forget`, in bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return 0


def forget() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def worker(name: str, rows: int, classes: int) -> None:
    """One call for each line on standard input; its seconds and its peak memory."""
    import torch

    torch.set_num_threads(softmaxloss.get_num_threads())
    call, gradients = prepare(name, rows, classes)
    for _ in sys.stdin:
        gc.collect()
        give_back_memory()
        forget()
        before, start = highest(), perf_counter()
        call()
        print(perf_counter() - start, highest() - before - gradients, flush=True)


def measure(rows: int, classes: int, turns: int) -> dict[str, tuple[list[float], float]]:
    """For each peer the seconds of its calls and its memory in bytes, without peers that fail."""
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.linear", name, str(rows), str(classes)],
            env=os.environ | {"OMP_NUM_THREADS": str(softmaxloss.get_num_threads())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in PEERS
    }
    found: dict[str, tuple[list[float], float]] = {}
    try:
        for turn in range(turns + 1):
            for name, process in workers.items():
                assert process.stdin
                assert process.stdout
                if process.poll() is not None:
                    continue
                print(file=process.stdin, flush=True)
                answer = process.stdout.readline().split()
                if turn and answer:  # the first call is not counted
                    seconds, _ = found.get(name, ([], 0.0))
                    found[name] = ([*seconds, float(answer[0])], float(answer[1]))
    finally:
        for process in workers.values():
            process.kill()
            process.communicate()
    return found


def markdown(turns: int = TURNS, shapes: list[tuple[int, int]] = SHAPES) -> str:
    """A table for each shape."""
    lines = [
        "### The loss of a linear layer's logits",
        "",
        f"Forward and backward pass, {FEATURES} features; median of {turns} turns "
        f"(smallest-largest); {machine.dated()}. Memory: beyond arguments and gradients.",
    ]
    for rows, classes in shapes:
        found = measure(rows, classes, turns)
        ours = median(found["ours"][0])
        lines += ["", f"{rows} rows, {classes} classes:", ""]
        lines += ["| | time | over ours, float32 | memory |", "| --- | --- | --- | --- |"]
        for name, (seconds, memory) in found.items():
            spread = f"({duration(min(seconds))}-{duration(max(seconds))})"
            middle = median(seconds)
            lines.append(
                f"| {PEERS[name][0]} | {duration(middle)} {spread} | {middle / ours:.2f} | "
                f"{max(memory, 0) / 1e6:.0f} MB |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        worker(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        print(markdown())
