"""An explanation in words and tables, for a terminal, a pipe or a README.

Class names are untrusted: they are shown as text, without markup, control characters escaped.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..text import shorten
from .explanation import Explanation, Layer
from .questions import Answer
from .several import SeveralLabels
from .terminal import FAINT, INDENT, indent, lay_out, number, prose, table, table_width
from .words import argument, others, told_apart

__all__ = ["Names", "answers_as_text", "bar", "heading", "render"]

SHOWN = 12  # classes listed; of more than these the strongest are shown, the rest as one line
BAR_WIDTH = 12
FEATURES = 2  # of a layer, shown
MILESTONES = {10, 100, 1000, 10_000, 100_000}  # of the steps of a path, told

TRUE, UP, DOWN = "bold", "green", "red"


def render(explanation: Explanation, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline.

    width: the columns that it may take; tables take more where the numbers need it. color: with
    ANSI colours; without, the text is plain.

    >>> from softmaxloss.explanation import explain
    >>> print(render(explain([2.0, 1.0, 0.1, -1.2], 2)).splitlines()[0])
    One example with 4 classes, numbered from 0. The true class is 2.
    """
    return lay_out(_parts(explanation, width), color=color, width=width)


def answers_as_text(answers: Iterable[Answer]) -> Iterator[RenderableType]:
    """Questions and their answers, for `lay_out`."""
    for k, answer in enumerate(answers):
        if k:
            yield Text()
        yield prose(Text.assemble((answer.title, "bold"), (f" ({answer.id})", FAINT)))
        for paragraph in answer.text.split("\n\n"):
            yield Text()
            for line in paragraph.split("\n"):
                code = line.startswith("   ")
                yield indent(Text(line)) if code else prose(line, 1)


def _parts(e: Explanation, width: int) -> Iterator[RenderableType]:
    """The sections, top to bottom."""
    classes = e.terms.size
    shown = list(range(classes)) if classes <= SHOWN else e.strongest(SHOWN)
    names = Names(e, shown, width, {e.target})
    yield _title(e, names)
    yield from _loss(e, shown, names, width)
    if e.defined and classes > 1:
        yield from _pushes(e, shown, names)
        yield from _after(e)
        yield from _verdict(e, names)
        if e.layer is not None:
            yield from _layer(e, e.layer, shown, names)
    remarks = e.remarks()
    if remarks:
        yield heading("Note")
        yield from (_say(remark) for remark in remarks)


class Names:
    """The classes as the reader sees them: a number, and a name where there is one."""

    def __init__(
        self, e: Explanation | SeveralLabels, shown: list[int], width: int, marked: Container[int]
    ) -> None:
        self.e, self.marked = e, marked
        self.digits = max(len(str(e.number(n))) for n in shown)
        self.cells = max(6, width - 62)

    def plain(self, n: int) -> str:
        """For a sentence."""
        classes = self.e.classes
        known = str(self.e.number(n))
        return known if classes is None else f"{known} ({shorten(classes[n], self.cells)})"

    def row(self, n: int) -> Text:
        """For a table: with a mark at a true class."""
        classes = self.e.classes
        mark = ">" if n in self.marked else " "
        name = "" if classes is None else f" {shorten(classes[n], self.cells)}"
        return Text(f"{mark} {self.e.number(n):>{self.digits}}{name}")


def _title(e: Explanation, names: Names) -> RenderableType:
    classes = e.terms.size
    count = "1 class" if classes == 1 else f"{classes} classes"
    title = f"One example with {count}, numbered from {e.first_class}. The true class is "
    line = Text.assemble(title, (names.plain(e.target), TRUE), ".")
    if classes > SHOWN:
        line.append(f" The {SHOWN - 1} strongest others are listed, the rest in one line.")
    return prose(line)


def _loss(e: Explanation, shown: list[int], names: Names, width: int) -> Iterator[RenderableType]:
    z, a, y = e.before.logits, e.before.probabilities, e.target

    def rows(bar_width: int, exponentials: bool) -> Table:
        exp = ["exp(z−m)"] if exponentials else []
        shares = table("class", "output z", *exp, "probability a", "<", "−log a", "<")
        for n in shown:
            term = number(e.terms[n])
            shares.add_row(
                names.row(n),
                number(z[n]),
                *([number(e.exponentials[n])] if exponentials else []),
                number(a[n]),
                bar(a[n], bar_width),
                f"{term} " if n == y else f"({term})",
                "← J" if n == y else "",
                style=TRUE if n == y else None,
            )
        rest = np.delete(np.arange(a.size), shown)
        if rest.size:
            total, of_exp = float(a[rest].sum()), number(float(e.exponentials[rest].sum()))
            shares.add_row(
                f"  {others(rest.size)}",
                "",
                *([of_exp] if exponentials else []),
                number(total),
                bar(total, bar_width),
            )
        of_exp = number(e.denominator)
        total = float(a.sum())
        shares.add_row("  sum", "", *([of_exp] if exponentials else []), number(total), style=FAINT)
        return shares

    yield heading("1. The loss J")
    forms = [(BAR_WIDTH, True), (BAR_WIDTH, False), (0, False)]
    tables = (rows(*form) for form in (forms if e.defined else forms[1:]))
    fitting = (shares for shares in tables if table_width(shares) + INDENT <= width)
    yield indent(next(fitting, None) or rows(0, False))
    if not e.defined:
        return
    yield Text()
    if a.size == 1:
        yield _say("With one class, its probability is 1 and the loss 0, whatever the output is.")
        return
    i, loss = e.number(y), number(e.before.loss)
    a_y = number(a[y])
    shown_a = argument(float(a[y]), lambda x: -math.log(x), e.before.loss)
    middle = f"−log {shown_a} = " if shown_a else ""
    yield _say(f"The loss is one term, the −log a of class {i}:")
    yield _formula(f"J = −log a_{i} = {middle}{loss}")
    yield _say(
        ("The term in brackets is" if a.size == 2 else "The terms in brackets are")
        + " not added. Yet every output counts, because each is in the denominator of "
        f"a_{i} = exp z_{i} / Σ exp z:"
    )
    z_y = number(z[y])
    minus_z = f"−({z_y})" if z_y.startswith("-") else f"−{z_y}"
    from_logits = number(e.loss_from_logits)
    yield _formula(f"J = −z_{i} + log Σ exp z = {minus_z} + {number(e.logsumexp)} = {from_logits}")
    yield _say(
        f"In bits that is {number(e.bits)}; exp(−J) = {a_y} is the probability again. (m = "
        f"{number(e.largest)} is the largest output; without it exp could overflow, and it cancels "
        "in a.)"
    )


def _pushes(e: Explanation, shown: list[int], names: Names) -> Iterator[RenderableType]:
    y, i = e.target, e.number(e.target)
    pushes = table("class", "∂J/∂z", "<descent", "z after a step", "a after")

    def add(name: str | Text, slope: float, z: str, a: float, style: str | None = None) -> None:
        stays = z == number(-math.inf)  # no step moves it
        up, down = ("↑ up", UP), ("↓ down", DOWN)
        word, color = ("", "") if slope == 0 or stays else up if slope < 0 else down
        signed = f"+{number(slope)}" if slope > 0 else number(slope)
        pushes.add_row(name, Text(signed, color), Text(word, color), z, number(a), style=style)

    for n in shown:
        z_after, a_after = number(e.after.logits[n]), float(e.after.probabilities[n])
        add(names.row(n), float(e.gradient[n]), z_after, a_after, TRUE if n == y else None)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        slope, a_after = float(e.gradient[rest].sum()), float(e.after.probabilities[rest].sum())
        add(f"  {others(rest.size)}", slope, "", a_after)
    # 0 up to the last digits of float64, which would only distract here.
    zero, one = round(e.gradient_sum, 9), float(e.after.probabilities.sum())
    pushes.add_row("  sum", number(zero), "", "", number(one), style=FAINT)

    yield heading("2. Which output is raised, and which lowered")
    yield indent(pushes)
    yield Text()
    slope_y = number(e.gradient[y])
    a_y = argument(float(e.before.probabilities[y]), lambda x: x - 1, float(e.gradient[y]))
    middle = f"{a_y} − 1 = " if a_y else ""
    true_class = f"∂J/∂z_{i} = a_{i} − 1 = {middle}{slope_y}"
    yield _formula(f"{true_class}    the true class")
    yield _formula(f"{'∂J/∂z_n = a_n':{len(true_class)}}    every other class n")
    yield Text()
    yield _say(e.push())
    by_a = e.gradient_by_probability
    shown_a = argument(float(e.before.probabilities[y]), lambda x: -1 / x, by_a)
    if shown_a:  # else −1/a_y is beyond what can be read
        yield _say(
            f"The way there: J depends on a_{i} alone, ∂J/∂a_{i} = −1/a_{i} = −1/{shown_a} = "
            f"{number(by_a)}; a_{i} depends on every output, ∂a_{i}/∂z_n = "
            f"−a_{i}·a_n, and a_{i}·(1 − a_{i}) for n = {i}. The products of the two are the "
            "column ∂J/∂z."
        )


def _after(e: Explanation) -> Iterator[RenderableType]:
    i, y = e.number(e.target), e.target
    a = _change(e.before.probabilities[y], e.after.probabilities[y])
    J = _change(e.before.loss, e.after.loss)
    yield heading(f"3. After one step of descent, z − {e.step:g} · ∂J/∂z")
    yield _formula(f"a_{i}  {a}")
    yield _formula(f"J{' ' * len(str(i))}   {J}")
    path = e.path
    if path is None or path.steps[-1] < 2:
        return
    milestones = {*MILESTONES, int(path.steps[-1])}
    told = [k for k, at in enumerate(path.steps) if at in milestones]
    values = [f"{number(path.target_probability[k])} after {path.steps[k]}" for k in told]
    end = "" if path.reached else ", and was not followed any further"
    yield Text()
    yield _say(f"Step after step, a_{i} is {', '.join(values)} steps{end}.")


def _layer(
    e: Explanation, layer: Layer, shown: list[int], names: Names
) -> Iterator[RenderableType]:
    features = layer.features
    few = min(features.size, FEATURES)
    more = "…" if few < features.size else ""
    bias, one = ("", "") if layer.bias is None else (" + b", " + 1")
    yield heading(f"4. The layer that made the outputs, z = W·x{bias}")
    changes = table("class", "<∂J/∂W = ∂J/∂z · x", "<W after a step", "z after", "a after")

    def vector(values: NDArray[np.float64]) -> str:
        return f"[{'  '.join(number(v) for v in values[:few])}{more and '  …'}]"

    for n in shown:
        row = e.gradient[n] * features
        z_after, a_after = layer.after.logits[n], layer.after.probabilities[n]
        changes.add_row(
            names.row(n),
            vector(row),
            vector(layer.weight[n] - layer.step * row),
            number(z_after),
            number(a_after),
            style=TRUE if n == e.target else None,
        )
    yield indent(changes)
    yield Text()
    yield _say(
        f"x is {vector(features)}, so a step changes z by −{e.step:g} · (‖x‖²{one}) · ∂J/∂z, "
        f"with ‖x‖²{one} = {number(layer.gain)}. The loss is {number(layer.after.loss)} after it."
    )


def _verdict(e: Explanation, names: Names) -> Iterator[RenderableType]:
    assert e.predicted is not None
    J, uniform, classes = e.before.loss, e.uniform_loss, e.choices
    predicted = float(e.before.probabilities[e.predicted])
    right = e.predicted == e.target
    rank = "" if right else f"; the true class has rank {e.rank} of {e.terms.size}"
    beside = "above" if uniform < J else "below"
    if math.isclose(J, uniform):
        beside = "equal to"
    yield Text()
    yield _say(
        f"The prediction is class {names.plain(e.predicted)} with probability {number(predicted)}: "
        f"{'right' if right else 'wrong'}{rank}. The loss is {beside} "
        f"that of a uniform guess, ln {classes} = {number(uniform)}."
    )


def _change(before: float, after: float) -> str:
    """Two numbers with as many decimals as it takes to tell them apart."""
    return " → ".join(told_apart(before, after))


def bar(share: float, width: int) -> str:
    """A bar for a share between 0 and 1, to an eighth of a cell."""
    if not width or math.isnan(share):
        return ""
    eighths = round(min(share, 1.0) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def heading(text: str) -> RenderableType:
    return Text(f"\n{text}", "bold")


def _say(text: str) -> RenderableType:
    return prose(text, 1)


def _formula(text: str) -> RenderableType:
    return prose(text, 2)
