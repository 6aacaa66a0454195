"""What is known of one mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Kind", "Mistake"]

Kind = Literal["mistake", "weakness", "convention"]


@dataclass(frozen=True, eq=False)  # one is itself: it holds functions
class Mistake:
    """A way to get the softmax loss wrong.

    id       a short name that stays the same
    title    what was done, in a few words
    why      why it is wrong, in a sentence
    fix      the line to write instead, in the words of NumPy
    kind     "mistake": wrong numbers; "weakness": right numbers but for extreme or invalid inputs;
             "convention": another quantity on purpose, named and not counted as wrong
    steps    the wrong functions, by the step of `Steps` that each replaces; empty for what is seen
             by watching calls, and not in numbers
    also     other forms of the same mistake, with other numbers in it
    about    for mistakes that only show in a certain situation, what that is about
    wrong    of those, functions like the ones in optional.py that are wrong so
    """

    id: str
    title: str
    why: str
    fix: str
    kind: Kind = "mistake"
    steps: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Mapping[str, Any], ...] = ()
    about: str = ""
    wrong: tuple[Callable[..., Any], ...] = ()

    @property
    def forms(self) -> tuple[Mapping[str, Any], ...]:
        """All forms of it, the one in `steps` first."""
        return (self.steps, *self.also) if self.steps else ()
