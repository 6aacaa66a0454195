"""What `softmaxloss score` prints: the totals, and the examples with the highest loss."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from ..explanation import SetExplanation
from ..explanation.rendering.numbers import fixed_percent, number
from ..explanation.rendering.sections import Cell, Row, Section, Table
from ..explanation.rendering.terminal import (
    INDENT,
    indent,
    lay_out,
    prose,
    section,
    table_of,
    table_width,
)
from ..explanation.set_sections import hardest
from ..text import few, plural, printable, shorten, shorten_front
from ..totals import Example, Totals, top_ks
from . import command

PROBABILITIES = (
    "no number is negative and every row sums to 1: if these are probabilities, not logits, add "
    "--probabilities"
)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What was scored, and how it is shown.

    Attributes:
        what: the file or files.
        totals: the totals of all rows.
        explained: what a page and plots show; None without them.
        classes: the names of the classes.
        soft: whether labels are probabilities.
        left_out: the columns that are no logits.
        again: the command that explains an example.
        called: what a row is called; None: it has a number alone.
        place: of several files, the one of a row and its number there.
        failed: of several files, those that could not be scored and why.
    """

    what: str
    totals: Totals
    explained: SetExplanation | None
    classes: Sequence[str] | None
    soft: bool
    left_out: Sequence[str]
    again: Callable[[Example], str]
    called: Callable[[int], str] | None = None
    place: Callable[[int], tuple[str, int]] | None = None
    failed: Sequence[tuple[str, str]] = ()


def show(scored: Scored, plots: Sequence[str], html: str | None) -> None:
    """Write plots and page, and the report to standard output, with the options of the command that
    runs now."""
    given = click.get_current_context().params
    totals, explained = scored.totals, scored.explained
    if totals.look_like_probabilities:
        click.echo(f"softmaxloss: note: {printable(scored.what)}: {PROBABILITIES}", err=True)
    if explained is not None:
        for out in plots:
            explained.save_plots(out)
        if html is not None:
            save = partial(explained.save_html, command=scored.again)
            command.write_page(save, html, given["open_page"])
    if given["as_json"]:
        command.write(json.dumps(_fields(scored, given["top"]), allow_nan=False) + "\n")
    else:
        _write_report(scored, given["top"])


def _fields(scored: Scored, top: int) -> dict[str, Any]:
    """The totals as JSON."""
    fields: dict[str, Any] = {"schema": "softmaxloss.scores", "version": 1}
    fields |= {"classes": scored.classes, "first_class": scored.totals.first_class}
    fields |= scored.totals.to_dict(top)
    if scored.place is not None:
        for example in fields["top"]:
            example["file"], example["file_row"] = scored.place(example["row"])
        fields["failed"] = [{"file": file, "reason": why} for file, why in scored.failed]
    return fields


def _write_report(scored: Scored, top: int) -> None:
    """Write the report."""
    width, color = command.terminal()
    report = [*_totals(scored, width)]
    if shown := scored.totals.top[:top]:
        cells = max(6, (width - 60) // 2)  # for each of two names; the numbers take the rest
        classes, first = scored.classes, scored.totals.first_class

        def name(label: int) -> str:
            known = "" if classes is None else f" {shorten(classes[label - first], cells)}"
            return f"{label}{known}"

        def id(row: int) -> str:
            assert scored.called is not None
            return shorten_front(scored.called(row), cells if classes else 2 * cells)

        which = "example" if len(shown) == 1 else f"{len(shown)} examples"
        words = ["Why the first of them?", f"   {printable(scored.again(shown[0]))}"]
        title = f"The {which} with the highest loss"
        table = hardest(shown, name, id if scored.called else None)
        report += section(Section(title, table, words))
    command.write(lay_out(report, color=color, width=width))


def _totals(scored: Scored, width: int) -> Iterator[RenderableType]:
    """The numbers of the whole set."""
    result, left_out = scored.totals, scored.left_out
    examples, classes = plural(result.examples, "example"), result.classes
    title = f"{printable(scored.what)}: {examples}, {plural(classes, 'class')}"
    if left_out:
        columns = few([shorten(name, 20) or "''" for name in left_out[:6]])
        title += f" (columns that are no logits: {columns})"
    yield prose(title)
    yield Text()
    rows = [*_means(result)] if result.examples else []
    if scored.soft:
        why = "(the label is the most probable class)"
        rows.append(("labels", "probabilities", why))
    if result.ignored:
        rows.append(("ignored", plural(result.ignored, "row"), ""))
    if result.invalid:
        why = "(NaN, +inf or only -inf: no loss, so no mean)"
        rows.append(("invalid", plural(result.invalid, "row"), why))
    if not rows:
        return
    for notes in (True, False):  # where they do not fit, the numbers alone
        lines = [Row([name, value, *([Cell(why, "faint")] * notes)]) for name, value, why in rows]
        totals = table_of(Table("", ["", "<", "<"][: 2 + notes], lines))
        totals.show_header = False
        if INDENT + table_width(totals) <= width:
            break
    yield indent(totals)
    if result.examples and not notes:
        yield prose(f"A uniform guess has the mean loss {_uniform(classes)}.", 1)


def _means(result: Totals) -> Iterator[tuple[str, str, str]]:
    """Name, value and a note for each of them."""
    loss = number(result.mean_loss)
    yield "mean loss", f"{loss} nats", f"(a uniform guess: {_uniform(result.classes)})"
    yield "perplexity", number(result.perplexity), "(exp of the mean loss)"
    yield "accuracy", fixed_percent(result.accuracy), ""
    if ks := top_ks(result.classes):
        k = 5 if 5 in ks else ks[-1]
        yield f"top-{k}", fixed_percent(result.top_k(k)), "(the label is among the largest)"
    if result.classes > 1:
        why = "(how far probability and accuracy differ)"
        yield "ECE", fixed_percent(result.reliability.ece), why


def _uniform(classes: int) -> str:
    return f"ln {classes} = {number(math.log(classes))}"
