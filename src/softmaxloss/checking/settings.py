"""The settings of a check."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..text import shown
from .bank import BANK, Mistake

Part = Literal["softmax", "log_softmax", "loss", "gradient", "loss+gradient"]
Layout = Literal["rows", "columns", "one"]


@dataclass(frozen=True)
class Settings:
    """The settings of a check. Raises ValueError or TypeError for unknown or negative ones."""

    kind: Part | None = None  # None: found by trying
    layout: Layout | None = None  # None: found by trying
    dtype: Any = "float64"  # of the logits, float64 or float32; kept as its name
    seed: Any = None  # of the random inputs, an integer; None: a random one
    strict: bool = False  # whether weaknesses and conventions count as wrong
    expected_failures: Collection[str] = ()  # ids of mistakes that do not count as wrong

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, Part), ("layout", self.layout, Layout)):
            if value is not None and value not in get_args(known):
                listed = ", ".join(f'"{one}"' for one in get_args(known))
                raise ValueError(f"{name} must be one of {listed}, got {shown(value)}")
        try:
            dtype = np.dtype(self.dtype).name
        except TypeError:
            dtype = ""
        if dtype not in ("float64", "float32"):
            raise ValueError(f"dtype must be float64 or float32, got {shown(self.dtype)}")
        seed = secrets.randbelow(10**6) if self.seed is None else self.seed
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0, got {shown(seed)}")
        ids = self.expected_failures
        if isinstance(ids, str) or not isinstance(ids, Collection):
            raise TypeError(f"the ids of mistakes must be a list or a dict, got {shown(ids)}")
        unknown = set(ids) - set(BANK)
        if unknown:
            raise ValueError(f"unknown mistake: {shown(min(unknown))}")
        kept = {"dtype": dtype, "seed": int(seed), "expected_failures": tuple(ids)}
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    def counts_as_wrong(self, mistake: Mistake) -> bool:
        """Whether the mistake makes an implementation wrong."""
        excused = mistake.id in self.expected_failures
        return not excused and (self.strict or mistake.kind == "mistake")
