"""What is known about one mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["mistake", "weakness", "convention"]
Style = Literal["batch", "loop", "one"]  # arrays of a batch, a loop over it, one example
Array = Any  # NDArray, whose operators mypy types as Any


@dataclass(frozen=True, eq=False)  # compared by identity: it holds functions
class Mistake:
    """A way to get the softmax loss wrong.

    Attributes:
        id: A short name that never changes.
        title: What the code does, in a few words.
        why: Why that is wrong, in a sentence.
        fix: The line to write instead, in NumPy.
        fix_in_loop: The line to write instead in code that loops over examples or classes, if it
            is another one.
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
    fix_in_loop: str = ""

    def fix_for(self, style: Style) -> str:
        """The line to write instead in code of this style.

        >>> mistake = Mistake("", "", "", "J = a[np.arange(N), y]", fix_in_loop="J = a[i, y[i]]")
        >>> [mistake.fix_for(style) for style in ("batch", "loop", "one")]
        ['J = a[np.arange(N), y]', 'J = a[i, y[i]]', 'J = a[y]']
        """
        if style == "batch" or not self.fix_in_loop:
            return self.fix
        if style == "loop":
            return self.fix_in_loop
        without_comment = self.fix_in_loop.partition("   #")[0]
        return without_comment.replace("[i, ", "[").replace("[i]", "")

    @property
    def see(self) -> str:
        """Where the documentation lists it."""
        return f"docs/check.md#{self.id}"


def wrong_step(
    step: str,
    id: str,
    title: str,
    why: str,
    *wrong: Any,
    fix: str = "",
    loop: str = "",
    fixes: tuple[str, str] = ("", ""),
    kind: Kind = "mistake",
) -> Mistake:
    """A mistake in a step, from the wrong versions of it; a dict by step is one in several.

    `fixes` is used where no fix is given: the line to write, and that in a loop.
    """
    steps = tuple(one if isinstance(one, Mapping) else {step: one} for one in wrong)
    fix, loop = (fix, loop) if fix else fixes
    return Mistake(id, title, why, fix, kind, steps, fix_in_loop=loop)


def wrong_option(
    about: str, id: str, title: str, why: str, fix: str, *wrong: Any, kind: Kind = "mistake"
) -> Mistake:
    """A mistake with an option, from the wrong versions of its function."""
    return Mistake(id, title, why, fix, kind, about=about, wrong=wrong)
