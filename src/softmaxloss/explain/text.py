"""An explanation in words and tables, for a terminal, a pipe or a README.

Class names are untrusted: they are shown as text, without markup, control characters escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .explanation import Explanation
from .terminal import FAINT, INDENT, indent, lay_out, number, prose, shorten, table, table_width

__all__ = ["render"]

SHOWN = 12  # classes listed; of more than these the strongest are shown, the rest as one line
BAR_WIDTH = 12

ZERO, ONE = number(0.0), number(1.0)  # shown alike, a probability may be near it only
TRUE, UP, DOWN = "bold", "green", "red"


def render(explanation: Explanation, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline.

    width: the columns that it may take; tables take more where the numbers need it. color: with
    ANSI colours; without, the text is plain.

    >>> from softmaxloss.explain import explain
    >>> print(render(explain([2.0, 1.0, 0.1, -1.2], 2)).splitlines()[0])
    One example with 4 classes, numbered from 0. The true class is 2.
    """
    return lay_out(_parts(explanation, width), color=color, width=width)


def _parts(e: Explanation, width: int) -> Iterator[RenderableType]:
    """The sections, top to bottom."""
    classes = e.terms.size
    shown = list(range(classes)) if classes <= SHOWN else e.strongest(SHOWN)
    names = _Names(e, shown, width)
    yield _title(e, names)
    yield from _loss(e, shown, names, width)
    if e.defined and classes > 1:
        yield from _pushes(e, shown, names)
        yield from _after(e)
        yield from _verdict(e, names)
    remarks = e.remarks()
    if remarks:
        yield _heading("Note")
        yield from (_say(remark) for remark in remarks)


class _Names:
    """The classes as the reader sees them: a number, and a name where there is one."""

    def __init__(self, e: Explanation, shown: list[int], width: int) -> None:
        self.e = e
        self.digits = max(len(str(e.number(n))) for n in shown)
        self.cells = max(6, width - 62)

    def plain(self, n: int) -> str:
        """For a sentence."""
        classes = self.e.classes
        known = str(self.e.number(n))
        return known if classes is None else f"{known} ({shorten(classes[n], self.cells)})"

    def row(self, n: int) -> Text:
        """For a table: with a mark at the true class."""
        classes = self.e.classes
        mark = ">" if n == self.e.target else " "
        name = "" if classes is None else f" {shorten(classes[n], self.cells)}"
        return Text(f"{mark} {self.e.number(n):>{self.digits}}{name}")


def _title(e: Explanation, names: _Names) -> RenderableType:
    classes = e.terms.size
    count = "1 class" if classes == 1 else f"{classes} classes"
    title = f"One example with {count}, numbered from {e.first_class}. The true class is "
    line = Text.assemble(title, (names.plain(e.target), TRUE), ".")
    if classes > SHOWN:
        line.append(f" The {SHOWN - 1} strongest others are listed, the rest in one line.")
    return prose(line)


def _loss(e: Explanation, shown: list[int], names: _Names, width: int) -> Iterator[RenderableType]:
    z, a, y = e.before.logits, e.before.probabilities, e.target

    def rows(bar_width: int) -> Table:
        shares = table("class", "output z", "probability a", "<", "−log a", "<")
        for n in shown:
            term = number(e.terms[n])
            shares.add_row(
                names.row(n),
                number(z[n]),
                number(a[n]),
                _bar(a[n], bar_width),
                f"{term} " if n == y else f"({term})",
                "← J" if n == y else "",
                style=TRUE if n == y else None,
            )
        rest = np.delete(a, shown)
        if rest.size:
            total = float(rest.sum())
            shares.add_row(f"  {rest.size} others", "", number(total), _bar(total, bar_width))
        shares.add_row("  sum", "", number(float(a.sum())), style=FAINT)
        return shares

    yield _heading("1. The loss J")
    with_bars = rows(BAR_WIDTH)
    yield indent(with_bars if table_width(with_bars) + INDENT <= width else rows(0))
    if not e.defined:
        return
    yield Text()
    if a.size == 1:
        yield _say("With one class, its probability is 1 and the loss 0, whatever the output is.")
        return
    i, loss = e.number(y), number(e.before.loss)
    a_y = number(a[y])
    middle = f"−log {a_y} = " if a_y not in (ZERO, ONE) else ""
    yield _say(f"The loss is one term, the −log a of class {i}:")
    yield _formula(f"J = −log a_{i} = {middle}{loss}")
    yield _say(
        ("The term in brackets is" if a.size == 2 else "The terms in brackets are")
        + " not added. Yet every output counts, because each is in the denominator of "
        f"a_{i} = exp z_{i} / Σ exp z:"
    )
    z_y = number(z[y])
    minus_z = f"−({z_y})" if z_y.startswith("-") else f"−{z_y}"
    loss = number(e.loss_from_logits)
    yield _formula(f"J = −z_{i} + log Σ exp z = {minus_z} + {number(e.logsumexp)} = {loss}")


def _pushes(e: Explanation, shown: list[int], names: _Names) -> Iterator[RenderableType]:
    y, i = e.target, e.number(e.target)
    pushes = table("class", "∂J/∂z", "<descent", "z after a step", "a after")

    def add(name: str | Text, slope: float, z: str, a: float, style: str | None = None) -> None:
        word, color = ("↑ up", UP) if slope < 0 else ("↓ down", DOWN) if slope > 0 else ("", "")
        signed = f"+{number(slope)}" if slope > 0 else number(slope)
        pushes.add_row(name, Text(signed, color), Text(word, color), z, number(a), style=style)

    for n in shown:
        z_after, a_after = number(e.after.logits[n]), float(e.after.probabilities[n])
        add(names.row(n), float(e.gradient[n]), z_after, a_after, TRUE if n == y else None)
    rest = np.delete(np.arange(e.terms.size), shown)
    if rest.size:
        slope, a_after = float(e.gradient[rest].sum()), float(e.after.probabilities[rest].sum())
        add(f"  {rest.size} others", slope, "", a_after)
    # 0 up to the last digits of float64, which would only distract here.
    zero, one = round(e.gradient_sum, 9), float(e.after.probabilities.sum())
    pushes.add_row("  sum", number(zero), "", "", number(one), style=FAINT)

    yield _heading("2. Which output is raised, and which lowered")
    yield indent(pushes)
    yield Text()
    a_y, slope_y = number(e.before.probabilities[y]), number(e.gradient[y])
    middle = f"{a_y} − 1 = " if a_y != ONE else ""
    true_class = f"∂J/∂z_{i} = a_{i} − 1 = {middle}{slope_y}"
    yield _formula(f"{true_class}    the true class")
    yield _formula(f"{'∂J/∂z_n = a_n':{len(true_class)}}    every other class n")
    yield Text()
    yield _say(
        f"Descent moves each output against its derivative. a_{i} − 1 is negative: the true output "
        "is pushed up. a_n is positive: every other output is pushed down, the likelier the "
        "harder. The derivatives sum to 0: the true output goes up by as much as all the others "
        "together go down."
    )


def _after(e: Explanation) -> Iterator[RenderableType]:
    i, y = e.number(e.target), e.target
    a = _change(e.before.probabilities[y], e.after.probabilities[y])
    J = _change(e.before.loss, e.after.loss)
    yield _heading(f"3. After one step of descent, z − {e.step:g} · ∂J/∂z")
    yield _formula(f"a_{i}  {a}")
    yield _formula(f"J{' ' * len(str(i))}   {J}")


def _verdict(e: Explanation, names: _Names) -> Iterator[RenderableType]:
    assert e.predicted is not None
    J, uniform, classes = e.before.loss, e.uniform_loss, e.terms.size
    predicted = float(e.before.probabilities[e.predicted])
    right = e.predicted == e.target
    rank = "" if right else f"; the true class has rank {e.rank} of {classes}"
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
    for decimals in range(4, 18):
        x, y = number(before, decimals), number(after, decimals)
        if x != y or before == after:
            break
    return f"{x} → {y}"


def _bar(share: float, width: int) -> str:
    """A bar for a share between 0 and 1, to an eighth of a cell."""
    if not width or math.isnan(share):
        return ""
    eighths = round(min(share, 1.0) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _heading(text: str) -> RenderableType:
    return Text(f"\n{text}", "bold")


def _say(text: str) -> RenderableType:
    return prose(text, 1)


def _formula(text: str) -> RenderableType:
    return prose(text, 2)
