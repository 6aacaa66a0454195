"""What is known of scored shards: in memory, as bytes, merged.

Each shard numbers its rows from 0, so that what is kept of it does not depend on other shards. In
memory row r of shard n is n·2⁴⁰ + r, so that sums merge while the rows of others are not known.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ..arrays import Array
from ..explanation.set_sums import POOL, PushSums, SetSums
from ..totals import Totals
from ..totals.saved import fill, to_bytes
from .job import Job

Sums = Totals | SetSums  #: with gradients where a page is made
Kind = tuple[int, tuple[str, ...] | None]  #: the number of classes and their names

_SHARD = 1 << 40  # rows
_TOGETHER, _PAGES = 32, 4  # sums that are merged at a time; those of a page may take 32 MB each


class Facts(NamedTuple):
    """What is known of a scored shard beside its sums."""

    rows: int
    classes: int
    names: tuple[str, ...] | None  #: of the classes
    soft: bool  #: whether the labels are probabilities
    left_out: tuple[str, ...]  #: columns that are no logits
    ids: dict[int, str]  #: of the examples with the highest loss, by row

    @property
    def kind(self) -> Kind:
        return self.classes, self.names

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        rows, classes, names, soft, left_out, ids = json.loads(line)
        known = {int(row): id for row, id in ids.items()}
        names = None if names is None else tuple(names)
        return cls(rows, classes, names, soft, tuple(left_out), known)


class _Saved:
    """The sums of a shard, as they are kept."""

    def __init__(self, totals: Totals, pushes: PushSums | None) -> None:
        self.totals, self.pushes = totals, pushes


def pack(facts: Facts, sums: Sums) -> bytes:
    """A line of facts and the sums of a shard, whose rows count from 0."""
    saved = _Saved(sums, None) if isinstance(sums, Totals) else _Saved(sums.totals, sums.pushes)
    return json.dumps(facts).encode() + b"\n" + to_bytes(saved)


def unpack(job: Job, data: bytes) -> tuple[Facts, Sums]:
    """What `pack` made.

    Raises:
        ValueError: the bytes are damaged.
    """
    line, _, rest = data.partition(b"\n")
    try:
        facts = Facts.from_line(line)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"these bytes are no facts: {error}") from None
    first = job.first_class
    totals = Totals(
        facts.classes,
        top=max(job.top, POOL) if job.explained else job.top,
        ignore_index=job.ignore_index,
        first_class=first,
        details=job.explained,
    )
    pushes = PushSums(facts.classes, first_class=first) if job.explained else None
    fill(_Saved(totals, pushes), rest)
    return facts, totals if pushes is None else SetSums(totals, pushes, facts.ids, job.top)


class Together:
    """The sums of many shards, merged as they come, those with the same classes together."""

    def __init__(self) -> None:
        self._parts: dict[Kind, list[Any]] = {}

    def add_shard(self, number: int, facts: Facts, sums: Sums) -> None:
        """Add those of one shard, whose rows count from 0, and renumber them."""
        sums.renumber(number * _SHARD)
        self.add(facts.kind, sums)

    def add(self, kind: Kind, sums: Sums) -> None:
        """Add what is merged already."""
        parts = self._parts.setdefault(kind, [])
        parts.append(sums)
        if len(parts) >= (_TOGETHER if isinstance(sums, Totals) else _PAGES):
            self._merge(kind)

    def result(self) -> dict[Kind, Sums]:
        """The sums by the classes."""
        return {kind: self._merge(kind) for kind in self._parts}

    def _merge(self, kind: Kind) -> Sums:
        parts = self._parts[kind]
        if len(parts) > 1:
            parts[:] = [parts[0].merge(*parts[1:])]
        merged: Sums = parts[0]
        return merged


def number_on(sums: Sums, first_rows: Sequence[int]) -> None:
    """Number the rows of `Together` on from shard to shard: each has the number of its first."""
    first = np.array(first_rows, np.int64)

    def numbered(rows: Array) -> Array:
        shards, own = np.divmod(rows, _SHARD)
        return np.asarray(first[shards] + own)

    sums.renumber(numbered)
