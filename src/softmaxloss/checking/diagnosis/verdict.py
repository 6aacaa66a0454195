"""From the attempts to call a function to the report on it.

The first form in which everything is right decides. Where all are wrong, the one that is understood
best is reported, unless nothing says that the function is a softmax or its loss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..bank import BANK
from ..calling.calls import Attempt
from ..calling.forms import Form
from ..calling.whole import MORE
from ..report import Finding, Report
from ..settings import Settings
from .comparison import Compared, compare
from .evidence import doubt, doubt_of_right
from .findings import Depth
from .mistakes import diagnose
from .one_hot import without_missing_classes
from .penalty import as_loss, without_fixed_penalty
from .reporting import report_on

MOST_FORMS = 4  # that are examined where all are wrong

UNREADABLE = "it returned nothing that can be read"
ABSENT = "ModuleNotFoundError: it uses "  # what no form can help
NO_LOSS = "it is passed labels, and returns probabilities only"

IN_HALF = (
    "its results are in half precision, in which one mistake looks like another: let it keep the "
    "precision of the logits"
)


def judge(attempts: Iterable[Attempt], settings: Settings) -> Report:
    """The report on the attempts to call a function; no more of them are made than needed."""
    usable: list[Compared] = []
    tried: list[tuple[Form, str]] = []
    for tried_attempt in attempts:
        attempt = without_missing_classes(tried_attempt, settings)
        attempt = without_fixed_penalty(as_loss(attempt), settings)
        one = compare(attempt, settings, "harmless")
        without_labels = {"softmax", "log_softmax"} if "labels" in attempt.form.order else set()
        if set(one.observed) <= without_labels:
            nothing = NO_LOSS if one.observed else UNREADABLE
            tried.append((attempt.form, attempt.problem or nothing))
            continue
        if attempt.aside and _is_of_batches(usable, settings):
            continue
        if not one.is_wrong():
            why = doubt_of_right(attempt, one.observed, settings)
            if why is not None:
                return Report.not_checked(why, settings)
            if not attempt.form.batch:
                one.findings.extend(_with_batches(usable))
            return report_on(one, settings)
        usable.append(one)
    if not usable:
        return _not_checked(tried, settings)
    return _wrong_in_every_form(usable, settings)


def _is_of_batches(usable: list[Compared], settings: Settings) -> bool:
    """Whether the results for batches are right on most inputs, or those of known mistakes: then
    one example was not meant."""
    usable.sort(key=lambda one: one.attempt.raised)
    depths: tuple[Depth, ...] = ("one mistake", "two mistakes")
    ranks = (min(map(Compared.rank, _examined(usable, settings, depth))) for depth in depths)
    return bool(usable) and any(how_well < 2 for how_well, *_ in ranks)


def _wrong_in_every_form(usable: list[Compared], settings: Settings) -> Report:
    """The report on the form that is understood best, if it can be trusted."""
    usable.sort(key=lambda one: one.attempt.raised)  # fewer errors: likelier to be meant
    results = _examined(usable, settings, "one mistake")
    if not min(results, key=Compared.rank).is_explained():
        results = _examined(usable, settings, "two mistakes")
    best = min(results, key=Compared.rank)
    report = report_on(best, settings)
    if not report.mistakes and best.attempt.raised * 2 > len(best.attempt.results):
        raised = [(one.attempt.form, one.attempt.problem or UNREADABLE) for one in results]
        return _not_checked(raised, settings)
    if not report.mistakes and _in_half(best.attempt):
        return replace(report, verdict="not checked", problem=IN_HALF)
    why = doubt(best.attempt, best.observed, best.findings, settings)
    if report.verdict == "wrong" and why is not None:
        wrong = [(one.attempt.form, report_on(one, settings).reason) for one in results]
        return replace(_not_checked(wrong, settings), problem=why)
    if report.verdict == "right" and not best.attempt.form.batch:  # at the level of textbooks
        best.findings.extend(_with_batches(usable))
        return report_on(best, settings)
    return report


def _examined(usable: Sequence[Compared], settings: Settings, depth: Depth) -> list[Compared]:
    """The likeliest forms, compared to this depth, up to one that no other can be better than."""
    results: list[Compared] = []
    for one in usable[:MOST_FORMS]:
        results.append(compare(one.attempt, settings, depth))
        found = results[-1]
        # No form has one mistake where two are looked for.
        if found.is_understood() or (depth == "two mistakes" and found.is_explained()):
            break
    return results


def _not_checked(tried: Sequence[tuple[Form, str]], settings: Settings) -> Report:
    """The report where no form works: the error in the likeliest one, and the forms tried."""
    if not tried:
        nothing = "it takes no arguments that are logits, or logits and labels"
        return Report.not_checked(nothing, settings)
    called = [one for one in tried if not one[1].startswith(MORE)]
    lines = tuple(f"{form}: {problem}" for form, problem in called[:MOST_FORMS])
    whole = next((problem for _, problem in tried if problem.startswith(MORE)), None)
    absent = next((problem for _, problem in tried if ABSENT in problem), None)
    return Report.not_checked(whole or absent or tried[0][1], settings, lines)


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
