"""The figures in a page of the docs: the text between two markers is replaced."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Section:
    """A part of the page that a command writes."""

    begin: str
    end: str

    def check(self, page: Path) -> None:
        """Raise ValueError if the page has no place for it, before anything is measured."""
        try:
            self._split(page.read_text(encoding="utf-8"), page)
        except OSError as error:
            raise ValueError(f"{page} cannot be read: {error.strerror}") from None

    def fill(self, page: Path, figures: str) -> None:
        before, after = self._split(page.read_text(encoding="utf-8"), page)
        write(page, f"{before}{self.begin}\n{figures}\n{self.end}{after}")

    def _split(self, text: str, page: Path) -> tuple[str, str]:
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(
                f"{page} has no place for figures: it needs the lines {self.begin} and {self.end}"
            )
        return before, after


CALLS = Section(
    "<!-- calls: written by `python -m benchmarks.calls --write` -->", "<!-- end of calls -->"
)
SHAPES = Section(
    "<!-- figures: written by `python -m benchmarks --write` -->", "<!-- end of figures -->"
)


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
