"""One peer in a process of its own: `python -m benchmarks.worker MODULE NAME THREADS SECONDS`.

The peer is PEERS[NAME] of the module. A timing repeats its call until it takes SECONDS, so that the
resolution of the clock does not matter. Each line on standard input is a request, each line on
standard output its answer, in JSON:

    (on start)                                    {"version": "2.13.0"} or {"absent": "torch is …"}
    {"prepare": {case}, "what": WHAT, "key": 0}   {"loss": 3.2}      compiled and warm
    {"time": 0}                                   {"seconds": 0.12}  of one call
    {"free": true}                                {}                 all that was prepared

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
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

from .peers import Peer, Timed

MOST_CALLS = 20000
#: An allocator that keeps freed memory needs some calls until everything has a place in pages that
#: the process has. A timing with page faults is not one of reused memory, and is taken again.
MOST_TRIES = 8
FEW_PAGE_FAULTS = 100
#: What a call of so many seconds finds cold is a small part of it.
LONG = 0.1


@dataclass
class Prepared:
    call: Timed
    what: str
    #: the number of calls in a timing; 0: not known yet
    calls: int = 0
    #: whether a timing begins with a call that is not counted
    warms_up: bool = True


class Worker:
    def __init__(self, peer: Peer, enough_seconds: float) -> None:
        self.peer = peer
        self.enough_seconds = enough_seconds
        self.prepared: dict[int, Prepared] = {}

    def prepare(self, case: dict[str, Any], what: str, key: int) -> float:
        """Compile and warm up a call; its loss, NaN where it returns nothing."""
        call = self.peer.prepare(self.peer.cases(**case), what)
        with self.peer.context(what):
            result = call()
        self.prepared[key] = Prepared(call, what)
        if result is None:
            return float("nan")
        detached = result.detach() if hasattr(result, "detach") else result
        return float(detached.mean())

    def seconds(self, key: int) -> float:
        """The seconds of one call, as the mean of many, after one that is not counted."""
        prepared = self.prepared[key]
        reuses_memory = prepared.what == "gradient"
        with self.peer.context(prepared.what):
            if prepared.warms_up:
                prepared.call()
            if not prepared.calls:
                once = mean_seconds(prepared.call, 1)
                prepared.calls = min(MOST_CALLS, int(self.enough_seconds / once) + 1)
                prepared.warms_up = reuses_memory or once < LONG
            for _ in range(MOST_TRIES if reuses_memory else 1):
                before = page_faults()
                seconds = mean_seconds(prepared.call, prepared.calls)
                if page_faults() - before < FEW_PAGE_FAULTS:
                    break
        # Memory that this process keeps for its next call would be missing in the others.
        give_back_memory()
        return seconds

    def free(self) -> None:
        self.prepared.clear()
        self.peer.free()
        gc.collect()
        give_back_memory()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in request:
            return {"loss": self.prepare(request["prepare"], request["what"], request["key"])}
        if "time" in request:
            return {"seconds": self.seconds(request["time"])}
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


def mean_seconds(call: Timed, calls: int) -> float:
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


def main(module: str, name: str, threads: int, enough_seconds: float) -> None:
    # Packages print to standard output; the answers must not be mixed with that.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        worker = Worker(import_module(module).PEERS[name](threads), enough_seconds)
    except ModuleNotFoundError as error:
        return send({"absent": f"{error.name} is not installed"})
    except Exception as error:
        return send({"absent": f"it does not load: {one_line(error)}"})
    send({"version": worker.peer.version})
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            answer = {"error": one_line(error)}
        send(answer)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
