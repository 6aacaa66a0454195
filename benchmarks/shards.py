"""How fast the files of a set are scored: `score` of one file, one worker of Dask, two workers.

    python -m benchmarks.shards

Prints rows and bytes per second, the median of several rounds that take turns, and the seconds that
all processes computed for, which other work on the machine changes less. Starting workers is in
neither.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
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
from softmaxloss.shards import Job, Part, Shard, State, here, local_workers, score_shards

CLASSES, FEATURES = 1000, 256


def make(folder: Path, files: int, rows: int) -> tuple[list[Shard], list[Shard]]:
    """Files of logits, and of hidden states for the layer W.npy, both with the same labels."""
    random = np.random.default_rng(0)
    W = random.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    np.save(folder / "W.npy", W)
    logits, states = [], []
    for number in range(files):
        x = random.normal(size=(rows, FEATURES)).astype(np.float32)
        np.save(folder / f"x-{number}.npy", x)
        np.save(folder / f"z-{number}.npy", x @ W.T)
        np.save(folder / f"y-{number}.npy", random.integers(0, CLASSES, rows))
        labels = Part(str(folder / f"y-{number}.npy"))
        logits.append(Shard(str(folder / f"z-{number}.npy"), labels))
        states.append(Shard(str(folder / f"x-{number}.npy"), labels))
    return logits, states


def plain(shards: list[Shard], job: Job) -> None:
    """What `score` of one file does, for each."""
    for shard in shards:
        layer = None if job.linear is None else job.linear.read()
        with open_logits(shard.logits, linear=layer) as source:
            assert shard.labels is not None
            evaluate(source, read_target(shard.labels.path))


@contextlib.contextmanager
def ready(number: int, threads: int) -> Iterator[Callable[[list[Shard], Job], None]]:
    """Scoring by so many workers of so many threads each, which are started."""
    set_num_threads(number * threads)
    with local_workers(number) as run:
        yield lambda shards, job: _score(shards, job, contextlib.nullcontext(run))


@contextlib.contextmanager
def alone(
    score: Callable[[list[Shard], Job], None], threads: int
) -> Iterator[Callable[[list[Shard], Job], None]]:
    """Scoring in this process."""
    set_num_threads(threads)
    yield score


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
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--rows", type=int, default=8000, help="of each file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=5, help="times that logits are scored in one")
    given = parser.parse_args()
    everyone = len(os.sched_getaffinity(0))
    ways = {
        f"score, {everyone} threads": lambda: alone(plain, everyone),
        "score, 1 thread": lambda: alone(plain, 1),
        "several files in one process, 1 thread": lambda: alone(in_process, 1),
        f"1 worker, {everyone} threads": lambda: ready(1, everyone),
        "1 worker, 1 thread": lambda: ready(1, 1),
        "2 workers, 1 thread each": lambda: ready(2, 1),
    }
    print(f"{dated()}; {given.files} files of {given.rows} rows, {CLASSES} classes, float32")
    with tempfile.TemporaryDirectory() as name:
        logits, states = make(Path(name), given.files, given.rows)
        layer = Job(linear=LinearFile(str(Path(name) / "W.npy")))
        logits *= given.repeat
        for title, shards, job in (("logits", logits, Job()), ("hidden states", states, layer)):
            size = sum(Path(shard.logits).stat().st_size for shard in shards)
            times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            for _, (way, start) in itertools.product(range(given.rounds), ways.items()):
                with start() as score:
                    score(shards, job)  # warms up
                    began, before = time.perf_counter(), computed()
                    score(shards, job)
                    times[way].append((time.perf_counter() - began, computed() - before))
            load = os.getloadavg()[0]
            print(f"\n{title}, {len(shards)} files, {size / 1e6:.0f} MB, load {load:.1f}")
            for way, taken in times.items():
                wall, busy_for = zip(*taken, strict=True)
                median = statistics.median(wall)
                print(
                    f"  {way:<40} {len(shards) * given.rows / median:8.0f} rows/s "
                    f"{size / median / 1e6:6.0f} MB/s, best {size / min(wall) / 1e6:6.0f} MB/s, "
                    f"computed for {statistics.median(busy_for):.2f} s"
                )
    if warning := busy():
        print(f"\n{warning}")


if __name__ == "__main__":
    main()
