"""What is asked of every shard, and the scoring of one."""

import contextlib
import functools
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..errors import LabelError
from ..explanation.set_sums import POOL, PushSums, SetSums, add_up
from ..files import FileError, Linear, TargetFile, open_logits, read_ids, read_target
from ..files.evaluation import evaluate
from ..files.linear import LinearFile
from ..text import first_line, plural, shorten
from ..totals import Totals
from ..totals.saved import fill, to_bytes
from .rows import rows_file


class Shard(NamedTuple):
    """The files of one shard."""

    logits: str
    labels: str | None = None  #: None: in the file of the logits
    ids: str | None = None

    @property
    def files(self) -> list[str]:
        return [path for path in self if path is not None]

    def absolute(self) -> "Shard":
        """With paths that do not depend on the folder of the process."""
        labels, ids = (path and os.path.abspath(path) for path in (self.labels, self.ids))
        return Shard(os.path.abspath(self.logits), labels, ids)


@dataclass(frozen=True)
class Job:
    """What is asked of every shard.

    Attributes:
        top: how many of the examples with the highest loss to keep.
        ignore_index, first_class: as in `evaluate`.
        explained: whether a page or plots will be made, which need sums of gradients, too.
        from_probabilities: whether the files hold probabilities.
        classes: the names of the classes; None for those in the files, if they have any.
        logits_key, labels_key: names of arrays or columns.
        linear: the last layer, where the files hold hidden states.
    """

    top: int = 10
    ignore_index: int = -100
    first_class: int = 0
    explained: bool = False
    from_probabilities: bool = False
    classes: tuple[str, ...] | None = None
    logits_key: str | None = None
    labels_key: str | None = None
    linear: LinearFile | None = None

    def absolute(self) -> "Job":
        """With paths that do not depend on the folder of the process."""
        if self.linear is None:
            return self
        path = os.path.abspath(self.linear.path)
        return replace(self, linear=self.linear._replace(path=path))


class Failed(NamedTuple):
    """A shard that could not be scored."""

    reason: str  #: one line that names the file


class _Sums:
    """The running sums of a shard, before its first row."""

    def __init__(self, job: Job, classes: int) -> None:
        top = max(job.top, POOL) if job.explained else job.top
        self.totals = Totals(
            classes,
            top=top,
            ignore_index=job.ignore_index,
            first_class=job.first_class,
            details=job.explained,
        )
        self.pushes = PushSums(classes, first_class=job.first_class) if job.explained else None


class Facts(NamedTuple):
    """What is known of a scored shard beside its sums."""

    rows: int
    classes: int
    names: tuple[str, ...] | None  #: of the classes
    soft: bool  #: whether the labels are probabilities
    left_out: tuple[str, ...]  #: columns that are no logits
    ids: dict[int, str]  #: of the examples with the highest loss, by row

    def to_line(self) -> bytes:
        return json.dumps(self).encode()  # a tuple, whose keys become text

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        rows, classes, names, soft, left_out, ids = json.loads(line)
        known = {int(row): id for row, id in ids.items()}
        names = None if names is None else tuple(names)
        return cls(rows, classes, names, soft, tuple(left_out), known)


def facts_of(data: bytes) -> Facts:
    """What `score_shard` says of the shard beside its sums."""
    return Facts.from_line(data.partition(b"\n")[0])


def sums_of(job: Job, data: bytes) -> SetSums | Totals:
    """The sums that `score_shard` made; with gradients where a page is made.

    Raises:
        ValueError: the bytes are damaged.
    """
    line, _, rest = data.partition(b"\n")
    facts = Facts.from_line(line)
    sums = _Sums(job, facts.classes)
    fill(sums, rest)
    if sums.pushes is None:
        return sums.totals
    return SetSums(sums.totals, sums.pushes, facts.ids, job.top)


def score_shard(job: Job, shard: Shard, scores: str | None) -> bytes | Failed:
    """Score one shard.

    Args:
        job: what is asked.
        shard: the files.
        scores: where to write the scores of the rows; None: nowhere.

    Returns:
        A line of facts and the sums, which `facts_of` and `sums_of` read. `Failed` for any error
        of these files, which does not stop the others.
    """
    try:
        return _score(job, shard, scores)
    except LabelError as error:
        return Failed(f"{shorten(shard.labels or shard.logits, 4096)}: {error}")
    except FileError as error:
        return Failed(str(error))
    except MemoryError:
        return Failed(f"{shorten(shard.logits, 4096)}: not enough memory")
    except Exception as error:  # the files are not ours: what is wrong with one may be anything
        return Failed(f"{shorten(shard.logits, 4096)}: {first_line(error)}")


@functools.lru_cache(maxsize=1)
def _linear(file: LinearFile) -> Linear:
    """The last layer, which a process reads once for all of its shards."""
    return file.read()


def _score(job: Job, shard: Shard, scores: str | None) -> bytes:
    beside = shard.labels is None
    apart = [job.labels_key] if beside and job.labels_key is not None else []
    linear = None if job.linear is None else _linear(job.linear)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_logits(
                shard.logits,
                key=job.logits_key,
                apart=apart,
                from_probabilities=job.from_probabilities,
                linear=linear,
            )
        )
        names, classes = job.classes or source.class_names, source.shape[1]
        if names is not None and len(names) != classes:
            raise FileError(
                shard.logits, f"has {plural(classes, 'class')}, for {plural(len(names), 'name')}"
            )
        known = read_target(
            shard.labels or shard.logits,
            key=job.labels_key,
            classes=names,
            first_class=job.first_class,
            beside_logits=beside,
        )
        rows, soft = known.shape[0], isinstance(known, TargetFile)
        ids = None if shard.ids is None else read_ids(shard.ids, rows)
        writers = [] if scores is None else [stack.enter_context(rows_file(Path(scores), rows))]
        sums = _Sums(job, classes)
        options: Any = {"ignore_index": job.ignore_index, "first_class": job.first_class}
        options |= {"scores": writers}
        if not job.explained:
            sums.totals = evaluate(source, known, top=job.top, **options)
        elif isinstance(known, TargetFile):
            raise FileError(
                known.path, "holds probabilities, and a page or plots need one class for each row"
            )
        else:
            added = add_up(source, known, top=job.top, **options)
            sums.totals, sums.pushes = added.totals, added.pushes
    listed = {} if ids is None else {e.row: ids[e.row] for e in sums.totals.top}
    names = None if names is None else tuple(names)
    facts = Facts(rows, classes, names, soft, tuple(source.left_out), listed)
    return facts.to_line() + b"\n" + to_bytes(sums)
