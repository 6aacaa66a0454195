"""`softmaxloss explain`: one example, from the command line, standard input or a row of a file.

`explain_set.py` explains all rows of a file together.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource

from ..explanation import QUESTIONS, Explanation, SeveralLabels
from ..explanation import explain as explanation_of
from ..explanation.one_text import answers_as_text, titles_as_text
from ..explanation.rendering.terminal import lay_out
from ..files import FORMATS, TargetFile, read_target
from . import command
from .explain_set import explain_set
from .labels import complete_label, read_label
from .numbers import NumbersCommand, read_numbers

WHICH_ROW = (
    "which row of the file? Add --row N, counted from 0, or to explain all rows --labels FILE "
    "instead of --label"
)


_TRUE, _NAMES = "the true class is --label", "the names of the classes are --classes"


@click.command(
    cls=NumbersCommand,
    meant={
        **dict.fromkeys(["--target", "--true", "--class", "--y", "-y", "-l"], _TRUE),
        **dict.fromkeys(["--names", "--class-names"], _NAMES),
        **dict.fromkeys(["--question", "-q"], "a question is --ask"),
        **dict.fromkeys(["--out", "--output", "-o"], "a page is written by --html"),
        **dict.fromkeys(["--logits", "--z"], "the logits are numbers without an option"),
    },
    short_help="Why one example, or a file of them, has its loss.",
    examples="""
    softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2
    softmaxloss explain 2.0 1.0 0.1 -1.2 --classes cat,dog,bird,fish --label bird
    softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2 --ask "what is a nat"
    softmaxloss explain --ask list
    softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2 --html why.html --open
    echo "[2.0, 1.0, 0.1, -1.2]" | softmaxloss explain - --label 3 --one-based
    softmaxloss explain --file logits.npy --row 17 --labels labels.npy
    softmaxloss explain --file logits.npy --labels labels.npy
    """,
)
@click.argument("logits", nargs=-1)
@click.option(
    "--label",
    metavar="CLASS",
    multiple=True,
    shell_complete=complete_label,
    help="The true class: its number, or its name in --classes; several as fox,owl; probabilities "
    "as 0.7,0.2,0.1.",
)
@command.classes
@command.one_based
@command.probabilities
@click.option("--step", default=0.1, show_default=True, help="Size of the descent step.")
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Follow the descent for at most this many steps.",
)
@click.option(
    "--file", metavar="FILE", type=command.FILE, help="Read the logits from a row of this file."
)
@click.option("--row", type=click.IntRange(min=0), help="The row of the file, counted from 0.")
@click.option(
    "--labels",
    metavar="FILE",
    type=command.FILE,
    help="Read the label from the same row of this file; without --file, the same as --label.",
)
@command.top
@command.ignore_index
@command.ids
@command.logits_key
@command.labels_key
@command.linear
@click.option(
    "--ask",
    "questions",
    metavar="QUESTION",
    multiple=True,
    shell_complete=command.one_of([*QUESTIONS, "all", "list"]),
    help="Answer a question, in your words or by its name; may be repeated. `list` lists the "
    "questions, `all` answers all of them.",
)
@click.option(
    "--html", metavar="FILE", type=command.FILE, help="Write a page for a browser to FILE."
)
@click.option("--open", "open_page", is_flag=True, help="Open the page of --html.")
@command.as_json
def explain(
    logits: tuple[str, ...],
    label: tuple[str, ...],
    classes: str | None,
    one_based: bool,
    probabilities: bool,
    step: float,
    steps: int,
    file: str | None,
    row: int | None,
    labels: str | None,
    top: int,
    ignore_index: int,
    ids_file: str | None,
    ids_key: str | None,
    logits_key: str | None,
    labels_key: str | None,
    weight: str | None,
    weight_key: str | None,
    bias_key: str | None,
    questions: tuple[str, ...],
    html: str | None,
    open_page: bool,
    as_json: bool,
) -> None:
    """Explain the loss of one example: which term it is, and which output is pushed where.

    LOGITS are the outputs of the network for the example, one number for each class, separated by
    spaces or commas; or - to read them from standard input, also as a JSON list.

    With a file of logits, a file of labels and no row, explain all its examples together: which
    classes are taken for which, and which examples to look at first.
    """
    command.page_options(html, open_page)
    command.check_outputs([html], (file, labels, ids_file, classes, weight))
    if "list" in questions:
        return command.write(_questions(as_json))
    if label and labels is not None:
        raise click.UsageError("give --label or --labels, not both")
    true: str | int | list[float] | None = ",".join(label) or None
    known: Sequence[str] | None = None
    if file is None:
        needs = "needs a file of logits: --file FILE"
        keys = ("logits_key", "labels_key", "ids_key", "weight_key", "bias_key")
        _refuse(needs, "row", *keys, "weight")
        if labels is not None and (os.path.exists(labels) or Path(labels).suffix in FORMATS):
            _refuse(needs, "labels")
        true = true or labels
        z = read_numbers(logits)
    else:
        if logits:
            raise click.UsageError("give the logits as numbers or with --file, not both")
        with command.open_file(file, labels or "") as source:
            if row is None and source.shape[0] != 1:
                if labels is None:
                    raise click.UsageError(WHICH_ROW)
                _refuse("is for one example: add --row N", "step", "steps", "questions")
                return explain_set(source, labels)
            z, known = source.row(row or 0).tolist(), source.class_names
    _refuse("is for a whole file: --file FILE --labels FILE", "top", "ignore_index", "ids_file")
    names = command.class_names(classes, known, len(z))
    first_class = 1 if one_based else 0
    if file is not None and labels is not None:
        true = _label_of_row(labels, row or 0, labels_key, names, first_class)
    why = explanation_of(
        z,
        true if isinstance(true, list) else read_label(true, names, len(z), first_class),
        classes=names,
        step=step,
        steps=steps,
        first_class=first_class,
        from_probabilities=probabilities and file is None,  # of a file they are logits already
    )
    answers = _answers(why, questions, as_json) if questions else None
    if html is not None:
        command.write_page(why.save_html, html, open_page)
    if answers is not None:
        command.write(answers)
    elif as_json:
        command.write(why.to_json() + "\n")
    elif html is None:
        width, color = command.terminal()
        command.write(why.to_text(width=width, color=color))


def _answers(why: Explanation | SeveralLabels, questions: Sequence[str], as_json: bool) -> str:
    if not isinstance(why, Explanation):
        raise click.UsageError("--ask is about an example with one label")
    asked = [why.ask(id) for id in questions if id != "all"]
    answers = why.answers() if "all" in questions else asked
    if as_json:
        return json.dumps([asdict(answer) for answer in answers]) + "\n"
    width, color = command.terminal()
    return lay_out(answers_as_text(answers), color=color, width=width)


def _questions(as_json: bool) -> str:
    """The titles of all questions."""
    if as_json:
        return json.dumps({question.id: question.title for question in QUESTIONS.values()}) + "\n"
    width, color = command.terminal()
    return lay_out(titles_as_text(), color=color, width=width)


def _refuse(why: str, *options: str) -> None:
    """Raise if one of these options is given, which have no meaning here."""
    context = click.get_current_context()
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = {"questions": "ask", "ids_file": "ids"}.get(name, name.replace("_", "-"))
            raise click.UsageError(f"--{option} {why}")


def _label_of_row(
    file: str, row: int, key: str | None, names: Sequence[str] | None, first_class: int
) -> int | list[float]:
    """The label of a row, in the caller's numbering; or its probabilities."""
    target = read_target(file, key=key, classes=names, first_class=first_class)
    if isinstance(target, TargetFile):
        probabilities: list[float] = target.row(row).tolist()
        return probabilities
    if row >= len(target):
        raise click.UsageError(f"{file} has {len(target)} labels, none for row {row}")
    return int(target[row])
