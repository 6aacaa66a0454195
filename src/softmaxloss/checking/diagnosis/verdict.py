"""From the results of a function to the report on it."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..bank import BANK, Mistake
from ..calling.calls import Attempt
from ..calling.forms import Form
from ..calling.wording import Wording
from ..guard import Guard, guards_for
from ..inputs import inputs_for, option_inputs
from ..reference import SINGLE, Results, is_right, precision
from ..report import Finding, InputCheck, Report
from ..settings import Part, Settings
from .backward import check_backward
from .evidence import connects
from .findings import finding_for
from .masks import check_mask
from .mistakes import Numbers, Observed, diagnose, observe
from .one_hot import without_missing_classes
from .options import Reductions, check_options
from .regularisation import check_regularisation

MOST_FORMS = 4  # that are examined where all are wrong
TEXTBOOK = Settings(seed=0, level="textbook")

SLOW = "it is slow: it was called on fewer and smaller inputs"

UNREADABLE = "it returned nothing that can be read"
NO_LOSS = "it is passed labels, and returns probabilities only"
SOMETHING_ELSE = "this function does something else, or its form is not known"

IN_HALF = (
    "its results are in half precision, in which one mistake looks like another: let it keep the "
    "precision of the logits"
)


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

    def rank(self) -> tuple[int, int, int]:
        """How well a form is understood, the best first: right on most inputs; with known mistakes
        only, the fewest first; right where it raises no error; none of these, those first that are
        right in a part."""
        found = [m for finding in self.findings for m in finding.mistakes]
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


def judge(attempts: Iterable[Attempt], settings: Settings) -> Report:
    """The report on the attempts to call a function; no more of them are made than needed."""
    usable: list[Compared] = []
    tried: list[tuple[Form, str]] = []
    for tried_attempt in attempts:
        attempt = without_missing_classes(tried_attempt, settings)
        one = _compare(attempt, settings, thorough=False)
        without_labels = {"softmax", "log_softmax"} if "labels" in attempt.form.order else set()
        if set(one.observed) <= without_labels:
            nothing = NO_LOSS if one.observed else UNREADABLE
            tried.append((attempt.form, attempt.problem or nothing))
            continue
        if not one.is_wrong():
            if not attempt.form.batch:
                one.findings.extend(_with_batches(usable))
            return _report(one, settings)
        usable.append(one)
    if not usable:
        return _not_checked(tried, settings)
    # Wrong in every form. Those with fewer errors are likelier to be meant.
    usable.sort(key=lambda one: one.attempt.raised)
    results = []
    for one in usable[:MOST_FORMS]:
        results.append(_compare(one.attempt, settings, thorough=True))
        if results[-1].is_understood():
            break
    best = min(results, key=Compared.rank)
    report = _report(best, settings)
    if not report.mistakes and best.attempt.raised * 2 > len(best.attempt.results):
        raised = [(one.attempt.form, one.attempt.problem or UNREADABLE) for one in results]
        return _not_checked(raised, settings)
    if not report.mistakes and _in_half(best.attempt):
        return replace(report, verdict="not checked", problem=IN_HALF)
    if report.verdict == "wrong" and not connects(best.attempt, best.observed, best.findings):
        wrong = [(one.attempt.form, _report(one, settings).reason) for one in results]
        return replace(_not_checked(wrong, settings), problem=SOMETHING_ELSE)
    return report


def _not_checked(tried: Sequence[tuple[Form, str]], settings: Settings) -> Report:
    """The report where no form works: the error in the likeliest one, and the forms tried."""
    if not tried:
        nothing = "it takes no arguments that are logits, or logits and labels"
        return Report.not_checked(nothing, settings)
    lines = tuple(f"{form}: {problem}" for form, problem in tried[:MOST_FORMS])
    return Report.not_checked(tried[0][1], settings, lines)


@lru_cache(maxsize=8)  # one after another, many functions are checked with one seed
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


def _with_batches(usable: Sequence[Compared]) -> list[Finding]:
    """The finding about a function that is right for one example, and takes batches too."""
    for one in usable:
        form = one.attempt.form
        square = any(r.loss is not None and np.ndim(r.loss) == 2 for r in one.attempt.results)
        if not form.batch or square:  # z[y] of a batch makes an N × N matrix
            continue
        found = (diagnose(observed, pairs=False) for observed in one.observed.values())
        ids = dict.fromkeys(mistake.id for diagnosis in found for mistake in diagnosis.mistakes)
        remarks = [f"a batch, called as {form}, has {', '.join(ids)}"] if ids else []
        remarks.append('if a batch is meant, check it with layout="rows" (--layout rows)')
        return [Finding("calls", mistakes=(BANK["one-example-only"],), remarks=tuple(remarks))]
    return []


def _in_half(attempt: Attempt) -> bool:
    """Whether half precision has all the numbers, and they are not only 0 and 1."""
    values = [np.ravel(v) for result in attempt.results for v in result if v is not None]
    if not any(value.dtype.kind == "f" for value in values):
        return False
    with np.errstate(over="ignore"):
        numbers = np.concatenate(values).astype(np.float32)
    if len(set(numbers[np.isfinite(numbers)].tolist())) < 6:
        return False
    with np.errstate(over="ignore"):
        float16 = np.array_equal(numbers, numbers.astype(np.float16), equal_nan=True)
    return float16 or not (numbers.view(np.uint32) & 0xFFFF).any()


def _values(attempt: Attempt, kind: Part | None) -> dict[str, list[Any]]:
    """The parts of the results to compare: those that were asked for, or all that were returned."""
    asked = Results._fields if kind is None else tuple(kind.split("+"))
    values = {part: [getattr(result, part) for result in attempt.results] for part in asked}
    found = {part: got for part, got in values.items() if any(one is not None for one in got)}
    return values if kind == "loss+gradient" and found else found


def _compare(attempt: Attempt, settings: Settings, *, thorough: bool) -> Compared:
    """Compare the results for the plain inputs; not thorough: only weaknesses and conventions are
    looked for. Of probabilities, an ε in the logarithm is right by its own convention, and the
    gradient may be that with respect to the logits before the softmax."""
    scores = attempt.form.scores
    best = _compare_with(attempt, settings, scores, None, thorough)
    if scores == "logits" or not best.findings or (thorough and best.is_understood()):
        return best
    by = (scores, "logits") if "gradient" in best.observed else (scores,)
    outcome = attempt.with_options.get("probability 0")
    guards = () if outcome is None else guards_for(outcome[0].loss, outcome[0].gradient)
    others = []
    for guard, scores_or_logits in itertools.product((None, *guards), by):
        if guard is None and scores_or_logits == scores:
            continue  # the first
        one = _compare_with(attempt, settings, scores_or_logits, guard, thorough)
        if guard is not None:
            part = "loss" if "loss" in one.observed else "gradient"
            remarks = (f"yours: {guard}",)
            one.findings.append(Finding(part, mistakes=(BANK[guard.mistake],), remarks=remarks))
        if not one.is_wrong() or (thorough and one.is_understood()):
            others.append(one)
    # With another guard than its own, a loss has a weakness as well.
    return min(others, key=lambda one: len(one.findings), default=best)


def _compare_with(
    attempt: Attempt, settings: Settings, by: str, guard: Guard | None, thorough: bool
) -> Compared:
    form = attempt.form
    dtype = form.dtype(settings.dtype)
    numbers = _numbers(
        settings.seed, dtype, attempt.small, form.classes, attempt.left_out, form.scores, by, guard
    )
    values, given = _values(attempt, settings.kind), numbers.inputs[0].z.dtype
    epsilon = {part: precision(given, results) for part, results in values.items()}
    plain = _compare_in_precision(attempt, values, epsilon, numbers, thorough)
    if all(finding.mistakes for finding in plain.findings) or set(epsilon.values()) == {SINGLE}:
        return plain
    # The results are float64; is their precision that of float32?
    arrays = [np.asarray(v) for results in values.values() for v in results if v is not None]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = all(np.array_equal(v, v.astype(np.float32), equal_nan=True) for v in arrays)
    if not rounded and not _near_in_single(plain.observed, numbers):
        return plain
    epsilon = dict.fromkeys(values, SINGLE)
    coarse = _compare_in_precision(attempt, values, epsilon, numbers, thorough)
    if all(finding.mistakes for finding in coarse.findings):
        coarse.findings.append(Finding("calls", mistakes=(BANK["computed-in-float32"],)))
        return coarse
    return plain


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
    thorough: bool,
) -> Compared:
    one = Compared(attempt, {}, [], numbers)
    for part, results in values.items():
        observed = one.observed[part] = observe(
            part, results, epsilon[part], numbers, attempt.problems, layer=attempt.form.is_layer
        )
        if all(observed.right):
            continue
        if part == "gradient" and attempt.gradient_of_loss:
            if one.is_wrong():
                continue  # the derivative of a wrong loss is right for that loss
            of_loss = one.observed.get("loss")
            found_before = [m for finding in one.findings for m in finding.mistakes]
            if any(
                m.kind == "convention" and m.id not in (*OF_GRADIENT, "a-loss-for-each")
                for m in found_before
            ):
                continue  # so is the derivative of another quantity
            weak = all(mistake.kind == "weakness" for mistake in found_before)
            if of_loss is not None and found_before and weak:
                # Where a loss has a weakness, so has its derivative: a NaN from log 0 of any class.
                tiny = np.finfo(numbers.inputs[0].z.dtype).tiny
                kept = [
                    k
                    for k, want in enumerate(observed.expected)
                    if of_loss.right[k] and want.values["softmax"].min() > tiny
                ]
                if all(observed.right[k] for k in kept):
                    continue
        if all(got is None for got in results):
            one.findings.append(Finding(part, mistakes=(BANK[f"no-{part}"],)))
            continue
        found = finding_for(observed, attempt, thorough=thorough)
        if part == "gradient" and all(
            map(partial(is_right, "softmax"), results, observed.expected)
        ):
            found = found.with_remark(
                "these are the probabilities: if that is intended, use kind='loss'"
            )
        one.findings.append(found)
    if any(finding.mistakes for finding in one.findings):
        # A part that is right where no error was raised: the error is from the mistake.
        one.findings[:] = [f for f in one.findings if f.mistakes or f.wrong_values]
    known = not any(finding.is_wrong(TEXTBOOK) for finding in one.findings)
    if {"loss", "gradient"} <= set(values) and known and not attempt.gradient_of_loss:
        one.findings[:] = _of_both(one.findings)
    one.findings[:] = [_renamed(finding, _said(attempt.wording)) for finding in one.findings]
    return one


def _said(wording: Wording) -> dict[Mistake, Mistake]:
    """The conventions that are mistakes, because the text of the function says another one."""
    said = {
        ("sum", "sum-said-to-be-the-mean"): wording.mean,
        ("masked-rows-in-the-mean", "not-the-mean-of-the-mask"): wording.mean_of_mask,
        ("weighted-mean-over-n", "weighted-mean-not-pytorchs"): wording.as_pytorch,
    }
    return {BANK[id]: BANK[instead] for (id, instead), is_said in said.items() if is_said}


def _report(one: Compared, settings: Settings) -> Report:
    """The report, with the inputs with options, which are compared if the plain ones are right."""
    attempt, findings = one.attempt, list(one.findings)
    numbers = one.numbers
    checks = [
        InputCheck(input.name, input.why, {p: o.right[k] for p, o in one.observed.items()})
        for k, input in enumerate(numbers.inputs)
    ]
    parts = tuple(one.observed)
    epsilon = max(observed.epsilon for observed in one.observed.values())
    with_options = attempt.with_options
    dtype, classes = numbers.inputs[0].z.dtype, attempt.form.classes
    others = {one.name: one for one in option_inputs(settings.seed, dtype, classes)}
    asked = [finding for finding in findings if settings.asks_for(finding.failed)]
    wrong = any(finding.is_wrong() for finding in asked)
    reductions = None if wrong else _reductions(asked)
    if reductions is not None:
        more, found = check_options(attempt, [*others.values()], parts, reductions, epsilon)
        checks = checks + more
        findings += [_renamed(finding, _said(attempt.wording)) for finding in found]
    elif with_options and not any(finding.is_wrong(settings) for finding in findings):
        names = ", ".join(with_options)
        remark = f"because of this, these were not checked: {names}"
        findings[0] = findings[0].with_remark(remark)
    separate: list[tuple[InputCheck, Finding | None] | None] = []
    if {"reg", "reg 0"} <= set(with_options):
        with_reg, without = (with_options[name][0] for name in ("reg", "reg 0"))
        separate.append(check_regularisation(others["reg"], with_reg, without, parts, epsilon))
    if "backward" in with_options:
        results, problem = with_options["backward"]
        separate.append(
            check_backward(parts[0], others["backward"], results.gradient, problem, epsilon)
        )
        parts += ("gradient",)
    if "mask of outputs" in with_options and not wrong:
        results, problem = with_options["mask of outputs"]
        separate.append(check_mask(others["mask of outputs"], results.softmax, problem, epsilon))
    for check, finding in filter(None, separate):
        checks.append(check)
        findings += [] if finding is None else [finding]
    # A result that is wrong anyway may be one that depends on the labels alone.
    behaviour = [id for id in attempt.behaviour if not (wrong and id == "same-for-other-logits")]
    findings += [Finding("calls", mistakes=(BANK[id],)) for id in behaviour]
    if classes:
        remark = f"all inputs have {classes} classes"
        fixed = Finding("calls", mistakes=(BANK["classes-hard-coded"],), remarks=(remark,))
        findings.append(fixed)
    seen_before: set[str] = set()
    kept = []
    for finding in findings:  # a mistake in the softmax shows in the loss and in the gradient
        ids = {mistake.id for mistake in finding.mistakes}
        if not ids or not ids <= seen_before:
            kept.append(finding)
        seen_before |= ids
    kept.sort(key=lambda finding: not finding.is_wrong(settings))
    return Report(
        "wrong" if kept and kept[0].is_wrong(settings) else "right",
        attempt.form,
        parts,
        tuple(kept),
        settings,
        checks=tuple(checks),
        notes=(SLOW,) if attempt.small else (),
    )


def _reductions(findings: Sequence[Finding]) -> Reductions | None:
    """How the losses and the gradients are reduced, if they have no other conventions."""
    conventions = {
        m.id for f in findings if f.part != "calls" for m in f.mistakes if m.kind != "weakness"
    }
    of_loss: dict[str, Any] = {
        "a-loss-for-each": "none", "sum": "sum", "mean-over-sequences": "sequences"
    }  # fmt: skip
    of_gradient = {OF_GRADIENT[id]: how for id, how in of_loss.items() if id in OF_GRADIENT}
    if not conventions <= {*of_loss, *of_gradient}:
        return None
    return Reductions(
        next((how for id, how in of_loss.items() if id in conventions), "mean"),
        next((how for id, how in of_gradient.items() if id in conventions), "mean"),
    )


# The convention of the gradient that belongs to one of the loss, if its name differs. The gradients
# of a perplexity and a focal loss have no name.
OF_GRADIENT = {
    "sum": "gradient-of-the-sum", "bits": "gradient-in-bits",
    "mean-over-sequences": "gradient-of-the-mean-over-sequences",
}  # fmt: skip


def _renamed(finding: Finding, names: Mapping[Mistake, Mistake]) -> Finding:
    """The finding, with other mistakes for some."""
    return replace(finding, mistakes=tuple(names.get(m, m) for m in finding.mistakes))


def _of_both(findings: list[Finding]) -> list[Finding]:
    """The findings, and whether the gradient has the conventions of the loss."""
    of: dict[str, set[str]] = {"loss": set(), "gradient": set()}
    for finding in findings:
        of.setdefault(finding.part, set()).update(
            m.id for m in finding.mistakes if m.kind == "convention"
        )
    wanted = {OF_GRADIENT.get(id, id) for id in of["loss"]}
    if "a-loss-for-each" in wanted:  # the gradient may be that of their sum or of their mean
        wanted = wanted - {"a-loss-for-each"} | of["gradient"] & {"gradient-of-the-sum"}
    if wanted == of["gradient"]:
        return findings
    if not wanted and of["gradient"] == {"gradient-of-the-sum"}:
        divided = {BANK["gradient-of-the-sum"]: BANK["gradient-not-divided"]}
        return [_renamed(finding, divided) for finding in findings]
    return [*findings, Finding("gradient", mistakes=(BANK["loss-and-gradient-differ"],))]
