"""What a check found: as data, as text, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from ..text import printable
from .bank import Mistake
from .calling.forms import Form
from .settings import Settings

Verdict = Literal["right", "wrong", "not checked"]
DEFAULTS = Settings()


@dataclass(frozen=True)
class Finding:
    """What is wrong with one part of the results, or with what the calls do.

    Attributes:
        part: "softmax", "loss" or "gradient"; what an input is about, such as "weight"; or "calls".
        failed: The names of the inputs on which it shows; empty for calls.
        mistakes: The mistake, or two at once; empty if it is none of the known ones.
        others: Mistakes that give the same numbers.
        matched: On how many inputs the mistakes give the numbers.
        inputs: The number of inputs.
        example: The smallest input on which it shows, as text: z, y, yours, expected.
        remarks: What else can be said about the numbers.
        nearest: If the mistake is not known: the one that gives most of the numbers, and on how
            many inputs.
        wrong_values: Whether something wrong was returned, rather than only errors raised.
    """

    part: str
    failed: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    others: tuple[Mistake, ...] = ()
    matched: int = 0
    inputs: int = 0
    example: dict[str, str] | None = None
    remarks: tuple[str, ...] = ()
    nearest: tuple[Mistake, int] | None = None
    wrong_values: bool = False

    def is_wrong(self, settings: Settings = DEFAULTS) -> bool:
        """Whether it makes the implementation wrong."""
        return not self.mistakes or any(map(settings.counts_as_wrong, self.mistakes))

    def with_remark(self, remark: str) -> Finding:
        """The same with one more remark."""
        return replace(self, remarks=(*self.remarks, remark))

    def to_dict(self) -> dict[str, Any]:
        """The finding as lists, numbers and strings."""
        return {
            "part": self.part,
            "failed": list(self.failed),
            "mistakes": [
                {name: getattr(m, name) for name in ("id", "kind", "title", "why", "fix", "see")}
                for m in self.mistakes
            ],
            "others": [mistake.id for mistake in self.others],
            "matched": self.matched,
            "probes": self.inputs,
            "example": self.example,
            "remarks": list(self.remarks),
            "nearest": None if self.nearest is None else self.nearest[0].id,
        }

    def lines(self) -> list[str]:
        """The finding as lines of text."""
        lines = []
        for mistake in mistakes_first(self.mistakes):
            mark = "wrong" if mistake.kind == "mistake" else mistake.kind
            lines.append(f"{self.part}: {mark}: {mistake.title} ({mistake.id})")
            lines += [f"   {name}: {getattr(mistake, name)}" for name in ("why", "fix", "see")]
        if not self.mistakes:
            lines.append(f"{self.part}: wrong, but not one of the known mistakes")
        lines += [f"   {remark}" for remark in self.remarks]
        if self.nearest is not None:
            near, matched = self.nearest
            lines.append(
                f"   the nearest is {near.id}: {near.title}; on {matched} of {self.inputs}"
            )
        if self.others:
            same = ", ".join(mistake.id for mistake in self.others)
            lines.append(f"   these give the same numbers: {same}")
        if 0 < self.matched < self.inputs:
            of = f"{self.matched} of {self.inputs}"
            lines.append(f"   that gives your numbers on {of} inputs; the others are not finite")
        elif self.matched:
            lines.append(f"   that gives your numbers on all {self.inputs} inputs")
        if self.example is not None:
            lines += [f"   {name:8} {value}" for name, value in self.example.items()]
        return lines


@dataclass(frozen=True)
class InputCheck:
    """One call that was compared: the input's name, why it is tried, and which parts were right."""

    name: str
    why: str
    right: dict[str, bool]


@dataclass(frozen=True)
class Report:
    """The result of `check`.

    Attributes:
        verdict: "right", "wrong" or "not checked".
        form: How the function was called; None where no way worked.
        parts: What was checked: "softmax", "loss", "gradient".
        findings: What was found. A right implementation may have weaknesses and conventions.
        settings: The settings of the check; `check(fn, seed=report.seed)` repeats the inputs.
        problem: Why it was not checked, or None.
        printed: The beginning of what the code of a file printed.
        checks: Each call that was compared.
        function: What was checked in a file, in Python: `f`, or `Loss().forward`.
        notes: What of a file was converted, left out, or is not here.
    """

    verdict: Verdict
    form: Form | None
    parts: tuple[str, ...]
    findings: tuple[Finding, ...]
    settings: Settings
    problem: str | None = None
    printed: str = ""
    checks: tuple[InputCheck, ...] = ()
    function: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def not_checked(cls, problem: str, settings: Settings) -> Report:
        """The report on a function that could not be called."""
        return cls("not checked", None, (), (), settings, problem)

    @property
    def seed(self) -> int:
        """The seed of the inputs."""
        return int(self.settings.seed)

    @property
    def mistakes(self) -> list[str]:
        """The ids of everything that was found, weaknesses and conventions included."""
        return list(dict.fromkeys(m.id for finding in self.findings for m in finding.mistakes))

    def to_dict(self) -> dict[str, Any]:
        """The report as lists, numbers and strings that any JSON writer accepts."""
        return {
            "schema": "softmaxloss.check",
            "version": 1,
            "verdict": self.verdict,
            "form": None if self.form is None else str(self.form),
            "parts": list(self.parts),
            "seed": self.seed,
            "problem": self.problem,
            "printed": self.printed,
            "notes": list(self.notes),
            "checks": [asdict(check) for check in self.checks],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __str__(self) -> str:
        if self.problem is not None:
            lines = [f"not checked: {self.problem}"]
            lines += [f"   it printed: {printable(p)}" for p in self.printed.splitlines()[-3:]]
        else:
            parts = ", ".join(self.parts)
            lines = [f"{self.verdict}: {parts}, called as {self.form}; seed {self.seed}", ""]
            lines += self._table()
            for finding in self.findings:
                lines += ["", *finding.lines()]
        lines += [f"note: {printable(note)}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def _table(self) -> list[str]:
        """A line for each call: whether each part was right, and what it was."""
        words = {part: self._word(part) for part in self.parts}
        lines = ["".join(f"{part:11}" for part in self.parts).rstrip()]
        for check in self.checks:
            marks = {part: check.right.get(part) for part in self.parts}
            cells = ("" if ok is None else "right" if ok else words[p] for p, ok in marks.items())
            lines.append("".join(f"{cell:11}" for cell in cells) + f"{check.name}: {check.why}")
        return lines

    def _word(self, part: str) -> str:
        """For results that are not right: "weakness", "convention" or "wrong"."""
        findings = [finding for finding in self.findings if finding.part == part]
        kinds = {mistake.kind for finding in findings for mistake in finding.mistakes}
        if not kinds or "mistake" in kinds or any(not finding.mistakes for finding in findings):
            return "wrong"
        return "weakness" if kinds == {"weakness"} else "convention"

    def regression_test(self, module: str, function: str) -> str:
        """A test to keep, as the text of a file for pytest: the same inputs and new ones.

        Args:
            module: The module to import.
            function: What is tested, in Python, such as `f` or `Loss().forward`.
        """
        owner, name = re.split(r"\W", function)[0], "_".join(re.findall(r"\w+", function))
        settings = asdict(self.settings).items()
        changed = {k: v for k, v in settings if k != "seed" and v != getattr(DEFAULTS, k)}
        defined, used = (f"SETTINGS = {changed!r}\n\n\n", ", **SETTINGS") if changed else ("\n", "")
        found = f"  # found: {', '.join(self.mistakes)}" if self.mistakes else ""
        return (
            f'"""{function} of {module}.py is a softmax loss, its gradient, or softmax."""\n\n'
            f"from {module} import {owner}\n"
            "from softmaxloss import assert_softmax_loss\n\n"
            f"{defined}"
            f"def test_{name}():\n"
            f"    assert_softmax_loss({function}, seed={self.seed}{used}){found}\n"
            f"    assert_softmax_loss({function}{used})  # and on new inputs, each time\n"
        )


def mistakes_first(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Mistakes before weaknesses and conventions."""
    return sorted(mistakes, key=lambda mistake: mistake.kind != "mistake")


def array_text(value: Any, other: Any = None) -> str:
    """An array as text, with as many digits as it takes to tell it from the other one."""
    for digits in (4, 8, 17):
        text, theirs = (
            np.array2string(
                np.asarray(one), precision=digits, separator=", ", threshold=40,
                max_line_width=10_000,
            ).replace("\n", "")
            for one in (value, other)
        )  # fmt: skip
        if text != theirs:
            break
    return text
