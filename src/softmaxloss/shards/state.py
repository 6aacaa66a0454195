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
import zipfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from ..files import FileError
from ..files.atomic import atomic_write, writing
from .job import Job, Shard

_FORMAT = 1  # of what is kept
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
        self._complete = False

    def complete(self) -> None:
        """All is done: what is kept is no longer needed, unless it is to stay."""
        self._complete = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        empty = not any(self.folder.glob("*.sums"))
        if not self.resumable or (not self._keep and (self._complete or empty)):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def rows(self, key: str) -> Path:
        """The file with the scores of a shard's rows."""
        return self.folder / f"{key}.rows"

    def finished(self, key: str, *, with_rows: bool) -> bool:
        """Whether a shard is scored, and what is kept of it is whole."""
        whole = zipfile.is_zipfile(
            self._sums(key)
        )  # of a file that is cut short the end is missing
        return whole and (not with_rows or self.rows(key).exists())

    def read(self, key: str) -> bytes:
        """What `score_shard` gave."""
        return self._sums(key).read_bytes()

    def save(self, key: str, data: bytes) -> None:
        """Keep what `score_shard` gave: the shard is finished."""
        path = self._sums(key)
        with atomic_write(path) as file, writing(path):
            file.write(data)

    def _sums(self, key: str) -> Path:
        return self.folder / f"{key}.sums"


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
        stamps = [None if path is None else _stamp(path) for path in shard]
        text = json.dumps([self._options, stamps])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def size(self, shard: Shard) -> int:
        """The bytes of all files of a shard."""
        return sum(os.path.getsize(path) for path in shard.files)


def _stamp(path: str) -> list[object]:
    """What tells whether a file is the same as before."""
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        ends = hashlib.blake2b(file.read(_END), digest_size=16)
        file.seek(max(0, info.st_size - _END))
        ends.update(file.read(_END))
    return [info.st_size, info.st_mtime_ns, ends.hexdigest()]
