"""What a check found: as data, as text, as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from .bank import Mistake
from .forms import Form
from .terms import Terms

__all__ = ["Checked", "Finding", "Report", "Verdict", "shown"]

Verdict = Literal["right", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What is wrong with one part of the results, or with the behaviour of calls.

    part        "softmax", "loss", "gradient", or "calls"
    failed      the names of the probes on which it shows; none for a convention or for calls
    mistakes    what it is: one mistake, or two at once; none where it is no known one
    others      mistakes that give the same numbers
    matched     on how many of the probes the numbers are the mistakes', and of how many
    example     the smallest input on which it shows: z, y, got, expected, as text
    remarks     what else can be said of the numbers
    nearest     where the mistake is not known: the one that gives most of the numbers, and on how
                many of the probes
    wrong_values  whether something wrong came back, and not only errors
    """

    part: str
    failed: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    others: tuple[Mistake, ...] = ()
    matched: int = 0
    probes: int = 0
    example: dict[str, str] | None = None
    remarks: tuple[str, ...] = ()
    nearest: tuple[Mistake, int] | None = None
    wrong_values: bool = False

    def counts(self, terms: Terms) -> bool:
        """Whether it makes the implementation wrong, on these terms."""
        return not self.mistakes or any(terms.forbid(mistake) for mistake in self.mistakes)


@dataclass(frozen=True)
class Checked:
    """One call that was judged: what it was, why, and whether each part was right."""

    name: str
    why: str
    right: dict[str, bool]


@dataclass(frozen=True)
class Report:
    """The outcome of `check`.

    verdict   "right" or "wrong"
    form      how the function was called; None where no way worked
    parts     what was checked: "softmax", "loss", "gradient"
    findings  what was found; a right implementation may have conventions and weaknesses
    terms     on which it was checked; `check(fn, seed=report.seed)` repeats the inputs
    problem   why nothing could be checked, or None
    printed   what the code in a file printed, the beginning of it
    checks    each call that was judged
    function  what was checked in a file, in Python: `f`, or `Loss().forward`
    """

    verdict: Verdict
    form: Form | None
    parts: tuple[str, ...]
    findings: tuple[Finding, ...]
    terms: Terms
    problem: str | None = None
    printed: str = ""
    checks: tuple[Checked, ...] = ()
    function: str = ""

    @property
    def seed(self) -> int:
        """The seed of the inputs."""
        return self.terms.seed

    @property
    def mistakes(self) -> list[str]:
        """The ids of all that was found, conventions and weaknesses too."""
        return list(dict.fromkeys(m.id for finding in self.findings for m in finding.mistakes))

    def to_dict(self) -> dict[str, Any]:
        """The report as lists, numbers and strings that any JSON writer takes."""
        return {
            "schema": "softmaxloss.check",
            "version": 1,
            "verdict": self.verdict,
            "form": None if self.form is None else str(self.form),
            "parts": list(self.parts),
            "seed": self.seed,
            "problem": self.problem,
            "printed": self.printed,
            "checks": [
                {"name": check.name, "why": check.why, "right": check.right}
                for check in self.checks
            ],
            "findings": [
                {
                    "part": finding.part,
                    "failed": list(finding.failed),
                    "mistakes": [_plain(m) for m in finding.mistakes],
                    "others": [m.id for m in finding.others],
                    "matched": finding.matched,
                    "probes": finding.probes,
                    "example": finding.example,
                    "remarks": list(finding.remarks),
                    "nearest": None if finding.nearest is None else finding.nearest[0].id,
                }
                for finding in self.findings
            ],
        }

    def regression_test(self, module: str, function: str) -> str:
        """A test to keep, as the text of a file for pytest: the same probes once more, on the same
        terms.

        function: what is tested, in Python, such as `f` or `Loss().forward`.
        """
        owner, name = re.split(r"\W", function)[0], "_".join(re.findall(r"\w+", function))
        terms = {
            "kind": self.terms.kind,
            "layout": self.terms.layout,
            "dtype": self.terms.dtype,
            "strict": self.terms.strict,
            "expected_failures": self.terms.allowed,
        }
        usual = asdict(Terms()) | {"expected_failures": ()}
        asked = {key: value for key, value in terms.items() if value != usual[key]}
        defined, used = (f"TERMS = {asked!r}\n\n\n", ", **TERMS") if asked else ("\n", "")
        found = f"  # found: {', '.join(self.mistakes)}" if self.mistakes else ""
        return (
            f'"""{function} of {module}.py is a softmax loss, its gradient, or softmax."""\n\n'
            f"from {module} import {owner}\n"
            "from softmaxloss.checking import assert_softmax_loss\n\n"
            f"{defined}"
            f"def test_{name}():\n"
            f"    assert_softmax_loss({function}, seed={self.seed}{used}){found}\n"
            f"    assert_softmax_loss({function}{used})  # and on fresh inputs, each time\n"
        )

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __str__(self) -> str:
        return "\n".join(_lines(self)) + "\n"


def shown(value: Any, beside: Any = None) -> str:
    """An array as text, in as many digits as show it to be another than the one beside it."""

    def text(value: Any, digits: int) -> str:
        return np.array2string(
            np.asarray(value), precision=digits, separator=", ", threshold=40,
            max_line_width=10_000,
        ).replace("\n", "")  # fmt: skip

    digits = next((n for n in (4, 8) if beside is None or text(value, n) != text(beside, n)), 17)
    return text(value, digits)


def _plain(mistake: Mistake) -> dict[str, str]:
    return {
        "id": mistake.id,
        "kind": mistake.kind,
        "title": mistake.title,
        "why": mistake.why,
        "fix": mistake.fix,
        "see": f"docs/check.md#{mistake.id}",
    }


def _lines(report: Report) -> list[str]:
    if report.problem is not None:
        lines = [f"not checked: {report.problem}"]
        return lines + [f"   it printed: {line}" for line in report.printed.splitlines()[-3:]]
    checked = ", ".join(report.parts)
    lines = [f"{report.verdict}: {checked}, called as {report.form}; seed {report.seed}"]
    lines += ["", *_table(report)]
    for finding in report.findings:
        lines += ["", *_of(finding)]
    return lines


def _table(report: Report) -> list[str]:
    """A line for each call: whether each part was right, and what it was."""
    words = {part: _word([f for f in report.findings if f.part == part]) for part in report.parts}
    lines = ["".join(f"{part:10}" for part in report.parts).rstrip()]
    for check in report.checks:
        marks = (check.right.get(part) for part in report.parts)
        said = "".join(
            f"{'' if ok is None else 'ok' if ok else words[part]:10}"
            for part, ok in zip(report.parts, marks, strict=True)
        )
        lines.append(f"{said}{check.name}{f': {check.why}' if check.why else ''}")
    return lines


def _word(findings: list[Finding]) -> str:
    """For what is not right: whether that is a convention, a weakness, or wrong."""
    kinds = {m.kind for finding in findings for m in finding.mistakes}
    if "mistake" in kinds or any(not finding.mistakes for finding in findings):
        return "wrong"
    return "weak" if kinds == {"weakness"} else "other" if kinds else "wrong"


def _of(finding: Finding) -> list[str]:
    lines = []
    for mistake in sorted(finding.mistakes, key=lambda m: m.kind != "mistake"):
        mark = {"mistake": "wrong", "weakness": "weak", "convention": "convention"}[mistake.kind]
        lines.append(f"{finding.part}: {mark}: {mistake.title} ({mistake.id})")
        lines += [f"   why: {mistake.why}", f"   fix: {mistake.fix}"]
        lines.append(f"   see: docs/check.md#{mistake.id}")
    if not finding.mistakes:
        lines.append(f"{finding.part}: wrong, and none of the mistakes that are known here")
    lines += [f"   {remark}" for remark in finding.remarks]
    if finding.nearest is not None:
        near, matched = finding.nearest
        lines.append(f"   the nearest is {near.id}: {near.title}; on {matched} of {finding.probes}")
    if finding.others:
        same = ", ".join(m.id for m in finding.others)
        lines.append(f"   the numbers are those of {same} too")
    if 0 < finding.matched < finding.probes:
        of = f"{finding.matched} of {finding.probes}"
        lines.append(f"   that gives your numbers on {of} inputs; the others are not finite")
    elif finding.matched:
        lines.append(f"   that gives your numbers on all {finding.probes} inputs")
    if finding.example is not None:
        lines += [f"   {name:8} {value}" for name, value in finding.example.items()]
    return lines
