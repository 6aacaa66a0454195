"""`softmaxloss check`: the functions of files, each in a process of its own."""

import contextlib
import glob
import keyword
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from ..checking import BANK, Report
from ..checking.sandbox.process import check_files
from ..checking.sandbox.source import has
from ..checking.settings import Layout, Level, Part, Settings, find_mistake
from ..files.atomic import atomic_write_text, target_of
from ..text import few, plural, printable
from . import command, grades
from .progress import progress_bar

DAY = 24 * 60 * 60


def _list_mistakes(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        width = max(map(len, BANK))
        rows = (f"{m.id:{width}}  {m.kind:10}  {m.title}\n" for m in BANK.values())
        command.write("".join(rows))
        context.exit()


def _explain(context: click.Context, _: click.Parameter, id: str | None) -> None:
    if id is not None:
        m = find_mistake(id)
        command.write(f"{m.id}: {m.kind}: {m.title}\n   why: {m.why}\n   fix: {m.fix}\n")
        context.exit()


@click.command(
    cls=command.ExamplesFirst,
    short_help="Name the mistake in a softmax loss.",
    examples="""
    softmaxloss check my_loss.py:softmax_loss
    softmaxloss check my_loss.py:Loss.forward --kind loss --seed 17
    softmaxloss check 'submissions/*.py:softmax_loss' --csv grades.csv
    softmaxloss check homework:softmax_loss,softmax
    softmaxloss check --explain no-max
    """,
)
@click.argument("what", metavar="FILE:FUNCTION", type=command.FILE)
@click.option("--kind", type=click.Choice(get_args(Part)), help="What the function computes.")
@click.option("--layout", type=click.Choice(get_args(Layout)), help="How the examples are stored.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Dtype of the logits.",
)
@click.option(
    "--level",
    type=click.Choice(get_args(Level)),
    default="stable",
    show_default=True,
    help="textbook: it need not be right for extreme logits, nor subtract the maximum.",
)
@click.option("--strict", is_flag=True, help="Weaknesses and conventions count as wrong.")
@click.option(
    "--allow",
    "expected_failures",
    metavar="ID",
    shell_complete=command.one_of(BANK),
    multiple=True,
    help="A mistake that does not count as wrong; repeatable.",
)
@click.option(
    "--deny",
    metavar="ID",
    shell_complete=command.one_of(BANK),
    multiple=True,
    help="A weakness or convention that counts as wrong, such as sum; repeatable.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the inputs of an earlier check.")
@click.option(
    "--timeout", default=10.0, show_default=True, help="Seconds of processor time for each file."
)
@click.option(
    "--csv", "csv_file", metavar="FILE", type=command.FILE, help="Write a table, for spreadsheets."
)
@click.option(
    "--junit", metavar="FILE", type=command.FILE, help="Write JUnit XML, one test for each file."
)
@click.option("--write-test", metavar="FILE", type=command.FILE, help="Write a test for pytest.")
@command.as_json
@click.option(
    "--list-mistakes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_mistakes,
    help="List the mistakes by their ids, and exit.",
)
@click.option(
    "--explain",
    metavar="ID",
    shell_complete=command.one_of(BANK),
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Say why a mistake is one, and what to write instead, and exit.",
)
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

    FILE is a Python file or a notebook, or a pattern in quotes: each file that matches is checked;
    or a folder: each .py and .ipynb below that has the function. FUNCTION may be Class.method, or a
    class, or several names with commas between them. The exit code is 0 if all are right, 2 if
    none could be checked, else 1. If it is interrupted, what is checked by then is written, and the
    exit code is 130. The code runs in a process of its own, with limits on time, memory and
    processes. It can still read your files: docs/security.md says what is promised.
    """
    targets = _targets(what)
    if not 0 < timeout <= DAY:
        raise click.UsageError(f"--timeout must be more than 0 and at most {DAY} seconds")
    files = [file for file, _ in targets]
    for output in (csv_file, junit, write_test):
        if output is not None:
            _expect_writable(output, files)
    if write_test is not None:
        _expect_importable(targets)

    graded, stopped = _graded(targets, Settings(**settings), timeout)
    if csv_file is not None:
        atomic_write_text(csv_file, grades.as_csv(graded))
    if junit is not None:
        atomic_write_text(junit, grades.as_junit(graded))
    if write_test is not None:
        _write_test(write_test, *graded)
    command.write(grades.as_json(graded) if as_json else grades.as_text(graded))
    if stopped is not None:
        raise stopped
    context.exit(_exit_code([grade.report for grade in graded]))


def _targets(what: str) -> list[tuple[str, str]]:
    """The files and functions to check, from FILE:FUNCTION: of each file in a folder, those that
    it has."""
    pattern, _, names = what.rpartition(":")
    functions = list(dict.fromkeys(names.split(",")))
    if not pattern or not all(p.isidentifier() for name in functions for p in name.split(".")):
        raise click.UsageError(f"{printable(what)}: write FILE.py:FUNCTION")
    if os.path.isdir(pattern):
        return _in_folder(pattern, functions)
    files = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise click.UsageError(f"{printable(pattern)}: no such file")
    return [(file, function) for file in files for function in functions]


def _in_folder(folder: str, functions: Sequence[str]) -> list[tuple[str, str]]:
    """The functions of the files below, with a message about the files that have none of them."""
    paths = [
        path
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in (".py", ".ipynb") and not _is_apart(path.relative_to(folder))
    ]
    found = [(str(path), name) for path in paths for name in functions if has(path, name)]
    if not found:
        raise click.UsageError(f"{printable(folder)}: no file in it has {few(functions)}")
    without = sorted({str(path) for path in paths} - {file for file, _ in found})
    if without:
        listed = printable(few(without))
        click.echo(f"{plural(len(without), 'file')} without {few(functions)}: {listed}", err=True)
    return found


def _is_apart(path: Path) -> bool:
    """Whether a file in a folder is not the user's: an installed package, a copy of an editor."""
    return any(part.startswith(".") or part == "site-packages" for part in path.parts)


def _graded(
    targets: Sequence[tuple[str, str]], settings: Settings, timeout: float
) -> tuple[list[grades.Grade], BaseException | None]:
    """The reports, in the order of the targets, and what stopped the checks, if anything did."""
    reports: dict[tuple[str, str], Report] = {}
    stopped = None
    try:
        with (
            progress_bar() as on_progress,
            contextlib.closing(check_files(targets, settings, timeout=timeout)) as checks,
        ):
            for target, report in checks:
                reports[target] = report
                if on_progress is not None:
                    on_progress(len(reports), len(targets))
    except (KeyboardInterrupt, SystemExit) as error:
        click.echo(f"stopped: {len(reports)} of {len(targets)} were checked", err=True)
        stopped = error
    rest = Report.not_checked("stopped before it was checked", settings)
    return [grades.Grade(*target, reports.get(target, rest)) for target in targets], stopped


def _write_test(output: str, grade: grades.Grade) -> None:
    if grade.report.verdict == "not checked":
        click.echo("no test written: it was not checked", err=True)
        return
    module, function = Path(grade.file).stem, grade.report.function
    atomic_write_text(output, grade.report.regression_test(module, function))


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


def _expect_importable(wanted: Sequence[tuple[str, str]]) -> None:
    if len(wanted) > 1:
        raise click.UsageError("--write-test is for one function of one file")
    file = Path(wanted[0][0])
    name = file.stem
    if (
        file.suffix != ".py"
        or not name.isidentifier()
        or keyword.iskeyword(name)
        or name in sys.stdlib_module_names
    ):
        raise click.UsageError(
            f"--write-test: a test cannot import {printable(file.name)} by that name; "
            "rename the file"
        )
