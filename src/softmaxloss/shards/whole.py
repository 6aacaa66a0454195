"""Scoring all shards, their results together, and the files that are written."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import OptionError
from ..explanation.set_sums import SetSums
from ..files import FileError, open_scores, read_ids
from ..files.writers import file_of
from ..text import few, first_line, plural, shorten
from ..totals import Example, Totals
from .job import Facts, Failed, Job, Shard, facts_of, sums_of
from .rows import read_rows
from .state import Keys, State
from .workers import Run, Task

Sums = Totals | SetSums

_TOGETHER = 32  # shards that are merged at a time


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
        options |= {"files": self.files, "ids": _Ids(self.done) if last.shard.ids else None}
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open_scores(out, rows, **options)) for out in outputs]
            for one in self.done:
                for start, labels, scores in read_rows(state.rows(one.key)):
                    for file in files:
                        file.append(one.first_row + start, labels, scores)


class _Ids:
    """The ids of all rows; those of one shard at a time are held."""

    def __init__(self, done: Sequence[Done]) -> None:
        self._left = iter([one for one in done if one.facts.rows])
        self._first, self._held = 0, list[str]()

    def __getitem__(self, rows: slice) -> list[str]:
        """Of some rows of one shard; shards come in order, each for every file that is written."""
        while rows.start >= self._first + len(self._held):
            one = next(self._left)
            assert one.shard.ids is not None
            self._first, self._held = one.first_row, read_ids(one.shard.ids, one.facts.rows)
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
    failed = dict[Shard, Failed]()

    def fails(shard: Shard, why: Failed) -> None:
        failed[shard] = why
        if strict:
            raise ShardError(why.reason)

    keys, known = Keys(job), dict[Shard, str]()
    for shard in shards:
        try:
            known[shard] = keys.of(shard)
        except OSError as error:
            name = shorten(str(error.filename or shard.logits), 4096)
            fails(shard, Failed(f"{name}: {error.strerror or first_line(error)}"))
    todo = [
        Task(key, shard, str(state.rows(key)) if with_rows else None)
        for shard, key in known.items()
        if not state.finished(key, with_rows=with_rows)
    ]
    reused = len(known) - len(todo)
    sizes = {shard: keys.size(shard) for shard in known}
    left, whole = sum(sizes[task.shard] for task in todo), sum(sizes.values())
    if todo:
        with run(len(todo), left) as scored:
            for task, outcome in scored(job, todo):
                why = _kept(outcome, task, keys, state) if isinstance(outcome, bytes) else outcome
                if why is not None:
                    del known[task.shard]
                    fails(task.shard, why)
                left -= sizes[task.shard]
                if on_progress is not None:
                    on_progress(whole - left, whole)
    done = [Done(shard, key, facts_of(state.read(key)), 0) for shard, key in known.items()]
    done = [*_numbered(_alike(done, fails))]
    if not done:
        raise ShardError(
            f"none of {plural(len(shards), 'file')} could be scored: "
            f"{next(iter(failed.values())).reason}"
        )
    sums = _merged(job, state, done)
    totals = sums if isinstance(sums, Totals) else sums.totals
    ids = _called(done, totals.top)
    if not isinstance(sums, Totals):
        sums = replace(sums, ids=ids)
    in_order = {shard: failed[shard] for shard in shards if shard in failed}
    return Whole(sums, done, in_order, reused, ids)


def _kept(outcome: bytes, task: Task, keys: Keys, state: State) -> Failed | None:
    """Keep the result of a shard; or why not."""
    with contextlib.suppress(OSError):
        if keys.of(task.shard) == task.key:
            if task.rows is not None and not state.rows(task.key).exists():
                raise OptionError(
                    f"the workers do not write to {state.folder}, as it is seen here: the folder "
                    "of --out and --resume must be one that all of them share"
                )
            state.save(task.key, outcome)
            return None
    return Failed(f"{shorten(task.shard.logits, 4096)}: changed while it was scored")


def _alike(done: Sequence[Done], fails: Callable[[Shard, Failed], None]) -> Iterator[Done]:
    """The shards with the classes that most of them have."""
    kinds = Counter((one.facts.classes, one.facts.names) for one in done)
    for one in done:
        kind, usual = (one.facts.classes, one.facts.names), kinds.most_common(1)[0][0]
        if kind == usual:
            yield one
            continue
        name = shorten(one.shard.logits, 4096)
        why = f"{name}: has {_described(*kind)}; most files have {_described(*usual)}"
        fails(one.shard, Failed(why))


def _described(classes: int, names: Sequence[str] | None) -> str:
    listed = "without names" if names is None else few([shorten(name, 20) for name in names])
    return f"{plural(classes, 'class')} ({listed})"


def _numbered(done: Iterable[Done]) -> Iterator[Done]:
    """The shards with the numbers of their first rows."""
    first = 0
    for one in done:
        yield replace(one, first_row=first)
        first += one.facts.rows


def _merged(job: Job, state: State, done: Sequence[Done]) -> Sums:
    """The sums of all shards."""
    whole: Any = None
    for start in range(0, len(done), _TOGETHER):
        parts: list[Any] = [] if whole is None else [whole]
        for one in done[start : start + _TOGETHER]:
            try:
                sums = sums_of(job, state.read(one.key))
            except ValueError:
                raise FileError(
                    state.folder, f"{one.key}.sums is damaged: remove it, and run again"
                ) from None
            sums.renumber(one.first_row)
            parts.append(sums)
        whole = parts[0].merge(*parts[1:])
    merged: Sums = whole
    return merged


def _called(done: Sequence[Done], top: Iterable[Example]) -> dict[int, str]:
    """What examples are called, by row."""
    files = [(one.first_row, one) for one in done]
    called = {}
    for example in top:
        one, row = file_of(files, example.row)
        called[example.row] = one.facts.ids.get(row, f"{one.shard.logits}:{row}")
    return called
