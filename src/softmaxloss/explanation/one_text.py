"""The explanation of one example as text, for a terminal, a pipe or a README."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ..text import plural
from .data import SHOWN
from .one_data import ExampleData
from .one_words import (
    ONE_CLASS,
    layer_section,
    logits_formula,
    loss_formula,
    push,
    remarks,
    rising,
    share_formula,
    slope_formula,
)
from .questions import SUBJECTS, Answer
from .rendering import terminal
from .rendering.names import in_sentence
from .rendering.numbers import compared, number, operands, told_apart, zero
from .rendering.sections import Cell, Row, Section, Table, class_rows, slope_cells

BAR_WIDTH, PUSH_WIDTH = 12, 24
FEATURES = 2  # of a layer, shown
MILESTONES = {10, 100, 1000, 10_000, 100_000}  # steps of a path that are told


def answers_as_text(answers: Iterable[Answer]) -> Iterator[RenderableType]:
    """Questions and their answers, for `lay_out`."""
    for k, answer in enumerate(answers):
        if k:
            yield Text()
        yield terminal.prose(
            Text.assemble((answer.title, "bold"), (f" ({answer.id})", terminal.FAINT))
        )
        for words in answer.text.split("\n\n"):
            yield Text()
            yield from terminal.paragraph(words)


def titles_as_text() -> Iterator[RenderableType]:
    """All questions by their subject, for `lay_out`."""
    for k, (subject, questions) in enumerate(SUBJECTS.items()):
        yield terminal.heading(subject) if k else Text(subject, "bold")
        for question in questions:
            words = Text.assemble(question.title, (f" ({question.id})", terminal.FAINT))
            yield terminal.prose(words, 1)


def _table(
    e: ExampleData,
    width: int,
    heads: list[str],
    cells: Callable[[int], list[str | Cell]],
    rest: Callable[[NDArray[np.intp]], list[str | Cell]],
    total: Sequence[str | Cell],
) -> RichTable:
    """A row for each class listed, one for those that are not, one for the sums."""
    shown = e.listed()
    rows = class_rows(e, shown, terminal.name_cells(width), cells, {e.target})
    unlisted = np.delete(np.arange(e.terms.size), shown)
    if unlisted.size:
        rows.append(Row([plural(unlisted.size, "other"), *rest(unlisted)]))
    return terminal.table_of(Table("", heads, [*rows, Row(["sum", *total], "sum")]))


def text_parts(e: ExampleData, width: int) -> Iterator[RenderableType]:
    """The explanation, top to bottom, for `lay_out`."""
    cells = terminal.name_cells(width)
    yield _title(e, cells)
    yield from _loss(e, width)
    if e.defined and e.terms.size > 1:
        yield from _pushes(e, width)
        yield from _after(e, width)
        yield from _verdict(e, cells)
        if e.layer is not None:
            yield from terminal.section(layer_section(e, e.layer, cells, FEATURES))
    if said := remarks(e):
        yield from terminal.section(Section("Note", words=said))


def _title(e: ExampleData, cells: int) -> RenderableType:
    classes = e.terms.size
    title = f"One example with {plural(classes, 'class')}, numbered from {e.first_class}."
    true = (in_sentence(e, e.target, cells), "bold")
    line = Text.assemble(title, " The true class is ", true, ".")
    if classes > SHOWN:
        line.append(f" The {SHOWN - 1} strongest others are listed, the rest in one line.")
    return terminal.prose(line)


def _first_that_fits(tables: Iterable[RichTable], width: int) -> RenderableType:
    """The first of these tables that is narrow enough, else the last."""
    for part in tables:
        if terminal.table_width(part) + terminal.INDENT <= width:
            break
    return terminal.indent(part)


def _loss(e: ExampleData, width: int) -> Iterator[RenderableType]:
    z, a, y = e.before.logits, e.before.probabilities, e.target

    def shares(heads: list[str], bar_width: int, exponentials: bool) -> RichTable:
        marked = heads[-1] == "<"  # the last column marks the loss

        def row(output: str, exp: float, share: float, *end: str) -> list[str | Cell]:
            middle = [number(exp)] if exponentials else []
            bar = [terminal.bar(share, bar_width)] if bar_width else []
            return [output, *middle, number(share), *bar, *end]

        def cells(n: int) -> list[str | Cell]:
            term = number(e.terms[n])
            end = (f"{term} ", "← J") if n == y else (f"({term})", "")
            return row(number(z[n]), e.exponentials[n], a[n], *end[: 1 + marked])

        def rest(classes: NDArray[np.intp]) -> list[str | Cell]:
            return row("", float(e.exponentials[classes].sum()), float(a[classes].sum()))

        middle = [number(e.denominator)] if exponentials else []
        total = ["", *middle, number(float(a.sum()))]  # without a bar
        return _table(e, width, heads, cells, rest, total)

    yield terminal.heading("1. The loss J")
    full = ["class", "output z", "exp(z−m)", "probability a", "<", "−log a", "<"]
    bare = ["class", "output z", "probability a", "<", "−log a", "<"]
    forms = [
        (full, BAR_WIDTH, True),
        (bare, BAR_WIDTH, False),
        (["class", "z", "a", "−log a"], 0, False),
    ]
    yield _first_that_fits((shares(*form) for form in forms if e.defined or not form[2]), width)
    if not e.defined:
        return
    yield Text()
    if a.size == 1:
        yield _say(ONE_CLASS)
        return
    i = e.number(y)
    yield _say(f"The loss is one term, the −log a of class {i}:")
    yield _formula(loss_formula(e))
    terms = "The term in brackets is" if a.size == 2 else "The terms in brackets are"
    yield _say(
        f"{terms} not added. Yet every output counts, because each is in the denominator of a_{i}:"
    )
    yield _formula(share_formula(e))
    yield _formula(logits_formula(e))
    yield _say(
        f"In bits that is {number(e.bits)}. (m = {number(e.largest)} is the largest output. "
        "Subtracting it keeps exp from overflowing and does not change a.)"
    )


def _pushes(e: ExampleData, width: int) -> Iterator[RenderableType]:
    y, i, after = e.target, e.number(e.target), e.after

    def pushes(bar_width: int) -> RichTable:
        def row(slope: float, *, moves: bool = True) -> list[str | Cell]:
            size, way = slope_cells(slope, moves=moves)
            bar = terminal.bar(abs(slope), bar_width) if way.text else ""
            return [size, Cell(f"{way.text:6} {bar}".rstrip(), way.tint)]

        def cells(n: int) -> list[str | Cell]:
            return row(float(e.gradient[n]), moves=bool(after.logits[n] != -math.inf))

        def rest(classes: NDArray[np.intp]) -> list[str | Cell]:
            return row(float(e.gradient[classes].sum()))

        return _table(e, width, ["class", "∂J/∂z", "<z goes"], cells, rest, [zero(e.gradient_sum)])

    yield terminal.heading("2. Which output is raised, and which lowered")
    yield _first_that_fits(map(pushes, (PUSH_WIDTH, BAR_WIDTH)), width)
    yield Text()
    true_class = slope_formula(e)
    yield _formula(f"{true_class}    the true class")
    yield _formula(f"{'∂J/∂z_n = a_n':{len(true_class)}}    every other class n")
    yield Text()
    yield _say(push(e))
    by_a = e.gradient_by_probability
    shown_a = operands(lambda a: -1 / a, [float(e.before.probabilities[y])], by_a)
    if shown_a:  # else −1/a_y has too many digits to be read
        yield _say(
            f"By the chain rule: J depends on a_{i} alone, ∂J/∂a_{i} = −1/a_{i} = −1/{shown_a[0]} "
            f"= {number(by_a)}; a_{i} depends on every output, ∂a_{i}/∂z_n = "
            f"−a_{i}·a_n, and a_{i}·(1 − a_{i}) for n = {i}. The products of the two are the "
            "column ∂J/∂z."
        )


def _after(e: ExampleData, width: int) -> Iterator[RenderableType]:
    i, path, before, after = e.number(e.target), e.path, e.before, e.after

    def states(heads: list[str]) -> RichTable:
        both = len(heads) > 3

        def cells(n: int) -> list[str | Cell]:
            z, a = number(after.logits[n]), number(after.probabilities[n])
            if not both:
                return [z, a]
            return [number(before.logits[n]), z, number(before.probabilities[n]), a]

        def rest(classes: NDArray[np.intp]) -> list[str | Cell]:
            a = [number(float(state.probabilities[classes].sum())) for state in (before, after)]
            return ["", "", *a] if both else ["", a[1]]

        total = [number(float(state.probabilities.sum())) for state in (before, after)]
        return _table(e, width, heads, cells, rest, ["", "", *total] if both else ["", total[1]])

    J = told_apart(before.loss, after.loss)
    full = ["class", "z", "z after", "a", "a after"]
    yield terminal.heading(f"3. After one step of descent, z − {e.step:g} · ∂J/∂z")
    yield _first_that_fits(map(states, (full, [full[0], full[2], full[4]])), width)
    yield Text()
    yield _formula(f"J: {' → '.join(J)}")
    yield Text()
    if said := rising(e):
        yet = "" if path is None else " yet"  # no step makes them fall where z_y is −inf
        yield _say(f"The other outputs fall, but not{yet} all of their probabilities: for {said}")
    if path is None or path.steps[-1] < 2:
        return
    milestones = {*MILESTONES, int(path.steps[-1])}
    told = [k for k, at in enumerate(path.steps) if at in milestones]
    values = [f"{number(path.target_probability[k])} after {path.steps[k]}" for k in told]
    end = "" if path.reached else ", and was not followed any further"
    yield _say(f"Step after step, a_{i} is {', '.join(values)} steps{end}.")


def _verdict(e: ExampleData, cells: int) -> Iterator[RenderableType]:
    assert e.predicted is not None
    J, uniform, right = e.before.loss, e.uniform_loss, e.predicted == e.target
    predicted = number(e.before.probabilities[e.predicted])
    rank = "" if right else f"; the true class has rank {e.rank} of {e.terms.size}"
    yield Text()
    yield _say(
        f"The prediction is class {in_sentence(e, e.predicted, cells)} with probability "
        f"{predicted}: {'right' if right else 'wrong'}{rank}. The loss is {compared(J, uniform)} "
        f"that of a uniform guess, ln {e.choices} = {number(uniform)}."
    )


def _say(text: str) -> RenderableType:
    return terminal.prose(text, 1)


def _formula(text: str) -> RenderableType:
    return terminal.prose(text, 2)
