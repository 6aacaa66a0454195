"""The page docs/conformance.md: the results, between intro.md and notes.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .findings import Judged, findings
from .implementations import IMPLEMENTATIONS
from .judge import KINDS, judge
from .runner import Answers
from .trials import Trial, sections

HERE = Path(__file__).parent


@dataclass
class Report:
    trials: list[Trial]
    answers: list[Answers]
    #: name → value: processor, system, versions
    machine: dict[str, str]
    date: str
    judged: dict[str, Judged] = field(init=False)

    def __post_init__(self) -> None:
        self.judged = {
            IMPLEMENTATIONS[answers.name].title: [
                (trial, judge(trial, result))
                for trial, result in zip(self.trials, answers.results, strict=True)
            ]
            for answers in self.answers
            if not answers.absent
        }


def markdown(report: Report) -> str:
    intro, notes = ((HERE / name).read_text(encoding="utf-8") for name in ("intro.md", "notes.md"))
    parts = [intro.rstrip(), _implementations(report), _found(report), _counts(report)]
    of_row = sections()
    for section in dict.fromkeys(of_row.values()):
        rows = [row for row, its in of_row.items() if its == section]
        parts.append(f"## {section}\n{_table(report, rows)}")
    return "\n\n".join([*parts, _battery(report), notes])


def _implementations(report: Report) -> str:
    lines = ["## What was called"]
    for answers in report.answers:
        kind = IMPLEMENTATIONS[answers.name]
        if answers.absent:
            lines.append(f"- {kind.title}: absent; {answers.absent}.")
        else:
            lines.append(f"- {kind.title} {answers.version}: {kind.call}.")
    facts = "; ".join(f"{name}: {text}" for name, text in report.machine.items())
    return "\n".join([*lines, "", f"Computed on {report.date}. {facts}."])


def _found(report: Report) -> str:
    lines = ["## The most surprising", *(f"- {line}" for line in findings(report.judged))]
    return "\n".join(lines)


def _counts(report: Report) -> str:
    kinds = {
        title: Counter(_worst(pairs)[0] for pairs in _by_case(judged).values())
        for title, judged in report.judged.items()
    }
    shown = ["right", "wrong", "other", "accepts", "raises", "not offered"]
    shown += [kind for kind in ("crashes", "not asked") if any(kind in k for k in kinds.values())]
    lines = ["## How many cases", _line(["", *shown]), _line(["---", *["---:"] * len(shown)])]
    for title, counts in kinds.items():
        lines.append(_line([title, *(str(counts[kind]) for kind in shown)]))
    return "\n".join(lines)


def _table(report: Report, rows: list[str]) -> str:
    titles = list(report.judged)
    lines = [_line(["input", "case", *titles]), _line(["---"] * (2 + len(titles)))]
    by_case = {title: _by_case(judged) for title, judged in report.judged.items()}
    for row in rows:
        shown = row
        cases = dict.fromkeys((t.row, t.name, t.case["why"]) for t in report.trials if t.row == row)
        for key in cases:
            cells = [cell(by_case[title][key[:2]]) for title in titles]
            lines.append(_line([shown, f"**{key[1]}**: {key[2]}", *cells]))
            shown = ""  # the row's text is beside its first case only
    return "\n".join(lines)


def _battery(report: Report) -> str:
    """The inputs of `check`, and its verdict on each."""
    of = {
        IMPLEMENTATIONS[answers.name].title: answers.checked
        for answers in report.answers
        if answers.checked
    }
    why: dict[str, str] = {}
    other: set[tuple[str, str, str]] = set()
    right: dict[tuple[str, str, str], bool] = {}
    for title, reports in of.items():
        for dtype, found in reports.items():
            for check in found["checks"]:
                why[check["name"]] = check["why"]
                right[title, dtype, check["name"]] = all(check["right"].values())
            for finding in found["findings"]:
                if {m["kind"] for m in finding["mistakes"]} == {"convention"}:
                    other |= {(title, dtype, name) for name in finding["failed"]}

    def cell(title: str, name: str) -> str:
        asked = {d: right[title, d, name] for d in of[title] if (title, d, name) in right}
        wrong = [dtype for dtype, ok in asked.items() if not ok]
        if not asked:
            return "not offered"
        where = f"{wrong[0]}: " if 0 < len(wrong) < len(asked) else ""
        if wrong and all((title, dtype, name) in other for dtype in wrong):
            return f"{where}other"
        return f"{where}**wrong**" if wrong else "right"

    def said(title: str) -> str:
        ids = {m["id"] for r in of[title].values() for f in r["findings"] for m in f["mistakes"]}
        unknown = any(not f["mistakes"] for r in of[title].values() for f in r["findings"])
        links = [f"[{id}](check.md#{id})" for id in sorted(ids)]
        return ", ".join(links + ["no known mistake"] * unknown) or "nothing"

    lines = [
        "## The inputs of `check`",
        "Those of [check.md](check.md), seed 0. A label outside the classes must raise an error "
        "or give NaN.",
        "",
        _line(["input", *of]),
        _line(["---"] * (1 + len(of))),
    ]
    for name, text in why.items():
        lines.append(_line([f"**{name}**: {text}", *(cell(title, name) for title in of)]))
    return "\n".join([*lines, _line(["**what it says**", *map(said, of)])])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in cells) + " |"


def _by_case(judged: Judged) -> dict[tuple[str, str], Judged]:
    found: dict[tuple[str, str], Judged] = {}
    for trial, verdict in judged:
        found.setdefault((trial.row, trial.name), []).append((trial, verdict))
    return found


def _worst(pairs: Judged) -> tuple[str, Judged, Judged]:
    """The worst kind among a case's verdicts, those of that kind, and all that were tested."""
    asked = [pair for pair in pairs if pair[1].kind != "not asked"] or pairs
    kind = min((verdict.kind for _, verdict in asked), key=KINDS.index)
    return kind, [pair for pair in asked if pair[1].kind == kind], asked


def cell(pairs: Judged) -> str:
    """The verdicts on all variants of a case, in a few words."""
    kind, having, asked = _worst(pairs)
    detail = having[0][1].detail
    match kind:
        case "wrong":
            text = f"**wrong** ({detail})"
        case "accepts":
            text = f"accepts ({detail})"
        case "other" | "not offered":
            text = f"{kind}: {detail}"
        case "raises":
            text = f"raises {detail}"
        case _:
            text = kind
    if len(having) == len(asked):
        return text
    dtypes = {trial.dtype for trial, _ in having}
    of_dtype = [pair for pair in asked if pair[0].dtype in dtypes]
    if len(dtypes) == 1 and len(of_dtype) == len(having):
        return f"{dtypes.pop()}: {text}"
    return f"{len(having)} of {len(asked)}: {text}"
