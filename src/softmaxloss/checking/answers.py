"""What is right in each situation, and which mistakes give what came.

It is asked only where the plain calls are right: an option changes what was right before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bank import BANK, Mistake
from .collecting import Further, Try
from .expected import FEW, agree
from .optional import RIGHT_WITH, Losses
from .report import Checked, Finding, shown
from .situations import Battery, Situation
from .steps import Results

__all__ = ["Reductions", "further"]

Array = NDArray[Any]
SIZE = 10.0  # what the logits of the situations are below

# So that a loss near log 512 may be off by a few roundings to bfloat16, which are 1/256 of it.
HALF = 4 * 2.0**-8 / (FEW + 4 * SIZE)


class Reductions(NamedTuple):
    """The conventions of the plain calls: how the losses and the gradients are reduced."""

    loss: Literal["mean", "sum", "none"] = "mean"
    gradient: Literal["mean", "sum"] = "mean"


class Case(NamedTuple):
    """A situation with what came, what is right, and what each mistake gives."""

    situation: Situation
    came: Further
    wanted: Results
    right: dict[str, bool]
    wrong: dict[tuple[str, int], Results]


def further(
    attempt: Try,
    battery: Battery,
    parts: Sequence[str],
    reductions: Reductions,
    epsilons: Mapping[str, float],
) -> tuple[list[Checked], list[Finding]]:
    """What was checked in the situations that the function took, and what is found."""
    epsilon = max(epsilons.values())
    checks: list[Checked] = []
    findings: list[Finding] = []
    came = {further.name: further for further in attempt.further}
    asked = [situation for situation in battery.situations if situation.name in came]
    for about, group in itertools.groupby(asked, key=lambda situation: situation.about):
        if about == "upstream" and not attempt.derived:
            continue
        if about == "labels":
            for situation in group:
                checked, found = _of_labels(situation, came[situation.name], parts)
                checks.append(checked)
                findings += found
            continue
        cases = [_case(s, came[s.name], parts, reductions, epsilon) for s in group]
        cases = [case for case in cases if case.right]
        checks += [Checked(c.situation.name, c.situation.why, c.right) for c in cases]
        if not all(ok for case in cases for ok in case.right.values()):
            findings.append(_finding(about, cases, epsilon))
    return checks, findings


def _case(
    situation: Situation,
    came: Further,
    parts: Sequence[str],
    reductions: Reductions,
    epsilon: float,
) -> Case:
    got = came.results
    if situation.about == "bfloat16":
        # What does not take bfloat16 is not asked.
        parts = [part for part in parts if part == "loss" and got.loss is not None]
        epsilon = HALF
    if situation.about == "reduction":
        how = situation.besides.options["reduction"]
        reductions = Reductions(how, "mean" if how == "mean" else "sum")
    elif "reduction" in situation.besides.options:
        reductions = Reductions("none", "sum")
    z, y = situation.probe.z.astype(np.float64), situation.probe.y
    value = _value(situation, reductions)
    with np.errstate(all="ignore"):
        right = RIGHT_WITH[situation.about](z, y, value)
        wanted = _reduced(right, reductions)
        wrong = {
            (mistake.id, k): _given(function, z, y, value, reductions)
            for mistake in BANK.values()
            if mistake.about == situation.about
            for k, function in enumerate(mistake.wrong)
        }
    if situation.about == "reduction":
        others = [Reductions(a, b) for a in ("mean", "sum", "none") for b in ("mean", "sum")]
        wrong = {("reduction-unused", k): _reduced(right, o) for k, o in enumerate(others)}
    is_right = {
        part: _near(getattr(got, part), getattr(wanted, part), epsilon)
        or (part == "loss" and _empty_mean(right, got.loss))
        for part in parts
    }
    return Case(situation, came, wanted, is_right, wrong)


def _finding(about: str, cases: Sequence[Case], epsilon: float) -> Finding:
    """One mistake that gives everything; else one for each part, or for each situation."""
    failed = [case for case in cases if not all(case.right.values())]
    first = failed[0]
    part = next(part for part, ok in first.right.items() if not ok)
    got, want = getattr(first.came.results, part), getattr(first.wanted, part)
    yours = f"it raised {first.came.problem}" if got is None else shown(got, want)
    example = {
        "z": shown(first.situation.probe.z),
        "y": shown(first.situation.probe.y),
        **{name: shown(value) for name, value in first.situation.besides.options.items()},
        "yours": f"{part} {yours}",
        "expected": shown(want, got),
    }
    names = tuple(case.situation.name for case in failed)
    if all(case.came.problem is not None for case in failed):
        return Finding(about, names, (BANK["raises"],), example=example)
    named, others = _explained(cases, HALF / 100 if about == "bfloat16" else epsilon)
    return Finding(about, names, named, others, example=example)


def _explained(
    cases: Sequence[Case], epsilon: float
) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """The mistakes that give what came, and others that give the same."""
    every = [(case, part) for case in cases for part in case.right]
    for key in (_all, _by_part, _by_case, _by_both):
        groups: dict[Any, list[tuple[Case, str]]] = {}
        for case, part in every:
            groups.setdefault(key(case, part), []).append((case, part))
        wrong = [g for g in groups.values() if not all(case.right[part] for case, part in g)]
        found = [list(dict.fromkeys(_giving(group, epsilon))) for group in wrong]
        if all(found):
            # Of several that give the same numbers the one that is a convention, as everywhere.
            ranked = [sorted(ids, key=lambda id: BANK[id].kind != "convention") for ids in found]
            named = dict.fromkeys(BANK[ids[0]] for ids in ranked)
            whole = key is _all or len(cases[0].right) == 1 or len(wrong) == len(groups)
            if any(m.kind == "convention" for m in named) and not (whole and len(named) == 1):
                named[BANK["loss-and-gradient-differ"]] = None
            others = dict.fromkeys(BANK[id] for ids in ranked for id in ids[1:])
            return tuple(named), tuple(m for m in others if m not in named)
    return (), ()


def _all(case: Case, part: str) -> Any:
    return ()


def _by_part(case: Case, part: str) -> Any:
    return part


def _by_case(case: Case, part: str) -> Any:
    return case.situation.name


def _by_both(case: Case, part: str) -> Any:
    return case.situation.name, part


def _giving(group: Sequence[tuple[Case, str]], epsilon: float) -> Iterator[str]:
    """The ids of the mistakes that give all of these parts."""
    for key in group[0][0].wrong:
        if all(
            agree(getattr(case.came.results, part), getattr(case.wrong[key], part), epsilon, SIZE)
            for case, part in group
        ):
            yield key[0]


def _value(situation: Situation, reductions: Reductions) -> Any:
    """What the right and the wrong functions get as their third argument."""
    besides = situation.besides
    if situation.about == "upstream":
        above = np.asarray(besides.upstream, np.float64)
        return above if reductions.loss == "none" else np.full_like(above, above[0])
    if situation.about == "reg":
        return besides.reg
    return besides.options.get(situation.about)


def _given(
    function: Callable[..., Losses], z: Array, y: Array, value: Any, reductions: Reductions
) -> Results:
    """What a wrong function gives; nothing where it raises, as for an ignored label."""
    try:
        return _reduced(function(z, y, value), reductions)
    except IndexError:
        return Results(None, None, None)


def _reduced(parts: Losses, reductions: Reductions) -> Results:
    loss: Any = parts.losses
    if reductions.loss != "none":
        total = parts.losses.sum()
        loss = (total / parts.divisor if reductions.loss == "mean" else total) + parts.penalty
    gradient = parts.slopes
    if reductions.gradient == "mean":
        # Zeros stay zeros where the divisor is 0, and NaN stays NaN.
        gradient = np.where(gradient == 0, 0.0, gradient / np.float64(parts.divisor))
    return Results(None, loss, gradient + parts.penalty_slopes)


def _near(got: Any, want: Any, epsilon: float) -> bool:
    """Right up to rounding: logits are below 10 here, so that each entry has an absolute error of
    few ε, or a relative one where options made it large. What is absent is exactly 0."""
    if got is None:
        return False
    x, y = np.asarray(got), np.asarray(want)
    if x.shape != y.shape or x.dtype.kind != "f":
        return False
    bound = epsilon * (FEW + 4 * SIZE) * (1 + np.abs(y))
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(x - y) <= bound) & ((y != 0) | (x == 0))).all())


def _empty_mean(right: Losses, came: Any) -> bool:
    """A mean over nothing is NaN in PyTorch, 0 in others: both will do."""
    if right.divisor or came is None:
        return False
    value = np.asarray(came)
    return value.dtype.kind == "f" and value.shape == () and bool(np.isnan(value) | (value == 0))


def _of_labels(
    situation: Situation, came: Further, parts: Sequence[str]
) -> tuple[Checked, list[Finding]]:
    """A label that is none: it must raise, or its numbers be NaN."""
    got = {part: np.asarray(v) for part, v in came.results._asdict().items() if v is not None}
    finite = bool(got) and all(np.isfinite(value).all() for value in got.values())
    checked = Checked(situation.name, situation.why, dict.fromkeys(parts, not finite))
    if not finite:
        return checked, []
    below = bool((situation.probe.y < 0).any())
    id = "negative-label-accepted" if below else "label-out-of-range-accepted"
    part = next(part for part in ("loss", "gradient", "softmax") if part in got)
    example = {
        "z": shown(situation.probe.z),
        "y": shown(situation.probe.y),
        "yours": f"{part} {shown(got[part])}",
        "expected": "an error",
    }
    return checked, [Finding("labels", (situation.name,), (BANK[id],), example=example)]
