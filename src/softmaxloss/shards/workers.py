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

    threads = max(1, get_num_threads() // number)
    patience = {f"distributed.comm.timeouts.{kind}": "300s" for kind in ("connect", "tcp")}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(_threads_of_children(threads))
        stack.enter_context(dask.config.set(patience))  # with a machine that is busy
        cluster = distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # of the workers
            memory_limit=0,  # blocks bound it already
        )
        stack.callback(_close, cluster)
        client = distributed.Client(cluster)
        stack.callback(_close, client)
        yield _on(client, elsewhere=False)


def _close(opened: Any) -> None:
    """Close what is no longer needed: an error of that changes no result."""
    with contextlib.suppress(Exception):
        opened.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the messages of Dask, as about lost workers, whose shards are scored again."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _threads_of_children(number: int) -> Iterator[None]:
    """Let processes that are started use so many threads each. Libraries read that from the
    environment when they are loaded; Dask, too, changes it and leaves it so."""
    before = dict(os.environ)
    names = ("SOFTMAXLOSS", "OMP", "OPENBLAS", "MKL")
    os.environ.update({f"{name}_NUM_THREADS": str(number) for name in names})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Run]:
    """The workers of the scheduler at an address. They must see the same files by the same names.

    Raises:
        OptionError: there is no such scheduler, or its workers cannot score.
    """
    distributed = _dask()
    where = shorten(address, 100)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        try:
            client = distributed.Client(address, timeout=_WAIT)
        except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
            raise OptionError(f"no scheduler of Dask at {where}: {first_line(error)}") from None
        stack.callback(_close, client)
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
        yield _on(client, elsewhere=True)


def _dask() -> Any:
    try:
        import distributed
    except ImportError:
        raise OptionError(f"workers need Dask: {INSTALL}") from None
    return distributed


def _on(client: Any, *, elsewhere: bool) -> Run:
    """Scoring by the workers of a client. elsewhere: whether they may run in other folders."""
    import distributed

    as_completed: Any = distributed.as_completed

    def run(job: Job, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        job = job.absolute() if elsewhere else job
        waiting, known = iter(tasks), dict[str, Task]()
        suspects = list[Task]()

        def submitted(some: Iterable[Task]) -> list[Any]:
            futures = []
            for task in some:
                shard = task.shard.absolute() if elsewhere else task.shard
                future = client.submit(score_shard, job, shard, task.rows, pure=False)
                known[future.key] = task
                futures.append(future)
            return futures

        def completed(futures: list[Any]) -> Iterator[tuple[Task, Outcome | None]]:
            running = as_completed(futures, with_results=True, raise_errors=False)
            for future, result in running:
                yield known.pop(future.key), _outcome(result)
                future.release()
                for new in submitted(itertools.islice(waiting, 1)):
                    running.add(new)

        for task, outcome in completed(submitted(itertools.islice(waiting, _AT_ONCE))):
            if outcome is None:
                suspects.append(task)
            else:
                yield task, outcome
        # Again and alone: a shard that waits at a worker is blamed, too, for the worker's end.
        for suspect in suspects:
            for task, outcome in completed(submitted([suspect])):
                yield task, _killed(task) if outcome is None else outcome

    return run


def _outcome(result: Any) -> Outcome | None:
    """What Dask says of a task; None where workers ended while they had it."""
    from distributed.scheduler import KilledWorker

    if isinstance(result, bytes | Failed):
        return result
    if not isinstance(result, tuple):
        raise OptionError("the connection to the scheduler of Dask is lost")
    _, error, _ = result
    if isinstance(error, KilledWorker):
        return None
    raise error


def _killed(task: Task) -> Failed:
    import dask

    ended = 1 + int(dask.config.get("distributed.scheduler.allowed-failures"))
    return Failed(
        f"{shorten(task.shard.logits, 4096)}: {plural(ended, 'worker')} ended while scoring it, as "
        "they do when memory runs out"
    )
