"""What there is to say about a set of examples, for its text and its page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ..files.evaluation import Example
from .rendering.names import in_sentence, in_table, others, plural
from .rendering.numbers import number
from .rendering.sections import Row, Section, Table, slope_cells
from .set_data import Push, SetData
from .set_sums import LEAST

EMPTY = "none"  # where there is no number
HARDEST = [">row", "<label", "<predicted", "loss", "label's probability", "rank"]


def notes(e: SetData) -> Iterator[str]:
    """What the reader of the numbers must know first; for most sets nothing."""
    if e.invalid:
        yield (
            f"{plural(e.invalid, 'row')} without a softmax. A row with NaN, with +inf or with "
            "only -inf has no loss, so there is no mean loss. The numbers below leave such rows "
            "out; the examples at the end begin with them."
        )
    if e.counts.size == 1:
        yield "With one class, every loss is 0, and nothing is pushed."


def pushes(e: SetData, count: int, cells: int) -> Section:
    """The strongest pairs, at most `count`; `cells` is the width of a class name."""
    title, strongest = "Which classes push which down", e.strongest(count)
    if not strongest:
        return Section(title, words=[_no_pushes(e)])
    rows = []
    for push in strongest:
        pair = (in_table(e, push.true, cells), in_table(e, push.pushed, cells))
        mean, _ = slope_cells(push.mean)
        rows.append(Row([*pair, mean, str(push.examples), f"{100 * push.share:.1f} %"]))
    heads = ["examples of class", "<push down class", "on average by", "examples", "of all pushes"]
    first, many = strongest[0], strongest[0].examples > 1
    i, n = in_sentence(e, first.true, cells), in_sentence(e, first.pushed, cells)
    words = [
        f"The {plural(first.examples, 'example')} of class {i} {'push' if many else 'pushes'} the "
        f"output of class {n} down by {number(first.mean)}{' on average' if many else ''}, "
        f"{'their mean' if many else 'its'} probability of class {e.number(first.pushed)}: the "
        "higher, the more the model takes one for the other. Listed are the pairs that push most "
        "in total, number of examples times average.",
        "Every example pulls up the output of its own class by as much as it pushes the others "
        "down: ∂J/∂z_n = a_n for every other class n, a_y − 1 for its own, and these sum to 0.",
    ]
    if e.pairs is not None:
        words.append(_short(e, strongest))
    return Section(title, Table("The strongest pushes", heads, rows), words)


def _no_pushes(e: SetData) -> str:
    """Why there is no pair to list."""
    if np.nansum(e.pulls) == 0:
        return "None: every example has all its probability on its own class."
    return (
        f"With {e.counts.size} classes only the strong pairs are kept, and here none is strong: "
        f"no example gives {LEAST:g} or more to any other class."
    )


def _short(e: SetData, strongest: Iterable[Push]) -> str:
    """How far these averages may be off where not all pairs are kept."""
    assert e.pairs is not None
    most = max(float(e.pairs.short[push.true]) for push in strongest)
    return (
        f"With {e.counts.size} classes only the strong pairs are kept. No average here is too "
        f"small by more than {number(most)}."
    )


def net(e: SetData, count: int, cells: int) -> Section:
    """The net gradient of at most `count` classes and of the rest together."""
    shown = heaviest(e, count)
    rows = []
    for n in shown:
        loss = number(float(e.class_loss[n])) if e.counts[n] else EMPTY
        rows.append(_net_row(e, [n], in_table(e, n, cells), loss))
    rest = np.delete(np.arange(e.counts.size), shown).tolist()
    if rest:
        rows.append(_net_row(e, rest, others(len(rest)), ""))
    heads = ["class", "examples", "mean loss", "share", "mean a_n", "∂J/∂z_n", "<descent"]
    said = (
        "∂J/∂z_n, the mean over all examples, is the mean probability a_n of the class minus its "
        "share of the examples: the pushes of the others against the pull of its own. Above 0, "
        "descent lowers the output. It is 0 for every class where the model gives each class, on "
        "average, as much probability as it has examples (calibrated on average)."
    )
    title = "Where all the examples together push each output"
    return Section(title, Table("The net gradient of each class", heads, rows), [said])


def _net_row(e: SetData, classes: Sequence[int], name: str, loss: str) -> Row:
    # Exactly 0 where a_n and the share cancel but for the last digits of float64.
    slope = round(math.fsum(e.net_gradient[classes].tolist()), 12)
    share, mean = (number(float(x[classes].sum())) for x in (e.shares, e.mean_probability))
    return Row([name, str(int(e.counts[classes].sum())), loss, share, mean, *slope_cells(slope)])


def heaviest(e: SetData, count: int) -> list[int]:
    """The positions of at most `count` classes, those that the set moves most, in their order."""
    order = np.argsort(-np.abs(e.net_gradient), kind="stable")[:count]
    return [int(n) for n in np.sort(order)]


def hardest(top: Iterable[Example], name: Callable[[int], str]) -> Table:
    """The examples with the highest loss. name: shows a label."""
    rows = []
    for example in top:
        valid = example.rank > 0
        predicted, rank = (name(example.predicted), str(example.rank)) if valid else (EMPTY, EMPTY)
        numbers = (number(example.loss), number(example.probability))
        rows.append(Row([str(example.row), name(example.label), predicted, *numbers, rank]))
    return Table("The examples with the highest loss", HARDEST, rows)
