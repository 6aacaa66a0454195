"""What a question is, and the short names for an example that the answers use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ..one_data import ExampleData
from ..one_words import remarks
from ..rendering.names import in_sentence
from ..rendering.numbers import number, told_apart


@dataclass(frozen=True)
class Answer:
    """The answer to a question for one example.

    Attributes:
        id: the question's id.
        title: the question.
        text: plain text. Paragraphs are separated by an empty line; a line that starts with three
            spaces is code.
    """

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question about the loss of one example.

    Attributes:
        id: a short name that never changes: "only-true-class".
        title: the question as a learner asks it.
        general: the answer that is true of every example.
        here: what is seen in an example with a softmax and at least two classes.
        asked: other ways to ask it, by which it is found.
    """

    id: str
    title: str
    general: str
    here: Callable[[Example], str] = field(repr=False)
    asked: tuple[str, ...] = ()

    def answer(self, e: ExampleData) -> Answer:
        """The answer for an explanation."""
        if not e.defined:
            text = f"This row has no softmax. {remarks(e)[0]}\n\n{self.general}"
        elif e.terms.size == 1:
            text = (
                f"{self.general}\n\nHere there is one class: its probability is 1, the loss 0 and "
                "the derivative 0, whatever the output is. Nothing can be learned."
            )
        else:
            text = f"{self.general}\n\n{self.here(Example(e))}"
        return Answer(self.id, self.title, text)


def question(
    title: str, general: str, *asked: str
) -> Callable[[Callable[[Example], str]], Question]:
    """Make a question of a function that says what is seen in an example; its name is the id."""

    def make(here: Callable[[Example], str]) -> Question:
        return Question(here.__name__.replace("_", "-"), title, general, here, asked)

    return make


class Example:
    """An explanation with short names for what the sentences speak of.

    y and r are the positions of the true class and of the strongest other, i and k their numbers
    in the caller's labels.
    """

    def __init__(self, e: ExampleData) -> None:
        self.e = e
        self.z, self.a, self.J = e.before.logits, e.before.probabilities, e.before.loss
        self.y, self.r, self.count = e.target, e.strongest_other, e.terms.size
        self.i, self.k = e.number(self.y), e.number(self.r)
        self.impossible = bool(self.z[self.y] == -math.inf)
        self.alone = bool(self.z[self.r] == -math.inf)  # every other class is masked out

    def name(self, n: int) -> str:
        """The class in a sentence."""
        return f"class {in_sentence(self.e, n)}"

    def saturated(self) -> str:
        """Why every derivative is 0."""
        if self.alone:
            return f"every other class is masked out, so a_{self.i} is 1"
        return f"a_{self.i} is 1 as far as float64 can show"

    def moves(self, n: int) -> str:
        """What the step does to output n: "takes z_2 from 0.1000 to 0.1904"."""
        before, after = float(self.z[n]), float(self.e.after.logits[n])
        name = f"z_{self.e.number(n)}"
        if before == after:
            why = "" if before == -math.inf else ": the step is too small for float64 to show"
            return f"leaves {name} at {number(before)}{why}"
        if not math.isfinite(after):
            return f"takes {name} out of the range of float64"
        return f"takes {name} {change(before, after)}"


def change(before: float, after: float) -> str:
    """A number before and after: "from 0.1000 to 0.1904", or "stays 0.1000"."""
    if before == after:
        return f"stays {number(before)}"
    return "from {} to {}".format(*told_apart(before, after))
