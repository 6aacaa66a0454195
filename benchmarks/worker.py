"""One peer in a process of its own: `python -m benchmarks.worker NAME THREADS SECONDS`.

A timing repeats its call until it takes SECONDS, so that the resolution of the clock does not
matter. Each line on standard input is a request, each line on standard output its answer, in JSON:

    (on start)                          {"version": "2.13.0"} or {"absent": "torch is …"}
    {"prepare": {case}, "what": WHAT}   {"loss": 3.2}      compiled, warm, number of calls chosen
    {"time": true}                      {"seconds": 0.12}  of one call
    {"free": true}                      {}                 memory is freed

or {"error": "one line"}.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from .cases import Case
from .peers import PEERS, Call

MOST_CALLS = 20000
#: An allocator that keeps freed memory needs some calls until everything has a place in pages that
#: the process has. A timing with page faults is not one of reused memory, and is taken again.
MOST_TRIES = 8
FEW_PAGE_FAULTS = 100


class Worker:
    def __init__(self, name: str, threads: int, enough_seconds: float) -> None:
        self.peer = PEERS[name](threads)
        self.enough_seconds = enough_seconds
        self.call: Call | None = None
        self.calls = 1
        self.keeps_memory = False

    def prepare(self, case: Case, what: str) -> dict[str, Any]:
        self.call = self.peer.prepare(case, what)
        self.keeps_memory = what == "gradient"
        result = self.call()  # compiles
        loss = float("nan") if result is None else float(result.mean())
        del result
        self.calls = 1
        if (once := self.seconds()) < self.enough_seconds:
            self.calls = min(MOST_CALLS, int(self.enough_seconds / once) + 1)
        return {"loss": loss}

    def seconds(self) -> float:
        """The seconds of one call, as the mean of `self.calls`, after one that is not counted."""
        assert self.call is not None
        self.call()
        for _ in range(MOST_TRIES if self.keeps_memory else 1):
            before = page_faults()
            seconds = mean_seconds(self.call, self.calls)
            if page_faults() - before < FEW_PAGE_FAULTS:
                break
        # Memory that this process keeps for its next call would be missing in the others.
        give_back_memory()
        return seconds

    def free(self) -> None:
        self.call = None
        gc.collect()
        give_back_memory()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in request:
            self.free()
            return self.prepare(Case(**request["prepare"]), request["what"])
        if "time" in request:
            return {"seconds": self.seconds()}
        self.free()
        return {}


def _trim() -> Callable[[int], Any]:
    try:
        trim: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # not glibc
        return lambda pad: None
    return trim


_malloc_trim = _trim()


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library can do that."""
    _malloc_trim(0)


def mean_seconds(call: Call, calls: int) -> float:
    turns = range(calls)
    gc.disable()
    start = perf_counter()
    for _ in turns:
        call()
    stop = perf_counter()
    gc.enable()
    return (stop - start) / calls


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def main(name: str, threads: int, enough_seconds: float) -> None:
    # Packages print to standard output; the answers must not be mixed with that.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        worker = Worker(name, threads, enough_seconds)
    except ModuleNotFoundError as error:
        return send({"absent": f"{error.name} is not installed"})
    except Exception as error:
        return send({"absent": f"it does not load: {one_line(error)}"})
    send({"version": worker.peer.version})
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            worker.free()
            answer = {"error": one_line(error)}
        send(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
