"""Scoring one shard, and a group of them."""

import contextlib
import functools
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..arrays import Array
from ..errors import LabelError, OptionError
from ..explanation.set_sums import add_up
from ..files import FileError, Linear, TargetFile, open_logits, read_ids, read_target
from ..files.errors import WriteError
from ..files.evaluation import evaluate
from ..files.ids import read_all_ids
from ..files.linear import LinearFile
from ..text import first_line, plural, shorten
from ..totals import Totals
from .job import Failed, Job, Part, Shard, Task
from .rows import rows_file
from .state import rows_path, save
from .sums import Facts, Kind, Sums, Together, pack


class Group(NamedTuple):
    """What some shards were scored to."""

    outcomes: list[Facts | Failed]  #: of each
    sums: dict[Kind, Sums]  #: of all that did not fail, together
    seconds: float  #: that it took


def score_group(job: Job, tasks: list[Task]) -> Group:
    """Score some shards, one after the other, and keep what is known of each as it is finished.

    Raises:
        OptionError: the folder in which to keep it is not there.
        WriteError: nothing can be written to it.
    """
    began = time.perf_counter()
    outcomes, together = list[Facts | Failed](), Together()
    for task in tasks:
        if task.folder is not None and not os.path.isdir(task.folder):
            raise OptionError(
                f"the workers do not see {shorten(task.folder, 4096)}: the folder of --out and "
                "--resume must be one that all of them share"
            )
        scored = score_shard(job, task.shard, rows_path(task) if task.with_rows else None)
        if isinstance(scored, Failed):
            outcomes.append(scored)
            continue
        facts, sums = scored
        if task.folder is not None:
            save(task, pack(facts, sums))
        together.add_shard(task.number, facts, sums)
        outcomes.append(facts)
    return Group(outcomes, together.result(), time.perf_counter() - began)


def score_shard(job: Job, shard: Shard, scores: Path | None) -> tuple[Facts, Sums] | Failed:
    """Score one shard.

    Args:
        job: what is asked.
        shard: the files.
        scores: where to write the scores of the rows; None: nowhere.

    Returns:
        What is known of it, with rows from 0. `Failed` for any error of these files, which does
        not stop the others.

    Raises:
        WriteError: the scores cannot be written.
    """
    logits = shorten(shard.logits, 4096)
    try:
        before = [*map(_stamp, shard.files)]
        scored = _score(job, shard, scores)
        if [*map(_stamp, shard.files)] != before:
            return Failed(f"{logits}: changed while it was scored")
        return scored
    except WriteError:  # of the scores of its rows: those of other shards would fail likewise
        raise
    except LabelError as error:
        return Failed(f"{_called(shard.labels) or logits}: {error}")
    except FileError as error:
        return Failed(str(error))
    except MemoryError:
        return Failed(f"{logits}: not enough memory")
    except Exception as error:  # the files are not ours: what is wrong with one may be anything
        return Failed(f"{logits}: {first_line(error)}")


def _called(part: Part | None) -> str:
    """The name of a file of labels, and from where on it is counted."""
    if part is None:
        return ""
    name = shorten(part.path, 4096)
    return name if part.rows is None else f"{name}, from row {part.first} on"


def _score(job: Job, shard: Shard, scores: Path | None) -> tuple[Facts, Sums]:
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_logits(
                shard.logits,
                key=job.logits_key,
                apart=job.apart(shard),
                from_probabilities=job.from_probabilities,
                linear=layer_of(job),
            )
        )
        names, classes = job.classes or source.class_names, source.shape[1]
        if names is not None and len(names) != classes:
            raise FileError(
                shard.logits, f"has {plural(classes, 'class')}, for {plural(len(names), 'name')}"
            )
        names = None if names is None else tuple(names)
        known = _target(job, shard, names)
        rows, soft = known.shape[0], isinstance(known, TargetFile)
        ids = None if shard.ids is None else ids_of(job, shard.ids, rows)
        writers = [] if scores is None else [stack.enter_context(rows_file(scores, rows))]
        options: Any = {"ignore_index": job.ignore_index, "first_class": job.first_class}
        options |= {"scores": writers, "top": job.top}
        sums: Sums
        if not job.explained:
            sums = evaluate(source, known, **options)
        else:
            sums = add_up(source, known, **options)
    totals = sums if isinstance(sums, Totals) else sums.totals
    listed = {} if ids is None else {e.row: ids[e.row] for e in totals.top}
    if not isinstance(sums, Totals):
        sums = replace(sums, ids=dict(listed))
    return Facts(rows, classes, names, soft, tuple(source.left_out), listed), sums


def _target(job: Job, shard: Shard, names: tuple[str, ...] | None) -> Array | TargetFile:
    """The labels of a shard."""
    part = shard.labels
    if part is not None and part.rows is not None:
        return labels_of_all(job, part.path, names)[part.first : part.first + part.rows]
    return read_target(
        shard.logits if part is None else part.path,
        key=job.labels_key,
        classes=names,
        first_class=job.first_class,
        beside_logits=part is None,
    )


def ids_of(job: Job, part: Part, rows: int) -> list[str]:
    """The ids of the rows of a shard."""
    if part.rows is None:
        return read_ids(part.path, rows, key=job.ids_key)
    return ids_of_all(job, part.path)[part.first : part.first + part.rows]


def ids_of_all(job: Job, path: str) -> list[str]:
    """The ids of the rows of all shards, in one file."""
    return _ids(path, job.ids_key, _stamp(path))


def labels_of_all(job: Job, path: str, names: tuple[str, ...] | None) -> Array:
    """The labels of all shards, in one file.

    Raises:
        FileError: as `read_target`; or it holds probabilities.
    """
    return _labels(path, job.labels_key, names, job.first_class, _stamp(path))


# What a process reads once for all of its shards, and again when the file has changed.


@functools.lru_cache(maxsize=1)
def _labels(
    path: str, key: str | None, names: tuple[str, ...] | None, first_class: int, _: object
) -> Array:
    labels = read_target(path, key=key, classes=names, first_class=first_class)
    if isinstance(labels, TargetFile):
        raise FileError(path, "holds probabilities: give one file of them for each file of logits")
    return labels


@functools.lru_cache(maxsize=1)
def _ids(path: str, key: str | None, _: object) -> list[str]:
    return read_all_ids(path, key)


@functools.lru_cache(maxsize=1)
def _layer(file: LinearFile, _: object) -> Linear:
    return file.read()


def layer_of(job: Job) -> Linear | None:
    """The last layer, where the files hold hidden states."""
    return None if job.linear is None else _layer(job.linear, _stamp(job.linear.path))


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when a file is written to or replaced; () where there is none."""
    with contextlib.suppress(OSError):
        info = os.stat(path)
        return info.st_ino, info.st_size, info.st_mtime_ns
    return ()
