"""Where shards are scored: in this process, by local processes of Dask, by one of its clusters.

Dask is imported where it is used alone. When a worker is lost, Dask scores its shard elsewhere.
"""

import contextlib
import importlib.util
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import OptionError
from ..kernels.threads import get_num_threads
from ..text import first_line, plural, shorten
from .groups import Groups
from .job import Failed, Job, Task
from .scoring import Group, score_group

INSTALL = "pip install 'softmaxloss[dask]'"

_WAIT = 30  # seconds for a cluster, and for the first of its workers
_SECONDS = 1  # after which is asked again how many workers there are
_PATIENCE = 60  # seconds for the first of the workers of this machine to come back
_WAITING = 2  # groups for each worker that a scheduler knows: the next one waits at the worker

#: Scores tasks in groups, and gives each with what became of it, in any order.
Run = Callable[[Job, Iterable[Task]], Iterator[tuple[list[Task], Group]]]


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

    def run(job: Job, tasks: Iterable[Task]) -> Iterator[tuple[list[Task], Group]]:
        for task in tasks:
            yield [task], score_group(job, [task])

    yield run


@contextlib.contextmanager
def local_workers(number: int) -> Iterator[Run]:
    """Processes on this machine, which share its processors."""
    distributed = _dask()
    import dask

    threads = max(1, get_num_threads() // number)
    settings: dict[str, Any] = {
        # Patience with a machine that is busy.
        "distributed.comm.timeouts.connect": "300s",
        "distributed.comm.timeouts.tcp": "300s",
        # What Dask watches takes 2 % of a processor in each process, and is shown nowhere.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(_environment_of_children(threads))
        stack.enter_context(dask.config.set(settings))
        cluster = distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # of the workers
            memory_limit=0,  # blocks bound it already
            preload=[__name__],  # runs `dask_setup`
        )
        stack.callback(_close, cluster)
        client = distributed.Client(cluster)
        stack.callback(_close, client)
        yield _on(client, elsewhere=False)


def dask_setup(_: Any) -> None:
    """Let a process that is started leave Ctrl-C, which a terminal sends to all, to this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
def _environment_of_children(threads: int) -> Iterator[None]:
    """Let processes that are started use so many threads each, and keep the memory of a block for
    the next one. Libraries read that from the environment when they are loaded; Dask, too, changes
    it and leaves it so."""
    before = dict(os.environ)
    names = ("SOFTMAXLOSS", "OMP", "OPENBLAS", "MKL")
    os.environ.update({f"{name}_NUM_THREADS": str(threads) for name in names})
    # Dask lets glibc return all memory at once: to get that of each block anew takes a fifth of
    # the time of scoring it. 32 MB is the largest that glibc keeps.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 25))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 28))
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


class _Workers:
    """How many tasks the workers of a client, which may come and go, run at a time."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._asked, self._known, self._seen = -math.inf, 0, time.monotonic()

    def count(self) -> int:
        """At least 1, which waits for a worker where there is none."""
        now = time.monotonic()
        if now > self._asked + _SECONDS:
            self._asked, self._known = now, sum(self._client.nthreads().values())
            self._seen = now if self._known else self._seen
        return max(1, self._known)

    def require(self) -> None:
        """Raise where there has been none for long: Dask does not start one anew that ends while
        it starts."""
        self.count()
        if time.monotonic() > self._seen + _PATIENCE:
            raise OptionError("all workers ended, and none came back")


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

    def run(job: Job, tasks: Iterable[Task]) -> Iterator[tuple[list[Task], Group]]:
        job = job.absolute() if elsewhere else job
        groups, known = Groups(tasks), dict[str, list[Task]]()
        running = as_completed(with_results=True, raise_errors=False)
        workers = _Workers(client)

        def submit(group: list[Task]) -> None:
            here = [task.absolute() for task in group] if elsewhere else group
            future = client.submit(score_group, job, here, pure=False)
            known[future.key] = group
            running.add(future)

        def submit_more() -> None:
            number = workers.count()
            while len(known) < _WAITING * number and (group := groups.take(number)):
                submit(group)

        def completed() -> Iterator[tuple[list[Task], Group | None]]:
            while known:
                while not running.has_ready():
                    time.sleep(0.002)
                    if not elsewhere:  # a cluster may be without workers for a while
                        workers.require()
                future, result = next(running)
                group, scored = known.pop(future.key), _outcome(result)
                future.release()
                if scored is not None:
                    groups.learn(sum(task.size for task in group), scored.seconds)
                submit_more()
                yield group, scored

        submit_more()
        suspects = list[Task]()
        for group, scored in completed():
            if scored is None:
                suspects += group
            else:
                yield group, scored
        # Again, each alone: one of them ended the workers that had the group, or none did.
        for suspect in suspects:
            submit([suspect])
            for group, scored in completed():
                yield group, _killed(suspect) if scored is None else scored

    return run


def _outcome(result: Any) -> Group | None:
    """What Dask says of a task; None where workers ended while they had it."""
    from distributed.scheduler import KilledWorker

    if isinstance(result, Group):
        return result
    if not isinstance(result, tuple):
        raise OptionError("the connection to the scheduler of Dask is lost")
    _, error, _ = result
    if isinstance(error, KilledWorker):
        return None
    raise error


def _killed(task: Task) -> Group:
    import dask

    ended = 1 + int(dask.config.get("distributed.scheduler.allowed-failures"))
    why = Failed(
        f"{shorten(task.shard.logits, 4096)}: {plural(ended, 'worker')} ended while scoring it, as "
        "they do when memory runs out"
    )
    return Group([why], {}, 0.0)
