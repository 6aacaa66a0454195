"""From what a function gave to the report on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .answers import Reductions, further
from .bank import BANK, Mistake
from .collecting import Try
from .diagnosis import Diagnosis, diagnose, nearest
from .expected import Expected, expected, is_right, unit
from .forms import Form
from .probes import Probe
from .properties import properties
from .report import Checked, Finding, Report, Verdict, shown
from .situations import Battery, battery_of
from .steps import Results
from .terms import Part, Terms

__all__ = ["judge"]


def judge(tries: Iterable[Try], terms: Terms) -> Report:
    """The report on what `collect` gives; no more of it is asked for than is needed."""
    battery = battery_of(terms.seed, terms.dtype)
    usable, problem = [], "it takes no arguments that are logits, or logits and labels"
    for attempt in tries:
        problem = attempt.problem or problem
        parts = _parts(attempt.results, attempt.form, terms.kind)
        if parts:
            plain = _plain(attempt, parts, battery, thorough=False)
            if not _is_wrong(plain.findings):
                return _report(attempt, parts, plain, battery, terms)
            usable.append((attempt, parts))
    if not usable:
        return Report("wrong", None, (), (), terms, problem)
    # Wrong in every form. A form that raises less is likelier meant; of those that raise as little,
    # the first in which the mistakes are known, else the first.
    fewest = min(_raised(attempt) for attempt, _ in usable)
    reports = []
    for attempt, parts in usable:
        if _raised(attempt) > fewest:
            continue
        plain = _plain(attempt, parts, battery, thorough=True)
        reports.append(_report(attempt, parts, plain, battery, terms))
        if all(finding.mistakes for finding in reports[-1].findings):
            return reports[-1]
    return reports[0]


# With these an implementation is right still.
HARMLESS = [mistake for mistake in BANK.values() if mistake.kind != "mistake"]


def _raised(attempt: Try) -> int:
    """On how many probes there is no result."""
    return sum(all(part is None for part in result) for result in attempt.results)


def _parts(results: Sequence[Results], form: Form, kind: Part | None) -> tuple[str, ...]:
    """Which parts of the results there are to judge, by what came back and what was passed."""

    def there(part: str) -> bool:
        return any(getattr(result, part) is not None for result in results)

    if form.labels == "none" or kind == "softmax":
        return ("softmax",) if there("softmax") else ()
    asked = (kind,) if kind in ("loss", "gradient") else ("loss", "gradient")
    return tuple(part for part in asked if there(part))


class Plain(NamedTuple):
    """What the calls without anything besides show: for each part, whether it is right on each of
    the probes; and what is found. epsilon: of the precision in which that is."""

    right: dict[str, list[bool]]
    findings: list[Finding]
    epsilon: float


def _plain(attempt: Try, parts: tuple[str, ...], battery: Battery, *, thorough: bool) -> Plain:
    """Not thorough: only what does not make it wrong is looked for."""
    values = [np.asarray(v) for result in attempt.results for v in result if v is not None]
    epsilon = unit(battery.probes[0].z.dtype, *(value.dtype for value in values))
    plain = _in_precision(attempt, parts, battery, epsilon, thorough)
    single = float(np.finfo(np.float32).eps)
    if epsilon == single or all(finding.mistakes for finding in plain.findings):
        return plain
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = all(np.array_equal(v, v.astype(np.float32), equal_nan=True) for v in values)
    if not rounded:
        return plain
    # float64 came out, and holds float32.
    coarse = _in_precision(attempt, parts, battery, single, thorough)
    if all(finding.mistakes for finding in coarse.findings):
        coarse.findings.append(Finding("calls", mistakes=(BANK["computed-in-float32"],)))
        return coarse
    return plain


def _in_precision(
    attempt: Try, parts: tuple[str, ...], battery: Battery, epsilon: float, thorough: bool
) -> Plain:
    results, given = attempt.results, battery.probes
    wanted = [expected(probe, epsilon) for probe in given]
    right = {
        part: [
            (got := getattr(result, part)) is not None and is_right(part, got, want)
            for result, want in zip(results, wanted, strict=True)
        ]
        for part in parts
    }
    findings: list[Finding] = []
    for part in parts:
        if part == "gradient" and attempt.follows and _is_wrong(findings):
            continue  # it was derived from that loss, and is right for it
        findings += _findings(part, results, given, wanted, right[part], epsilon, thorough)
    return Plain(right, findings + _of_both(findings, parts), epsilon)


def _report(
    attempt: Try, parts: tuple[str, ...], plain: Plain, battery: Battery, terms: Terms
) -> Report:
    """With what is found in the situations, which is asked where the plain calls are right."""
    findings = list(plain.findings)
    checks = [
        Checked(probe.name, probe.why, {part: plain.right[part][k] for part in parts})
        for k, probe in enumerate(battery.probes)
    ]
    reductions = _reductions(findings)
    if reductions is not None:
        more, found = further(attempt, battery, parts, reductions, plain.epsilon)
        checks, findings = checks + more, findings + found
    findings += [Finding("calls", mistakes=(BANK[id],)) for id in attempt.calls]
    seen_before: set[str] = set()
    kept = []
    for finding in findings:  # a mistake in the softmax shows in the loss and in the gradient
        ids = {m.id for m in finding.mistakes}
        if not ids or not ids <= seen_before:
            kept.append(finding)
        seen_before |= ids
    verdict: Verdict = "wrong" if any(finding.counts(terms) for finding in kept) else "right"
    return Report(verdict, attempt.form, parts, tuple(kept), terms, checks=tuple(checks))


def _is_wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.counts(Terms()) for finding in findings)


def _reductions(findings: Sequence[Finding]) -> Reductions | None:
    """How the plain calls reduce, where they are right but for that."""
    ids = {m.id for finding in findings for m in finding.mistakes if m.kind != "weakness"}
    if _is_wrong(findings) or not ids <= {"sum", "a-loss-for-each", "gradient-of-the-sum"}:
        return None
    return Reductions(
        "none" if "a-loss-for-each" in ids else "sum" if "sum" in ids else "mean",
        "sum" if "gradient-of-the-sum" in ids else "mean",
    )


# A convention of the loss, and the one of its gradient that goes with it.
GO_TOGETHER = {"sum": "gradient-of-the-sum", "bits": "gradient-in-bits"}


def _of_both(findings: Sequence[Finding], parts: tuple[str, ...]) -> list[Finding]:
    """Whether the gradient has the conventions of the loss."""
    found = {m.id for finding in findings for m in finding.mistakes}
    if "a-loss-for-each" in found or not {"loss", "gradient"} <= set(parts):
        return []
    if any((a in found) != (b in found) for a, b in GO_TOGETHER.items()):
        return [Finding("gradient", mistakes=(BANK["loss-and-gradient-differ"],))]
    return []


def _findings(
    part: str,
    results: Sequence[Results],
    given: Sequence[Probe],
    wanted: Sequence[Expected],
    right: Sequence[bool],
    epsilon: float,
    thorough: bool,
) -> list[Finding]:
    """What is wrong with one part."""
    seen = [getattr(result, part) for result in results]
    if all(right):
        return []
    failed = [probe.name for probe, ok in zip(given, right, strict=True) if not ok]
    if part == "loss" and _is_constant(seen):
        found = Diagnosis((BANK["constant"],), (), len(seen), len(seen))
    else:
        found = diagnose(part, seen, given, epsilon, None if thorough else HARMLESS)
    if thorough and not found.mistakes:
        found = _by_probe(part, seen, given, epsilon, right)
    if thorough and not found.mistakes:
        found = nearest(part, seen, given, epsilon)
    smallest = min((k for k, ok in enumerate(right) if not ok), key=lambda k: given[k].z.size)
    example = _example(part, given[smallest], seen[smallest], wanted[smallest])
    fails = () if found.mistakes else properties(part, seen, given, epsilon)
    return [
        Finding(part, tuple(failed), found.mistakes, found.others, found.matched, found.probes,
                example, fails)
    ]  # fmt: skip


def _is_constant(seen: Sequence[Any]) -> bool:
    """Whether there is one number in all the results, NaN say, but 0 in a gradient."""
    numbers = {x for got in seen if got is not None for x in np.asarray(got).ravel().tolist()}
    return len(numbers) == 1 or (bool(numbers) and all(x != x for x in numbers))


def _by_probe(
    part: str,
    seen: Sequence[Any],
    given: Sequence[Probe],
    epsilon: float,
    right: Sequence[bool],
) -> Diagnosis:
    """Where no mistakes give all the numbers: those that give the finite ones, and beside them the
    one that makes the others NaN or infinite."""
    finite = [
        k for k, got in enumerate(seen) if got is not None and np.isfinite(np.asarray(got)).all()
    ]
    broken = {probe.name for k, probe in enumerate(given) if k not in finite}
    nothing = Diagnosis((), (), 0, len(given))
    if not finite or not broken or any(got is None for got in seen):
        return nothing
    explained: tuple[Mistake, ...] = ()
    if not all(right[k] for k in finite):
        numbers, inputs = [seen[k] for k in finite], [given[k] for k in finite]
        explained = diagnose(part, numbers, inputs, epsilon).mistakes
        if not explained:
            return nothing
    cause = "nan-for-good-logits"
    if broken <= {"large", "mixed", "apart", "just apart", "far apart"}:
        cause = "no-max" if broken & {"large", "mixed"} else "log-of-underflow"
    return Diagnosis((*explained, BANK[cause]), (), len(finite), len(seen))


def _example(part: str, probe: Probe, got: Any, want: Expected) -> dict[str, str]:
    return {
        "z": shown(probe.z),
        "y": shown(probe.y),
        "yours": "it raised" if got is None else shown(got, getattr(want, part)),
        "expected": shown(getattr(want, part), got),
    }
