"""`softmaxloss score`: the totals of a file of logits and its labels, and its hardest examples."""

import contextlib
import json
import math
import os
from collections.abc import Iterator

import click
from rich.console import RenderableType
from rich.text import Text

from ..explanation.rendering.numbers import number
from ..explanation.rendering.sections import Cell, Row, Section, Table
from ..explanation.rendering.terminal import indent, lay_out, section, table_of
from ..explanation.set_sections import hardest
from ..files import FORMATS, WRITERS, LogitsFile, listed, open_logits, open_scores, read_labels
from ..files.evaluation import Evaluation, evaluate
from ..text import plural, printable, shorten
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
@click.argument("logits", metavar="LOGITS", type=command.FILE)
@click.argument("labels", metavar="LABELS", type=command.FILE)
@command.top
@command.classes
@command.one_based
@command.ignore_index
@click.option(
    "--out",
    metavar="FILE",
    type=command.FILE,
    help=f"Write the scores of every example, as {listed(WRITERS)}.",
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
        stack.enter_context(command.label_errors(labels))
        result = evaluate(
            source,
            known,
            top=top,
            ignore_index=ignore_index,
            first_class=first_class,
            scores=writer,
            on_progress=stack.enter_context(progress_bar()),
        )
    if as_json:
        fields = {"schema": "softmaxloss.scores", "version": 1, "classes": names}
        fields |= {"first_class": first_class} | result.to_dict()
        command.write(json.dumps(fields, allow_nan=False) + "\n")
        command.expect_a_mean(result.mean_loss, result.examples, result.invalid)
        return
    width, color = command.terminal()
    report = [*_totals(result, source)]
    if result.top:
        cells = max(6, (width - 60) // 2)  # for each of two names; the numbers take the rest

        def name(label: int) -> str:
            known = "" if names is None else f" {shorten(names[label - first_class], cells)}"
            return f"{label}{known}"

        which = "example" if len(result.top) == 1 else f"{len(result.top)} examples"
        again = command.explain_row(logits, labels, result.top[0].row)
        words = ["Why the first of them?", f"   {printable(again)}"]
        title = f"The {which} with the highest loss"
        report += section(Section(title, hardest(result.top, name), words))
    command.write(lay_out(report, color=color, width=width))
    command.expect_a_mean(result.mean_loss, result.examples, result.invalid)


def _totals(result: Evaluation, file: LogitsFile) -> Iterator[RenderableType]:
    """The numbers of the whole file."""
    examples, classes = plural(result.examples, "example"), file.shape[1]
    yield Text(f"{printable(file.path.name)}: {examples}, {plural(classes, 'class')}\n")
    uniform = f"(a uniform guess: ln {classes} = {number(math.log(classes))})"
    rows = [
        ("mean loss", f"{number(result.mean_loss)} nats", uniform),
        ("perplexity", number(result.perplexity), "(exp of the mean loss)"),
        ("accuracy", f"{100 * result.accuracy:.2f} %", ""),
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
