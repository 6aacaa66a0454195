"""The reports on files as text, as CSV, as JUnit XML and as JSON."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

from ..checking import BANK, Mistake, Report
from ..checking.settings import is_strict_about
from ..text import printable

# A spreadsheet takes a cell for a formula that begins with one of these, also in full width.
FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"

VERDICTS = ("right", "wrong", "not checked")


class Grade(NamedTuple):
    """The report on one function of one file."""

    file: str
    function: str
    report: Report


def as_text(grades: Sequence[Grade]) -> str:
    """The report on one function; for several, a line for each and the counts."""
    if len(grades) == 1:
        return "".join(f"{printable(line)}\n" for line in str(grades[0].report).splitlines())
    one_function = len({grade.function for grade in grades}) == 1
    cells = []
    for file, function, report in grades:
        name = printable(file if one_function else f"{file}:{function}")
        unusual = report.parts and report.parts != _usual_parts(grades, function)
        what = f"checked as {' and '.join(report.parts)}" if unusual else ""
        cells.append((name, report.verdict, "; ".join(filter(None, [what, _note(report)]))))
    width = max(len(name) for name, _, _ in cells)
    rows = [f"{name:{width}}  {verdict:11}  {note}".rstrip() for name, verdict, note in cells]
    return "\n".join([*rows, _counts(grades)]) + "\n"


def as_csv(grades: Sequence[Grade]) -> str:
    """One line for each function, with the mark by which spreadsheets recognise UTF-8.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    output = io.StringIO()
    output.write("\ufeff")
    writer = csv.writer(output, lineterminator="\n")
    kinds = {"mistakes": "mistake", "weaknesses": "weakness", "conventions": "convention"}
    writer.writerow(
        ["file", "function", "verdict", "problem", *kinds, "why", "fix", "checked", "seed"]
    )
    for file, function, report in grades:
        found = _found(report)
        ids = [" ".join(m.id for m in found if m.kind == kind) for kind in kinds.values()]
        row = [file, function, report.verdict, report.reason, *ids]
        row += [" ".join(m.why for m in report.counted)]
        row += [" | ".join(report.fixes)]
        row += [" ".join(report.parts), str(report.seed)]
        writer.writerow([_cell(text) for text in row])
    return output.getvalue()


def as_junit(grades: Sequence[Grade]) -> str:
    """A test for each function: a failure where it is wrong, an error where it was not checked."""
    verdicts = [grade.report.verdict for grade in grades]
    counts = {
        "tests": str(len(grades)),
        "failures": str(verdicts.count("wrong")),
        "errors": str(verdicts.count("not checked")),
        "time": f"{sum(grade.report.seconds for grade in grades):.3f}",
    }
    named = {"name": "softmaxloss check", **counts}
    suites = ET.Element("testsuites", named)
    suite = ET.SubElement(suites, "testsuite", {**named, "skipped": "0"})
    for file, function, report in grades:
        case = ET.SubElement(
            suite, "testcase", classname=_xml(_class_name(file)), name=_xml(function),
            time=f"{report.seconds:.3f}",
        )  # fmt: skip
        if report.verdict != "right":
            tag = "failure" if report.verdict == "wrong" else "error"
            found = ET.SubElement(case, tag, type=report.verdict, message=_xml(report.reason))
            found.text = _xml(str(report))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def as_json(grades: Sequence[Grade]) -> str:
    """An object for one function, a list of them for several."""
    fields = [
        {"file": file, "function": function} | report.to_dict() | {"seconds": report.seconds}
        for file, function, report in grades
    ]
    return json.dumps(fields[0] if len(fields) == 1 else fields, allow_nan=False) + "\n"


def _usual_parts(grades: Sequence[Grade], function: str) -> tuple[str, ...]:
    """What most functions of this name compute."""
    parts = [one.report.parts for one in grades if one.function == function and one.report.parts]
    return Counter(parts).most_common(1)[0][0]


def _found(report: Report) -> list[Mistake]:
    """What was found, of every kind."""
    return [BANK[id] for id in report.mistakes]


def _note(report: Report) -> str:
    """What is wrong, in one line; for what is right, what a teacher may want to know."""
    if report.verdict == "right":
        return ", ".join(m.id for m in _found(report) if is_strict_about(m))
    ids = ", ".join(mistake.id for mistake in report.counted)
    return printable(report.reason) + (f" ({ids})" if ids else "")


def _counts(grades: Sequence[Grade]) -> str:
    verdicts = [grade.report.verdict for grade in grades]
    return ", ".join(f"{verdicts.count(one)} {one}" for one in VERDICTS if one in verdicts)


def _cell(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(tuple(FORMULA)) else text


def _class_name(file: str) -> str:
    """The file as a dotted name, which readers of JUnit XML split into a package and a class."""
    parts = [part for part in PurePath(file).parts if part not in ("/", "..")]
    return ".".join(parts).removesuffix(".py")


def _xml(text: str) -> str:
    """The text without control characters, which XML does not allow."""
    return "".join(c if c in "\n\t" or c.isprintable() else printable(c) for c in text)
