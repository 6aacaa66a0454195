"""The results of the headline shapes: medians, ratios to the limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cases import WHATS, Case
from .peers import LIMITS, PEERS, RIVALS
from .results import Run, Timings


class Row(Timings):
    """One shape and one kind of call."""

    @property
    def limit(self) -> float | None:
        """The faster of the limits: on all threads, or on one."""
        return self.fastest(LIMITS)

    def over_limit(self, name: str) -> float | None:
        time, limit = self.median(name), self.limit
        return None if time is None or limit is None else time / limit

    @property
    def against_fastest(self) -> float | None:
        """The time of the fastest rival over that of this library."""
        return self.against_fastest_of(self)

    def against_fastest_of(self, other: Row) -> float | None:
        ours, rival = self.median("library"), other.fastest(RIVALS)
        return None if ours is None or rival is None else rival / ours

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


@dataclass(kw_only=True)
class Report(Run):
    rows: list[Row]

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
        return self.facts_as_json() | {"rows": [row.as_json() for row in self.rows]}
