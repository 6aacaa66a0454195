"""What an attempt to call a function shows on the plain inputs: each part compared with what is
right, in the precision that it has, and what is found where it differs.

Of probabilities, an ε in the logarithm is right by its own convention, and the gradient may be that
with respect to the logits before the softmax; so these are compared in several ways.
"""

import itertools
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..bank import BANK
from ..calling.calls import Attempt
from ..guard import Guard, guards_for
from ..inputs import inputs_for
from ..reference import SINGLE, Results, is_right, precision
from ..report import Finding
from ..settings import Part, Settings
from .conventions import OF_GRADIENT, as_said, of_bias, of_both
from .findings import Depth, finding_for
from .mistakes import Numbers, Observed, observe

TEXTBOOK = Settings(seed=0, level="textbook")


class Compared(NamedTuple):
    """What an attempt shows on the plain inputs: each part as observed, and what is found."""

    attempt: Attempt
    observed: dict[str, Observed]
    findings: list[Finding]
    numbers: Numbers

    def is_wrong(self) -> bool:
        return any(finding.is_wrong() for finding in self.findings)

    def is_understood(self) -> bool:
        """Whether no other form can be understood better: it has one mistake at most."""
        understood, _, mistakes = self.rank()
        return understood <= 1 and mistakes <= 1

    def is_explained(self) -> bool:
        """Whether known mistakes give all that is wrong, and not those that anything gives."""
        return self.rank()[0] <= 1 and all(finding.mistakes for finding in self.findings)

    def rank(self) -> tuple[int, int, int]:
        """How well a form is understood, the best first: right on most inputs; with known mistakes
        only, the fewest first; right where it raises no error; none of these, those first that are
        right in a part."""
        found = {m for finding in self.findings for m in finding.mistakes}
        # What code for one-hot labels gives for class indices is no mistake of its own.
        mistakes = sum(
            2 if mistake.id == "times-the-label" else mistake.kind == "mistake" for mistake in found
        )
        unknown = sum(not finding.mistakes for finding in self.findings)
        if any(mistake.id in ("constant", "always-nan") for mistake in found):
            return 2, unknown, mistakes  # as any function is that gets what it was not meant for
        if all(sum(part.right) * 2 > len(part.right) for part in self.observed.values()):
            return 0, unknown, mistakes
        if not unknown:
            return 1, unknown, mistakes
        wrong = any(finding.wrong_values for finding in self.findings)
        right = sum(all(part.right) for part in self.observed.values())
        return 3 if wrong else 2, unknown - 2 * right, -mistakes


def compare(attempt: Attempt, settings: Settings, depth: Depth) -> Compared:
    """Compare the results for the plain inputs, and look for what is wrong where they differ."""
    form = attempt.form
    scores = "logits" if form.is_layer else form.scores
    best = _compare_by(attempt, settings, scores, None, depth)
    thorough = depth != "harmless"
    if form.scores == "logits" or not best.findings or (thorough and best.is_understood()):
        return best
    by = (scores, "logits") if "gradient" in best.observed else (scores,)
    outcome = attempt.with_options.get("probability 0")
    guards = () if outcome is None else guards_for(outcome[0].loss, outcome[0].gradient)
    others = []
    for guard, scores_or_logits in itertools.product((None, *guards), by):
        if guard is None and scores_or_logits == scores:
            continue  # the first
        # In a form that was not meant there are many guards; two mistakes beside one are too many.
        of_guard: Depth = "one mistake" if thorough and guard is not None else depth
        one = _compare_by(attempt, settings, scores_or_logits, guard, of_guard)
        if guard is not None:
            part = "loss" if "loss" in one.observed else "gradient"
            remarks = (f"yours: {guard}",)
            one.findings.append(Finding(part, mistakes=(BANK[guard.mistake],), remarks=remarks))
        if not one.is_wrong() or (thorough and one.is_understood()):
            others.append(one)
    # With another guard than its own, a loss has a weakness as well.
    return min(others, key=lambda one: len(one.findings), default=best)


def _compare_by(
    attempt: Attempt, settings: Settings, by: str, guard: Guard | None, depth: Depth
) -> Compared:
    """With the gradient by logits or by probabilities, in the precision of the results."""
    form = attempt.form
    dtype = form.dtype(settings.dtype)
    numbers = _numbers(
        settings.seed, dtype, attempt.small, form.classes, attempt.left_out, form.scores, by, guard
    )
    values, given = _values(attempt, settings.kind), numbers.inputs[0].z.dtype
    epsilon = {part: precision(given, results) for part, results in values.items()}
    plain = _compare_in_precision(attempt, values, epsilon, numbers, depth)
    if all(finding.mistakes for finding in plain.findings) or set(epsilon.values()) == {SINGLE}:
        return plain
    # The results are float64; is their precision that of float32?
    arrays = [np.asarray(v) for results in values.values() for v in results if v is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = all(np.array_equal(v, v.astype(np.float32), equal_nan=True) for v in arrays)
    if not rounded and not _near_in_single(plain.observed, numbers):
        return plain
    epsilon = dict.fromkeys(values, SINGLE)
    coarse = _compare_in_precision(attempt, values, epsilon, numbers, depth)
    if all(finding.mistakes for finding in coarse.findings):
        coarse.findings.append(Finding("calls", mistakes=(BANK["computed-in-float32"],)))
        return coarse
    return plain


@lru_cache(maxsize=16)  # one after another, many functions are checked with one seed
def _numbers(
    seed: int,
    dtype: str,
    small: bool,
    classes: int,
    left_out: tuple[str, ...],
    scores: str,
    by: str,
    guard: Guard | None,
) -> Numbers:
    """The right and the wrong numbers for the inputs of an attempt, without those left out."""
    inputs = inputs_for(scores != "logits", seed, dtype, small, classes)
    kept = [input for input in inputs if input.name not in left_out]
    return Numbers(kept, scores, guard, by)


def _values(attempt: Attempt, kind: Part | None) -> dict[str, list[Any]]:
    """The parts of the results to compare: those that were asked for, or all that were returned."""
    asked = Results._fields if kind is None else tuple(kind.split("+"))
    values = {part: [getattr(result, part) for result in attempt.results] for part in asked}
    found = {part: got for part, got in values.items() if any(one is not None for one in got)}
    return values if kind == "loss+gradient" and found else found


def _near_in_single(observed: dict[str, Observed], numbers: Numbers) -> bool:
    """Whether everything is right to the digits that float32 has, not only within its errors."""
    for part, one in observed.items():
        pairs = zip(one.values, numbers.expected(SINGLE), numbers.inputs, strict=True)
        for got, expected, input in pairs:
            want = np.asarray(expected.values[one.quantity])
            if got is None or np.shape(got) != want.shape:
                return False
            bound = 8 * SINGLE * (1 + np.abs(input.z).max())
            if not (np.abs(got - want) <= bound * (part == "loss" or np.abs(want) + 1)).all():
                return False
    return True


def _compare_in_precision(
    attempt: Attempt,
    values: dict[str, list[Any]],
    epsilon: dict[str, float],
    numbers: Numbers,
    depth: Depth,
) -> Compared:
    one = Compared(attempt, {}, [], numbers)
    for part, results in values.items():
        observed = one.observed[part] = observe(
            part, results, epsilon[part], numbers, attempt.problems, layer=attempt.form.is_layer
        )
        if not all(observed.right) and not (
            part == "gradient" and attempt.gradient_of_loss and _follows_from_loss(one, observed)
        ):
            one.findings.append(_finding(observed, attempt, depth))
    if any(finding.mistakes for finding in one.findings):
        # A part that is right where no error was raised: the error is from the mistake.
        one.findings[:] = [f for f in one.findings if f.mistakes or f.wrong_values]
    known = not any(finding.is_wrong(TEXTBOOK) for finding in one.findings)
    if {"loss", "gradient"} <= set(values) and known and not attempt.gradient_of_loss:
        one.findings[:] = of_both(one.findings)
    if {"gradient", "bias_gradient"} <= set(values) and known:
        one.findings[:] = of_bias(one.findings)
    one.findings[:] = as_said(one.findings, attempt.wording, layer=attempt.form.is_layer)
    return one


def _finding(observed: Observed, attempt: Attempt, depth: Depth) -> Finding:
    """What is wrong with a part that is not right on all inputs."""
    if all(got is None for got in observed.values):
        return Finding(observed.part, mistakes=(BANK[f"no-{observed.part}"],))
    found = finding_for(observed, attempt, depth)
    are_softmax = map(partial(is_right, "softmax"), observed.values, observed.expected)
    if observed.part == "gradient" and all(are_softmax):
        found = found.with_remark(
            "these are the probabilities: if that is intended, use kind='loss'"
        )
    return found


def _follows_from_loss(one: Compared, gradient: Observed) -> bool:
    """Whether the slope of the loss, by automatic differentiation, is wrong because the loss is."""
    if one.is_wrong():
        return True  # the derivative of a wrong loss is right for that loss
    found = [m for finding in one.findings for m in finding.mistakes]
    same = (*OF_GRADIENT, "a-loss-for-each")
    if any(m.kind == "convention" and m.id not in same for m in found):
        return True  # so is the derivative of another quantity
    loss = one.observed.get("loss")
    if loss is None or not found or any(m.kind != "weakness" for m in found):
        return False
    # Where a loss has a weakness, so has its derivative: a NaN from log 0 of any class, and what an
    # ε in the log makes of each entry, where it is nothing beside the loss.
    tiny = np.finfo(one.numbers.inputs[0].z.dtype).tiny
    return all(
        got is not None and np.isfinite(got).all()
        for got, loss_ok, want in zip(gradient.values, loss.right, gradient.expected, strict=True)
        if loss_ok and want.values["softmax"].min() > tiny
    )
