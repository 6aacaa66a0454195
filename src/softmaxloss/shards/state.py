"""The folder of finished shards, from which an interrupted run goes on.

A finished shard is known by a digest of what its result depends on: the options, and of each of its
files the size, the time of the last change, and the first and last 64 KiB. To read all of a file
would take as long as scoring it; its end tells formats apart that have their table of contents
there (.parquet, .npz), and the time tells every usual way of changing a file. Names are not in the
digest: files may be moved together with the folder.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from ..files import FileError
from ..files.atomic import atomic_write, writing
from .job import Job, Shard, Task
from .sums import Facts, Sums, unpack

_FORMAT = 3  # of what is kept
_END = 1 << 16  # bytes


class State(contextlib.AbstractContextManager["State"]):
    """The folder, which one run at a time uses.

    Args:
        folder: it is made where it does not exist; None: a temporary one, which is removed.
        keep_after: whether it stays when all is done.

    Raises:
        FileError: it cannot be made, or another run uses it.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, *, keep_after: bool = False) -> None:
        self.resumable, self._keep = folder is not None, keep_after
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="softmaxloss-"))
        else:
            self.folder = Path(folder).absolute()
            if self.folder.exists() and not self.folder.is_dir():
                raise FileError(folder, "is a file; name a folder")
            with writing(folder):
                self.folder.mkdir(parents=True, exist_ok=True)
        with writing(self.folder):
            self._lock = open(self.folder / "lock", "w")  # noqa: SIM115 (closed by __exit__)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise FileError(self.folder, "is in use by another run; wait for its end") from None
        for left in self.folder.glob(".*.part"):  # of a run that was killed
            left.unlink(missing_ok=True)
        self._complete, self._forgotten = False, list[str]()

    def complete(self) -> None:
        """All is done: what is kept is no longer needed, unless it is to stay."""
        self._complete = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for key in self._forgotten:
            (self.folder / f"{key}.sums").unlink(missing_ok=True)
        empty = not any(self.folder.glob("*.sums"))
        if not self.resumable or (not self._keep and (self._complete or empty)):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def rows(self, key: str) -> Path:
        """The file with the scores of a shard's rows."""
        return self.folder / f"{key}.rows"

    def read(self, job: Job, key: str, *, with_rows: bool) -> tuple[Facts, Sums] | None:
        """What is known of a finished shard; None where nothing is kept or it is damaged."""
        try:
            found = unpack(job, (self.folder / f"{key}.sums").read_bytes())
        except (OSError, ValueError):
            return None
        return found if self.has(key, with_rows=with_rows) else None

    def has(self, key: str, *, with_rows: bool) -> bool:
        """Whether something is kept of a shard."""
        sums = self.folder / f"{key}.sums"
        return sums.exists() and (not with_rows or self.rows(key).exists())

    def forget(self, key: str) -> None:
        """Do not keep what is known of a shard for other runs."""
        self._forgotten.append(key)


def rows_path(task: Task) -> Path:
    """Where the process that scores a shard writes the scores of its rows."""
    assert task.folder is not None
    return Path(task.folder, f"{task.key}.rows")


def save(task: Task, data: bytes) -> None:
    """Keep what is known of a shard, which is finished then."""
    assert task.folder is not None
    with atomic_write(path := Path(task.folder, f"{task.key}.sums")) as file, writing(path):
        file.write(data)


class Keys:
    """Digests of what the results of shards depend on, for one job."""

    def __init__(self, job: Job) -> None:
        options = asdict(job)
        if job.linear is not None:
            options["linear"] = [_stamp(job.linear.path), job.linear.key, job.linear.bias_key]
        options |= {"format": _FORMAT, "version": importlib.metadata.version("softmaxloss")}
        self._options = json.dumps(options, sort_keys=True)

    def of(self, shard: Shard) -> str:
        """The digest of one shard. Raises OSError where a file of it cannot be read."""
        files = [(shard.logits, 0, None), *(part or (None, 0, None) for part in shard[1:])]
        stamps = [path and [_stamp(path), first, rows] for path, first, rows in files]
        text = json.dumps([self._options, stamps])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _stamp(path: str) -> list[object]:
    """What tells whether a file is the same as before."""
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        ends = hashlib.blake2b(file.read(_END), digest_size=16)
        file.seek(max(0, info.st_size - _END))
        ends.update(file.read(_END))
    return [info.st_size, info.st_mtime_ns, ends.hexdigest()]
