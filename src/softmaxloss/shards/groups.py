"""How many shards one task of Dask scores: it costs some 10 ms beside them."""

from collections import deque
from collections.abc import Iterable

from .job import Task

_LONGEST, _SHORTEST = 0.5, 0.05  # seconds that a group takes
_EACH = 2  # groups of each worker that what is left would make


class Groups:
    """Tasks in groups of the size that takes `_LONGEST`, as far as it is known how long the last
    ones took; smaller ones at the end, so that all workers end together.

    >>> from .job import Shard
    >>> tasks = [Task(n, Shard(f"{n}.npy"), 1000, "", None, False) for n in range(9)]
    >>> groups = Groups(tasks)
    >>> [task.number for task in groups.take(workers=1)]
    [0]
    >>> groups.learn(1000, seconds=0.2)
    >>> [[task.number for task in groups.take(workers=1)] for _ in range(3)]
    [[1, 2], [3, 4], [5, 6]]
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = deque(tasks)
        self._left = sum(task.size for task in self._tasks)
        self._bytes = self._seconds = 0.0

    def learn(self, size: int, seconds: float) -> None:
        """Take in how long a group of so many bytes took. The last ones count most."""
        self._bytes, self._seconds = self._bytes / 2 + size, self._seconds / 2 + seconds

    def take(self, workers: int) -> list[Task]:
        """The next group; empty at the end."""
        rate = self._bytes / self._seconds if self._seconds else 0.0
        share = self._left / (_EACH * max(1, workers))
        most = max(min(share, _LONGEST * rate), _SHORTEST * rate)
        group, size = list[Task](), 0
        while self._tasks and (not group or size + self._tasks[0].size <= most):
            group.append(self._tasks.popleft())
            size += group[-1].size
        self._left -= size
        return group
