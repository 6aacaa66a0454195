"""`softmaxloss score`: the totals of a file of logits and its labels, and its hardest examples."""

import contextlib
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
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
from ..explanation.set_plots import PLOTS, load_matplotlib
from ..explanation.set_sections import hardest
from ..explanation.set_sums import add_up
from ..files import (
    COMPRESSIONS,
    FORMATS,
    WRITERS,
    LogitsFile,
    TargetFile,
    listed,
    open_logits,
    open_scores,
    read_ids,
    read_target,
)
from ..files.evaluation import evaluate
from ..text import few, plural, printable, shorten, shorten_front
from ..totals import Example, Totals, top_ks
from . import command
from .progress import progress_bar

PROBABILITIES = (
    "no number is negative and every row sums to 1: if these are probabilities, not logits, add "
    "--probabilities"
)
HELP = f"""Mean loss, accuracy and perplexity of a file of logits, and its hardest examples.

LOGITS is a file with one row for each example, LABELS one with a class number, a class name or a
row of probabilities for each; without LABELS, LOGITS is a table with a column of labels. - is
standard input. Files larger than memory are read block by block; text may be compressed
({listed(COMPRESSIONS)}). A file of logits holds:

\b
"""
HELP += "\n".join(f"  {suffix:<13} {holds}" for suffix, holds in FORMATS.items())


@click.command(
    cls=command.ExamplesFirst,
    help=HELP,
    short_help="Loss, accuracy and hardest examples of a file.",
    examples="""
    softmaxloss score logits.npy labels.npy
    softmaxloss score logits.csv labels.csv --top 20 --classes cat,dog,bird
    softmaxloss score logits.npy labels.npy --html report.html --open
    softmaxloss score run.npz run.npz --labels-key y --out scores.parquet
    softmaxloss score predictions.csv --labels-key species
    zcat log.jsonl.gz | softmaxloss score -
    """,
)
@click.argument("logits", metavar="LOGITS", type=command.FILE)
@click.argument("labels", metavar="[LABELS]", required=False, type=command.FILE)
@command.top
@command.classes
@command.one_based
@command.ignore_index
@command.probabilities
@command.ids
@click.option(
    "--html", metavar="FILE", type=command.FILE, help="Write a page for a browser to FILE."
)
@click.option("--open", "open_page", is_flag=True, help="Open the page of --html.")
@click.option(
    "--out",
    "outputs",
    metavar="FILE",
    type=command.FILE,
    multiple=True,
    help=f"Write the scores of every example, as {listed(WRITERS)}; or plots, as {listed(PLOTS)} "
    "(needs matplotlib). May be repeated.",
)
@command.logits_key
@command.labels_key
@command.as_json
def score(
    logits: str,
    labels: str | None,
    top: int,
    classes: str | None,
    one_based: bool,
    ignore_index: int,
    probabilities: bool,
    ids_file: str | None,
    html: str | None,
    open_page: bool,
    outputs: tuple[str, ...],
    logits_key: str | None,
    labels_key: str | None,
    as_json: bool,
) -> None:
    """Score the files and report; the parameters are the options of the command."""
    labels = labels or logits
    command.page_options(html, open_page)
    command.check_outputs([*outputs, html], (logits, labels, ids_file, classes))
    plots = [out for out in outputs if Path(out).suffix.lower() in PLOTS]
    if plots:
        load_matplotlib()
    first_class = 1 if one_based else 0
    explained = None
    with contextlib.ExitStack() as stack:
        apart = command.columns_apart(logits, labels, labels_key)
        source = stack.enter_context(
            open_logits(logits, key=logits_key, apart=apart, from_probabilities=probabilities)
        )
        names = command.class_names(classes, source.class_names, source.shape[1])
        known = read_target(
            labels,
            key=labels_key,
            classes=names,
            first_class=first_class,
            beside_logits=labels == logits,
        )
        ids = None if ids_file is None else read_ids(ids_file, known.shape[0])
        opened = [
            open_scores(out, known.shape[0], ids=ids, classes=names, first_class=first_class)
            for out in outputs
            if out not in plots
        ]
        writers = [stack.enter_context(file) for file in opened]
        stack.enter_context(command.label_errors(labels))
        options: Any = {"top": top, "ignore_index": ignore_index, "first_class": first_class}
        options |= {"scores": writers, "on_progress": stack.enter_context(progress_bar())}
        if html is None and not plots:
            result = evaluate(source, known, **options)
        elif isinstance(known, TargetFile):
            what = "--html" if html is not None else f"--out {plots[0]}"
            raise click.UsageError(f"{what} needs one class for each row, not probabilities")
        else:
            sums = add_up(source, known, ids=ids, **options)
            result = sums.totals
            named = None if names is None else tuple(names)
            explained = SetExplanation.of(sums, classes=named, first_class=first_class)
    if result.look_like_probabilities:
        click.echo(f"softmaxloss: note: {printable(source.path.name)}: {PROBABILITIES}", err=True)
    if explained is not None:

        def again(example: Example) -> str:
            return command.explain_row(logits, labels, example.row)

        for out in plots:
            explained.save_plots(out)
        if html is not None:
            command.write_page(partial(explained.save_html, command=again), html, open_page)
    if as_json:
        fields = {"schema": "softmaxloss.scores", "version": 1, "classes": names}
        fields |= {"first_class": first_class} | result.to_dict(top)
        command.write(json.dumps(fields, allow_nan=False) + "\n")
        command.expect_a_mean(result)
        return
    width, color = command.terminal()
    report = [*_totals(result, source, width, soft=isinstance(known, TargetFile))]
    if shown := result.top[:top]:
        cells = max(6, (width - 60) // 2)  # for each of two names; the numbers take the rest

        def name(label: int) -> str:
            known = "" if names is None else f" {shorten(names[label - first_class], cells)}"
            return f"{label}{known}"

        def id(row: int) -> str:
            assert ids is not None
            return shorten_front(ids[row], cells)

        which = "example" if len(shown) == 1 else f"{len(shown)} examples"
        first = command.explain_row(logits, labels, shown[0].row)
        words = ["Why the first of them?", f"   {printable(first)}"]
        title = f"The {which} with the highest loss"
        report += section(Section(title, hardest(shown, name, id if ids else None), words))
    command.write(lay_out(report, color=color, width=width))
    command.expect_a_mean(result)


def _totals(
    result: Totals, file: LogitsFile, width: int, *, soft: bool
) -> Iterator[RenderableType]:
    """The numbers of the whole file."""
    examples, classes = plural(result.examples, "example"), result.classes
    title = f"{printable(file.path.name)}: {examples}, {plural(classes, 'class')}"
    if file.left_out:
        columns = few([shorten(name, 20) or "''" for name in file.left_out[:6]])
        title += f" (columns that are no logits: {columns})"
    yield prose(title)
    yield Text()
    rows = [*_means(result)] if result.examples else []
    if soft:
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
