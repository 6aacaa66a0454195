"""The errors of files."""

import os

from ..text import shorten


class FileError(ValueError):
    """A file cannot be read or written: one line that names the file, what is wrong and what fits.

    >>> print(FileError("scores.txt", "unknown suffix; .csv fits"))
    scores.txt: unknown suffix; .csv fits
    """

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{shorten(os.fspath(path), 4096)}: {message}")


class WriteError(FileError):
    """A file cannot be written: no permission, a full disk."""


class BadFileError(ValueError):
    """What is wrong with a file; `softmaxloss.files` adds the name and raises `FileError`."""
