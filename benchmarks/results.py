"""What a run gives: timings, and what they were measured on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass
class Timings:
    """One case and one kind of call: for each peer the seconds of one call, turn by turn."""

    case: Any
    what: str
    seconds: dict[str, list[float]]

    def median(self, name: str) -> float | None:
        return median(self.seconds[name]) if self.seconds.get(name) else None

    def fastest(self, names: Iterable[str]) -> float | None:
        """The smallest median of these peers; None where none has a figure."""
        return min((time for n in names if (time := self.median(n)) is not None), default=None)


@dataclass(kw_only=True)
class Run:
    """The facts of a run that its figures need beside them."""

    #: name → value: processor, memory
    machine: dict[str, str]
    #: title of a peer → version
    versions: dict[str, str]
    date: str
    #: the options that leave something out; empty for a whole run
    options: str
    repeat: int
    notes: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, str]:
        packages = ", ".join(f"{title} {version}" for title, version in self.versions.items())
        return self.machine | {"packages": packages}

    @property
    def turns(self) -> str:
        return f"{self.repeat} turns"

    @property
    def where(self) -> str:
        """The processor, the date, and what was left out, for a picture."""
        partial = f"; with {self.options}, not a whole run" if self.options else ""
        return f"{self.machine.get('processor', '')}, {self.date}{partial}"

    def facts_as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "options": self.options,
            "repeat": self.repeat,
            "machine": self.machine,
            "versions": self.versions,
            "notes": self.notes,
        }
