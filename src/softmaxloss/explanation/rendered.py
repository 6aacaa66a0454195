"""What every explanation can be turned into, whatever it explains."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from typing import Any

from ..files.atomic import atomic_write_text

__all__ = ["Rendered"]


class Rendered(ABC):
    """An explanation: as data, from which JSON is made; as text; as a page."""

    first_class: int

    def number(self, n: int) -> int:
        """The number of the class at position n, as the caller's labels count."""
        return n + self.first_class

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings that any JSON writer takes."""

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @abstractmethod
    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        width: the columns that it may take; tables take more where the numbers need it.
        color: with ANSI colours.
        """

    @abstractmethod
    def to_html(self) -> str:
        """The explanation as a page: one file of HTML that fetches nothing from anywhere."""

    @abstractmethod
    def to_fragment(self) -> str:
        """The page for a place among other things, as in a notebook: without head and script."""

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which is there when it is complete."""
        atomic_write_text(path, self.to_html())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What a notebook shows."""
        return {"text/plain": self.to_text(), "text/html": self.to_fragment()}
