"""The reports on files as text, as CSV and as JUnit XML."""

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from ..checking import BANK, Mistake, Report
from ..checking.report import mistakes_first
from ..text import printable


def as_text(reports: Mapping[str, Report]) -> str:
    """The report on one file; for several, a line for each."""
    if len(reports) == 1:
        (report,) = reports.values()
        return "".join(f"{printable(line)}\n" for line in str(report).splitlines())
    lines = [f"{printable(file)}: {_summary(report)}" for file, report in reports.items()]
    right = sum(report.verdict == "right" for report in reports.values())
    return "\n".join([*lines, f"{right} of {len(reports)} right"]) + "\n"


def as_csv(reports: Mapping[str, Report]) -> str:
    """One line for each file. Text that a spreadsheet would take for a formula is quoted."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["file", "verdict", "checked", "mistakes", "problem", "why", "fix", "seed"])

    def cell(text: str) -> str:
        text = printable(text)
        return f"'{text}" if text[:1] in "=+-@" and text else text

    for file, report in reports.items():
        found = _found(report)
        fields = [file, report.verdict, " ".join(report.parts), " ".join(m.id for m in found)]
        fields += [report.problem or "", " ".join(m.why for m in found)]
        fields += [" | ".join(m.fix for m in found), str(report.seed)]
        writer.writerow([cell(field) for field in fields])
    return output.getvalue()


def as_junit(reports: Mapping[str, Report], function: str) -> str:
    """A test for each file."""
    verdicts = [report.verdict for report in reports.values()]
    suite = ET.Element(
        "testsuite",
        name="softmaxloss check",
        tests=str(len(reports)),
        failures=str(verdicts.count("wrong")),
        errors=str(verdicts.count("not checked")),
    )
    for file, report in reports.items():
        if "," in function:  # several: then the key is file:function
            file, _, name = file.rpartition(":")
        else:
            name = function
        case = ET.SubElement(suite, "testcase", classname=_xml(file), name=name)
        if report.verdict == "not checked":
            ET.SubElement(case, "error", message=_xml(report.problem or ""))
        elif report.verdict == "wrong":
            found = ET.SubElement(case, "failure", message=_xml(_summary(report)))
            found.text = _xml(str(report))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, "unicode") + "\n"


def _found(report: Report) -> list[Mistake]:
    """What was found, mistakes before weaknesses and conventions."""
    return mistakes_first(BANK[id] for id in report.mistakes)


def _summary(report: Report) -> str:
    if report.verdict == "not checked":
        return f"not checked: {printable(report.problem or '')}"
    named = ", ".join(mistake.id for mistake in _found(report))
    unknown = any(not finding.mistakes for finding in report.findings)
    remark = named or ("no known mistake" if unknown else "")
    return f"{report.verdict}{f' ({remark})' if remark else ''}"


def _xml(text: str) -> str:
    """The text without control characters, which XML does not allow."""
    return "".join(c if c in "\n\t" or c.isprintable() else printable(c) for c in text)
