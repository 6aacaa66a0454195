"""From what a function gave to the report on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .answers import Reductions, further
from .bank import BANK, Mistake
from .collecting import Try
from .diagnosis import Diagnosis, Seen, diagnose, nearest
from .expected import SINGLE, Expected, expected, is_right, precision
from .properties import properties
from .report import Checked, Finding, Report, Verdict, shown
from .situations import Battery, battery_of
from .terms import Part, Terms

__all__ = ["judge"]

MOST_FORMS = 6  # that are looked into where all are wrong

IN_HALF = (
    "its results are in half precision, in which one mistake looks like another: let it keep the "
    "precision of the logits"
)


def judge(tries: Iterable[Try], terms: Terms) -> Report:
    """The report on what `collect` gives; no more of it is asked for than is needed."""
    battery = battery_of(terms.seed, terms.dtype)
    usable: list[tuple[Try, tuple[str, ...]]] = []
    problem: str | None = None
    for attempt in tries:
        problem = problem or attempt.problem  # of the likeliest form
        parts = _parts(attempt, terms.kind)
        if parts:
            plain = _plain(attempt, parts, battery, thorough=False)
            if not _is_wrong(plain.findings):
                if not attempt.form.batch:
                    plain.findings.extend(_of_batches(usable, battery))
                return _report(attempt, parts, plain, battery, terms)
            usable.append((attempt, parts))
    if not usable:
        problem = problem or "it takes no arguments that are logits, or logits and labels"
        return Report("wrong", None, (), (), terms, problem)
    # Wrong in every form. Those that raise less are likelier meant.
    usable.sort(key=lambda pair: _raised(pair[0]))
    reports = []
    for attempt, parts in usable[:MOST_FORMS]:
        plain = _plain(attempt, parts, battery, thorough=True)
        reports.append((_rank(plain), _report(attempt, parts, plain, battery, terms), attempt))
        if _rank(plain) <= 1:
            break
    _, report, attempt = min(reports, key=lambda one: one[0])
    if not report.mistakes and _in_half(attempt):
        return replace(report, problem=IN_HALF)
    return report


class Plain(NamedTuple):
    """What the calls without anything besides show: for each part, whether it is right on each of
    the probes, and the ε of its precision; and what is found."""

    right: dict[str, list[bool]]
    epsilon: dict[str, float]
    findings: list[Finding]


def _rank(plain: Plain) -> int:
    """How well a form is understood: it is right on most of the probes; its mistakes are known; it
    is right where it does not raise; none of these."""
    if all(sum(right) * 2 > len(right) for right in plain.right.values()):
        return 0
    if all(finding.mistakes for finding in plain.findings):
        return 1
    return 3 if any(finding.wrong_values for finding in plain.findings) else 2


def _of_batches(usable: Sequence[tuple[Try, tuple[str, ...]]], battery: Battery) -> list[Finding]:
    """What to say of a function that is right for one example, and takes batches too."""
    for attempt, parts in usable:
        if not attempt.form.batch or _raised(attempt) > len(attempt.results) / 2:
            continue
        ids: dict[str, None] = {}
        for part in parts:
            values = [getattr(result, part) for result in attempt.results]
            epsilon = precision(battery.probes[0].z.dtype, values)
            wanted = [expected(probe, epsilon) for probe in battery.probes]
            found = diagnose(_seen(part, values, wanted, battery, epsilon), pairs=False)
            ids |= dict.fromkeys(mistake.id for mistake in found.mistakes)
        remarks = (f"a batch, called as {attempt.form}, has {', '.join(ids)}",) if ids else ()
        return [Finding("calls", mistakes=(BANK["one-example-only"],), remarks=remarks)]
    return []


def _raised(attempt: Try) -> int:
    """On how many probes there is no result."""
    return sum(all(part is None for part in result) for result in attempt.results)


def _in_half(attempt: Try) -> bool:
    """Whether all numbers are such as half precision has, and not just 0 and 1."""
    values = [np.ravel(v) for result in attempt.results for v in result if v is not None]
    with np.errstate(over="ignore"):
        numbers = np.concatenate(values).astype(np.float32)
    if len(set(numbers[np.isfinite(numbers)].tolist())) < 6:
        return False
    with np.errstate(over="ignore"):
        float16 = np.array_equal(numbers, numbers.astype(np.float16), equal_nan=True)
    return float16 or not (numbers.view(np.uint32) & 0xFFFF).any()


def _parts(attempt: Try, kind: Part | None) -> tuple[str, ...]:
    """Which parts of the results there are to judge, by what came back and what was passed."""

    def there(part: str) -> bool:
        return any(getattr(result, part) is not None for result in attempt.results)

    if attempt.form.order == ("logits",) or kind == "softmax":
        return ("softmax",) if there("softmax") else ()
    asked = (kind,) if kind in ("loss", "gradient") else ("loss", "gradient")
    found = tuple(part for part in asked if there(part))
    return asked if kind == "loss+gradient" and found else found


def _plain(attempt: Try, parts: tuple[str, ...], battery: Battery, *, thorough: bool) -> Plain:
    """Not thorough: only what does not make it wrong is looked for."""
    given = battery.probes[0].z.dtype
    seen = {part: [getattr(result, part) for result in attempt.results] for part in parts}
    epsilon = {part: precision(given, seen[part]) for part in parts}
    plain = _in_precision(attempt, seen, battery, epsilon, thorough)
    if all(finding.mistakes for finding in plain.findings):
        return plain
    values = [np.asarray(v) for part in parts for v in seen[part] if v is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = all(np.array_equal(v, v.astype(np.float32), equal_nan=True) for v in values)
    if not rounded or all(one == SINGLE for one in epsilon.values()):
        return plain
    # float64 came out, and holds float32.
    coarse = _in_precision(attempt, seen, battery, dict.fromkeys(parts, SINGLE), thorough)
    if all(finding.mistakes for finding in coarse.findings):
        coarse.findings.append(Finding("calls", mistakes=(BANK["computed-in-float32"],)))
        return coarse
    return plain


def _in_precision(
    attempt: Try,
    seen: dict[str, list[Any]],
    battery: Battery,
    epsilon: dict[str, float],
    thorough: bool,
) -> Plain:
    findings: list[Finding] = []
    right: dict[str, list[bool]] = {}
    for part, values in seen.items():
        wanted = [expected(probe, epsilon[part]) for probe in battery.probes]
        whole = _seen(part, values, wanted, battery, epsilon[part])
        right[part] = list(whole.right)
        if all(right[part]) or (part == "gradient" and attempt.follows and _is_wrong(findings)):
            continue  # if it was derived from a wrong loss, it is right for that
        if all(got is None for got in values):
            findings.append(Finding(part, mistakes=(BANK[f"no-{part}"],)))
            continue
        found = _finding(whole, attempt, thorough)
        probabilities = [is_right("softmax", g, w) for g, w in zip(values, wanted, strict=True)]
        if part == "gradient" and all(probabilities):
            hint = "they are the probabilities: if those are meant, check it with kind='loss'"
            found = replace(found, remarks=(*found.remarks, hint))
        findings.append(found)
    return Plain(right, epsilon, findings + _of_both(findings, tuple(seen)))


def _seen(
    part: str, values: Sequence[Any], wanted: Sequence[Expected], battery: Battery, epsilon: float
) -> Seen:
    right = [
        got is not None and is_right(part, got, want)
        for got, want in zip(values, wanted, strict=True)
    ]
    return Seen(part, values, right, wanted, battery.probes, epsilon)


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
    kept.sort(key=lambda finding: not finding.counts(terms))
    verdict: Verdict = "wrong" if any(finding.counts(terms) for finding in kept) else "right"
    return Report(verdict, attempt.form, parts, tuple(kept), terms, checks=tuple(checks))


def _is_wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.counts(Terms()) for finding in findings)


def _reductions(findings: Sequence[Finding]) -> Reductions | None:
    """How the plain calls reduce, where they are right but for that."""
    conventions = {
        m.id for f in findings if f.part != "calls" for m in f.mistakes if m.kind != "weakness"
    }
    if not conventions <= {"sum", "a-loss-for-each", "gradient-of-the-sum"} or _is_wrong(findings):
        return None
    return Reductions(
        "none" if "a-loss-for-each" in conventions else "sum" if "sum" in conventions else "mean",
        "sum" if "gradient-of-the-sum" in conventions else "mean",
    )


# A convention of the loss, and the one of its gradient that goes with it.
GO_TOGETHER = {"sum": "gradient-of-the-sum", "bits": "gradient-in-bits"}


def _of_both(findings: Sequence[Finding], parts: tuple[str, ...]) -> list[Finding]:
    """Whether the gradient has the conventions of the loss."""
    found = {m.id for finding in findings for m in finding.mistakes}
    if found & {"a-loss-for-each", "no-loss", "no-gradient"} or len(parts) < 2:
        return []
    if any((a in found) != (b in found) for a, b in GO_TOGETHER.items()):
        return [Finding("gradient", mistakes=(BANK["loss-and-gradient-differ"],))]
    return []


# With these an implementation is right still.
HARMLESS = [mistake for mistake in BANK.values() if mistake.kind != "mistake"]


def _finding(seen: Seen, attempt: Try, thorough: bool) -> Finding:
    """What is wrong with one part."""
    constant = seen.part != "gradient" and _constant(seen.values)
    if constant:
        found = Diagnosis((BANK[constant],), (), len(seen.values))
    else:
        found = diagnose(seen, None if thorough else HARMLESS)
    if thorough and not found.mistakes:
        found = _by_probe(seen)
    wrong = [k for k, ok in enumerate(seen.right) if not ok]
    # The smallest, of those with a value if there are any.
    smallest = min(wrong, key=lambda k: (seen.values[k] is None, seen.given[k].z.size))
    remarks: tuple[str, ...] = ()
    closest = None
    if thorough and not found.mistakes:
        remarks = properties(seen, attempt.problem)
        closest = nearest(seen)
    got, want = seen.values[smallest], getattr(seen.wanted[smallest], seen.part)
    probe = seen.given[smallest]
    example = {
        "z": shown(probe.z),
        "y": shown(probe.y),
        "yours": f"it raised {attempt.problem}" if got is None else shown(got, want),
        "expected": shown(want, got),
    }
    if attempt.form.is_layer:
        example["where"] = "X·W = z, and the gradient by W is Xᵀ times that by z"
    return Finding(
        seen.part,
        tuple(seen.given[k].name for k in wrong),
        found.mistakes,
        found.others,
        found.matched,
        len(seen.values),
        example,
        remarks,
        closest,
        wrong_values=any(seen.values[k] is not None for k in wrong),
    )


def _constant(values: Sequence[Any]) -> str | None:
    """Whether there is one number in all the results, or no number in any of them."""
    if any(got is None for got in values):
        return None
    numbers = np.concatenate([np.ravel(got) for got in values])
    if not np.isfinite(numbers).any():
        return "always-nan"
    return "constant" if (numbers == numbers[0]).all() else None


def _by_probe(seen: Seen) -> Diagnosis:
    """Where no mistakes give all the numbers: those that give the finite ones, and beside them the
    one that makes the others NaN or infinite."""
    nothing = Diagnosis((), (), 0)
    if any(got is None for got in seen.values):
        return nothing
    finite = [k for k, got in enumerate(seen.values) if np.isfinite(np.asarray(got)).all()]
    broken = {probe.name for k, probe in enumerate(seen.given) if k not in finite}
    if not finite or not broken:
        return nothing
    explained: tuple[Mistake, ...] = ()
    rest = seen.only(finite)
    if not all(rest.right):
        explained = diagnose(rest).mistakes
        if not explained:
            return nothing
    cause = "nan-for-good-logits"
    extreme = {"large", "low", "mixed", "apart", "just apart", "far apart", "above",
               "far above"}  # fmt: skip
    if broken & {"large", "mixed"} and broken <= extreme:
        cause = "no-max"
    elif seen.part == "loss" and broken <= {"apart", "just apart", "far apart"}:
        cause = "log-of-underflow"
    return Diagnosis((*explained, BANK[cause]), (), len(finite))
