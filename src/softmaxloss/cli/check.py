"""`softmaxloss check`: the functions of files, each in a process of its own."""

import contextlib
import glob
import json
import keyword
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from ..checking import Report
from ..checking.sandbox.process import check_files
from ..checking.settings import Layout, Part, Settings
from ..files.atomic import atomic_write_text, target_of
from ..text import printable
from . import command
from .grades import as_csv, as_junit, as_text
from .progress import progress_bar

DAY = 24 * 60 * 60


@click.command(
    cls=command.ExamplesFirst,
    short_help="Name the mistake in a softmax loss.",
    examples="""
    softmaxloss check my_loss.py:softmax_loss
    softmaxloss check my_loss.py:Loss.forward --kind loss --seed 17
    softmaxloss check 'submissions/*.py:softmax_loss' --csv grades.csv
    """,
)
@click.argument("what", metavar="FILE.py:FUNCTION")
@click.option("--kind", type=click.Choice(get_args(Part)), help="What the function computes.")
@click.option("--layout", type=click.Choice(get_args(Layout)), help="How the examples are stored.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Dtype of the logits.",
)
@click.option("--strict", is_flag=True, help="Weaknesses and conventions count as wrong.")
@click.option(
    "--allow",
    "expected_failures",
    metavar="ID",
    multiple=True,
    help="A mistake that does not count as wrong; repeatable.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the inputs of an earlier check.")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds for each file.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write one line for each file.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML, one test for each file.")
@click.option("--write-test", metavar="FILE", help="Write a test for pytest.")
@command.as_json
@click.pass_context
def check(
    context: click.Context,
    /,
    what: str,
    timeout: float,
    csv_file: str | None,
    junit: str | None,
    write_test: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Check the softmax, its loss or its gradient in a file, and name what is wrong.

    FUNCTION may be Class.method, or a class whose instances can be called. FILE.py may be a
    pattern, in quotes: each file that matches is checked. The exit code is 0 if all are right, 2 if
    none could be checked, else 1. If interrupted, it writes no file. The code runs in a process of
    its own, with limits on time and memory; that protects from accidents, not from malice.
    """
    pattern, _, function = what.rpartition(":")
    if not pattern or not all(part.isidentifier() for part in function.split(".")):
        raise click.UsageError(f"{printable(what)}: write FILE.py:FUNCTION")
    files = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise click.UsageError(f"{printable(pattern)}: no such file")
    if not 0 < timeout <= DAY:
        raise click.UsageError(f"--timeout must be more than 0 and at most {DAY} seconds")
    for output in (csv_file, junit, write_test):
        if output is not None:
            _expect_writable(output, files)
    if write_test is not None:
        _expect_importable(files)

    reports = _checked(files, function, Settings(**settings), timeout)
    if csv_file is not None:
        atomic_write_text(csv_file, as_csv(reports))
    if junit is not None:
        atomic_write_text(junit, as_junit(reports, function))
    if write_test is not None:
        ((file, report),) = reports.items()
        if report.verdict == "not checked":
            click.echo("no test written: it was not checked", err=True)
        else:
            atomic_write_text(write_test, report.regression_test(Path(file).stem, report.function))
    if as_json:
        fields = [{"file": file} | report.to_dict() for file, report in reports.items()]
        command.write(json.dumps(fields[0] if len(fields) == 1 else fields) + "\n")
    else:
        command.write(as_text(reports))
    context.exit(_exit_code(reports.values()))


def _checked(
    files: Sequence[str], function: str, settings: Settings, timeout: float
) -> dict[str, Report]:
    """The reports, in the order of the files."""
    reports: dict[str, Report] = {}
    try:
        with (
            progress_bar() as on_progress,
            contextlib.closing(
                check_files([(file, function) for file in files], settings, timeout=timeout)
            ) as checks,
        ):
            for (file, _), report in checks:
                reports[file] = report
                if on_progress is not None:
                    on_progress(len(reports), len(files))
    except (KeyboardInterrupt, SystemExit):
        click.echo(f"stopped: {len(reports)} of {len(files)} files were checked", err=True)
        raise
    return {file: reports[file] for file in files}


def _exit_code(reports: Collection[Report]) -> int:
    verdicts = {report.verdict for report in reports}
    return {"right": 0, "wrong": 1, "not checked": 2}[verdicts.pop()] if len(verdicts) == 1 else 1


def _expect_writable(output: str, files: Sequence[str]) -> None:
    """Raise if the output cannot be written, or would replace a file that is checked."""
    target = target_of(output)
    if not target.parent.is_dir():
        raise click.UsageError(f"{printable(output)}: no such folder")
    if not os.access(target.parent, os.W_OK):
        raise click.UsageError(f"{printable(output)}: its folder cannot be written to")
    if any(os.path.realpath(file) == str(target) for file in files):
        raise click.UsageError(f"{printable(output)}: that is one of the files to check")


def _expect_importable(files: Sequence[str]) -> None:
    if len(files) > 1:
        raise click.UsageError("--write-test is for one file")
    name = Path(files[0]).stem
    if not name.isidentifier() or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise click.UsageError(
            f"--write-test: a test cannot import {printable(Path(files[0]).name)} by that name; "
            "rename the file"
        )
