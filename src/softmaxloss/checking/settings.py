"""The settings of a check."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from .bank import BANK, Mistake

__all__ = ["Layout", "Part", "Settings", "settings_from"]

Part = Literal["softmax", "loss", "gradient", "loss+gradient"]
Layout = Literal["rows", "columns", "one"]


@dataclass(frozen=True)
class Settings:
    """The settings of a check.

    Attributes:
        kind: What the function computes; None: found by trying.
        layout: Whether it takes a batch with the examples in rows or in columns, or one example;
            None: found by trying.
        dtype: The dtype of the logits: "float64" or "float32".
        seed: The seed of the random inputs.
        strict: Whether weaknesses and conventions count as wrong.
        allowed: The ids of mistakes that do not count as wrong.
    """

    kind: Part | None = None
    layout: Layout | None = None
    dtype: str = "float64"
    seed: int = 0
    strict: bool = False
    allowed: tuple[str, ...] = ()

    def counts_as_wrong(self, mistake: Mistake) -> bool:
        """Whether the mistake makes an implementation wrong."""
        return mistake.id not in self.allowed and (self.strict or mistake.kind == "mistake")


def settings_from(
    kind: Any = None,
    *,
    layout: Any = None,
    dtype: Any = np.float64,
    seed: Any = None,
    strict: bool = False,
    allowed: Any = (),
) -> Settings:
    """Settings from what a user passed; without a seed, a random one.

    Raises:
        ValueError: An unknown kind, layout, dtype or id, or a negative seed.
        TypeError: `allowed` is not a collection of ids.
    """
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
    if seed is None:
        seed = secrets.randbelow(10**6)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
    if isinstance(allowed, str) or not isinstance(allowed, Collection):
        raise TypeError(f"the ids of mistakes must be a list or a dict, got {allowed!r}")
    unknown = set(allowed) - set(BANK)
    if unknown:
        raise ValueError(f"there is no mistake {min(unknown)!r}")
    return Settings(kind, layout, np.dtype(dtype).name, int(seed), bool(strict), tuple(allowed))
