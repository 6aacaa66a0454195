"""The explanations that users get: the data of an example or a set, and its renderings."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..errors import OptionError
from ..files.atomic import atomic_write_text
from ..text import plural
from ..totals import Example
from . import (
    one_words,
    page,
    questions,
    set_page,
    set_plots,
    set_sections,
    set_words,
    several_sections,
)
from .one_data import ExampleData
from .questions import Answer
from .rendering.html import Page
from .rendering.names import in_sentence
from .rendering.numbers import number
from .set_data import SetData
from .several_data import SeveralLabelsData

# The fields of an explanation, and its docstring, are those of its data. The texts are imported
# where they are used, because they load rich.


class Rendered(ABC):
    """An explanation as JSON, as text, as a page, in a notebook."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings for JSON.

        NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity", "-Infinity"
        (`float()` reads them back). Classes are in the caller's numbering, but for those of a path
        of descent, which are positions from 0.
        """

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @abstractmethod
    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        Args:
            width: the columns that it may take, 40 or more; wider tables are shown in parts.
            color: whether to use ANSI colours.
        """

    @abstractmethod
    def _page(self, *, script: bool) -> Page:
        """The page of the explanation."""

    def to_html(self) -> str:
        """The explanation as a page: one complete file of HTML that fetches nothing."""
        return self._page(script=True).document()

    def to_fragment(self) -> str:
        """The page as a part of another, as in a notebook: without head and script."""
        return self._page(script=False).fragment()

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, with an atomic write."""
        atomic_write_text(path, self.to_html())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What a notebook shows."""
        return {"text/plain": self.to_text(), "text/html": self.to_fragment()}


ALL = "print() shows all of it"


class Explanation(ExampleData, Rendered):
    def __repr__(self) -> str:
        true = in_sentence(self, self.target)
        count, loss = self.terms.size, number(self.before.loss)
        return f"<Explanation: true class {true} of {count}, loss {loss}; {ALL}>"

    def remarks(self) -> list[str]:
        """What is unusual about this example, each in a sentence; for most there is nothing.

        >>> from softmaxloss import explain
        >>> explain([5.0, 5.0], 0).remarks()
        ['The largest logit is shared by classes 0 and 1: the first of them is the prediction.']
        """
        return one_words.remarks(self)

    def push(self) -> str:
        """Which outputs descent pushes where, and why, for this example.

        >>> from softmaxloss import explain
        >>> explain([1000.0, 0.0], 0).push()
        'Every derivative is 0: a_0 is 1, and nothing is pushed.'
        """
        return one_words.push(self)

    def ask(self, question: str) -> Answer:
        """A question, answered for this example.

        Args:
            question: in your own words, or an id of `softmaxloss.explanation.QUESTIONS`.

        Raises:
            OptionError: no question is like these words, or several are; it names the nearest.

        >>> from softmaxloss import explain
        >>> why = explain([2.0, 1.0, 0.1, -1.2], 2)
        >>> print(why.ask("what is a nat?").text.split("\\n\\n")[1])
        Here J is 2.3435 nats. In bits it is 2.3435 / ln 2 = 3.3810.
        """
        return questions.ask(self, question)

    def answers(self) -> list[Answer]:
        """All questions, answered for this example."""
        return questions.answers(self)

    def to_dict(self) -> dict[str, Any]:
        answers = [asdict(answer) for answer in self.answers()]
        return {**super().to_dict(), "remarks": self.remarks(), "answers": answers}

    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        from .one_text import text_parts
        from .rendering.terminal import lay_out

        return lay_out(text_parts(self, width), width=width, color=color)

    def _page(self, *, script: bool) -> Page:
        return page.page(self, script=script)


class SeveralLabels(SeveralLabelsData, Rendered):
    def __repr__(self) -> str:
        count = "probabilities" if self.sums_to_one else plural(len(self.labels), "label")
        assert self.as_given.loss is not None
        loss = number(self.as_given.loss)
        return f"<SeveralLabels: {count} of {plural(self.terms.size, 'class')}, loss {loss}; {ALL}>"

    def outcome(self) -> str:
        """Where gradient descent ends, in a sentence.

        >>> from softmaxloss import explain
        >>> explain([2.0, 1.0, 0.1], [0, 0, 2]).outcome()
        'Descent moves the probability of the one class in the target towards 1.'
        """
        return several_sections.outcome(self)

    def to_text(self, *, width: int = 80, color: bool = False) -> str:
        from .rendering.terminal import document, name_cells

        cells = name_cells(width)
        lead, sections = several_sections.lead(self, cells), several_sections.sections(self, cells)
        return document([lead], sections, width=width, color=color)

    def _page(self, *, script: bool) -> Page:
        return page.several_page(self)


class SetExplanation(SetData, Rendered):
    def __repr__(self) -> str:
        examples, loss = plural(self.examples, "example"), number(self.mean_loss)
        return f"<SetExplanation: {examples}, mean loss {loss}; {ALL}>"

    def to_text(
        self,
        *,
        width: int = 80,
        color: bool = False,
        command: Callable[[Example], str] | None = None,
    ) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        Args:
            width: the columns that it may take, 40 or more; wider tables are shown in parts.
            color: whether to use ANSI colours.
            command: what to type to see one example explained; default: a call of `explain`.
        """
        from .rendering.terminal import document

        cells = max(6, (width - 60) // 2)  # of two names; the numbers take the rest
        command = command or self.call
        sections = set_sections.sections(self, set_sections.LISTED, cells, command)
        return document(set_words.lead(self), sections, width=width, color=color)

    def to_html(self, *, command: Callable[[Example], str] | None = None) -> str:
        """The explanation as a page: one file of HTML with its pictures, without a script.
        For `command` see `to_text`."""
        return set_page.page(self, command or self.call).document()

    def save_html(
        self, path: str | os.PathLike[str], *, command: Callable[[Example], str] | None = None
    ) -> None:
        """Write the page to a file, with an atomic write."""
        atomic_write_text(path, self.to_html(command=command))

    def _page(self, *, script: bool) -> Page:
        return set_page.page(self, self.call, links=script)

    def save_plots(self, path: str | os.PathLike[str]) -> None:
        """Write confusion counts, recall, losses and reliability as one .svg or .png, by
        matplotlib, with an atomic write.

        Raises:
            OptionError: another suffix, or matplotlib is not installed.
        """
        set_plots.save_plots(self, path)

    def merge(self, *others: "SetExplanation") -> "SetExplanation":
        """The explanation of this set and the others together, as shards of one set.

        Each shard was explained with the number of its first row as `first_row`. The numbers do not
        depend on how the rows are split or in which order they are merged: bit for bit, but for the
        sums of gradients and of the losses by class, where each addition rounds by 2⁻⁵³.

        Raises:
            OptionError: the others have other classes or options.

        >>> from softmaxloss import explain_set
        >>> z, y = [[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]], [0, 1, 1]
        >>> parts = explain_set(z[:1], y[:1]), explain_set(z[1:], y[1:], first_row=1)
        >>> parts[1].merge(parts[0]).accuracy == explain_set(z, y).accuracy
        True
        """
        if any(other.classes != self.classes for other in others):
            raise OptionError("explanations merge if their classes have the same names")
        return type(self).of(
            self.sums.merge(*[other.sums for other in others]),
            classes=self.classes,
            first_class=self.first_class,
        )

    def call(self, example: Example) -> str:
        """The call of `explain` that explains this example, to copy.

        >>> from softmaxloss import explain_set
        >>> explanation = explain_set([[0.0, 1.0]], [2], first_class=1)
        >>> explanation.call(explanation.top[0])
        'explain(logits[0], 2, first_class=1)'
        """
        counted = f", first_class={self.first_class}" if self.first_class else ""
        if self.soft:
            return f"explain(logits[{example.row}], target[{example.row}]{counted})"
        return f"explain(logits[{example.row}], {example.label}{counted})"
