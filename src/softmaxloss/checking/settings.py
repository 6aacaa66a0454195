"""The settings of a check, and what they count as wrong."""

import difflib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..text import shown
from .bank import BANK, Mistake
from .inputs import EXTREME

Part = Literal["softmax", "log_softmax", "loss", "gradient", "loss+gradient"]
Layout = Literal["rows", "columns", "one"]
Level = Literal["textbook", "stable"]

# Right at the level "textbook": the formula as it is written, in place or not, with the usual
# guards of its log, and without the reductions that a parameter offers.
AS_IN_TEXTBOOKS = {
    "no-max", "not-the-maximum", "one-max-for-the-batch", "clipped", "log-of-a-plus-epsilon",
    "zero-for-underflow", "logits-overwritten", "result-is-the-input", "reduction-unused",
}  # fmt: skip

# What `strict` does not count. NumPy code need not check its labels, courses have different
# penalties, and PyTorch's own loss multiplies ignored rows by 0.
NOT_STRICT_ABOUT = {"labels", "reg"}
NOT_STRICT = {"ignored-rows-times-zero"}


@dataclass(frozen=True)
class Settings:
    """The settings of a check. Raises ValueError or TypeError for unknown or negative ones."""

    kind: Part | None = None  # None: found by trying
    layout: Layout | None = None  # None: found by trying
    dtype: Any = "float64"  # of the logits, float64 or float32; kept as its name
    seed: Any = None  # of the random inputs, an integer; None: a random one
    strict: bool = False  # whether weaknesses and conventions count as wrong, save NOT_STRICT
    expected_failures: Collection[str] = ()  # ids of mistakes that do not count as wrong
    deny: Collection[str] = ()  # ids of weaknesses and conventions that do
    level: Level = "stable"  # "textbook": extreme logits need not be right

    def __post_init__(self) -> None:
        for name, known in (("kind", Part), ("layout", Layout), ("level", Level)):
            value = getattr(self, name)
            if value not in (*get_args(known), None) or (name, value) == ("level", None):
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
        allowed, denied = _ids(self.expected_failures), _ids(self.deny)
        if set(allowed) & set(denied):
            both = min(set(allowed) & set(denied))
            raise ValueError(f"{both} is both allowed and denied; leave one of them out")
        kept = {
            "dtype": dtype, "seed": int(seed), "expected_failures": allowed, "deny": denied
        }  # fmt: skip
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    def counts_as_wrong(self, mistake: Mistake, failed: Collection[str] = ()) -> bool:
        """Whether a mistake that shows on these inputs makes an implementation wrong."""
        if mistake.id in self.expected_failures:
            return False
        if mistake.id in self.deny:
            return True
        if not self.asks_for(failed) or (
            self.level == "textbook" and mistake.id in AS_IN_TEXTBOOKS
        ):
            return False
        return mistake.kind == "mistake" or (self.strict and is_strict_about(mistake))

    def note(self, mistake: Mistake) -> str:
        """Why a mistake does not count, to follow its id; empty for other kinds, which need none.

        >>> Settings(expected_failures=["no-max"]).note(find_mistake("no-max"))
        '; allowed'
        """
        if mistake.kind != "mistake":
            return ""
        allowed = mistake.id in self.expected_failures
        return "; allowed" if allowed else "; not asked for at this level"

    def asks_for(self, failed: Collection[str]) -> bool:
        """Whether results that are wrong on these inputs are wrong; no inputs: in the calls."""
        return self.level != "textbook" or not failed or not EXTREME.issuperset(failed)


def is_strict_about(mistake: Mistake) -> bool:
    """Whether `strict` counts this weakness or convention as wrong."""
    return mistake.about not in NOT_STRICT_ABOUT and mistake.id not in NOT_STRICT


def find_mistake(id: object) -> Mistake:
    """The mistake with this id.

    >>> find_mistake("exp-minux-z")
    Traceback (most recent call last):
        ...
    ValueError: unknown mistake: 'exp-minux-z'; the nearest is exp-minus-z
    """
    if isinstance(id, str) and id in BANK:
        return BANK[id]
    (near,) = difflib.get_close_matches(str(id), BANK, n=1, cutoff=0.0)
    raise ValueError(f"unknown mistake: {shown(id)}; the nearest is {near}")


def _ids(ids: Collection[str]) -> tuple[str, ...]:
    if isinstance(ids, str) or not isinstance(ids, Collection):
        raise TypeError(f"the ids of mistakes must be a list or a dict, got {shown(ids)}")
    return tuple(find_mistake(id).id for id in ids)
