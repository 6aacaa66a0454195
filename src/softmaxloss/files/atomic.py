"""Atomic writes: a file appears under its name once it is complete, or not at all.

The content goes to a hidden file in the same folder, which takes the name at the end, and the mode
of an older file. After an error, Ctrl-C included, the hidden file is removed and an older file of
that name is untouched.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..text import first_line
from .errors import FileError, WriteError


def target_of(path: str | os.PathLike[str]) -> Path:
    """The file to replace, behind symbolic links; a `FileError` for a folder, pipe or device, and
    for a file that is read-only."""
    target = Path(os.path.realpath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise FileError(path, "is not a regular file; name a file to write")
    if os.path.exists(target) and not os.access(target, os.W_OK):  # a rename would not ask
        raise WriteError(path, "cannot be written: it is read-only")
    return target


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` of the body, such as a full disk, into the `WriteError` of this path."""
    try:
        yield
    except FileNotFoundError:
        raise WriteError(path, "cannot be written: no such directory") from None
    except OSError as error:
        raise WriteError(
            path, f"cannot be written: {error.strerror or first_line(error)}"
        ) from None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise a `FileError` where no file can be written, before the work for it begins."""
    part = _part_of(target_of(path))
    with writing(path):
        part.touch(exist_ok=False)
        part.unlink()


def _part_of(target: Path) -> Path:
    """A new hidden file beside the target."""
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which appears as `path` when the body ends without an error.

    Raises:
        FileError: it cannot be created (raised before the body), completed or renamed.
    """
    target = target_of(path)
    part = _part_of(target)
    with writing(path):
        file = open(part, "xb")  # noqa: SIM115 (closed below, where errors belong to the path)
        with contextlib.suppress(OSError):  # there is no older file, or the mode cannot be kept
            os.chmod(part, stat.S_IMODE(os.stat(target).st_mode))
    try:
        yield file
        with writing(path):
            file.close()
            os.replace(part, target)
    finally:
        with contextlib.suppress(OSError):  # a full disk fails again: that error was raised above
            file.close()
        part.unlink(missing_ok=True)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8 atomically; raises a `FileError` where that is not possible."""
    with atomic_write(path) as file, writing(path):
        file.write(text.encode("utf-8", "backslashreplace"))
