"""Scoring all shards, their results together, and the files that are written."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import OptionError
from ..files import open_scores
from ..files.writers import file_of
from ..text import few, first_line, plural, shorten
from ..totals import Example, Totals
from .job import Failed, Job, Shard, Task
from .rows import read_rows
from .scoring import ids_of
from .state import Keys, State
from .sums import Facts, Kind, Sums, Together, number_on
from .workers import Run


class ShardError(ValueError):
    """A shard that cannot be scored ends the run."""


@dataclass(frozen=True)
class Done:
    """A scored shard: its files, where `State` keeps its result, and the number of its first row
    among those of all shards."""

    shard: Shard
    key: str
    facts: Facts
    first_row: int


@dataclass(frozen=True)
class Whole:
    """All shards that could be scored, together.

    Attributes:
        sums: of all rows, which are numbered on from shard to shard; with `Job.explained` also the
            sums of gradients.
        done: the scored shards, in order.
        failed: the others, and why.
        reused: how many of the scored ones are those of an earlier run.
        ids: what the examples with the highest loss are called, by row: as in the files of ids,
            else by file and row.
    """

    sums: Sums
    done: list[Done]
    failed: dict[Shard, Failed]
    reused: int
    ids: dict[int, str]

    @property
    def totals(self) -> Totals:
        return self.sums if isinstance(self.sums, Totals) else self.sums.totals

    @property
    def facts(self) -> Facts:
        """Those of the first shard; its classes are those of all."""
        return self.done[0].facts

    @property
    def files(self) -> list[tuple[int, str]]:
        """The number of the first row and the name of each file of logits, in order."""
        return [(one.first_row, one.shard.logits) for one in self.done]

    @property
    def soft(self) -> bool:
        """Whether labels are probabilities."""
        return any(one.facts.soft for one in self.done)

    def place(self, row: int) -> tuple[Shard, int]:
        """The shard of a row of all, and its number there."""
        return file_of([(one.first_row, one.shard) for one in self.done], row)

    def write(self, outputs: Iterable[str], job: Job, state: State) -> None:
        """Write the scores of all rows to files, each of which appears when it is complete."""
        last = self.done[-1]
        rows, names = last.first_row + last.facts.rows, job.classes or self.facts.names
        options: dict[str, Any] = {"classes": names, "first_class": job.first_class}
        options |= {"files": self.files, "ids": _Ids(self.done, job) if last.shard.ids else None}
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open_scores(out, rows, **options)) for out in outputs]
            for one in self.done:
                for start, labels, scores in read_rows(state.rows(one.key)):
                    for file in files:
                        file.append(one.first_row + start, labels, scores)


class _Ids:
    """The ids of all rows; those of one shard at a time are held."""

    def __init__(self, done: Sequence[Done], job: Job) -> None:
        self._job = job
        self._left = iter([one for one in done if one.facts.rows])
        self._first, self._held = 0, list[str]()

    def __getitem__(self, rows: slice) -> list[str]:
        """Of some rows of one shard; shards come in order, each for every file that is written."""
        while rows.start >= self._first + len(self._held):
            one = next(self._left)
            assert one.shard.ids is not None
            self._first = one.first_row
            self._held = ids_of(self._job, one.shard.ids, one.facts.rows)
        return self._held[rows.start - self._first : rows.stop - self._first]


def score_shards(
    shards: Sequence[Shard],
    job: Job,
    state: State,
    run: Callable[[int, int], contextlib.AbstractContextManager[Run]],
    *,
    with_rows: bool = False,
    strict: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Whole:
    """Score the shards that `state` does not have, and put all together.

    Args:
        shards: in the order in which their rows are numbered.
        job: what is asked of each.
        state: where finished shards are kept.
        run: for the number of shards to score and of their bytes, where to score them: see
            `workers`.
        with_rows: whether the scores of each row are kept, for `Whole.write`.
        strict: whether the first shard that fails ends the run.
        on_progress: called with (done, total) in bytes after each shard.

    Raises:
        ShardError: no shard can be scored; with `strict`, one cannot.
    """
    failed = dict[int, Failed]()

    def fails(number: int, why: Failed) -> None:
        failed[number] = why
        if strict:
            raise ShardError(why.reason)

    keep = state.resumable or with_rows
    folder = os.fspath(state.folder) if keep else None
    keys = Keys(job) if keep else None
    together, facts = Together(), dict[int, Facts]()
    todo, known = list[Task](), dict[int, str]()
    whole = left = 0
    for number, shard in enumerate(shards):
        try:
            key, size = keys.of(shard) if keys else "", os.path.getsize(shard.logits)
        except OSError as error:
            name = shorten(str(error.filename or shard.logits), 4096)
            fails(number, Failed(f"{name}: {error.strerror or first_line(error)}"))
            continue
        known[number], whole = key, whole + size
        if keys and (kept := state.read(job, key, with_rows=with_rows)) is not None:
            facts[number] = kept[0]
            together.add_shard(number, *kept)
        else:
            todo.append(Task(number, shard, size, key, folder, with_rows))
            left += size
    reused = len(facts)
    if todo:
        with run(len(todo), left) as scored:
            for tasks, group in scored(job, todo):
                for kind, sums in group.sums.items():
                    together.add(kind, sums)
                for task, outcome in zip(tasks, group.outcomes, strict=True):
                    left -= task.size
                    if isinstance(outcome, Failed):
                        fails(task.number, outcome)
                        continue
                    facts[task.number] = outcome
                    if keys:
                        _require_kept(task, keys, state)
                if on_progress is not None:
                    on_progress(whole - left, whole)
    usual = _usual(facts)
    for number in sorted(facts):
        if (kind := facts[number].kind) != usual:
            name = shorten(shards[number].logits, 4096)
            why = f"{name}: has {_described(*kind)}; most files have {_described(*usual)}"
            fails(number, Failed(why))
            del facts[number]
    if not facts:
        raise ShardError(
            f"none of {plural(len(shards), 'file')} could be scored: {failed[min(failed)].reason}"
        )
    done, first_rows, first = list[Done](), [0] * len(shards), 0
    for number in sorted(facts):
        done.append(Done(shards[number], known[number], facts[number], first))
        first_rows[number], first = first, first + facts[number].rows
    sums = together.result()[usual]
    number_on(sums, first_rows)
    totals = sums if isinstance(sums, Totals) else sums.totals
    ids = _called(done, totals.top)
    if not isinstance(sums, Totals):
        sums = replace(sums, ids=ids)
    return Whole(sums, done, {shards[n]: failed[n] for n in sorted(failed)}, reused, ids)


def _require_kept(task: Task, keys: Keys, state: State) -> None:
    """Raise where a worker has kept the result of a shard in a folder that is not this one. Another
    run shall not use it where the shard was changed before it was scored."""
    if not state.has(task.key, with_rows=task.with_rows):
        raise OptionError(
            f"the workers do not write to {state.folder}, as it is seen here: the folder of --out "
            "and --resume must be one that all of them share"
        )
    with contextlib.suppress(OSError):
        if keys.of(task.shard) == task.key:
            return
    state.forget(task.key)


def _usual(facts: Mapping[int, Facts]) -> Kind:
    """The classes that most shards have."""
    kinds = Counter(facts[number].kind for number in sorted(facts))
    return kinds.most_common(1)[0][0] if kinds else (0, None)


def _described(classes: int, names: Sequence[str] | None) -> str:
    listed = "without names" if names is None else few([shorten(name, 20) for name in names])
    return f"{plural(classes, 'class')} ({listed})"


def _called(done: Sequence[Done], top: Iterable[Example]) -> dict[int, str]:
    """What examples are called, by row."""
    files = [(one.first_row, one) for one in done]
    called = {}
    for example in top:
        one, row = file_of(files, example.row)
        called[example.row] = one.facts.ids.get(row, f"{one.shard.logits}:{row}")
    return called
