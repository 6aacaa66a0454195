"""`softmaxloss explain`: one example, from the command line, standard input or a row of a file.

All rows of a file together are the subject of `explain_set.py`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click
from click.core import ParameterSource

from ..explain import explain as explanation_of
from ..files import open_logits, read_labels
from . import command
from .explain_set import explain_set

__all__ = ["explain"]

# -1.2, -inf and "-1.2, 3" are values, and -1.0x a misprint; all else with a hyphen is an option.
NEGATIVE = re.compile(r"-(\.?\d.*|(inf(inity)?|nan)[\s,\]]*)", re.IGNORECASE | re.DOTALL)
SEPARATORS = re.compile(r"[\s,;]+")
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class NumbersCommand(command.ExamplesFirst):
    """A command that takes negative numbers unquoted, wherever they stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # With a space before it, which float() and int() skip, click takes no word for an option.
        options = [p for p in self.params if isinstance(p, click.Option) and not p.is_flag]
        takes_next = {name for option in options for name in option.opts}
        words = [
            f" {word}" if NEGATIVE.fullmatch(word) and before not in takes_next else word
            for before, word in zip(["", *args], args, strict=False)
        ]
        return super().parse_args(ctx, words)


class Example(NamedTuple):
    """What is explained: its logits, what is known of its label and of the class names."""

    logits: Sequence[float]
    label: str | int | None
    names: Sequence[str] | None


@click.command(
    cls=NumbersCommand,
    short_help="Why one example, or a file of them, has its loss.",
    examples="""
    softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2
    softmaxloss explain 2.0 1.0 0.1 -1.2 --classes cat,dog,bird,fish --label bird
    echo "[2.0, 1.0, 0.1, -1.2]" | softmaxloss explain - --label 3 --one-based
    softmaxloss explain --file logits.npy --row 17 --labels labels.npy
    softmaxloss explain --file logits.npy --labels labels.npy
    """,
)
@click.argument("logits", nargs=-1)
@click.option("--label", metavar="CLASS", help="The true class: its number, or its name.")
@command.classes
@command.one_based
@click.option("--step", default=0.1, show_default=True, help="Size of the descent step.")
@click.option("--file", "file", metavar="FILE", help="Take the logits from a row of this file.")
@click.option("--row", type=click.IntRange(min=0), help="Which row of the file, counted from 0.")
@click.option("--labels", "labels", metavar="FILE", help="Take the label from the same row here.")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Of a whole file, list so many examples to look at first.",
)
@command.ignore_index
@command.logits_key
@command.labels_key
@command.as_json
def explain(
    logits: tuple[str, ...],
    label: str | None,
    classes: str | None,
    one_based: bool,
    step: float,
    file: str | None,
    row: int | None,
    labels: str | None,
    top: int,
    ignore_index: int,
    logits_key: str | None,
    labels_key: str | None,
    as_json: bool,
) -> None:
    """Explain the loss of one example: which term it is, which output is pushed where.

    LOGITS are the outputs of the network for the example, one number for each class, separated by
    spaces or commas; or - to read them from standard input, where a JSON list will do too.

    With a file of logits, a file of labels and no row: explain all its examples together, which
    classes are taken for which, and which examples to look at first.
    """
    if file is not None:
        if logits:
            raise click.UsageError("give the logits either as numbers or with --file, not both")
        if row is None and label is None and labels is not None:
            with open_logits(file, key=logits_key) as source:
                if source.shape[0] != 1:
                    _refuse("is for one example: add --row N", "step")
                    explain_set(
                        source,
                        labels,
                        top=top,
                        classes=classes,
                        one_based=one_based,
                        ignore_index=ignore_index,
                        logits_key=logits_key,
                        labels_key=labels_key,
                        as_json=as_json,
                    )
                    return
        example = _from_file(file, row, label, labels, logits_key, labels_key)
    else:
        for option, value in [
            ("--row", row),
            ("--labels", labels),
            ("--logits-key", logits_key),
            ("--labels-key", labels_key),
        ]:
            if value is not None:
                raise click.UsageError(f"{option} needs a file of logits: --file FILE")
        example = Example(_numbers(logits), label, None)
    _refuse("is for a whole file: --file FILE --labels FILE", "top", "ignore_index")
    names = command.class_names(classes, example.names, len(example.logits))
    first_class = 1 if one_based else 0
    why = explanation_of(
        example.logits,
        _class_number(example.label, names, len(example.logits), first_class),
        classes=names,
        step=step,
        first_class=first_class,
    )
    if as_json:
        command.write(why.to_json() + "\n")
    else:
        width, color = command.terminal()
        command.write(why.to_text(width=width, color=color))


def _refuse(why: str, *options: str) -> None:
    """Raise if one of the options is given: here it has no meaning."""
    context = click.get_current_context()
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}")


def _from_file(
    file: str,
    row: int | None,
    label: str | None,
    labels: str | None,
    logits_key: str | None,
    labels_key: str | None,
) -> Example:
    if label is not None and labels is not None:
        raise click.UsageError("give either --label or --labels, not both")
    with open_logits(file, key=logits_key) as source:
        if row is None:
            if source.shape[0] != 1:
                raise click.UsageError(
                    "which row of the file? Add --row N, counted from 0, or to explain them all "
                    "--labels FILE in place of --label"
                )
            row = 0
        logits, names = source.row(row).tolist(), source.class_names
    if labels is None:
        return Example(logits, label, names)
    known = read_labels(labels, key=labels_key)
    if row >= len(known):
        raise click.UsageError(f"{labels} has {len(known)} labels, none for row {row}")
    return Example(logits, int(known[row]), names)


def _class_number(
    label: str | int | None, names: Sequence[str] | None, classes: int, first_class: int
) -> int:
    """The label in the caller's numbering; a class name where there are names."""
    last = first_class + classes - 1
    fits = f"a number from {first_class} to {last}" + (" or a class name" if names else "")
    if label is None:
        raise click.UsageError(f"which class is the true one? Add --label, {fits}")
    word = str(label).strip()
    found = [n + first_class for n, name in enumerate(names or ()) if name == word]
    try:
        number = int(word)
    except ValueError:
        if len(found) == 1:
            return found[0]
        what = "is the name of several classes" if found else "is no class"
        raise click.UsageError(f"the label {word!r} {what}: it must be {fits}") from None
    if isinstance(label, str) and found not in ([], [number]):
        raise click.UsageError(
            f"the label {word} is both the number of a class and the name of another (number "
            f"{found[0]}): leave --classes out, or see whether --one-based is right"
        )
    if not first_class <= number <= last:
        hint = ""
        if number == classes and first_class == 0:
            hint = "; if you count from one, add --one-based"
        raise click.UsageError(f"the label {number} is no class: it must be {fits}{hint}")
    return number


def _numbers(words: Sequence[str]) -> list[float]:
    """The numbers in the words of the command line, or on standard input for the one word -."""
    if not words:
        raise click.UsageError("no logits: softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2")
    if "-" in words:
        if len(words) > 1:
            raise click.UsageError("- reads all the logits from standard input: give no others")
        text = sys.stdin.buffer.read().decode("utf-8-sig", "replace") if sys.stdin else ""
        if text.lstrip().startswith("["):
            return _json_numbers(text)
        _one_example(text)
        where = " on standard input"
    else:
        text, where = " ".join(words), ""
    # Minus signs and brackets, as they come along when numbers are copied from a page or a program.
    text = text.replace("−", "-").strip(" []\n")
    parts = re.split(r"[\s;]+", text)
    if len(parts) > 1 and all(DECIMAL_COMMA.fullmatch(part) for part in parts):
        raise click.UsageError(
            f"{parts[0]} {parts[1]}{where}: are these decimal commas? "
            f"Then write {parts[0].replace(',', '.')}, else separate all numbers by spaces"
        )
    numbers = [_number(word, where) for word in SEPARATORS.split(text) if word]
    if not numbers:
        raise click.UsageError(f"there are no numbers{where}")
    return numbers


def _one_example(text: str) -> None:
    """Refuse a table; one number on each line is fine, and so is a line that ends in a comma."""
    lines = re.sub(r",\s*\n", ", ", text).split("\n")
    counts = [len(SEPARATORS.split(line.strip())) for line in lines if line.strip()]
    if len(counts) > 1 and min(counts) > 1:
        raise click.UsageError(
            f"standard input has {len(counts)} lines of several numbers: explain takes the logits "
            "of one example"
        )


def _number(word: str, where: str) -> float:
    try:
        return float(word)
    except ValueError:
        shown = word if len(word) <= 40 else f"{word[:40]}…"
        raise click.UsageError(f"{shown!r}{where} is not a number") from None


def _json_numbers(text: str) -> list[float]:
    try:
        values = json.loads(text, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"standard input is not a JSON list: {error}") from None
    numbers = []
    for value in values:
        if isinstance(value, list):
            raise click.UsageError(
                "standard input has a list of lists: explain takes the logits of one example"
            )
        if isinstance(value, bool) or not isinstance(value, float | str):
            raise click.UsageError(f"standard input has {json.dumps(value)} in its list of logits")
        numbers.append(_number(value, " on standard input") if isinstance(value, str) else value)
    if not numbers:
        raise click.UsageError("there are no numbers on standard input")
    return numbers
