"""How fast the files of a set are scored: `score` of one file, one worker of Dask, two workers.

    python -m benchmarks.shards

Prints rows and bytes per second, the median of several rounds that take turns, and the seconds that
all processes computed for, which other work on the machine hardly changes. Starting workers is not
in them, and is printed apart.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from benchmarks.machine import busy, dated
from softmaxloss import set_num_threads
from softmaxloss.files import open_logits, read_target
from softmaxloss.files.evaluation import evaluate
from softmaxloss.files.linear import LinearFile
from softmaxloss.shards import Job, Shard, State, here, local_workers, score_shards

SHARDS, CLASSES, FEATURES = 24, 1000, 256


def make(folder: Path, rows: int) -> tuple[list[Shard], list[Shard]]:
    """Files of logits, and of hidden states for the layer W.npy, both with the same labels."""
    random = np.random.default_rng(0)
    W = random.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    np.save(folder / "W.npy", W)
    logits, states = [], []
    for number in range(SHARDS):
        x = random.normal(size=(rows, FEATURES)).astype(np.float32)
        np.save(folder / f"x-{number}.npy", x)
        np.save(folder / f"z-{number}.npy", x @ W.T)
        np.save(folder / f"y-{number}.npy", random.integers(0, CLASSES, rows))
        labels = str(folder / f"y-{number}.npy")
        logits.append(Shard(str(folder / f"z-{number}.npy"), labels))
        states.append(Shard(str(folder / f"x-{number}.npy"), labels))
    return logits, states


def plain(shards: list[Shard], job: Job) -> None:
    """What `score` of one file does, for each."""
    for shard in shards:
        layer = None if job.linear is None else job.linear.read()
        with open_logits(shard.logits, linear=layer) as source:
            assert shard.labels is not None
            evaluate(source, read_target(shard.labels))


@contextlib.contextmanager
def ready(number: int, threads: int) -> Iterator[Callable[[list[Shard], Job], None]]:
    """Scoring by so many workers of so many threads each, which are started."""
    set_num_threads(number * threads)
    began = time.perf_counter()
    with local_workers(number) as run:
        print(f"started {number} in {time.perf_counter() - began:.1f} s")
        yield lambda shards, job: _score(shards, job, contextlib.nullcontext(run))


def in_process(shards: list[Shard], job: Job) -> None:
    _score(shards, job, here())


def _score(shards: list[Shard], job: Job, run: object) -> None:
    with State(None) as state:
        score_shards(shards, job, state, lambda *_: run)  # type: ignore[arg-type, return-value]


def computed() -> float:
    """The seconds that this process and its workers computed for."""
    total = 0.0
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8000, help="of a shard")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    everyone = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        logits, states = make(Path(name), given.rows)
        layer = Job(linear=LinearFile(str(Path(name) / "W.npy")))
        ways = {
            f"score, {everyone} threads": (everyone, plain),
            "score, 1 thread": (1, plain),
            "several files in one process, 1 thread": (1, in_process),
            f"1 worker, {everyone} threads": (1, stack.enter_context(ready(1, everyone))),
            "1 worker, 1 thread": (1, stack.enter_context(ready(1, 1))),
            "2 workers, 1 thread each": (1, stack.enter_context(ready(2, 1))),
        }
        print(f"{dated()}; {SHARDS} files of {given.rows} rows, {CLASSES} classes, float32")
        for title, shards, job in (("logits", logits, Job()), ("hidden states", states, layer)):
            size = sum(Path(shard.logits).stat().st_size for shard in shards)
            times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            for _ in range(given.rounds + 1):  # the first one warms up
                for way, (threads, score) in ways.items():
                    set_num_threads(threads)
                    began, before = time.perf_counter(), computed()
                    score(shards, job)
                    times[way].append((time.perf_counter() - began, computed() - before))
            print(f"\n{title}, {size / 1e6:.0f} MB")
            for way, taken in times.items():
                wall = [seconds for seconds, _ in taken[1:]]
                median, best = statistics.median(wall), min(wall)
                busy_for = statistics.median(seconds for _, seconds in taken[1:])
                print(
                    f"  {way:<40} {SHARDS * given.rows / median:8.0f} rows/s "
                    f"{size / median / 1e6:6.0f} MB/s, best {size / best / 1e6:6.0f} MB/s, "
                    f"computed for {busy_for:.2f} s"
                )
    if warning := busy():
        print(f"\n{warning}")


if __name__ == "__main__":
    main()
