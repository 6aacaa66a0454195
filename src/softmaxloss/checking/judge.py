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
from .expected import SINGLE, expected, is_right, precision
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
            if not _is_wrong(plain.findings) and (
                attempt.form.batch or terms.layout == "one" or not _takes_batches(usable)
            ):
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


def _takes_batches(usable: Sequence[tuple[Try, tuple[str, ...]]]) -> bool:
    """Whether a batch with a label for each example has a loss: then one example is not meant."""
    return any(
        attempt.form.batch
        and attempt.form.labels == "index"
        # An N × N matrix is what indexing by the labels makes of z, where one is meant.
        and sum(r.loss is not None and np.ndim(r.loss) < 2 for r in attempt.results) * 2
        > len(attempt.results)
        for attempt, parts in usable
        if "loss" in parts
    )


def _of_batches(usable: Sequence[tuple[Try, tuple[str, ...]]], battery: Battery) -> list[Finding]:
    """What to say of a function that is right for one example, and takes batches too."""
    for attempt, parts in usable:
        if not attempt.form.batch or _raised(attempt) > len(attempt.results) / 2:
            continue
        ids: dict[str, None] = {}
        for part in parts:
            values = [getattr(result, part) for result in attempt.results]
            epsilon = precision(battery.probes[0].z.dtype, values)
            found = diagnose(_seen(part, values, battery, epsilon), pairs=False)
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
    if all(one == SINGLE for one in epsilon.values()):
        return plain
    # float64 came out: does it hold float32?
    values = [np.asarray(v) for part in parts for v in seen[part] if v is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = all(np.array_equal(v, v.astype(np.float32), equal_nan=True) for v in values)
    if not rounded and not _near_in_single(seen, battery):
        return plain
    coarse = _in_precision(attempt, seen, battery, dict.fromkeys(parts, SINGLE), thorough)
    if all(finding.mistakes for finding in coarse.findings):
        coarse.findings.append(Finding("calls", mistakes=(BANK["computed-in-float32"],)))
        return coarse
    return plain


def _near_in_single(seen: dict[str, list[Any]], battery: Battery) -> bool:
    """Whether all is right to the digits that float32 keeps, not just to what it may lose."""
    for part, values in seen.items():
        for got, probe in zip(values, battery.probes, strict=True):
            want = np.asarray(getattr(expected(probe, SINGLE), part))
            if got is None or np.shape(got) != want.shape:
                return False
            bound = 8 * SINGLE * (1 + np.abs(probe.z).max())
            if not (np.abs(got - want) <= bound * (part == "loss" or np.abs(want) + 1)).all():
                return False
    return True


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
        whole = _seen(part, values, battery, epsilon[part])
        right[part] = list(whole.right)
        if all(right[part]) or (part == "gradient" and attempt.follows and _is_wrong(findings)):
            continue  # if it was derived from a wrong loss, it is right for that
        if all(got is None for got in values):
            findings.append(Finding(part, mistakes=(BANK[f"no-{part}"],)))
            continue
        found = _finding(whole, attempt, thorough)
        pairs = zip(values, whole.wanted, strict=True)
        if part == "gradient" and all(is_right("softmax", got, want) for got, want in pairs):
            hint = "they are the probabilities: if those are meant, check it with kind='loss'"
            found = replace(found, remarks=(*found.remarks, hint))
        findings.append(found)
    if not attempt.follows:
        findings = _of_both(findings, tuple(seen))
    return Plain(right, epsilon, findings)


def _seen(part: str, values: Sequence[Any], battery: Battery, epsilon: float) -> Seen:
    wanted = [expected(probe, epsilon) for probe in battery.probes]
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
    elif attempt.further and not _is_wrong(findings):
        names = ", ".join(further.name for further in attempt.further)
        remark = f"with this convention these were not checked: {names}"
        findings[0] = replace(findings[0], remarks=(*findings[0].remarks, remark))
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


# The convention of a gradient that goes with one of a loss, where it has another name. A perplexity
# and a focal loss have gradients for which there is no name.
OF_GRADIENT = {"sum": "gradient-of-the-sum", "bits": "gradient-in-bits"}


def _of_both(findings: Sequence[Finding], parts: tuple[str, ...]) -> list[Finding]:
    """The findings, and whether the gradient has the conventions of the loss."""
    of: dict[str, set[str]] = {"loss": set(), "gradient": set()}
    if set(parts) != set(of) or any(f.counts(Terms()) for f in findings):
        return list(findings)
    for finding in findings:
        of[finding.part] |= {m.id for m in finding.mistakes if m.kind == "convention"}
    wanted = {OF_GRADIENT.get(id, id) for id in of["loss"]}
    if "a-loss-for-each" in wanted:  # the gradient may be that of their sum or of their mean
        wanted = wanted - {"a-loss-for-each"} | of["gradient"] & {"gradient-of-the-sum"}
    if wanted == of["gradient"]:
        return list(findings)
    if not wanted and of["gradient"] == {"gradient-of-the-sum"}:
        divided = (BANK["gradient-not-divided"],)
        return [replace(f, mistakes=divided) if f.part == "gradient" else f for f in findings]
    return [*findings, Finding("gradient", mistakes=(BANK["loss-and-gradient-differ"],))]


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
    if attempt.form.is_layer:
        names = {"weights": "W", "features": "X", "labels": "y", "reg": "reg"}
        arguments = attempt.form.arguments(probe.z, probe.y)
        example = {names[r]: shown(v) for r, v in zip(attempt.form.order, arguments, strict=True)}
        example["z = X·W"] = shown(probe.z)
    else:
        example = {"z": shown(probe.z), "y": shown(probe.y)}
    example["yours"] = f"it raised {attempt.problem}" if got is None else shown(got, want)
    example["expected"] = shown(want, got)
    if attempt.form.is_layer and seen.part == "gradient":
        example["which is"] = "the gradient by z: that by W is Xᵀ times it"
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
    extreme = {"large", "low", "mixed", "apart", "just apart", "far apart", "above",
               "far above"}  # fmt: skip
    values = np.concatenate([np.ravel(seen.values[k]) for k in range(len(seen.given))])
    up = not (np.isnan(values) | np.isneginf(values)).any()
    cause = "nan-for-good-logits"
    if "large" in broken and broken <= extreme:
        cause = "no-max"
    elif (
        seen.part == "loss" and up and broken <= extreme and (explained or broken == {"far apart"})
    ):
        cause = "log-of-underflow"
    return Diagnosis((*explained, BANK[cause]), (), len(finite))
