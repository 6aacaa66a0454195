"""What there is to say about a set of examples, for its text and its page."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ..files.evaluation import Example
from ..text import plural, printable
from .rendering.names import in_sentence, in_table
from .rendering.numbers import number
from .rendering.sections import Cell, Row, Section, Table, slope_cells
from .set_data import SetData
from .set_sums import LEAST

EMPTY = "none"  # where there is no number
HARDEST = [">row", "<label", "<predicted", "loss", "label's probability", "rank"]


def lead(e: SetData) -> Iterator[str]:
    """The whole set in sentences, and what the reader of the numbers must know first."""
    examples, classes = plural(e.examples, "example"), e.counts.size
    yield f"{examples}, {plural(classes, 'class')}, numbered from {e.first_class}."
    yield (
        f"Mean loss {number(e.mean_loss)} nats (a uniform guess: ln {classes} = "
        f"{number(e.uniform_loss)}), accuracy {100 * e.accuracy:.2f} %."
    )
    if e.look_like_probabilities:
        yield (
            "No logit is negative and those of each row sum to 1, as probabilities do. If they are "
            "probabilities, pass from_probabilities=True (--probabilities): z = log a."
        )
    if e.ignored:
        yield f"{plural(e.ignored, 'row')} with the label to ignore left out."
    if e.invalid:
        yield (
            f"{plural(e.invalid, 'row')} without a softmax. A row with NaN, with +inf or with "
            "only -inf has no loss, so there is no mean loss. The numbers below leave such rows "
            "out; the examples at the end begin with them."
        )
    if classes == 1:
        yield "With one class, every loss is 0, and nothing is pushed."


def sections(
    e: SetData, count: int, cells: int, command: Callable[[Example], str], *, each: bool
) -> Iterator[Section]:
    """The sections, with at most `count` classes or pairs; `cells` is the width of a class name.

    command: what to type to explain one example; shown for each one, or for the first alone.
    """
    if e.counts.size > 1 and e.counts.any():
        yield _pushes(e, count, cells)
        yield _net(e, count, cells)
    if e.top:
        table = hardest(
            e.top,
            lambda label: in_table(e, label - e.first_class, cells),
            command if each else None,
        )
        first = ["Why the first of them?", f"   {printable(command(e.top[0]))}"]
        title = "Examples to look at first, those with the highest loss"
        yield Section(title, table, [] if each else first)


def _pushes(e: SetData, count: int, cells: int) -> Section:
    """The strongest pairs."""
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
        most = max(float(e.pairs.short[push.true]) for push in strongest)
        words.append(
            f"With {e.counts.size} classes only the strong pairs are kept. No average here is too "
            f"small by more than {number(most)}."
        )
    return Section(title, Table("The strongest pushes", heads, rows), words)


def _no_pushes(e: SetData) -> str:
    """Why there is no pair to list."""
    if np.nansum(e.pulls) == 0:
        return "None: every example has all its probability on its own class."
    return (
        f"With {e.counts.size} classes only the strong pairs are kept, and here none is strong: "
        f"no example gives {LEAST:g} or more to any other class."
    )


def _net(e: SetData, count: int, cells: int) -> Section:
    """The net gradient of the classes that the set moves most, and of the rest together."""
    shown = np.sort(np.argsort(-np.abs(e.net_gradient), kind="stable")[:count]).tolist()
    rows = []
    for n in shown:
        loss = number(float(e.class_loss[n])) if e.counts[n] else EMPTY
        rows.append(_net_row(e, [n], in_table(e, n, cells), loss))
    rest = np.delete(np.arange(e.counts.size), shown).tolist()
    if rest:
        rows.append(_net_row(e, rest, plural(len(rest), "other"), ""))
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


def hardest(
    top: Iterable[Example],
    name: Callable[[int], str],
    command: Callable[[Example], str] | None = None,
) -> Table:
    """The examples with the highest loss. name: shows a label; command: explains an example."""
    rows = []
    for example in top:
        valid = example.rank > 0
        predicted, rank = (name(example.predicted), str(example.rank)) if valid else (EMPTY, EMPTY)
        numbers = (number(example.loss), number(example.probability))
        code = [] if command is None else [Cell(command(example), "code")]
        shown = [str(example.row), name(example.label), predicted, *numbers, rank]
        rows.append(Row([*shown, *code]))
    heads = HARDEST if command is None else [*HARDEST, "explain it"]
    return Table("The examples with the highest loss", heads, rows)
