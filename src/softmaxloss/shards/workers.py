"""Where shards are scored: in this process, by local processes of Dask, by one of its clusters.

Dask is imported where it is used alone. When a worker is lost, Dask scores its shard elsewhere.
"""

import contextlib
import importlib.util
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ..errors import OptionError
from ..kernels.threads import get_num_threads
from ..text import first_line, plural, shorten
from .job import Failed, Job, Shard, score_shard

INSTALL = "pip install 'softmaxloss[dask]'"

_WAIT = 30  # seconds for a cluster, and for the first of its workers
_AT_ONCE = 1000  # shards that a scheduler knows at a time


class Task(NamedTuple):
    """One shard to score."""

    key: str
    shard: Shard
    rows: str | None  #: where to write the scores of its rows


Outcome = bytes | Failed
Run = Callable[[Job, Iterable[Task]], Iterator[tuple[Task, Outcome]]]


def has_dask() -> bool:
    """Whether Dask's workers are installed."""
    return importlib.util.find_spec("distributed") is not None


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def here() -> Iterator[Run]:
    """One shard after the other in this process."""

    def run(job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        for task in tasks:
            yield task, score_shard(job, task.shard, task.rows)

    yield run


@contextlib.contextmanager
def local_workers(number: int) -> Iterator[Run]:
    """Processes on this machine, which share its processors."""
    distributed = _dask()
    import dask

    threads = str(max(1, get_num_threads() // number))
    names = ("SOFTMAXLOSS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # No shard waits at a worker: it would be blamed, too, for the end of the worker.
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0}),
        distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,  # of a lost worker, whose shard is scored again
            memory_limit=0,  # blocks bound it already
            env=dict.fromkeys([*names, "MKL_NUM_THREADS"], threads),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield _on(client)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Run]:
    """The workers of the scheduler at an address. They must see the same files by the same names.

    Raises:
        OptionError: there is no such scheduler, or its workers cannot score.
    """
    distributed = _dask()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    where = shorten(address, 100)
    try:
        client = distributed.Client(address, timeout=_WAIT)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
        raise OptionError(f"no scheduler of Dask at {where}: {first_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except OSError:
            raise OptionError(f"the scheduler at {where} has no workers") from None
        try:
            client.submit(processors, pure=False).result()
        except Exception as error:
            raise OptionError(
                f"the workers of {where} cannot run softmaxloss: {first_line(error)}"
            ) from None
        yield _on(client)


def _dask() -> Any:
    try:
        import distributed
    except ImportError:
        raise OptionError(f"workers need Dask: {INSTALL}") from None
    return distributed


def _on(client: Any) -> Run:
    """Scoring by the workers of a client."""
    import distributed

    as_completed: Any = distributed.as_completed

    def run(job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        waiting, known = iter(tasks), dict[str, Task]()

        def submitted(number: int) -> list[Any]:
            futures = []
            for task in itertools.islice(waiting, number):
                future = client.submit(score_shard, job, task.shard, task.rows, pure=False)
                known[future.key] = task
                futures.append(future)
            return futures

        running = as_completed(submitted(_AT_ONCE))
        for future in running:
            task = known.pop(future.key)
            outcome = _outcome(future, task)
            future.release()
            yield task, outcome
            for new in submitted(1):
                running.add(new)

    return run


def _outcome(future: Any, task: Task) -> Outcome:
    from distributed.scheduler import KilledWorker

    if future.cancelled():  # not "lost": with the worker that had it, and then it is made again
        raise OptionError("the connection to the scheduler of Dask is lost")
    try:
        outcome: Outcome = future.result()
        return outcome
    except KilledWorker:
        lost = plural(_attempts(), "worker")
        return Failed(
            f"{shorten(task.shard.logits, 4096)}: {lost} ended while scoring it, as they do when "
            "memory runs out"
        )


def _attempts() -> int:
    import dask

    return 1 + int(dask.config.get("distributed.scheduler.allowed-failures"))
