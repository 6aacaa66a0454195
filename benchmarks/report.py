"""The results of a run: medians, spread, ratios to the limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .cases import WHATS, Case
from .peers import LIMITS, PEERS, RIVALS


@dataclass
class Row:
    """One shape and one kind of call: for each peer the seconds of one call, turn by turn."""

    case: Case
    what: str
    seconds: dict[str, list[float]]

    def median(self, name: str) -> float | None:
        return median(self.seconds[name]) if self.seconds.get(name) else None

    @property
    def limit(self) -> float | None:
        """The faster of the limits: on all threads, or on one."""
        return min((median(self.seconds[n]) for n in LIMITS if self.seconds.get(n)), default=None)

    def over_limit(self, name: str) -> float | None:
        time, limit = self.median(name), self.limit
        return None if time is None or limit is None else time / limit

    @property
    def against_fastest(self) -> float | None:
        """The time of the fastest rival over that of this library."""
        return self.against_fastest_of(self)

    def against_fastest_of(self, other: Row) -> float | None:
        ours = self.median("library")
        rivals = [time for name in RIVALS if (time := other.median(name)) is not None]
        return None if ours is None or not rivals else min(rivals) / ours

    def as_json(self) -> dict[str, Any]:
        names = list(self.seconds)
        return {
            "logits": self.case.name,
            "rows": self.case.rows,
            "classes": self.case.classes,
            "dtype": self.case.dtype,
            "group": self.case.group,
            "what": self.what,
            "limit_is": WHATS[self.what][1],
            "limit_seconds": self.limit,
            "median_seconds": {name: self.median(name) for name in names},
            "over_limit": {name: self.over_limit(name) for name in names},
            "against_fastest": self.against_fastest,
            "seconds": self.seconds,
        }


@dataclass
class Report:
    rows: list[Row]
    #: name → value: processor, memory, versions
    machine: dict[str, str]
    versions: dict[str, str]
    date: str
    #: the options that leave something out; empty for a whole run
    options: str
    repeat: int
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The peers with a figure, without the limits."""
        return [
            name
            for name in PEERS
            if name not in LIMITS and any(row.seconds.get(name) for row in self.rows)
        ]

    def group(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.case.group == name]

    def row(self, case: Case, what: str) -> Row | None:
        return next((row for row in self.rows if (row.case, row.what) == (case, what)), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "options": self.options,
            "repeat": self.repeat,
            "machine": self.machine,
            "versions": {PEERS[name].title: text for name, text in self.versions.items()},
            "notes": self.notes,
            "rows": [row.as_json() for row in self.rows],
        }
