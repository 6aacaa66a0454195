"""The report on one attempt: what the plain inputs show, and all that is compared beside them."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..bank import BANK
from ..calling.calls import Attempt
from ..inputs import Input, option_inputs, sequence_shape
from ..reference import softmax
from ..report import Finding, InputCheck, Report
from ..settings import Settings
from .backward import check_backward
from .comparison import Compared
from .conventions import as_said, reductions_of
from .masks import check_mask
from .options import Reductions, check_options
from .regularisation import check_regularisation
from .temperature import check_temperature

MOST_ADDED = 1e-5  # a larger number in the log is no guard against 0

SLOW = "it is slow: it was called on fewer and smaller inputs"


def report_on(one: Compared, settings: Settings) -> Report:
    """The report, with the inputs with options, which are compared if the plain ones are right."""
    attempt, inputs = one.attempt, one.numbers.inputs
    checks = [
        InputCheck(input.name, input.why, {p: o.right[k] for p, o in one.observed.items()})
        for k, input in enumerate(inputs)
    ]
    dtype, classes = inputs[0].z.dtype, attempt.form.classes
    others = {input.name: input for input in option_inputs(settings.seed, dtype, classes)}
    asked = [finding for finding in one.findings if settings.asks_for(finding.failed)]
    wrong = any(finding.is_wrong() for finding in asked)
    findings = list(one.findings)
    reductions = None if wrong else reductions_of(asked)
    if reductions is not None:
        more, found = check_options(
            attempt,
            [*others.values()],
            tuple(one.observed),
            reductions,
            _epsilon(one),
            _added(one, reductions),
        )
        checks += more
        findings += as_said(found, attempt.wording)
    elif attempt.with_options and not any(finding.is_wrong(settings) for finding in findings):
        names = ", ".join(attempt.with_options)
        findings[0] = findings[0].with_remark(f"because of this, these were not checked: {names}")
    for check, finding in _beside(one, others, wrong):
        checks.append(check)
        findings += [] if finding is None else [finding]
    findings += _of_calls(one, wrong)
    kept = _without_repeated(findings)
    kept.sort(key=lambda finding: not finding.is_wrong(settings))
    not_called = None if settings.kind is not None else _not_called(attempt)
    if not_called is not None and not (kept and kept[0].is_wrong(settings)):
        return Report.not_checked(not_called, settings)
    return Report(
        "wrong" if kept and kept[0].is_wrong(settings) else "right",
        attempt.form,
        (*one.observed, *(("gradient",) if has_backward(attempt) else ())),
        tuple(kept),
        settings,
        checks=tuple(checks),
        notes=(SLOW,) if attempt.small else (),
    )


def _epsilon(one: Compared) -> float:
    return max(observed.epsilon for observed in one.observed.values())


def _added(one: Compared, reductions: Reductions) -> float:
    """What it adds to the probabilities in the log, from the loss of the first input."""
    loss = one.observed.get("loss")
    named = {mistake.id for finding in one.findings for mistake in finding.mistakes}
    if loss is None or loss.values[0] is None or "log-of-a-plus-epsilon" not in named:
        return 0.0
    z, y = loss.inputs[0].z.astype(np.float64), loss.inputs[0].y
    summed = {"sum": len(y), "sequences": sequence_shape(len(y))[1]}.get(reductions.loss, 1)
    got = np.mean(loss.values[0]) / summed
    share = softmax(z)[0][np.arange(len(y)), y]
    return float(min(abs(got - loss.wanted(0)) / (1 / share).mean(), MOST_ADDED))


def _off(one: Compared) -> float:
    """How far the probabilities are from the right ones by an ε in their sum, on the first input:
    the gradient computed of them is as far."""
    got = one.attempt.results[0].probabilities
    want = one.numbers.expected(_epsilon(one))[0].values["softmax"]
    if got is None or np.shape(got) != np.shape(want):
        return 0.0
    return float(min(np.nan_to_num(abs(got - want).max()), MOST_ADDED))


def _beside(
    one: Compared, inputs: dict[str, Input], wrong: bool
) -> Iterator[tuple[InputCheck, Finding | None]]:
    """What is compared by itself: the penalty, backward, a mask of outputs, a temperature."""
    returned, parts, epsilon = one.attempt.with_options, tuple(one.observed), _epsilon(one)
    if {"reg", "reg 0"} <= set(returned):
        (with_reg, problem), (without, _) = (returned[name] for name in ("reg", "reg 0"))
        if problem is not None and returned["reg 0"][1] is None:
            input = inputs["reg"]
            example = {"reg": f"{input.reg:g}", "yours": f"it raised {problem}"}
            raised = Finding("reg", (input.name,), (BANK["raises"],), example=example)
            yield InputCheck(input.name, input.why, dict.fromkeys(parts, False)), raised
            return
        compared = check_regularisation(inputs["reg"], with_reg, without, parts, epsilon)
        if compared is not None:
            yield compared
    if has_backward(one.attempt):
        gradient = returned["backward"][0].gradient
        yield check_backward(parts[0], inputs["backward"], gradient, epsilon, _off(one))
    if "mask of outputs" in returned and not wrong:
        results, problem = returned["mask of outputs"]
        yield check_mask(inputs["mask of outputs"], parts[0], results, problem, epsilon)
    if "temperature" in returned and not wrong:
        results, problem = returned["temperature"]
        if problem is None:
            layer = one.attempt.form.is_layer
            yield check_temperature(inputs["temperature"], results, parts, layer=layer)


def has_backward(attempt: Attempt) -> bool:
    """Whether the backward of a softmax returned something."""
    return "backward" in attempt.with_options and attempt.with_options["backward"][1] is None


def _not_called(attempt: Attempt) -> str | None:
    """Why an object that is right otherwise is not called right: a method for its gradient could
    not be called. The error may be its own, or that of a call that was not meant."""
    found = list(attempt.not_called)
    if "backward" in attempt.with_options and not has_backward(attempt):
        found.append(f"backward ({attempt.with_options['backward'][1]})")
    if not found:
        return None
    rest = "loss" if "labels" in attempt.form.order else "softmax"
    return (
        f"its {rest} is right, and its gradient was not checked, because no way to call these "
        f"worked: {', '.join(found)}. --kind {rest} checks the {rest} alone"
    )


def _of_calls(one: Compared, wrong: bool) -> Iterator[Finding]:
    """What the calls show beside their results."""
    for id in one.attempt.behaviour:
        # A result that is wrong anyway may be one that depends on the labels alone.
        if not (wrong and id == "same-for-other-logits"):
            yield Finding("calls", mistakes=(BANK[id],))
    classes = one.attempt.form.classes
    if classes:
        remarks = (f"all inputs have {classes} classes",)
        yield Finding("calls", mistakes=(BANK["classes-hard-coded"],), remarks=remarks)


def _without_repeated(findings: Sequence[Finding]) -> list[Finding]:
    """Without those whose mistakes were all named: one in the softmax shows in every part."""
    named: set[str] = set()
    kept = []
    for finding in findings:
        ids = {mistake.id for mistake in finding.mistakes}
        if not ids or not ids <= named:
            kept.append(finding)
        named |= ids
    return kept
