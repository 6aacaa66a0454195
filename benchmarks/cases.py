"""The cases: shapes, dtypes and kinds of call, with the same data for every peer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: kind of call → its name in the tables, and the limit that it is compared with
WHATS = {
    "gradient": ("loss + gradient, memory reused", "copy"),
    "fresh": ("loss + gradient, fresh memory", "copy"),
    "loss": ("loss only", "read"),
    "score": ("score", "read"),
}
#: The C library returns smaller arrays from memory that it kept, which is not fresh.
FRESH_FROM = 32 << 20
DTYPES = {"float32": 4, "float64": 8, "bfloat16": 2}


@dataclass(frozen=True)
class Case:
    """Logits of one shape and dtype. `rows` is None for one example, whose logits are (C,)."""

    rows: int | None
    classes: int
    dtype: str = "float32"
    #: "shapes", or "over N" and "over C": the same work in growing sizes
    group: str = "shapes"

    @property
    def name(self) -> str:
        if self.rows is None:
            return f"one example, {self.classes} classes, {self.dtype}"
        return f"{self.rows} × {self.classes} {self.dtype}"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.classes,) if self.rows is None else (self.rows, self.classes)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.elements * DTYPES[self.dtype]

    @property
    def whats(self) -> list[str]:
        if self.group != "shapes":
            return ["gradient"]
        return [what for what in WHATS if what != "fresh" or self.nbytes >= FRESH_FROM]

    def label(self, what: str) -> str:
        return f"{self.name}, {WHATS[what][0]}"

    def smaller(self) -> Case:
        """A sixteenth of the work, for a quick look."""
        if self.rows is None:
            return self
        rows, classes = self.rows // 16, self.classes
        return Case(rows, classes, self.dtype, self.group) if rows else self


SHAPES = [
    Case(4096, 32000),
    Case(1024, 128256),
    Case(65536, 1000),
    Case(262144, 100),
    Case(1000000, 10),
    Case(1024, 128256, "bfloat16"),
    Case(4096, 32000, "float64"),
    Case(None, 5),
]
_POWERS = [10**power for power in range(3, 9)]
LINEAR = [Case(size // 1000, 1000, group="over N") for size in _POWERS] + [
    Case(1, size, group="over C") for size in _POWERS
]


def select(words: list[str], quick: bool) -> list[Case]:
    """The cases that the words name: 4096x32000, 1024x128256-bfloat16, 5 (one example), linear.

    A shape outside the list is measured too, in float32 unless it says otherwise. Without words:
    all cases.
    """
    linear = [case for case in LINEAR if case.elements <= 10**6] if quick else LINEAR
    if not words:
        return [case.smaller() if quick else case for case in SHAPES] + linear
    cases: list[Case] = []
    for word in words:
        if word == "linear":
            cases += linear
            continue
        match = re.fullmatch(r"(?:(\d+)[x×])?(\d+)(?:-(\w+))?", word)
        if not match or match[3] not in (None, *DTYPES) or "0" in (match[1], match[2]):
            raise ValueError(
                f"{word!r} is no shape: write 4096x32000, 4096x32000-float64, "
                f"5 for one example, or linear (dtypes: {', '.join(DTYPES)})"
            )
        rows, classes = match[1] and int(match[1]), int(match[2])
        listed = [c for c in SHAPES if (c.rows, c.classes) == (rows, classes)]
        if match[3] or not listed:
            listed = [Case(rows, classes, match[3] or "float32")]
        cases += [case.smaller() if quick else case for case in listed]
    return cases


def data(case: Case) -> tuple[Array, Array]:
    """Logits (normal, deviation 3) and int64 labels (uniform), the same in every process."""
    logits = normal(case.shape, case.dtype, seed=case.classes)
    rng = np.random.default_rng(case.classes + 1)
    return logits, rng.integers(case.classes, size=case.shape[:-1])


def normal(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Normal numbers with deviation 3.

    Drawing 131 million of them takes seconds, in each process; a block of them, repeated, is as
    good. Its length shares no factor with any C here, so that rows do not repeat soon.
    """
    size = min(math.prod(shape), (1 << 20) + 7)
    block = 3 * np.random.default_rng(seed).standard_normal(size, np.float32)
    return np.resize(block.astype(numpy_dtype(dtype)), shape)


def numpy_dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        from ml_dtypes import bfloat16

        return np.dtype(bfloat16)
    return np.dtype(name)
