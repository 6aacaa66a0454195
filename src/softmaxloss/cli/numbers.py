"""Logits on the command line and on standard input: numbers as people write and paste them."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..files import FORMATS
from ..text import shorten
from . import command

# -1.2, -inf and "-1.2, 3" are values, -1.0x is a misprint; anything else with "-" is an option.
NEGATIVE = re.compile(r"-(\.?\d.*|(inf(inity)?|nan)[\s,\])]*)", re.IGNORECASE | re.DOTALL)
SEPARATORS = re.compile(r"[\s,;]+")
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
FIRST_NUMBER = re.compile(r"[\[(]*[-−–]?\.?\d[\d.,;eE\])]*$")

# Signs that are typeset for a minus: hyphens, dashes, the minus sign, a full-width hyphen.
MINUS = str.maketrans(dict.fromkeys("‐‑‒–−﹣－", "-"))

# An array as a program prints it, down to its list: tensor([2., 1.], grad_fn=<AddBackward0>),
# array([2., 1.], dtype=float32), <tf.Tensor: shape=(2,), …, numpy=array([2., 1.])>.
PRINTED = re.compile(
    r"(<tf\.Tensor:[^\[]*numpy=|Parameter containing:\s*)?"
    r"[a-z_][\w.]*\(\s*(?P<list>\[.*\])\s*(,\s*\w+=.*)?\)>?",
    re.IGNORECASE | re.DOTALL,
)
# What stands before it in a log: logits: [2.0, 1.0], z = 2.0 1.0.
NAMED = re.compile(r"^\s*['\"]?[a-z_][\w.]{0,40}['\"]?\s*[:=]\s*(?=[-\[(\d.a-z])", re.IGNORECASE)
# One of its numbers: np.float64(2.0), tensor(2., device='cuda:0').
SCALAR = re.compile(r"\b[a-z_][\w.]{0,40}\(\s*([^\s(),\[\]]+)[^()\[\]]*\)", re.IGNORECASE)
BRACKETS = re.compile(r"[\[\]()]+")


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
        raise click.UsageError(
            "no logits: softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2, or - to read them from "
            "standard input"
        )
    if "-" in words:
        if len(words) > 1:
            raise click.UsageError("- reads all the logits from standard input: give no others")
        text = sys.stdin.buffer.read().decode("utf-8-sig", "replace") if sys.stdin else ""
        where = " on standard input"
    else:
        text, where = " ".join(words), ""
    rows = _rows(text.translate(MINUS).strip())
    parts = re.split(r"[\s;]+", rows[0]) if len(rows) == 1 else []
    if len(parts) > 1 and any(DECIMAL_COMMA.fullmatch(part) for part in parts):
        raise click.UsageError(
            f"{parts[0]} {parts[1]}{where}: are these decimal commas? "
            f"Then write {parts[0].replace(',', '.')}, else separate all numbers by spaces"
        )
    numbers = [_number(word, where) for row in rows for word in SEPARATORS.split(row)]
    if len(rows) > 1:
        one = any(len(SEPARATORS.split(row)) == 1 for row in rows)
        hint = "; the true class is given by --label" if one else ""
        raise click.UsageError(
            f"there are {len(rows)} rows of numbers{where}: explain takes the logits of one "
            f"example{hint}"
        )
    if not numbers:
        raise click.UsageError(f"there are no numbers{where}")
    return numbers


def _rows(text: str) -> list[str]:
    """The lists of numbers in the text, without brackets, however a program printed them."""
    text = NAMED.sub("", text)
    if printed := PRINTED.fullmatch(text):
        text = printed["list"]
    text = SCALAR.sub(r"\1", text)
    if BRACKETS.search(text):
        return [row for part in BRACKETS.split(text) if (row := part.strip(" ,;\n"))]
    # One number per line is fine, and so is a line that ends in a comma.
    lines = re.sub(r",\s*\n", ", ", text).split("\n")
    rows = [row for line in lines if (row := line.strip(" ,;"))]
    one = any(len(SEPARATORS.split(row)) == 1 for row in rows)
    return [" ".join(rows)] if one else rows


def _number(word: str, where: str) -> float:
    word = word.strip("'\"")
    try:
        return float(word)
    except ValueError:
        pass
    hint = ""
    if word in ("...", "…"):
        hint = ": the list is printed in part; print all of it, e.g. with .tolist()"
    elif Path(word).suffix.lower() in FORMATS:
        hint = f": to read the logits from a file, --file {shlex.quote(shorten(word, 40))}"
    elif word.startswith("--"):
        hint = ": after -- there are only numbers"
    elif "," not in (click.get_current_context().params.get("classes") or ","):
        hint = ": separate names of classes by commas, --classes A,B,C"
    raise click.UsageError(f"'{shorten(word, 40)}'{where} is not a number{hint}")
