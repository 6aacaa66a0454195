"""On what terms a function is checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from .bank import BANK, Mistake

__all__ = ["Layout", "Part", "Terms", "terms_of"]

Part = Literal["softmax", "loss", "gradient", "loss+gradient"]
Layout = Literal["rows", "columns", "one"]


@dataclass(frozen=True)
class Terms:
    """What is asked of a function.

    kind     what it computes; None: that is found out by trying
    layout   whether it takes a batch with the examples in rows or in columns, or one example;
             None: that is found out too
    dtype    of the logits: "float64" or "float32"
    seed     of the random inputs
    strict   whether weaknesses and conventions count as wrong
    allowed  the ids of mistakes that do not
    """

    kind: Part | None = None
    layout: Layout | None = None
    dtype: str = "float64"
    seed: int = 0
    strict: bool = False
    allowed: tuple[str, ...] = ()

    def forbid(self, mistake: Mistake) -> bool:
        """Whether the mistake makes an implementation wrong."""
        return mistake.id not in self.allowed and (self.strict or mistake.kind == "mistake")


def terms_of(
    kind: Any = None,
    *,
    layout: Any = None,
    dtype: Any = np.float64,
    seed: int = 0,
    strict: bool = False,
    allowed: Collection[str] = (),
) -> Terms:
    """Terms from what a user gave. Raises ValueError and TypeError where they do not fit."""
    for name, value, known in (("kind", kind, Part), ("layout", layout, Layout)):
        if value is not None and value not in get_args(known):
            listed = ", ".join(f'"{one}"' for one in get_args(known))
            raise ValueError(f"{name} must be one of {listed}, got {value!r}")
    try:
        known_dtype = np.dtype(dtype) in (np.float64, np.float32)
    except TypeError:
        known_dtype = False
    if not known_dtype:
        raise ValueError(f"dtype must be float64 or float32, got {dtype!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an integer from 0 on, got {seed!r}")
    if isinstance(allowed, str) or not isinstance(allowed, Collection):
        raise TypeError(f"the ids of mistakes are a list or a dict, got {allowed!r}")
    unknown = set(allowed) - set(BANK)
    if unknown:
        raise ValueError(f"there is no mistake {min(unknown)!r}")
    return Terms(kind, layout, np.dtype(dtype).name, int(seed), bool(strict), tuple(allowed))
