"""`check`: call a function on the probes, judge what comes back, and name what is wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bank import BANK, Mistake
from .collecting import Try, collect
from .diagnosis import Diagnosis, diagnose, nearest
from .forms import Form, Part
from .judge import Expected, expected, is_right, unit
from .probes import Probe, probes
from .report import Finding, Report
from .steps import Results

__all__ = ["assert_softmax_loss", "check", "judge"]

Array = NDArray[Any]


def check(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    dtype: Any = np.float64,
    seed: int | None = None,
) -> Report:
    """Check a softmax, its cross-entropy loss, or the loss's gradient by the logits.

    Args:
        fn: softmax(z); or of (z, y) the loss, the gradient, or both. Logits may be a batch with
            examples in rows or columns, or one example; labels indices or one-hot; NumPy arrays or
            PyTorch tensors, whose gradient autograd gives. Which it is is found out by trying.
        kind: "softmax", "loss", "gradient" or "loss+gradient", where that cannot be told from what
            comes back.
        dtype: of the logits, float64 or float32.
        seed: of the random probes; fresh for each check, and in the report.

    Raises ValueError for another kind or dtype, TypeError where fn cannot be called.

    >>> def loss(z, y):
    ...     a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    ...     return -np.log(a[np.arange(len(y)), y]).mean()
    >>> check(loss).mistakes
    ['exp-minus-z', 'no-max']
    """
    if not callable(fn):
        raise TypeError(f"check takes a function, got {type(fn).__name__}")
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, got {np.dtype(dtype)}")
    seed = secrets.randbelow(10**6) if seed is None else seed
    given = probes(seed, dtype)
    return judge(collect(fn, kind, given), kind, given, seed)


def judge(tries: Iterable[Try], kind: Part | None, given: Sequence[Probe], seed: int) -> Report:
    """The report on what `collect` gives; no more of it is asked for than is needed."""
    usable, problem = [], "it takes no arguments that are logits, or logits and labels"
    for attempt in tries:
        problem = attempt.problem or problem
        parts = _parts(attempt.results, attempt.form, kind)
        if parts:
            report = _checked(attempt, parts, given, seed, thorough=False)
            if report.verdict == "right":
                return report
            usable.append((attempt, parts))
    if not usable:
        return Report("wrong", None, (), (), seed, problem)
    # Wrong in every form. A form that raises less is likelier meant; of those that raise as little,
    # the first in which the mistakes are known, else the first.
    fewest = min(_raised(attempt) for attempt, _ in usable)
    reports = []
    for attempt, parts in usable:
        if _raised(attempt) > fewest:
            continue
        reports.append(_checked(attempt, parts, given, seed, thorough=True))
        if all(finding.mistakes for finding in reports[-1].findings):
            return reports[-1]
    return reports[0]


def assert_softmax_loss(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    dtype: Any = np.float64,
    seed: int | None = None,
    expected_failures: Collection[str] = (),
) -> None:
    """Raise AssertionError with the report unless the function is right: for tests.

    expected_failures: ids of mistakes that are known and may be there; {id: reason} fits.

    >>> assert_softmax_loss(lambda z: np.exp(z) / np.exp(z).sum(1)[:, None],
    ...                     expected_failures={"no-max": "the logits are small"})
    """
    unknown = set(expected_failures) - set(BANK)
    if unknown:
        raise ValueError(f"there is no mistake {min(unknown)!r}")
    report = check(fn, kind, dtype=dtype, seed=seed)
    wrong = [
        f for f in report.findings
        if f.counts and not (f.mistakes and {m.id for m in f.mistakes} <= set(expected_failures))
    ]  # fmt: skip
    if wrong or report.problem is not None:
        raise AssertionError(str(report))


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


def _checked(
    attempt: Try, parts: tuple[str, ...], given: Sequence[Probe], seed: int, *, thorough: bool
) -> Report:
    """The report for one form. Not thorough: only what does not make it wrong is looked for."""
    results = attempt.results
    dtypes = [np.asarray(v).dtype for r in results for v in r if v is not None]
    epsilon = unit(given[0].z.dtype, *dtypes)
    wanted = [expected(probe, epsilon) for probe in given]
    findings = []
    for part in parts:
        findings += _findings(part, results, given, wanted, epsilon, thorough)
    findings += [Finding("calls", mistakes=(BANK[id],)) for id in attempt.calls]
    findings += _of_both(findings, parts)
    seen_before: set[str] = set()
    kept = []
    for finding in findings:  # a mistake in the softmax shows in the loss and in the gradient
        ids = {m.id for m in finding.mistakes}
        if not ids or not ids <= seen_before:
            kept.append(finding)
        seen_before |= ids
    verdict = "wrong" if any(finding.counts for finding in kept) else "right"
    return Report(verdict, attempt.form, parts, tuple(kept), seed)  # type: ignore[arg-type]


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
    epsilon: float,
    thorough: bool,
) -> list[Finding]:
    """What is wrong with one part."""
    seen = [getattr(result, part) for result in results]
    right = [
        got is not None and is_right(part, got, want)
        for got, want in zip(seen, wanted, strict=True)
    ]
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
    properties = () if found.mistakes else _properties(part, seen, given, epsilon)
    return [
        Finding(part, tuple(failed), found.mistakes, found.others, found.matched, found.probes,
                example, properties)
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
    def shown(value: Any) -> str:
        return np.array2string(
            np.asarray(value), precision=4, separator=", ", threshold=40, max_line_width=10_000
        ).replace("\n", "")

    return {
        "z": shown(probe.z),
        "y": shown(probe.y),
        "yours": "it raised" if got is None else shown(got),
        "expected": shown(getattr(want, part)),
    }


def _properties(
    part: str, seen: Sequence[Any], given: Sequence[Probe], epsilon: float
) -> tuple[str, ...]:
    """What can be said of wrong numbers whose mistake is not known."""
    said = []
    arrays = [np.asarray(got) for got in seen if got is not None]
    loose = 1e4 * epsilon
    if any(got is None for got in seen):
        said.append("it raises on some of the probes")
    if any(not np.isfinite(array).all() for array in arrays):
        said.append("it is not finite everywhere")
    finite = [array for array in arrays if np.isfinite(array).all()]
    if part == "loss" and any((array < 0).any() for array in finite):
        said.append("it is negative somewhere; a loss is not")
    if part == "gradient" and any((abs(a.sum(axis=-1)) > loose).any() for a in finite):
        said.append("its rows do not sum to 0")
    if part == "softmax" and any((abs(a.sum(axis=-1) - 1) > loose).any() for a in finite):
        said.append("its rows do not sum to 1")
    if len(finite) > 1 and all(np.ptp(a) == 0 for a in finite) and part != "loss":
        said.append("it is the same number everywhere")
    return tuple(said)
