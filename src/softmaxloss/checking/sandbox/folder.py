"""A temporary folder that is removed, whatever is in it by then."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

OWN = 0o700  # rwx for its owner


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, for as long as the context lasts.

    It stays if a process still writes to it, as one may where no supervisor ends them all.
    """
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder with what is in it, without following links.

    What is in its folders is moved up, so that the depth does not matter: neither to the stack, nor
    to the length of a path.
    """
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry)
                continue
            os.chmod(entry, OWN)
            for inner in list(os.scandir(entry)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner, OWN)  # else it cannot be moved
                    os.rename(inner, folder / secrets.token_hex(8))
                else:
                    os.unlink(inner)
            os.rmdir(entry)
    os.rmdir(folder)
