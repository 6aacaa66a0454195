"""The explanation of a set in words and tables, for a terminal or a pipe.

Class names are untrusted: they are shown as text, without markup, control characters escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..files.evaluation import Example
from ..text import printable, shorten
from .pushes import LEAST
from .set_explanation import Push, SetExplanation
from .terminal import indent, lay_out, number, prose, table

__all__ = [
    "INVALID",
    "NET",
    "ONE_CLASS",
    "hardest",
    "heaviest",
    "how_short",
    "net_gradient",
    "no_pushes",
    "plural",
    "render",
]

PAIRS = 10  # listed, the strongest of all
CLASSES = 12  # listed; of more than these the ones that the set moves most

UP, DOWN = "green", "red"

ONE_CLASS = "With one class, every loss is 0, and nothing is pushed."
INVALID = (
    "A row with NaN, with +inf or with -inf alone has no loss, so there is no mean loss. What "
    "follows leaves such rows out; the examples at the end begin with them."
)
NET = (
    "∂J/∂z_n, the mean over all examples, is the mean probability a_n of the class less its share "
    "of the examples: the pushes of the others against the pull of its own. Above 0, descent "
    "lowers the output. It is 0 for every class where the model gives each class, on average, as "
    "much probability as it has examples (calibrated on average)."
)


def render(
    explanation: SetExplanation,
    *,
    width: int = 80,
    color: bool = False,
    command: Callable[[Example], str],
) -> str:
    """The explanation as text that ends in a newline.

    width: the columns that it may take; tables take more where the numbers need it. color: with
    ANSI colours; without, the text is plain. command: what to type to see one example explained.

    >>> from softmaxloss.explanation import explain_set
    >>> explanation = explain_set([[0.0, 0.0], [0.0, 0.0]], [0, 1])
    >>> print(render(explanation, command=explanation.call).splitlines()[0])
    2 examples, 2 classes, numbered from 0.
    """
    return lay_out(_parts(explanation, width, command), color=color, width=width)


def _parts(
    e: SetExplanation, width: int, command: Callable[[Example], str]
) -> Iterator[RenderableType]:
    """The sections, top to bottom."""
    yield from _title(e)
    cells = max(6, (width - 60) // 2)  # of two names; the numbers take the rest

    def name(n: int) -> str:
        known = "" if e.classes is None else f" {shorten(e.classes[n], cells)}"
        return f"{e.number(n)}{known}"

    def named(n: int) -> str:  # in a sentence
        known = "" if e.classes is None else f" ({shorten(e.classes[n], cells)})"
        return f"{e.number(n)}{known}"

    if e.counts.size > 1 and e.counts.any():
        yield from _pushes(e, name, named)
        yield from _net(e, name)
    if e.top:
        yield Text("\n3. Examples to look at first, those with the highest loss", "bold")
        yield indent(hardest(e.top, lambda label: name(label - e.first_class)))
        yield prose("\nWhy the first of them?", 1)
        yield indent(Text(printable(command(e.top[0]))), 2)


def _title(e: SetExplanation) -> Iterator[RenderableType]:
    classes = e.counts.size
    yield prose(
        f"{plural(e.examples, 'example')}, {plural(classes, 'class')}, numbered from "
        f"{e.first_class}."
    )
    yield prose(
        Text.assemble(
            "Mean loss ",
            (f"{number(e.mean_loss)} nats", "bold"),
            f" (a uniform guess: ln {classes} = {number(e.uniform_loss)}), accuracy ",
            (f"{100 * e.accuracy:.2f} %", "bold"),
            ".",
        )
    )
    if e.ignored:
        yield prose(f"{plural(e.ignored, 'row')} with the label to ignore left out.")
    if e.invalid:
        yield prose(f"{plural(e.invalid, 'row')} without a softmax. {INVALID}")
    if classes == 1:
        yield prose(ONE_CLASS)


def _pushes(
    e: SetExplanation, name: Callable[[int], str], named: Callable[[int], str]
) -> Iterator[RenderableType]:
    yield Text("\n1. Which classes push which down", "bold")
    strongest = e.strongest(PAIRS)
    if not strongest:
        yield prose(no_pushes(e), 1)
        return
    pushes = table(
        "examples of class", "<push down class", "on average by", "examples", "of all pushes"
    )
    for push in strongest:
        mean = Text(f"+{number(push.mean)}", DOWN)
        share = f"{100 * push.share:.1f} %"
        pushes.add_row(name(push.true), name(push.pushed), mean, str(push.examples), share)
    yield indent(pushes)
    yield Text()
    first = strongest[0]
    i, n = named(first.true), named(first.pushed)
    many = first.examples > 1
    yield prose(
        f"The {plural(first.examples, 'example')} of class {i} {'push' if many else 'pushes'} the "
        f"output of class {n} down by {number(first.mean)}{' on average' if many else ''}, "
        f"{'their mean' if many else 'its'} probability of class {e.number(first.pushed)}: the "
        "higher, the more the model takes one for the other. Listed are the pairs that push most "
        "in total, number of examples times average.",
        1,
    )
    yield prose(
        "Every example pulls up the output of its own class by as much as it pushes the others "
        "down: ∂J/∂z_n = a_n for every other class n, a_y − 1 for its own, and these sum to 0.",
        1,
    )
    if e.pairs is not None:
        yield prose(how_short(e, strongest), 1)


def _net(e: SetExplanation, name: Callable[[int], str]) -> Iterator[RenderableType]:
    yield Text("\n2. Where all the examples together push each output", "bold")
    net = table("class", "examples", "mean loss", "share", "mean a_n", "∂J/∂z_n", "<descent")
    shown = heaviest(e, CLASSES)

    def add(first: str, rows: Sequence[int], loss: str) -> None:
        slope = net_gradient(e, rows)
        word, color = ("↑ up", UP) if slope < 0 else ("↓ down", DOWN) if slope > 0 else ("", "")
        net.add_row(
            first,
            str(int(e.counts[rows].sum())),
            loss,
            number(float(e.shares[rows].sum())),
            number(float(e.mean_probability[rows].sum())),
            Text(f"+{number(slope)}" if slope > 0 else number(slope), color),
            Text(word, color),
        )

    for n in shown:
        add(name(n), [n], number(float(e.class_loss[n])) if e.counts[n] else "none")
    rest = np.delete(np.arange(e.counts.size), shown).tolist()
    if rest:
        add(plural(len(rest), "other"), rest, "")
    yield indent(net)
    yield Text()
    yield prose(NET, 1)


def no_pushes(e: SetExplanation) -> str:
    """Why there is no pair to list."""
    if np.nansum(e.pulls) == 0:
        return "None: every example has all its probability on its own class."
    return (
        f"With {e.counts.size} classes only the stronger pairs are kept, and here none is strong: "
        f"no example gives {LEAST:g} or more to any other class."
    )


def how_short(e: SetExplanation, strongest: Sequence[Push]) -> str:
    """What these averages may miss, where not all pairs are kept."""
    assert e.pairs is not None
    short = max(float(e.pairs.short[push.true]) for push in strongest)
    return (
        f"With {e.counts.size} classes only the stronger pairs are kept. No average here is short "
        f"by more than {number(short)}."
    )


def heaviest(e: SetExplanation, count: int) -> list[int]:
    """The positions of at most `count` classes, those that the set moves most, in their order.

    >>> from softmaxloss.explanation import explain_set
    >>> heaviest(explain_set([[9.0, 0.0, 0.0]], [1]), 2)
    [0, 1]
    """
    order = np.argsort(-np.abs(e.net_gradient), kind="stable")[:count]
    return [int(n) for n in np.sort(order)]


def net_gradient(e: SetExplanation, classes: Sequence[int]) -> float:
    """The sum of the net gradient over these classes, for reading: 0 where a_n and the share cancel
    but for the last digits of float64."""
    return round(math.fsum(e.net_gradient[classes].tolist()), 12)


def hardest(top: Sequence[Example], name: Callable[[int], str]) -> Table:
    """The table of the examples with the highest loss. name: how to show a label."""
    examples = table(">row", "<label", "<predicted", "loss", "label's probability", "rank")
    for example in top:
        valid = example.rank > 0
        examples.add_row(
            str(example.row),
            name(example.label),
            name(example.predicted) if valid else "none",
            number(example.loss),
            number(example.probability),
            str(example.rank) if valid else "none",
        )
    return examples


def plural(count: int, noun: str) -> str:
    """The number and the noun.

    >>> plural(1, "row"), plural(2, "class")
    ('1 row', '2 classes')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"
