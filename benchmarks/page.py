"""The figures in a page of the docs: the text between two markers is replaced."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

BEGIN = "<!-- figures: written by `python -m benchmarks --write` -->"
END = "<!-- end of figures -->"


def check(page: Path) -> None:
    """Raise ValueError if the page has no place for figures, before anything is measured."""
    try:
        _split(page.read_text(encoding="utf-8"), page)
    except OSError as error:
        raise ValueError(f"{page} cannot be read: {error.strerror}") from None


def fill(page: Path, figures: str) -> None:
    before, after = _split(page.read_text(encoding="utf-8"), page)
    write(page, f"{before}{BEGIN}\n{figures}\n{END}{after}")


def write(path: Path, text: str) -> None:
    """The whole file or nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _split(text: str, page: Path) -> tuple[str, str]:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for figures: it needs the lines {BEGIN} and {END}")
    return before, after
