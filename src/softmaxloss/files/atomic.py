"""A file that is there when it is complete, and never half."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from .source import FileError

__all__ = ["places", "write_whole"]


def places(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Where a file is in the end, and beside it where it is until it is complete.

    Raises FileError where something else than a file is there.
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays: what it points to is replaced
    if os.path.exists(target) and not os.path.isfile(target):
        raise FileError(path, "is not a regular file; name one to be written")
    return target, target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def write_whole(path: str | os.PathLike[str], content: str) -> None:
    """Write text to a file in UTF-8: to another name beside it, which then takes its place.

    Raises FileError where the folder is missing or cannot be written to.
    """
    target, part = places(path)
    try:
        part.write_text(content, encoding="utf-8", errors="backslashreplace", newline="\n")
        os.replace(part, target)
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
