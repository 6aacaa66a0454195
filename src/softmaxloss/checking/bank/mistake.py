"""What is known about one mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["mistake", "weakness", "convention"]
Array = Any  # NDArray, whose operators mypy types as Any


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
        steps: The ways to make it, each as wrong functions by the step of `Steps` that they
            replace. Empty for mistakes that the numbers of one call do not show.
        about: For mistakes with an option: the `about` of the inputs that show them.
        wrong: For mistakes with an option: wrong versions of that option's function in
            `reference.WITH_OPTION`.
    """

    id: str
    title: str
    why: str
    fix: str
    kind: Kind = "mistake"
    steps: tuple[Mapping[str, Any], ...] = ()
    about: str = ""
    wrong: tuple[Callable[..., Any], ...] = ()

    @property
    def see(self) -> str:
        """Where the documentation lists it."""
        return f"docs/check.md#{self.id}"


def wrong_step(
    step: str, id: str, title: str, why: str, *wrong: Any, fix: str, kind: Kind = "mistake"
) -> Mistake:
    """A mistake in a step, from the wrong versions of it; a dict by step is one in several."""
    steps = tuple(one if isinstance(one, Mapping) else {step: one} for one in wrong)
    return Mistake(id, title, why, fix, kind, steps)


def wrong_option(
    about: str, id: str, title: str, why: str, fix: str, *wrong: Any, kind: Kind = "mistake"
) -> Mistake:
    """A mistake with an option, from the wrong versions of its function."""
    return Mistake(id, title, why, fix, kind, about=about, wrong=wrong)
