"""`softmaxloss check`: functions in files, each in a process of its own."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import secrets
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import click

from ..check import BANK, Report
from ..check.isolated import check_file
from ..check.terms import Part, terms_of
from ..explain.terminal import printable
from ..files.whole import write_whole
from . import command
from .progress import progress_bar

__all__ = ["check"]


@click.command(
    cls=command.ExamplesFirst,
    short_help="Name the mistake in a softmax loss.",
    examples="""
    softmaxloss check my_loss.py:softmax_loss
    softmaxloss check my_loss.py:softmax --kind softmax --seed 17
    softmaxloss check 'submissions/*.py:softmax_loss' --csv grades.csv
    """,
)
@click.argument("what", metavar="FILE.py:FUNCTION")
@click.option("--kind", type=click.Choice(get_args(Part)), help="What the function computes.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the probes of an earlier check.")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds for each file.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write one line for each file.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML, one test for each file.")
@click.option("--write-test", metavar="FILE", help="Write a test for pytest, to keep.")
@command.as_json
@click.pass_context
def check(
    context: click.Context,
    what: str,
    kind: Part | None,
    dtype: str,
    seed: int | None,
    timeout: float,
    csv_file: str | None,
    junit: str | None,
    write_test: str | None,
    as_json: bool,
) -> None:
    """Check the softmax, its loss or its gradient in a file, and name what is wrong.

    The file may be a pattern, in quotes: then each file that fits is checked. Exit code 0: right,
    1: wrong, 2: it could not be checked. The code runs in a process of its own, with limits of time
    and memory; that protects from accidents, not from malice.
    """
    pattern, _, function = what.rpartition(":")
    if not pattern or not function.isidentifier():
        raise click.UsageError(f"{printable(what)}: write FILE.py:FUNCTION")
    files = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise click.UsageError(f"{printable(pattern)}: there is no such file")
    chosen = secrets.randbelow(10**6) if seed is None else seed
    terms = terms_of(kind, dtype=dtype, seed=chosen)
    if write_test is not None and (len(files) > 1 or not Path(files[0]).stem.isidentifier()):
        raise click.UsageError("--write-test is for one file, which a test can import by its name")
    if not timeout > 0:
        raise click.UsageError("--timeout must be more than 0 seconds")

    def report_of(file: str) -> Report:
        return check_file(file, function, terms, timeout=timeout)

    reports: dict[str, Report] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar() as on_progress:
        for done, (file, report) in enumerate(zip(files, pool.map(report_of, files), strict=True)):
            reports[file] = report
            if on_progress is not None:
                on_progress(done + 1, len(files))
    if csv_file is not None:
        write_whole(csv_file, _csv(reports))
    if junit is not None:
        write_whole(junit, _junit(reports, function))
    if write_test is not None:
        ((file, report),) = reports.items()
        write_whole(write_test, report.regression_test(Path(file).stem, function))
    if as_json:
        fields = [{"file": file} | report.to_dict() for file, report in reports.items()]
        command.write(json.dumps(fields[0] if len(fields) == 1 else fields) + "\n")
    else:
        command.write(_text(reports))
    unchecked = any(report.problem is not None for report in reports.values())
    wrong = any(report.verdict == "wrong" for report in reports.values())
    context.exit(2 if unchecked and len(reports) == 1 else 1 if wrong else 0)


def _text(reports: dict[str, Report]) -> str:
    if len(reports) == 1:
        (report,) = reports.values()
        return "".join(f"{printable(line)}\n" for line in str(report).splitlines())
    lines = [f"{printable(file)}: {_summary(report)}" for file, report in reports.items()]
    right = sum(report.verdict == "right" for report in reports.values())
    return "\n".join([*lines, f"{right} of {len(reports)} right"]) + "\n"


def _summary(report: Report) -> str:
    if report.problem is not None:
        return f"not checked: {printable(report.problem)}"
    named = ", ".join(report.mistakes)
    unknown = any(not finding.mistakes for finding in report.findings)
    said = named or ("no known mistake" if unknown else "")
    return f"{report.verdict}{f' ({said})' if said else ''}"


def _csv(reports: dict[str, Report]) -> str:
    """One line for each file. What could be a formula to a spreadsheet is text."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["file", "verdict", "checked", "mistakes", "problem", "why", "fix", "seed"])

    def cell(text: str) -> str:
        text = printable(text)
        return f"'{text}" if text[:1] in "=+-@" and text else text

    for file, report in reports.items():
        found = [BANK[id] for id in report.mistakes]
        verdict = "not checked" if report.problem is not None else report.verdict
        fields = [file, verdict, " ".join(report.parts), " ".join(report.mistakes)]
        fields += [report.problem or "", " ".join(m.why for m in found)]
        fields += [" | ".join(m.fix for m in found), str(report.seed)]
        writer.writerow([cell(field) for field in fields])
    return output.getvalue()


def _junit(reports: dict[str, Report], function: str) -> str:
    failed = [r for r in reports.values() if r.problem is None and r.verdict == "wrong"]
    errors = [r for r in reports.values() if r.problem is not None]
    suite = ET.Element(
        "testsuite",
        name="softmaxloss check",
        tests=str(len(reports)),
        failures=str(len(failed)),
        errors=str(len(errors)),
    )
    for file, report in reports.items():
        case = ET.SubElement(suite, "testcase", classname=_xml(file), name=function)
        if report.problem is not None:
            ET.SubElement(case, "error", message=_xml(report.problem))
        elif report.verdict == "wrong":
            found = ET.SubElement(case, "failure", message=_xml(_summary(report)))
            found.text = _xml(str(report))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, "unicode") + "\n"


def _xml(text: str) -> str:
    """Text that XML may hold: it knows no control characters."""
    return "".join(c if c in "\n\t" or c.isprintable() else printable(c) for c in text)
