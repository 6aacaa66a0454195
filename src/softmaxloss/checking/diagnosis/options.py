"""The inputs with an option: what is right on each, and which mistakes give the results.

They are compared only if the results for the plain inputs are right.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ...arrays import Array
from ..bank import BANK, Mistake
from ..calling.calls import Attempt
from ..inputs import Input, sequence_shape
from ..reference import FEW, SIZE, WITH_OPTION, LossParts, Results, agree, near, softmax
from ..report import Finding, InputCheck, array_text

# A loss near log 512 may be off by a few roundings to bfloat16, which are 1/256 of it.
HALF = 4 * 2.0**-8 / (FEW + 4 * SIZE)

# Of what ε in the log changes in each loss: weights of classes, and that it is an estimate.
MOST_OFF = 10


class Reductions(NamedTuple):
    """How the results for the plain inputs are reduced."""

    loss: Literal["mean", "sum", "none", "sequences"] = "mean"
    gradient: Literal["mean", "sum", "sequences"] = "mean"


class Case(NamedTuple):
    """An input with an option: what was returned, what is right, what each mistake gives."""

    input: Input
    results: Results
    problem: str | None
    expected: Results
    right: dict[str, bool]
    wrong: dict[tuple[str, int], Results]


def check_options(
    attempt: Attempt,
    inputs: Sequence[Input],
    parts: Sequence[str],
    reductions: Reductions,
    epsilon: float,
    added: float,
) -> tuple[list[InputCheck], list[Finding]]:
    """Compare the results for the inputs with options that the function accepts.

    `added` is what it adds to the probabilities before their log.
    """
    checks: list[InputCheck] = []
    findings: list[Finding] = []
    called = [input for input in inputs if input.name in attempt.with_options]
    for about, group in itertools.groupby(called, key=lambda input: input.about):
        if about in ("backward", "probability", "mask of outputs", "temperature"):
            continue  # compared elsewhere
        if about == "upstream" and not attempt.differentiated:
            continue
        if about == "labels":
            for input in group:
                found = _label_accepted(input, attempt.with_options[input.name][0])
                checks.append(InputCheck(input.name, input.why, dict.fromkeys(parts, not found)))
                findings += found
            continue
        if about == "reg":
            continue
        cases = [_case(attempt, input, parts, reductions, epsilon, added) for input in group]
        cases = [case for case in cases if case.right]
        checks += [InputCheck(case.input.name, case.input.why, case.right) for case in cases]
        if not all(ok for case in cases for ok in case.right.values()):
            findings.append(_finding(about, cases, epsilon))
    return checks, findings


def _case(
    attempt: Attempt,
    input: Input,
    parts: Sequence[str],
    reductions: Reductions,
    epsilon: float,
    added: float,
) -> Case:
    got, problem = attempt.with_options[input.name]
    about, options = input.about, input.options
    if about == "bfloat16":
        # A function that does not accept bfloat16 is not checked in it.
        parts = [part for part in parts if part == "loss" and got.loss is not None]
        epsilon = HALF
    if about == "reduction":
        how = options["reduction"]
        reductions = Reductions(how, "mean" if how == "mean" else "sum")
    elif "reduction" in options:
        reductions = Reductions("none", "sum")
    z, y = input.z.astype(np.float64), input.y
    value = _option_value(input, reductions)
    with np.errstate(all="ignore"):
        right = WITH_OPTION[about](z, y, value)
        expected = _reduced(right, reductions)
        wrong = {
            (mistake.id, k): _reduced_or_none(function, z, y, value, reductions)
            for mistake in BANK.values()
            if mistake.about == about
            for k, function in enumerate(mistake.wrong)
        }
    if about == "reduction":
        others = [Reductions(a, b) for a in ("mean", "sum", "none") for b in ("mean", "sum")]
        wrong = {("reduction-unused", k): _reduced(right, o) for k, o in enumerate(others)}
    is_right = {
        part: near(getattr(got, part), getattr(expected, part), epsilon)
        or (part == "loss" and _is_empty_mean(right, got.loss))
        or _is_near_by(getattr(got, part), getattr(expected, part), added, z, y)
        for part in parts
        if getattr(expected, part) is not None
    }
    return Case(input, got, problem, expected, is_right, wrong)


def _finding(about: str, cases: Sequence[Case], epsilon: float) -> Finding:
    """One mistake that gives all results; else one for each part, or for each input."""
    failed = [case for case in cases if not all(case.right.values())]
    first = failed[0]
    part = next(part for part, ok in first.right.items() if not ok)
    got, want = getattr(first.results, part), getattr(first.expected, part)
    yours = f"it raised {first.problem}" if got is None else array_text(got, want)
    example = _example(first.input, f"{part} {yours}", array_text(want, got))
    names = tuple(case.input.name for case in failed)
    if all(case.problem is not None for case in failed):
        return Finding(about, names, (BANK["raises"],), example=example)
    named, others = _explanation(cases, HALF / 100 if about == "bfloat16" else epsilon)
    return Finding(about, names, named, others, example=example)


def _example(input: Input, yours: str, expected: str) -> dict[str, str]:
    given = {"z": input.z, "y": input.y, **input.options}
    shown = {name: array_text(value) for name, value in given.items()}
    return shown | {"yours": yours, "expected": expected}


# How the results may be grouped, each group with a mistake of its own: all of them together, by
# part, by input, or each separately.
GROUPINGS: tuple[Callable[[Case, str], Any], ...] = (
    lambda case, part: None,
    lambda case, part: part,
    lambda case, part: case.input.name,
    lambda case, part: (case.input.name, part),
)


def _explanation(
    cases: Sequence[Case], epsilon: float
) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """The mistakes that give the results, and others that give the same."""
    every = [(case, part) for case in cases for part in case.right]
    for grouping in GROUPINGS:
        groups: dict[Any, list[tuple[Case, str]]] = {}
        for case, part in every:
            groups.setdefault(grouping(case, part), []).append((case, part))
        wrong = [g for g in groups.values() if not all(case.right[part] for case, part in g)]
        found = [list(dict.fromkeys(_explaining(group, epsilon))) for group in wrong]
        if all(found):
            # Of several that give the same numbers the least grave comes first, as everywhere.
            grave = ("convention", "weakness", "mistake")
            ranked = [sorted(ids, key=lambda id: grave.index(BANK[id].kind)) for ids in found]
            named = dict.fromkeys(BANK[ids[0]] for ids in ranked)
            whole = len(groups) == 1 or len(cases[0].right) == 1 or len(wrong) == len(groups)
            if any(m.kind == "convention" for m in named) and not (whole and len(named) == 1):
                named[BANK["loss-and-gradient-differ"]] = None
            others = dict.fromkeys(BANK[id] for ids in ranked for id in ids[1:])
            return tuple(named), tuple(m for m in others if m not in named)
    return (), ()


def _explaining(group: Sequence[tuple[Case, str]], epsilon: float) -> Iterator[str]:
    """The ids of the mistakes that give all results of a group."""
    for key in group[0][0].wrong:
        if all(
            agree(getattr(case.results, part), getattr(case.wrong[key], part), epsilon, SIZE)
            for case, part in group
        ):
            yield key[0]


def _option_value(input: Input, reductions: Reductions) -> Any:
    """The third argument of the right and the wrong functions."""
    if input.about == "upstream":
        upstream = np.asarray(input.upstream, np.float64)
        return upstream if reductions.loss == "none" else np.full_like(upstream, upstream[0])
    return input.options.get(input.about)


def _reduced_or_none(
    function: Callable[..., LossParts], z: Array, y: Array, value: Any, reductions: Reductions
) -> Results:
    """The results of a wrong function; none if it raises, as for an ignored label."""
    try:
        return _reduced(function(z, y, value), reductions)
    except IndexError:
        return Results()


def _reduced(parts: LossParts, reductions: Reductions) -> Results:
    loss: Any = parts.losses
    divisor = {
        "mean": parts.divisor, "sum": 1.0, "sequences": sequence_shape(len(parts.losses))[0]
    }  # fmt: skip
    if reductions.loss != "none":
        total = parts.losses.sum()
        loss = total / divisor[reductions.loss]
    # Zeros stay zero where the divisor is 0, and NaN stays NaN.
    scaled = parts.gradients / np.float64(divisor[reductions.gradient])
    gradient = np.where(parts.gradients == 0, 0.0, scaled)
    return Results(None, loss, gradient)


def _is_empty_mean(right: LossParts, got: Any) -> bool:
    """Whether it is a mean over no examples: NaN in PyTorch, 0 elsewhere, both accepted."""
    if right.divisor or got is None:
        return False
    value = np.asarray(got)
    return value.dtype.kind == "f" and value.shape == () and bool(np.isnan(value) | (value == 0))


def _is_near_by(got: Any, want: Any, added: float, z: Array, y: Array) -> bool:
    """Whether it is off by no more than what a small number in the log makes of it."""
    if not added or got is None or np.shape(got) != np.shape(want):
        return False
    labels = np.where((y >= 0) & (y < z.shape[1]), y, 0)
    share = softmax(z)[0][np.arange(len(z)), labels]
    return bool((abs(np.asarray(got) - want) <= MOST_OFF * added * (1 / share).sum()).all())


def _label_accepted(input: Input, results: Results) -> list[Finding]:
    """For an invalid label the function must raise an error, or return NaN."""
    got = {part: np.asarray(v) for part, v in results._asdict().items() if v is not None}
    if not got or not all(np.isfinite(value).all() for value in got.values()):
        return []
    negative = bool((input.y < 0).any())
    id = "negative-label-accepted" if negative else "label-out-of-range-accepted"
    part = next(part for part in ("loss", "gradient", "softmax") if part in got)
    example = _example(input, f"{part} {array_text(got[part])}", "an error")
    return [Finding("labels", (input.name,), (BANK[id],), example=example)]
