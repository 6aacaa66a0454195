"""What a check found: as data, as text, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from ..text import plural, printable
from .bank import Mistake, Style
from .calling.forms import Form
from .settings import Settings

Verdict = Literal["right", "wrong", "not checked"]
DEFAULTS = Settings()
BASIC_PARTS = ("softmax", "log_softmax", "loss", "gradient", "feature_gradient", "bias_gradient")


@dataclass(frozen=True)
class Finding:
    """What is wrong with one part of the results, or with what the calls do.

    Attributes:
        part: What was checked, as in `Report.parts`; what an input is about, such as "weight"; or
            "calls".
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
        style: How the function is written, and so the fix.
        fix: The line to write instead, if it depends on more than the mistake and the style.
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
    style: Style = "batch"
    fix: str = ""

    def fix_for(self, mistake: Mistake) -> str:
        """The line to write instead."""
        return self.fix or mistake.fix_for(self.style)

    def is_wrong(self, settings: Settings = DEFAULTS) -> bool:
        """Whether it makes the implementation wrong."""
        if not self.mistakes:
            return settings.asks_for(self.failed)
        return bool(self.counted(settings))

    def with_remark(self, remark: str) -> Finding:
        """The same with one more remark."""
        return replace(self, remarks=(*self.remarks, remark))

    def to_dict(self, settings: Settings = DEFAULTS) -> dict[str, Any]:
        """The finding as lists, numbers and strings."""
        return {
            "part": self.part,
            "wrong": self.is_wrong(settings),
            "failed": list(self.failed),
            "mistakes": [
                {name: getattr(m, name) for name in ("id", "kind", "title", "why", "see")}
                | {"fix": self.fix_for(m)}
                for m in self.mistakes
            ],
            "others": [mistake.id for mistake in self.others],
            "matched": self.matched,
            "probes": self.inputs,
            "example": self.example,
            "remarks": list(self.remarks),
            "nearest": None if self.nearest is None else self.nearest[0].id,
        }

    def counted(self, settings: Settings) -> list[Mistake]:
        """The mistakes that make the implementation wrong."""
        return [m for m in self.mistakes if settings.counts_as_wrong(m, self.failed)]

    def wrong_lines(self, settings: Settings, parts: dict[Mistake, str]) -> list[str]:
        """What is wrong, as lines of text.

        `parts` has the parts of the mistakes to name, as text; the others were named before.
        """
        lines = []
        for mistake in mistakes_first(self.counted(settings)):
            if mistake in parts:
                kind = f"; a {mistake.kind} that counts as wrong here"
                note = "" if mistake.kind == "mistake" else kind
                lines.append(f"{parts[mistake]}: {mistake.title} ({mistake.id}{note})")
                lines += [f"   why: {mistake.why}", f"   fix: {self.fix_for(mistake)}"]
                lines.append(f"   see: {mistake.see}")
        if not self.mistakes:
            lines.append(f"{self.part}: wrong, but not one of the known mistakes")
        return [*lines, *self._evidence()]

    def remark_lines(
        self, settings: Settings, parts: dict[Mistake, str], *, examples: bool
    ) -> list[str]:
        """What can be said of it that does not make it wrong, as lines of text."""
        counted = self.counted(settings)
        rest = [mistake for mistake in self.mistakes if mistake not in counted]
        lines = []
        for mistake in rest:
            if mistake in parts:
                note = settings.note(mistake)
                lines.append(f"{parts[mistake]}: {mistake.title} ({mistake.id}{note})")
                lines += [f"   {mistake.why}", f"   instead: {self.fix_for(mistake)}"]
        if self.is_wrong(settings):
            return lines
        if not rest:
            lines.append(f"{self.part}: not right for extreme outputs; not asked for at this level")
        lines += [f"   {remark}" for remark in self.remarks]
        weak = all(mistake.kind == "weakness" and mistake.about != "labels" for mistake in rest)
        if examples and weak and self.example is not None:
            lines += [f"   {name:8} {value}" for name, value in self.example.items()]
        return lines

    def _evidence(self) -> list[str]:
        """What the numbers show, and the smallest example."""
        lines = list(self.remarks)
        if self.nearest is not None:
            near, matched = self.nearest
            lines.append(f"the nearest is {near.id}: {near.title}; on {matched} of {self.inputs}")
        if self.example is not None:
            lines += [f"{name:8} {value}" for name, value in self.example.items()]
        if self.others:
            lines.append(f"these give the same numbers: {', '.join(m.id for m in self.others)}")
        names = _joined([mistake.id for mistake in mistakes_first(self.mistakes)])
        gives = f"{names} together give" if len(self.mistakes) > 1 else "that gives"
        if 0 < self.matched < self.inputs:
            lines.append(
                f"{gives} your numbers on {self.matched} of {self.inputs} inputs; "
                "on the others they are infinite, NaN or an error"
            )
        elif self.matched:
            lines.append(f"{gives} your numbers on all {self.inputs} inputs")
        return [f"   {line}" for line in lines]


@dataclass(frozen=True)
class InputCheck:
    """One call that was compared: the input's name, why it is tried, and which parts were right."""

    name: str
    why: str
    right: dict[str, bool]


#: What to do about a function that none of the forms fits.
WRAPPER = [
    "   If it is called in another way, check a function that calls it, such as",
    "       def loss(z, y):  # z: logits (N, C); y: class indices (N,)",
    "           return your_loss(z, y)",
]


@dataclass(frozen=True)
class Report:
    """The result of `check`.

    Attributes:
        verdict: "right", "wrong" or "not checked".
        form: How the function was called; None where no way worked.
        parts: What was checked: "softmax", "log_softmax", "loss", "gradient".
        findings: What was found. A right implementation may have weaknesses and conventions.
        settings: The settings of the check; `check(fn, seed=report.seed)` repeats the inputs.
        problem: Why it was not checked, or None.
        printed: The beginning of what the code of a file printed.
        checks: Each call that was compared.
        tried: The forms in which it was called, and the error of each, where none worked.
        function: What was checked in a file, in Python: `f`, or `Loss().forward`.
        seconds: How long the check of a file took.
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
    seconds: float = 0.0
    tried: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def not_checked(cls, problem: str, settings: Settings, tried: tuple[str, ...] = ()) -> Report:
        """The report on a function that could not be called."""
        return cls("not checked", None, (), (), settings, problem, tried=tried)

    @property
    def seed(self) -> int:
        """The seed of the inputs."""
        return int(self.settings.seed)

    @property
    def mistakes(self) -> list[str]:
        """The ids of everything that was found, weaknesses and conventions included."""
        return list(dict.fromkeys(m.id for finding in self.findings for m in finding.mistakes))

    @property
    def counted(self) -> list[Mistake]:
        """The mistakes that make it wrong, before weaknesses and conventions that do."""
        found = (m for finding in self.findings for m in finding.counted(self.settings))
        return mistakes_first(dict.fromkeys(found))

    @property
    def fixes(self) -> list[str]:
        """What to write instead of each of them."""
        fixes = {m: finding.fix_for(m) for finding in self.findings for m in finding.mistakes}
        return [fixes[mistake] for mistake in self.counted]

    @property
    def reason(self) -> str:
        """In a short sentence, why it is not right; empty if it is."""
        if self.verdict == "not checked":
            return self.problem or "no results"
        named = [mistake.title for mistake in self.counted]
        unknown = [finding for finding in self._wrong() if not finding.mistakes]
        return "; ".join([*named, *(_unknown(finding, alone=not named) for finding in unknown)])

    def to_dict(self) -> dict[str, Any]:
        """The report as lists, numbers and strings that any JSON writer accepts."""
        return {
            "schema": "softmaxloss.check",
            "version": 1,
            "verdict": self.verdict,
            "form": None if self.form is None else str(self.form),
            "parts": list(self.parts),
            "seed": self.seed,
            "reason": self.reason,
            "problem": self.problem,
            "printed": self.printed,
            "notes": list(self.notes),
            "checks": [asdict(check) for check in self.checks],
            "findings": [finding.to_dict(self.settings) for finding in self.findings],
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, ASCII only."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def _wrong(self) -> list[Finding]:
        """The findings that make it wrong."""
        return [finding for finding in self.findings if finding.is_wrong(self.settings)]

    def __str__(self) -> str:
        if self.verdict == "not checked":
            lines = [f"not checked: {self.reason}"]
            lines += [f"   it printed: {printable(p)}" for p in self.printed.splitlines()[-3:]]
            lines += [f"   called as {line}" for line in self.tried]
            lines += WRAPPER if self.tried else []
            lines += [f"note: {printable(note)}" for note in self.notes]
            return "\n".join(lines) + "\n"
        right = self.verdict == "right"
        only = right and "one-example-only" in self.mistakes
        verdict = "right for one example" if only else self.verdict
        lines = [f"{verdict}: {_joined(self.parts)}, called as {self.form}"]
        lines += [f"   note: {printable(note)}" for note in self.notes]
        remarks: list[str] = []
        to_name = {mistake: _joined(parts) for mistake, parts in self._parts().items()}
        for finding in self._wrong():
            lines += ["", *finding.wrong_lines(self.settings, to_name)]
            for mistake in finding.counted(self.settings):
                to_name.pop(mistake, None)
        for finding in self.findings:
            remarks += finding.remark_lines(self.settings, to_name, examples=right)
            for mistake in finding.mistakes:
                to_name.pop(mistake, None)
        tried = f"Tried on {plural(len(self.checks), 'input')}; seed {self.seed} repeats them"
        lines += ["", *([f"{tried}."] if right else [f"{tried}:", *self._inputs()])]
        if remarks:
            lines += ["", "Remarks, which do not count against it:", *remarks]
        return "\n".join(lines) + "\n"

    def _parts(self) -> dict[Mistake, list[str]]:
        """In which parts each mistake was found."""
        parts: dict[Mistake, list[str]] = {}
        for part in dict.fromkeys([*self.parts, *(finding.part for finding in self.findings)]):
            for mistake in [m for f in self.findings if f.part == part for m in f.mistakes]:
                if part not in parts.setdefault(mistake, []):
                    parts[mistake].append(part)
        return parts

    def _inputs(self) -> list[str]:
        """For the parts that have the same: on which inputs they are right and wrong."""
        parts: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for part in self.parts:
            tried = [check for check in self.checks if part in check.right]
            wrong = [check for check in tried if self._is_wrong_on(check, part)]
            parts.setdefault(_on_which(tried, wrong), []).append(part)
        return [
            line
            for (short, more), names in parts.items()
            for line in (f"   {_joined(names)}: {short}", *(f"      {one}" for one in more))
        ]

    def _is_wrong_on(self, check: InputCheck, part: str) -> bool:
        """Whether the part is wrong on this input, by a finding that counts.

        A mistake that shows in two parts has one finding."""
        own = [f for f in self.findings if f.part == part and f.failed] or self.findings
        about = [f for f in self.findings if f.part not in self.parts]
        return not check.right[part] and any(
            finding.is_wrong(self.settings) and (check.name in finding.failed or not finding.failed)
            for finding in (*own, *about)
        )

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


MOST_EXPLAINED = 3  # inputs whose names are given with the reason why they are tried


def _on_which(
    tried: Sequence[InputCheck], wrong: Sequence[InputCheck]
) -> tuple[str, tuple[str, ...]]:
    """On which inputs a part is right or wrong: a short line, and more lines."""
    right = [check for check in tried if check not in wrong]
    if not wrong:
        return "right on all", ()
    if not right:
        return "wrong on all", ()
    counts = f"wrong on {len(wrong)} of {len(tried)}"
    if len(wrong) <= MOST_EXPLAINED:
        return f"{counts}:", tuple(f"{check.name}: {check.why}" for check in wrong)
    if len(right) <= MOST_EXPLAINED:
        return f"{counts}; right on these:", tuple(f"{check.name}: {check.why}" for check in right)
    if len(right) < len(wrong):
        return f"{counts}; right on {', '.join(check.name for check in right)}", ()
    return f"{counts}: {', '.join(check.name for check in wrong)}", ()


def _joined(names: Sequence[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))


def _unknown(finding: Finding, *, alone: bool) -> str:
    """A finding that is none of the known mistakes, in a short sentence; alone: what it shows."""
    part = f"the {finding.part} is" if finding.part in BASIC_PARTS else f"{finding.part}: it is"
    of = f" of {finding.inputs}" if finding.inputs else ""
    remark = f": {finding.remarks[0]}" if alone and finding.remarks else ""
    return f"{part} wrong on {len(finding.failed)}{of} inputs, by no known mistake{remark}"


def mistakes_first(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Mistakes before weaknesses and conventions."""
    return sorted(mistakes, key=lambda mistake: mistake.kind != "mistake")


def array_text(value: Any, other: Any = None) -> str:
    """An array as text, with as many digits as it takes to tell it from the other one.

    >>> array_text([1003.25, -0.5, np.nan]), array_text(5.6, 5.6000001)
    ('[1003.2, -0.5, nan]', '5.6')
    """
    for digits in (5, 9, 17):
        text, theirs = (_in_digits(one, digits) for one in (value, other))
        if text != theirs:
            break
    return text


def _in_digits(value: Any, digits: int) -> str:
    return np.array2string(
        np.asarray(value),
        separator=", ",
        threshold=40,
        max_line_width=10_000,
        formatter={"float_kind": lambda number: f"{number + 0.0:.{digits}g}"},  # no "-0"
    ).replace("\n", "")
