"""Shared by the commands: help that begins with examples, common options, writing output."""

from __future__ import annotations  # CompletionItem[…] is new in click

import ast
import contextlib
import csv
import inspect
import io
import math
import os
import re
import shlex
import shutil
import sys
import textwrap
import webbrowser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import LabelError
from ..explanation import SetExplanation
from ..explanation.rendering.terminal import to_ascii
from ..files import LogitsFile, open_logits
from ..files.atomic import check_writable
from ..files.columns import columns_apart
from ..files.ids import read_ids, read_lines
from ..files.linear import LinearFile
from ..text import plural, printable
from ..totals import Totals

F = TypeVar("F", bound=Callable[..., Any])


class ExamplesFirst(click.Command):
    """A command whose help begins with examples to copy and run.

    Args:
        examples: the examples, a line each.
        meant: what is meant by options that it has not, but that people try.
    """

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        meant: Mapping[str, str] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples, self.meant = inspect.cleandoc(examples), meant

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if (name := error.option_name) in self.meant:
                raise click.UsageError(f"no option {name}: {self.meant[name]}", ctx) from None
            raise
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"Examples:\n{textwrap.indent(self.examples, '  ')}\n\n")
        super().format_help(ctx, formatter)


#: The type of a file name, for which a shell completes files. What is wrong with a file is said
#: where it is opened.
FILE = click.Path(readable=False)


def one_of(
    values: Iterable[str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """What a shell completes an option with that takes one of these values."""

    def complete(_: click.Context, __: click.Parameter, word: str) -> list[CompletionItem[str]]:
        return [CompletionItem(value) for value in values if value.startswith(word)]

    return complete


classes = click.option(
    "--classes",
    metavar="A,B,C",
    help="Names of the classes, separated by commas; or a .txt file, a name on each line.",
)
one_based = click.option(
    "--one-based", is_flag=True, help="Labels count the classes from 1 (default: from 0)."
)
ignore_index = click.option(
    "--ignore-index", default=-100, show_default=True, help="Rows with this label do not count."
)
top = click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="List this many of the examples of a file with the highest loss.",
)
_ids = click.option(
    "--ids",
    "ids_file",
    metavar="FILE",
    type=FILE,
    help="Names of the rows, a line of text each.",
)
_ids_key = click.option(
    "--ids-key",
    metavar="NAME",
    help="Name of the array or column with the names of the rows, in the file of --ids or else of "
    "the logits.",
)


def ids(function: F) -> F:
    """The options for the names of rows."""
    return _ids(_ids_key(function))


logits_key = click.option(
    "--logits-key",
    metavar="NAME",
    help="Name of the array of logits in the file; for the columns of a table A,B,C or 'logit_*'.",
)
labels_key = click.option(
    "--labels-key", metavar="NAME", help="Name of the array or column in the file of labels."
)
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


_weight = click.option(
    "--weight",
    metavar="FILE",
    type=FILE,
    help="The files hold hidden states, and the logits are those of a linear layer: its weights, "
    "(classes, features), with its bias if the file has that beside them.",
)
_weight_key = click.option(
    "--weight-key", metavar="NAME", help="Name of the weights in the file of --weight."
)
_bias_key = click.option(
    "--bias-key",
    metavar="NAME",
    help="Name of the bias in the file of --weight (default: NAME.bias beside NAME.weight).",
)


def linear(function: F) -> F:
    """The options of a linear layer."""
    return _weight(_weight_key(_bias_key(function)))


probabilities = click.option(
    "--probabilities", is_flag=True, help="The logits are given as probabilities: z = log a."
)


def class_names(given: str | None, from_file: Sequence[str] | None, count: int) -> list[str] | None:
    """The names of `count` classes: those of --classes, else those of the file, else None."""
    if given is None:
        return None if from_file is None else list(from_file)
    names = names_of(given)
    if len(names) != count:
        hint = ": separate them by commas" if len(names) == 1 and " " in names[0] else ""
        raise click.UsageError(f"--classes: expected {count} names, got {len(names)}{hint}")
    return names


def names_of(given: str) -> list[str]:
    """The names in the value of --classes, which may be the name of a file; or a list of Python, or
    names in quotes where they have commas.

    >>> names_of("cat, dog"), names_of("['cat', 'dog']"), names_of('"dog, wild",cat')
    (['cat', 'dog'], ['cat', 'dog'], ['dog, wild', 'cat'])
    """
    if given.endswith(".txt") and ("," not in given or os.path.exists(given)):
        names = read_lines(given)
    elif (listed := _as_list(given)) is not None:
        names = listed
    elif '"' in given and "\n" not in given:
        names = next(csv.reader([given], skipinitialspace=True))
    else:
        names = given.split(",")
    return [name.strip() for name in names]


def _as_list(given: str) -> list[str] | None:
    """The names, where they are a list of Python or JSON."""
    if given.strip().startswith("["):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            listed = ast.literal_eval(given.strip())
            if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
                return listed
    return None


def linear_file() -> LinearFile | None:
    """The linear layer of the command that runs now, which has the options of `linear`."""
    given = click.get_current_context().params
    if given["weight"] is None:
        for name in ("weight_key", "bias_key"):
            if given[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --weight FILE")
        return None
    if given["probabilities"]:
        raise click.UsageError("--weight makes logits: leave out --probabilities")
    return LinearFile(given["weight"], given["weight_key"], given["bias_key"])


def open_file(path: str, labels: str) -> LogitsFile:
    """The logits in a file, with the options of the command that runs now. labels: the file of
    labels; it may be the same one, and "" is none."""
    given, layer = click.get_current_context().params, linear_file()
    apart = columns_apart(
        path, (labels, given["labels_key"]), (given["ids_file"], given["ids_key"])
    )
    return open_logits(
        path,
        key=given["logits_key"],
        apart=apart,
        from_probabilities=given["probabilities"],
        linear=None if layer is None else layer.read(),
    )


def explain_row(file: str, row: int, *, labels: str | None = None, label: int = 0) -> str:
    """The command that explains one row of a file, for the reader to run, with the options of the
    command that runs now. labels: the file with the label in the same row; None: `label` is it."""
    given = click.get_current_context().params
    words = ["--file", file]
    words += ["--label", str(label)] if labels is None else ["--labels", labels]
    words += ["--row", str(row)]
    names = ["logits_key", "classes", "weight", "weight_key", "bias_key"]
    if labels is not None:
        names.append("labels_key")
    if given.get("ids_file") is None:
        names.append("ids_key")  # a column of this file that is no logit
    for name in names:
        words += [f"--{name.replace('_', '-')}", given[name]] if given[name] is not None else []
    words += [
        f"--{flag}" for flag in ("one-based", "probabilities") if given[flag.replace("-", "_")]
    ]
    return f"softmaxloss explain {shlex.join(words)}"


@contextlib.contextmanager
def label_errors(file: str) -> Iterator[None]:
    """Add the name of the file of labels to an error, and write arguments in it as options."""
    try:
        yield
    except LabelError as error:
        raise click.UsageError(f"{file}: {with_options(str(error))}") from None


def with_options(message: str) -> str:
    """An error of the library, with arguments in it as options.

    >>> with_options("pass first_class=1 or ignore_index=-1")
    'add --one-based or --ignore-index -1'
    """
    message = message.replace("first_class=1", "--one-based").replace("pass ", "add ")
    return re.sub(r"ignore_index=(-?\d+)", r"--ignore-index \1", message)


def expect_a_mean(result: Totals | SetExplanation) -> None:
    """End with exit code 1 if the mean loss is NaN, and say why."""
    if not math.isnan(result.mean_loss):
        return
    why = "no row counts, all are ignored" if result.ignored else "there are no rows"
    if result.invalid:
        have = "has" if result.invalid == 1 else "have"
        why = (
            f"{result.invalid} of {plural(result.examples, 'example')} {have} no loss, because a "
            "logit is NaN or +inf, or all are -inf; these are listed first"
        )
    click.echo(f"softmaxloss: the mean loss is NaN: {why}", err=True)
    click.get_current_context().exit(1)


def row_ids(logits: str, rows: int) -> list[str] | None:
    """The names of the rows, with the options of the command that runs now."""
    given = click.get_current_context().params
    if given["ids_file"] is None and given["ids_key"] is None:
        return None
    return read_ids(given["ids_file"] or logits, rows, key=given["ids_key"])


def terminal() -> tuple[int, bool]:
    """The width of standard output in characters, and whether it shows colours."""
    color = (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
    return shutil.get_terminal_size(fallback=(80, 24)).columns, color


def page_options(html: str | None, open_page: bool) -> None:
    """Raise if --html names no file, or if --open is given without it."""
    if html in ("", "-"):
        raise click.UsageError("--html needs the name of a file to write")
    if open_page and html is None:
        raise click.UsageError("--open opens the page that --html FILE writes")


def check_outputs(written: Iterable[str | None], read: Iterable[str | None]) -> None:
    """Raise, before any work, for a file that is read as well or named twice or not writable."""
    inputs = [path for path in read if path and os.path.exists(path)]
    known = set[str]()
    for out in filter(None, written):
        if os.path.exists(out) and any(os.path.samefile(out, path) for path in inputs):
            raise click.UsageError(f"{out} is a file to be read: choose another name")
        if (real := os.path.realpath(out)) in known:
            raise click.UsageError(f"{out} is named twice as a file to be written")
        known.add(real)
        check_writable(out)


def write_page(save: Callable[[str], None], path: str, open_it: bool) -> None:
    """Write a page, report it on standard error, and open it in a browser if asked to."""
    save(path)
    click.echo(f"wrote {printable(path)}", err=True)
    if open_it and not webbrowser.open(Path(path).resolve().as_uri()):
        raise click.ClickException(f"found no browser to open {printable(path)} with")


def write(text: str) -> None:
    """Write text to standard output, as ASCII if its encoding lacks some of the characters."""
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = to_ascii(text)
    try:
        raw = getattr(sys.stdout, "buffer", None)
        if isinstance(raw, io.RawIOBase):  # PYTHONUNBUFFERED: it may write a part, without an error
            _write_all(raw, text.replace("\n", os.linesep).encode(sys.stdout.encoding or "ascii"))
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from None


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]
