"""The true class on the command line: its number or its name; several with commas between them."""

from __future__ import annotations  # CompletionItem[…] is new in click

import contextlib
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from ..class_names import offer
from ..files import open_logits
from ..files.class_numbers import ClassNumbers, as_float
from ..files.errors import BadFileError
from ..text import printable, shown
from . import command


def read_label(
    label: str | int | None, names: Sequence[str] | None, classes: int, first_class: int
) -> int | list[float]:
    """The label in the caller's numbering; or a target: of several labels a 1 for each, else the
    number for each class that is given, one-hot or probabilities.

    Text is read as by `ClassNumbers`; an integer, from a file, is a number.
    """
    last = first_class + classes - 1
    fits = f"a whole number from {first_class} to {last}" + (" or a class name" if names else "")
    if label is None:
        raise click.UsageError(f"which class is the true one? Add --label, {fits}")

    def number(word: str) -> int:
        return _number(word.strip(), names, classes, first_class, fits)

    if isinstance(label, int):
        names, label = None, str(label)
    if label.strip() in (names or ()):
        return number(label)
    words = [word.strip() for word in label.strip(" []()").split(",")]
    if len(words) == 1:
        return number(words[0])
    if (given := _value_for_each(words, names, classes)) is not None:
        return given
    target = [0.0] * classes
    for word in words:
        position = number(word) - first_class
        if target[position]:
            raise click.UsageError(f"the label {word} is given twice")
        target[position] = 1.0
    return target


def _value_for_each(
    words: Sequence[str], names: Sequence[str] | None, classes: int
) -> list[float] | None:
    """One-hot or probabilities: a number from 0 to 1 for each class. None for names, and for
    numbers of classes, of which none is there twice and none has a point."""
    if len(words) != classes or any(word in (names or ()) for word in words):
        return None
    if len({*words}) == classes and all(word.isdecimal() for word in words):
        return None
    values = [value for word in words if (value := as_float(word)) is not None and 0 <= value <= 1]
    return values if len(values) == classes else None


def _number(
    word: str, names: Sequence[str] | None, classes: int, first_class: int, fits: str
) -> int:
    """The number of one class."""
    numbers = ClassNumbers(names, first_class)
    try:
        number = numbers.of(word)
    except BadFileError:
        if word in numbers:
            raise click.UsageError(
                f"the label {shown(word)} is the name of several classes: it must be {fits}"
            ) from None
        near = f"; {offer(word, names)}" if names else ""
        if (value := as_float(word)) is not None:
            near = "; probabilities are given as 0.2,0.8, one for each class"
            near = f"; write {value:.0f}" if value.is_integer() else near
        elif not names:
            near = "; for names add --classes A,B,C"
        raise click.UsageError(
            f"the label {shown(word)} is not a class: it must be {fits}{near}"
        ) from None
    last = first_class + classes - 1
    if not first_class <= number <= last:
        hint = ""
        if number == classes and first_class == 0:
            hint = "; if you count from one, add --one-based"
        raise click.UsageError(f"the label {number} is not a class: it must be {fits}{hint}")
    if word in numbers and word in map(str, range(first_class, last + 1)) and word != str(number):
        click.echo(
            f"softmaxloss: note: the label {printable(word)} is the name of class {number}, "
            f"so it is not taken for the number of class {word}",
            err=True,
        )
    return number


def complete_label(
    context: click.Context, _: click.Parameter, word: str
) -> list[CompletionItem[str]]:
    """The class names that a shell completes the last of the labels with."""
    given, names = context.params, list[str]()
    if given.get("classes"):
        with contextlib.suppress(ValueError):
            names = command.names_of(given["classes"])
    elif given.get("file"):
        with (
            contextlib.suppress(OSError, ValueError),
            open_logits(given["file"], key=given.get("logits_key")) as source,
        ):
            names = list(source.class_names or ())
    before, comma, begun = word.rpartition(",")
    known = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in names
        if name.startswith(begun) and name not in known and name.isprintable()
    ]
