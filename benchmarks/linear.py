"""The loss of a linear layer's logits, forward and backward pass: `python -m benchmarks.linear`.

One process per peer; they take turns. In its turn a peer makes two calls. The second one counts: it
follows another call, as in training. (Memory that was free for seconds, while the others had
their turns, a virtual machine may have returned to its host, and it takes up to 2 ms per MB to get
it again.) The first turn is not counted. Memory is the highest resident memory of a call above what
it was before, less the gradients themselves (Linux only). "Three products" is what nobody can leave
out, x·Wᵀ, G·W and Gᵀ·x, of all rows and classes at once: each by the library that is fastest at it,
and as it is called, with a new array for its result.

With --keep-memory, a call of a loss finds the memory that this library, PyTorch and the C library
kept of the call before, and the products write to arrays that are there already.

With --processor-time the times are those of the processor, with one thread: on a machine that other
processes keep busy, waiting for it does not count.

The logits are like those of a trained language model: classes as frequent as words (1/rank), a bias
that knows it, and an input that points to the true class. Only skip_below's time depends on that.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import softmaxloss

from . import machine
from .layout import duration
from .worker import give_back_memory


class Shape(NamedTuple):
    rows: int
    features: int
    classes: int
    dtype: str

    @classmethod
    def of(cls, text: str) -> Shape:
        """From a text such as 1024x512x128256-bfloat16."""
        sizes, _, dtype = text.partition("-")
        return cls(*map(int, sizes.split("x")), dtype or "float32")

    @property
    def text(self) -> str:
        return f"{self.rows}x{self.features}x{self.classes}-{self.dtype}"


SIZES = ("1024x512x128256", "2048x512x32000", "4096x256x50257", "512x2048x32000")
SHAPES = [Shape.of(size) for size in SIZES]
SHAPES += [Shape.of(f"{size}-bfloat16") for size in (*SIZES[:2], "1024x256x32000")]
#: name → its title. Of "products" there is a row for each library.
PEERS = {
    "64MB": 'this library, memory_budget="64MB"',
    "default": "this library",
    "skip": "this library, skip_below=1e-4",
    "eager": "torch, all logits",
    "compiled": "torch.compile, all logits",
    "loss 64MB": 'loss alone: this library, memory_budget="64MB"',
    "loss": "loss alone: this library",
    "products": "products",
}
TURNS = 5
#: The products, and how long each took, are told apart by these.
KINDS = ("x·Wᵀ", "G·W", "Gᵀ·x")


def prepare(name: str, shape: Shape) -> tuple[Callable[[], dict[str, float]], int]:
    """A call, which returns the seconds of its parts, and the bytes of its gradients."""
    import torch

    F = torch.nn.functional
    torch.manual_seed(0)
    rows, features, classes, _ = shape
    dtype = getattr(torch, shape.dtype)
    frequency = 1 / torch.arange(1.0, classes + 1)
    y = torch.multinomial(frequency, rows, replacement=True)
    W = torch.empty(classes, features).normal_(0, 0.05)
    x = (6 * W[y] + torch.randn(rows, features)).to(dtype).requires_grad_()
    W = W.to(dtype).requires_grad_()
    b = (frequency / frequency.sum()).log().to(dtype).requires_grad_()
    gradients = (x.numel() + W.numel() + b.numel()) * x.element_size()
    if name == "products":
        return partial(products, x.detach(), W.detach()), 0

    def all_logits(x: Any, W: Any, y: Any, linear_bias: Any) -> Any:
        return F.cross_entropy(F.linear(x, W, linear_bias), y)

    ours = softmaxloss.linear_cross_entropy
    losses: dict[str, Callable[..., Any]] = {
        "default": ours,
        "64MB": partial(ours, memory_budget="64MB"),
        "skip": partial(ours, skip_below=1e-4),
        "eager": all_logits,
        "compiled": torch.compile(all_logits),
    }
    alone = name.startswith("loss")
    loss = losses[name.removeprefix("loss").strip() or "default"]

    def call() -> dict[str, float]:
        start = clock()
        if alone:
            with torch.no_grad():
                loss(x, W, y, linear_bias=b)
        else:
            loss(x, W, y, linear_bias=b).backward()
            x.grad = W.grad = b.grad = None
        return {"": clock() - start}

    return call, 0 if alone else gradients


def clock() -> float:
    return process_time() if _one_thread() else perf_counter()


def _one_thread() -> bool:
    return "LINEAR_PROCESSOR_TIME" in os.environ


def _keeps_memory() -> bool:
    return "LINEAR_KEEP_MEMORY" in os.environ


def new_array(library: str, kind: str, rows: int, columns: int, dtype: Any) -> Any:
    """A tensor for the result of a product, in the memory that this library's arrays have."""
    import numpy as np
    import torch

    if library != "numpy":
        return torch.empty((rows, columns), dtype=dtype)
    return torch.from_numpy(np.empty((rows, columns), str(dtype).removeprefix("torch.")))


kept_array = cache(new_array)


def products(x: Any, W: Any) -> dict[str, float]:
    """The seconds of each product by each library."""
    import math

    from softmaxloss.torch.linear.products import LIBRARIES, available

    found = {}
    for library in available(x.dtype, "cpu"):

        def product(kind: str, a: Any, b: Any, library: str = library) -> Any:
            start = clock()
            place = kept_array if _keeps_memory() else new_array
            out = place(library, kind, len(a), len(b), a.dtype)
            LIBRARIES[library].put(a, b, None, out)
            found[f"{library} {kind}"] = clock() - start
            return out

        G = product(KINDS[0], x, W)
        product(KINDS[1], G, W.t())
        V = product(KINDS[2], G.t(), x.t())
        assert math.isfinite(float(V[0, 0]))
        del G, V  # before the next library's arrays are made
    return found


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


def worker(name: str, shape: Shape) -> None:
    """A line when it is ready. Then two calls for each line on standard input; the second one's
    seconds and peak memory."""
    import torch

    from softmaxloss.torch import empty_cache

    torch.set_num_threads(softmaxloss.get_num_threads())
    call, gradients = prepare(name, shape)
    print(flush=True)
    for _ in sys.stdin:
        call()
        gc.collect()
        if not _keeps_memory():
            empty_cache()
            give_back_memory()
        forget()
        before = highest()
        seconds = call()
        print(json.dumps([seconds, highest() - before - gradients]), flush=True)


class Found(NamedTuple):
    seconds: list[float]
    memory: float  #: bytes


def measure(shape: Shape, turns: int) -> dict[str, Found]:
    """The peers that did not fail, and each product of each library."""
    threads = {"OMP_NUM_THREADS": "1" if _one_thread() else str(softmaxloss.get_num_threads())}
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.linear", "--worker", name, shape.text],
            env=os.environ | threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in PEERS
    }
    seconds: dict[str, list[float]] = defaultdict(list)
    memory = {}
    try:
        for process in workers.values():  # imports would disturb the choice of the library
            assert process.stdout
            process.stdout.readline()
        for turn in range(turns + 1):
            for name, process in workers.items():
                assert process.stdin
                assert process.stdout
                if process.poll() is not None:
                    continue
                print(file=process.stdin, flush=True)
                answer = process.stdout.readline()
                if turn and answer:  # the first turn is not counted
                    parts, used = json.loads(answer)
                    for part, time in parts.items():
                        seconds[part or name].append(time)
                        memory[part or name] = used
    finally:
        for process in workers.values():
            process.kill()
            process.communicate()
    return {name: Found(times, memory[name]) for name, times in seconds.items()}


def fastest(found: dict[str, Found]) -> list[float]:
    """For each of `KINDS` the seconds of the fastest library."""
    return [
        min(median(f.seconds) for name, f in found.items() if name.endswith(kind)) for kind in KINDS
    ]


def table(found: dict[str, Found]) -> list[str]:
    """Times and memory of the peers."""
    least = fastest(found)
    made = ["| | time | over the products | memory |", "| --- | --- | --- | --- |"]
    made.append(f"| three products | {duration(sum(least))} | 1.00 | |")
    for name, title in PEERS.items():
        if name not in found:
            continue
        times, memory = found[name]
        spread = f"({duration(min(times))}-{duration(max(times))})"
        over = median(times) / (least[0] if name.startswith("loss") else sum(least))
        made.append(
            f"| {title} | {duration(median(times))} {spread} | {over:.2f} | "
            f"{max(memory, 0) / 1e6:.0f} MB |"
        )
    return made


def rates(shape: Shape, found: dict[str, Found]) -> list[str]:
    """A line for each library: its products in GFLOP/s."""
    flops = 2 * shape.rows * shape.features * shape.classes
    made = []
    for library in dict.fromkeys(name.split()[0] for name in found if name.endswith(KINDS)):
        cells = [flops / median(found[f"{library} {kind}"].seconds) / 1e9 for kind in KINDS]
        made.append(f"| {library} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
    return made


def markdown(turns: int = TURNS, shapes: list[Shape] = SHAPES) -> str:
    """The tables of each shape."""
    return "\n".join(lines(turns, shapes))


def lines(turns: int, shapes: list[Shape]) -> Iterator[str]:
    what = "processor time of one thread" if _one_thread() else "time"
    where = "into a new array, and all calls get their memory anew"
    if _keeps_memory():
        where = "into an array that is there, and all calls find what was kept of the call before"
    yield from [
        "### The loss of a linear layer's logits",
        "",
        f"Forward and backward pass, {what}; median of {turns} turns (smallest-largest); "
        f"{machine.dated()}. Memory: beyond arguments and gradients. The products are of all rows "
        f"and classes at once, each by the library that is fastest at it, {where}; "
        "the loss alone is over x·Wᵀ.",
    ]
    for shape in shapes:
        if not _one_thread() and (warning := machine.busy()):
            yield from ["", f"Attention: {warning}."]
        found = measure(shape, turns)
        rows, features, classes, dtype = shape
        yield from ["", f"{rows} rows, {features} features, {classes} classes, {dtype}:", ""]
        yield from table(found)
        yield from ["", f"| GFLOP/s | {' | '.join(KINDS)} |", "| --- | --- | --- | --- |"]
        yield from rates(shape, found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear", description=__doc__)
    parser.add_argument("shapes", nargs="*", type=Shape.of, help="such as 1024x512x32000-bfloat16")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--processor-time", action="store_true")
    kept = "let a call find the memory of the one before, as in a training loop"
    parser.add_argument("--keep-memory", action="store_true", help=kept)
    parser.add_argument("--worker", metavar="PEER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.processor_time:
        os.environ["LINEAR_PROCESSOR_TIME"] = "1"
    if options.keep_memory:
        os.environ["LINEAR_KEEP_MEMORY"] = "1"
    if options.worker:
        worker(options.worker, options.shapes[0])
    else:
        for line in lines(options.turns, options.shapes or SHAPES):
            print(line, flush=True)


if __name__ == "__main__":
    main()
