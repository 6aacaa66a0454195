"""One file of labels, or of ids, for all files of logits: each has the rows that follow those of
the files before it."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat

from ..files import FileError, open_logits
from ..text import plural
from .job import Job, Part, Shard
from .paths import paired
from .scoring import ids_of_all, labels_of_all, layer_of


def shards_of(
    logits: Sequence[str],
    labels: Sequence[str] | None,
    ids: Sequence[str] | None,
    job: Job,
) -> list[Shard]:
    """The shards of files of logits, in their order.

    Args:
        logits: the files.
        labels: one for each, or one for all; None where each file of logits holds its own.
        ids: one for each, or one for all; None: there are none, or with `job.ids_key` each file of
            logits holds its own.
        job: what is asked of them, by which the rows are counted.

    Raises:
        FileError: another number of files, or names that do not fit. Of one file for all: another
            number of rows; a file of logits whose rows cannot be counted.
    """
    one = len(logits) > 1 and any(files is not None and len(files) == 1 for files in (labels, ids))
    ids_beside = ids is None and job.ids_key is not None
    counted = _Rows(logits, labels, ids, job) if one else None
    y = _parts(logits, labels, "labels", counted)
    names = map(Part, logits) if ids_beside else _parts(logits, ids, "ids", counted)
    return [Shard(*row) for row in zip(logits, y, names, strict=True)]


def _parts(
    logits: Sequence[str], files: Sequence[str] | None, what: str, counted: "_Rows | None"
) -> Iterator[Part | None]:
    """What belongs to each file of logits."""
    if files is None:
        return repeat(None, len(logits))
    if counted is None or len(files) > 1:
        return map(Part, paired(logits, files, what))
    return counted.parts(files[0], what)


def _one_of(files: Sequence[str] | None, k: int) -> Part | None:
    """That of the file of logits number k, or the one for all."""
    return None if files is None else Part(files[min(k, len(files) - 1)])


class _Rows:
    """How many rows each file of logits has. They stand in the heads of files; only text has to be
    read."""

    def __init__(
        self,
        logits: Sequence[str],
        labels: Sequence[str] | None,
        ids: Sequence[str] | None,
        job: Job,
    ) -> None:
        self._job, self._names = job, job.classes
        self._rows = [
            self._count(Shard(path, _one_of(labels, k), _one_of(ids, k)))
            for k, path in enumerate(logits)
        ]

    def _count(self, shard: Shard) -> int:
        key, apart, linear = self._job.logits_key, self._job.apart(shard), layer_of(self._job)
        with open_logits(shard.logits, key=key, apart=apart, linear=linear) as source:
            if self._names is None and source.class_names is not None:
                self._names = tuple(source.class_names)
            rows = source.shape[0]
            return sum(len(z) for _, z in source.blocks()) if rows is None else rows

    def parts(self, path: str, what: str) -> Iterator[Part]:
        """The rows of one file for each file of logits."""
        if what == "labels":
            given = len(labels_of_all(self._job, path, self._names))
        else:
            given = len(ids_of_all(self._job, path))
        rows = sum(self._rows)
        if given != rows:
            raise FileError(
                path,
                f"has {given} {what} for the {plural(rows, 'row')} of {len(self._rows)} files of "
                "logits: give as many, or one file for each",
            )
        firsts = accumulate(self._rows, initial=0)
        return map(Part, repeat(path), firsts, self._rows)
