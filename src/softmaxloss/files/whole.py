"""A file that is there when it is complete, and never half."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from .source import FileError

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: str) -> None:
    """Write text to a file in UTF-8: to another name beside it, which then takes its place.

    Raises FileError where the folder is missing or cannot be written to.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if target.exists() and not target.is_file():
            raise FileError(path, "is not a regular file; name one to be written")
        part.write_text(content, encoding="utf-8", errors="backslashreplace", newline="\n")
        os.replace(part, target)
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
