"""`softmaxloss score`: the totals of a file of logits and its labels, and its hardest examples."""

import contextlib
import json
import math
import os
from collections.abc import Iterator

import click
from rich.console import RenderableType
from rich.text import Text

from ..errors import LabelError
from ..explanation.rendering.names import plural
from ..explanation.rendering.numbers import number
from ..explanation.rendering.sections import Cell, Row, Table
from ..explanation.rendering.terminal import indent, lay_out, table_of
from ..explanation.set_sections import hardest
from ..files import FORMATS, WRITERS, listed, open_logits, open_scores, read_labels
from ..files.evaluation import Evaluation, evaluate
from ..text import printable, shorten
from . import command
from .progress import progress_bar

HELP = f"""Mean loss, accuracy and perplexity of a file of logits, and its hardest examples.

LOGITS is a {listed(FORMATS)} file with one row for each example, LABELS one with a class number for
each. Files larger than memory are read block by block. A file of logits holds:

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
    softmaxloss score run.npz run.npz --labels-key y --out scores.parquet
    """,
)
@click.argument("logits", metavar="LOGITS")
@click.argument("labels", metavar="LABELS")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of the examples with the highest loss to list.",
)
@command.classes
@command.one_based
@command.ignore_index
@click.option(
    "--out", metavar="FILE", help=f"Write the scores of every example, as {listed(WRITERS)}."
)
@command.logits_key
@command.labels_key
@command.as_json
def score(
    logits: str,
    labels: str,
    top: int,
    classes: str | None,
    one_based: bool,
    ignore_index: int,
    out: str | None,
    logits_key: str | None,
    labels_key: str | None,
    as_json: bool,
) -> None:
    """Score the files and report; the parameters are the options of the command."""
    for read in (logits, labels):
        if out and os.path.exists(out) and os.path.exists(read) and os.path.samefile(out, read):
            raise click.UsageError(f"--out {out} is a file to be read: choose another name")
    first_class = 1 if one_based else 0
    known = read_labels(labels, key=labels_key)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_logits(logits, key=logits_key))
        names = command.class_names(classes, source.class_names, source.shape[1])
        writer = stack.enter_context(open_scores(out, len(known))) if out is not None else None
        try:
            result = evaluate(
                source,
                known,
                top=top,
                ignore_index=ignore_index,
                first_class=first_class,
                scores=writer,
                on_progress=stack.enter_context(progress_bar()),
            )
        except LabelError as error:
            raise click.UsageError(f"{labels}: {command.as_options(str(error))}") from None
    if as_json:
        fields = {"schema": "softmaxloss.scores", "version": 1, "classes": names}
        fields |= {"first_class": first_class} | result.to_dict()
        command.write(json.dumps(fields, allow_nan=False) + "\n")
        return
    width, color = command.terminal()
    report = _report(result, source.path.name, source.shape[1], names, first_class, width)
    text = lay_out(report, color=color)
    if result.top:
        again = command.explain_row(logits, labels, result.top[0].row)
        text += f"\nWhy the first of them?\n   {printable(again)}\n"
    command.write(text)


def _report(
    result: Evaluation,
    file: str,
    classes: int,
    names: list[str] | None,
    first_class: int,
    width: int,
) -> Iterator[RenderableType]:
    """The totals and the table of the hardest examples."""
    yield Text(
        f"{printable(file)}: {plural(result.examples, 'example')}, {plural(classes, 'class')}"
    )
    yield Text()
    uniform = f"(a uniform guess: ln {classes} = {number(math.log(classes))})"
    perplexity, accuracy = number(result.perplexity), f"{100 * result.accuracy:.2f} %"
    rows = [
        ("mean loss", f"{number(result.mean_loss)} nats", uniform),
        ("perplexity", perplexity, "(exp of the mean loss)"),
        ("accuracy", accuracy, ""),
    ]
    if result.ignored:
        rows.append(("ignored", plural(result.ignored, "row"), ""))
    if result.invalid:
        why = "(NaN, +inf or only -inf: no loss, so no mean)"
        rows.append(("invalid", plural(result.invalid, "row"), why))
    lines = [Row([name, value, Cell(note, "faint")]) for name, value, note in rows]
    totals = table_of(Table("", ["", "<", "<"], lines))
    totals.show_header = False
    yield indent(totals)
    if not result.top:
        return

    cells = max(6, (width - 60) // 2)  # for each of two names; the numbers take the rest

    def name(label: int) -> str:
        known = "" if names is None else f" {shorten(names[label - first_class], cells)}"
        return f"{label}{known}"

    which = "example" if len(result.top) == 1 else f"{len(result.top)} examples"
    yield Text(f"\nThe {which} with the highest loss", "bold")
    yield indent(table_of(hardest(result.top, name)))
