"""Logits on the command line and on standard input: numbers as people write them."""

import json
import re
import sys
from collections.abc import Sequence

import click

from ..text import shorten
from . import command

# -1.2, -inf and "-1.2, 3" are values, -1.0x is a misprint; anything else with "-" is an option.
NEGATIVE = re.compile(r"-(\.?\d.*|(inf(inity)?|nan)[\s,\]]*)", re.IGNORECASE | re.DOTALL)
SEPARATORS = re.compile(r"[\s,;]+")
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class NumbersCommand(command.ExamplesFirst):
    """A command that takes negative numbers without quotes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A space before a word, which float() and int() skip, keeps click from reading an option.
        options = [p for p in self.params if isinstance(p, click.Option) and not p.is_flag]
        takes_next = {name for option in options for name in option.opts}
        words = [
            f" {word}" if NEGATIVE.fullmatch(word) and before not in takes_next else word
            for before, word in zip(["", *args], args, strict=False)
        ]
        return super().parse_args(ctx, words)


def read_numbers(words: Sequence[str]) -> list[float]:
    """The numbers on the command line, or on standard input for the one word -."""
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
    # Minus signs and brackets, as in numbers copied from a page or a program.
    text = text.replace("−", "-").strip(" []\n")
    parts = re.split(r"[\s;]+", text)
    if len(parts) > 1 and any(DECIMAL_COMMA.fullmatch(part) for part in parts):
        raise click.UsageError(
            f"{parts[0]} {parts[1]}{where}: are these decimal commas? "
            f"Then write {parts[0].replace(',', '.')}, else separate all numbers by spaces"
        )
    numbers = [_number(word, where) for word in SEPARATORS.split(text) if word]
    if not numbers:
        raise click.UsageError(f"there are no numbers{where}")
    return numbers


def _one_example(text: str) -> None:
    """Raise for a table. One number per line is fine, and so is a line that ends in a comma."""
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
        raise click.UsageError(f"'{shorten(word, 40)}'{where} is not a number") from None


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
