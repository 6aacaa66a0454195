"""The results of the calls: how many times as fast, over plain class indices, the goals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from ..results import Run, Timings
from .cases import GOAL_SCORE, KINDS, OPTIONS, Call
from .peers import PEERS, RIVALS

#: the kinds of call that are compared with the peers; a buffer with their pass through autograd
COMPARED = ("autograd", "loss", "buffer")
#: ours, for each kind
OURS = {"autograd": "tensors", "loss": "tensors", "buffer": "library", "score": "tensors"}
#: Gradients of more bytes are written to memory, not to a cache.
LARGE = 16_000_000


@dataclass
class Relative:
    """How many times as long one call of this library takes as another, for each kind."""

    name: str
    call: str
    compared_with: str
    ratios: dict[str, float]
    goal: float


@dataclass(kw_only=True)
class Report(Run):
    rows: list[Timings]

    def __post_init__(self) -> None:
        self._rows = {(row.case, row.what): row for row in self.rows}

    @property
    def calls(self) -> list[Call]:
        """The lines of the table."""
        return list(dict.fromkeys(row.case for row in self.rows if not row.case.reference))

    @property
    def turns(self) -> str:
        """The fewest and the most that a figure is the median of."""
        counts = {len(seconds) for row in self.rows for seconds in row.seconds.values()}
        fewest, most = min(counts, default=0), max(counts, default=0)
        return f"{most} turns" if fewest == most else f"{fewest} to {most} turns"

    def seconds(self, call: Call, kind: str) -> float | None:
        """The median of this library."""
        row = self._rows.get((call, kind))
        return row.median(OURS[kind]) if row else None

    def best(self, call: Call, kind: str) -> float | None:
        """The median of the fastest peer; for a buffer that of its pass through autograd."""
        row = self._rows.get((call, "autograd" if kind == "buffer" else kind))
        return row.fastest(RIVALS) if row else None

    def ratio(self, call: Call, kind: str) -> float | None:
        """How many times as fast as the fastest peer: below 1 this library is slower."""
        ours, theirs = self.seconds(call, kind), self.best(call, kind)
        return None if ours is None or theirs is None else theirs / ours

    def ratios(self, kind: str, from_bytes: int = 0) -> list[float]:
        """Of all calls with logits of at least so many bytes."""
        found = (self.ratio(call, kind) for call in self.calls if call.nbytes >= from_bytes)
        return [ratio for ratio in found if ratio is not None]

    def summary(self, kind: str) -> dict[str, float | int] | None:
        ratios = self.ratios(kind)
        if not ratios:
            return None
        large = self.ratios(kind, LARGE)
        return {
            "calls": len(ratios),
            "below_1": sum(ratio < 1 for ratio in ratios),
            "geometric_mean": geometric_mean(ratios),
            "minimum": min(ratios),
        } | ({"minimum_of_large": min(large)} if large else {})

    def relatives(self) -> Iterator[Relative]:
        """The lines of the second table."""
        for call in self.calls:
            if call.compared:
                ratios = {
                    kind: ours / other
                    for kind in COMPARED
                    if (ours := self.seconds(call, kind))
                    and (other := self._of_any(call.compared.call, kind))
                }
                title = OPTIONS[call.option].title
                yield Relative(call.name, title, call.compared.title, ratios, call.compared.goal)
        for call in self.calls:
            score, loss = self.seconds(call, "score"), self.seconds(call, "loss")
            if score and loss:
                ratios = {"loss": score / loss}
                yield Relative(call.name, KINDS["score"], KINDS["loss"], ratios, GOAL_SCORE)

    def _of_any(self, call: Call, kind: str) -> float | None:
        """The median of a call, be it a line of the table or a reference."""
        of_line = self.seconds(call, kind)
        return of_line or self.seconds(call.as_reference(), kind)

    def as_json(self) -> dict[str, Any]:
        return self.facts_as_json() | {
            "peers": {name: PEERS[name].title for name in PEERS},
            "rows": [
                {
                    "logits": row.case.name,
                    "shape": row.case.shape,
                    "dtype": row.case.dtype,
                    "layout": row.case.layout,
                    "option": row.case.option,
                    "reference": row.case.reference,
                    "what": row.what,
                    "median_seconds": {name: row.median(name) for name in row.seconds},
                    "ratio": None if row.what == "score" else self.ratio(row.case, row.what),
                    "seconds": row.seconds,
                }
                for row in self.rows
            ],
            "summary": {kind: found for kind in COMPARED if (found := self.summary(kind))},
            "relative": [vars(relative) for relative in self.relatives()],
        }
