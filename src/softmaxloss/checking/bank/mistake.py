"""What is known about one mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["mistake", "weakness", "convention"]


@dataclass(frozen=True, eq=False)  # compared by identity: it holds functions
class Mistake:
    """A way to get the softmax loss wrong.

    Attributes:
        id: A short name that never changes.
        title: What the code does, in a few words.
        why: Why that is wrong, in a sentence.
        fix: The line to write instead, in NumPy.
        kind: "mistake": wrong numbers; "weakness": wrong for extreme or invalid inputs only;
            "convention": another quantity, computed on purpose. Only a mistake makes the verdict
            "wrong".
        steps: The wrong functions, by the step of `Steps` that each replaces. Empty for mistakes
            that the numbers of one call do not show.
        variants: Other wrong steps that are the same mistake, for example with another constant.
        about: For mistakes with an option: the `about` of the inputs that show them.
        wrong: For mistakes with an option: wrong versions of that option's function in
            `reference.WITH_OPTION`.
    """

    id: str
    title: str
    why: str
    fix: str
    kind: Kind = "mistake"
    steps: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Mapping[str, Any], ...] = ()
    about: str = ""
    wrong: tuple[Callable[..., Any], ...] = ()

    @property
    def all_steps(self) -> tuple[Mapping[str, Any], ...]:
        """`steps` and its variants."""
        return (self.steps, *self.variants) if self.steps else ()


def wrong_step(step: str, usual_fix: str) -> Callable[..., Mistake]:
    """A function that makes mistakes in one step: id, title, why, then the wrong versions of it.

    A mistake in several steps is given as a dict by step.
    """

    def make(
        id: str, title: str, why: str, *wrong: Any, fix: str = usual_fix, kind: Kind = "mistake"
    ) -> Mistake:
        first, *others = [w if isinstance(w, Mapping) else {step: w} for w in wrong]
        return Mistake(id, title, why, fix, kind, first, tuple(others))

    return make
