"""What there is to say about a set of examples, in sections for its text and its page."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ..text import plural, printable, shorten_front
from ..totals import Example
from .rendering.names import in_sentence, in_table
from .rendering.numbers import fixed_percent, number
from .rendering.sections import Cell, Row, Section, Table, slope_cells
from .set_data import SetData
from .set_sums import LEAST
from .set_words import confused, issues, trust

EMPTY = "none"  # where there is no number
LISTED = 8  # classes and pairs in the text
HARDEST = [">row", "<label", "<predicted", "loss", "label's probability", "rank"]


def sections(
    e: SetData, count: int, cells: int, command: Callable[[Example], str]
) -> Iterator[Section]:
    """The sections of the text, with at most `count` classes or pairs; `cells` is the width of a
    class name. command: what to type to explain one example."""
    if e.counts.size > 1 and e.counts.any():
        yield confusions(e, count, cells)
        yield classes(e, count, cells)
        yield calibration(e)
        yield pushes(e, count, cells)
        yield net(e, count, cells)
    yield from examples(e, cells)
    if e.top:
        first = ["Why the one with the highest loss?", f"   {printable(command(e.top[0]))}"]
        if e.top[0].rank == 0:
            first[0] = "Why has the first row no loss?"
        yield Section("One of them explained", words=first)


def confusions(e: SetData, count: int, cells: int) -> Section:
    """The pairs of classes that are confused most often."""
    rows = [
        Row([in_table(e, i, cells), in_table(e, n, cells), str(times), fixed_percent(share)])
        for i, n, times, share in e.confusions.most(count)
    ]
    heads = ["true class", "<taken for", "times", "of the class"]
    table = Table("The most frequent confusions", heads, rows) if rows else None
    return Section("Which classes are taken for which", table, [confused(e)])


def classes(e: SetData, count: int, cells: int) -> Section:
    """Recall and precision of each class, or of those with the lowest recall."""
    known, c = np.flatnonzero(e.counts), e.confusions
    shown, caption = list(range(e.counts.size)), "Recall and precision"
    if len(shown) > count:
        shown = known[np.lexsort((-e.counts[known], c.recall[known]))][:count].tolist()
        caption = f"The {len(shown)} classes with the lowest recall"
    first = c.first_of_each()
    rows = []
    for n in shown:
        taken, times = "", ""
        if n in first:
            taken = in_table(e, int(c.predicted[first[n]]), cells)
            times = str(c.count[first[n]])
        shares = [_share(float(x[n])) for x in (c.recall, c.precision)]
        rows.append(Row([in_table(e, n, cells), str(e.counts[n]), *shares, taken, times]))
    heads = ["class", "examples", "recall", "precision", "<mostly taken for", "times"]
    said = (
        "Recall is the share of the examples of the class that are predicted right; precision is "
        "the share of the predictions of the class that are right."
    )
    if len(shown) < e.counts.size:
        said = f"Listed are the {len(shown)} classes with the lowest recall. {said}"
    return Section("How each class does", Table(caption, heads, rows), [said])


def _share(x: float) -> str | Cell:
    return EMPTY if math.isnan(x) else Cell(f"{x:.4f}", share=x)


def calibration(e: SetData) -> Section:
    """Whether the probabilities can be trusted."""
    return Section("Whether its probabilities can be trusted", words=list(trust(e)))


def examples(e: SetData, cells: int, *, links: bool = False) -> Iterator[Section]:
    """Labels that look wrong, hard examples, rows without a loss. links: to `row-…` on the page."""
    x = e.examined
    if x.suspects:
        yield Section("Labels that look wrong", _examined(e, x.suspects, cells, links), [issues(e)])
    if x.hard:
        words = [] if x.suspects else [issues(e)]
        yield Section("Examples that are hard", _examined(e, x.hard, cells, links), words)
    if x.invalid:
        yield Section("Rows without a loss", _examined(e, x.invalid, cells, links))


def _examined(e: SetData, some: Iterable[Example], cells: int, links: bool) -> Table:
    """Examples with their label and their prediction, and the probability of each."""

    def name(label: int) -> str:
        return in_table(e, label - e.first_class, cells)

    ids, rows = e.examined.ids, []
    for x in some:
        valid = x.rank > 0
        predicted = [name(x.predicted), number(x.confidence)] if valid else [EMPTY, EMPTY]
        id = [shorten_front(ids.get(x.row, ""), cells)] if ids else []
        label = [name(x.label), number(x.probability) if valid else EMPTY]
        row = Cell(str(x.row), link=f"row-{x.row}" if links else "")
        rows.append(Row([row, *id, *label, *predicted, number(x.loss)]))
    id = ["<id"] if ids else []
    heads = [">row", *id, "<label", "probability", "<predicted", "probability", "loss"]
    return Table("The highest loss first", heads, rows)


def pushes(e: SetData, count: int, cells: int) -> Section:
    """The strongest pairs."""
    title, strongest = "Which classes push which down", e.strongest(count)
    if not strongest:
        return Section(title, words=[_no_pushes(e)])
    rows = []
    for push in strongest:
        pair = (in_table(e, push.true, cells), in_table(e, push.pushed, cells))
        mean, _ = slope_cells(push.mean)
        rows.append(Row([*pair, mean, _amount(push.examples), fixed_percent(push.share, 1)]))
    heads = ["examples of class", "<push down class", "on average by", "examples", "of all pushes"]
    first, many = strongest[0], strongest[0].examples != 1
    i, n = in_sentence(e, first.true, cells), in_sentence(e, first.pushed, cells)
    words = [
        f"The {_amount(first.examples)} example{'' if first.examples == 1 else 's'} of class {i} "
        f"{'push' if many else 'pushes'} the "
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


def _amount(examples: float) -> str:
    """A number of examples, of which there are parts where labels are probabilities."""
    return f"{examples:.0f}" if float(examples).is_integer() else f"{examples:.1f}"


def _no_pushes(e: SetData) -> str:
    """Why there is no pair to list."""
    if np.nansum(e.pulls) == 0:
        return "None: every example has all its probability on its own class."
    return (
        f"With {e.counts.size} classes only the strong pairs are kept, and here none is strong: "
        f"no example gives {LEAST:g} or more to any other class."
    )


def net(e: SetData, count: int, cells: int) -> Section:
    """The net gradient of the classes that the set moves most, and of the rest together."""
    shown = np.sort(np.argsort(-np.abs(e.net_gradient), kind="stable")[:count]).tolist()
    rows = []
    for n in shown:
        loss = number(float(e.class_loss[n])) if e.class_counts[n] else EMPTY
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
    return Row(
        [
            name,
            _amount(float(e.class_counts[classes].sum())),
            loss,
            share,
            mean,
            *slope_cells(slope),
        ]
    )


def hardest(
    top: Iterable[Example], name: Callable[[int], str], id: Callable[[int], str] | None = None
) -> Table:
    """The examples with the highest loss. name: shows a label, id: the id of a row."""
    rows = []
    for example in top:
        valid = example.rank > 0
        predicted, rank = (name(example.predicted), str(example.rank)) if valid else (EMPTY, EMPTY)
        numbers = (number(example.loss), number(example.probability))
        called = [] if id is None else [id(example.row)]
        words = [*called, name(example.label), predicted]
        rows.append(Row([str(example.row), *words, *numbers, rank]))
    heads = HARDEST if id is None else [HARDEST[0], "<id", *HARDEST[1:]]
    return Table("The examples with the highest loss", heads, rows)
