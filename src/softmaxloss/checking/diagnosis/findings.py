"""What is wrong with one part of the results: the mistake, or what else can be said of it."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...arrays import Array
from ..bank import BANK
from ..calling.arguments import arguments_for
from ..calling.calls import Attempt
from ..calling.forms import SYMBOLS
from ..inputs import EXTREME, ORDER
from ..report import Finding, array_text
from .mistakes import Diagnosis, Observed, diagnose, is_arithmetic, nearest, observe

#: What is looked for: weaknesses and conventions only; one mistake as well; two at once as well,
#: and if these do not explain the numbers, what else can be said of them.
Depth = Literal["harmless", "one mistake", "two mistakes"]

# An implementation with these is still right.
HARMLESS = [mistake for mistake in BANK.values() if mistake.kind != "mistake"]


def finding_for(observed: Observed, attempt: Attempt, depth: Depth) -> Finding:
    """What is wrong with one part."""
    pairs = depth == "two mistakes"
    is_gradient = observed.part in ("gradient", "feature_gradient", "bias_gradient")
    constant = None if is_gradient else _constant(observed.values)
    if constant is not None:
        found = Diagnosis((BANK[constant],), (), len(observed.values))
    elif depth == "harmless":
        found = diagnose(observed, HARMLESS)
    else:
        found = diagnose(observed, pairs=pairs)
        if pairs and not found.mistakes:  # two at once explain more than a cause of NaN
            found = _where_finite(observed)
        if not found.mistakes:
            found = _with_or_without_log(observed, pairs)
    unknown = pairs and not found.mistakes
    remarks = _properties(observed, attempt.problem) if unknown else ()
    if found.matched < len(observed.values) or any(map(is_arithmetic, observed.problems)):
        remarks = (*_not_finite(observed), *remarks)
    wrong = [k for k, ok in enumerate(observed.right) if not ok]
    return Finding(
        observed.part,
        tuple(observed.inputs[k].name for k in wrong),
        found.mistakes,
        found.others,
        found.matched,
        len(observed.values),
        _example(observed, wrong, attempt),
        remarks,
        nearest(observed) if unknown else None,
        wrong_values=any(observed.values[k] is not None for k in wrong),
        style="one" if not attempt.form.batch else "loop" if attempt.loops else "batch",
    )


def _example(observed: Observed, wrong: Sequence[int], attempt: Attempt) -> dict[str, str]:
    """The smallest wrong input, if possible one with a value that is clearly wrong."""

    def rank(k: int) -> tuple[bool, bool, int]:
        got = observed.values[k]
        return got is None, not _is_clear(got, observed.wanted(k)), observed.inputs[k].z.size

    k = min(wrong, key=rank)
    input, form = observed.inputs[k], attempt.form
    got, want, name = observed.values[k], observed.wanted(k), observed.part
    if form.is_layer:
        arguments = zip(form.order, arguments_for(form, input), strict=True)
        example = {SYMBOLS[role]: array_text(value) for role, value in arguments}
        example["z = X·W"] = array_text(input.z)
        name = "dW" if name == "gradient" else name
    else:
        example = {"z": array_text(input.z), "y": array_text(input.y)}
    yours = f"it raised {observed.problems[k]}" if got is None else array_text(got, want)
    label = f"{name} " if form.is_layer else ""
    return example | {"yours": label + yours, "expected": label + array_text(want, got)}


def _is_clear(got: Any, want: Any) -> bool:
    """Whether a difference shows in the first digits."""
    x, y = np.asarray(got), np.asarray(want)
    if x.shape != y.shape or got is None:
        return True
    with np.errstate(invalid="ignore"):
        return not (np.abs(x - y) <= 0.05 * np.abs(y).max()).all()


def _constant(values: Sequence[Any]) -> str | None:
    """The id of the mistake if all results are one number, or if none is finite."""
    if any(got is None for got in values):
        return None
    numbers = np.concatenate([np.ravel(got) for got in values])
    if not np.isfinite(numbers).any():
        return "always-nan"
    return "constant" if (numbers == numbers[0]).all() else None


#: What is wrong if one is returned for the other.
FOR_THE_OTHER = {
    "softmax": ("log_softmax", "log-returned"), "log_softmax": ("softmax", "log-missing"),
}  # fmt: skip


def _with_or_without_log(observed: Observed, pairs: bool) -> Diagnosis:
    """If a softmax is the log of one, or the other way round: that, and what else is wrong."""
    if observed.part not in FOR_THE_OTHER:
        return Diagnosis()
    other, id = FOR_THE_OTHER[observed.part]
    swapped = observe(other, observed.values, observed.epsilon, observed.numbers, observed.problems)
    if all(swapped.right):
        return Diagnosis((BANK[id],), (), len(observed.values))
    found = diagnose(swapped, pairs=pairs)
    return found._replace(mistakes=(BANK[id], *found.mistakes)) if found.mistakes else Diagnosis()


def _where_finite(observed: Observed) -> Diagnosis:
    """If no mistakes give all numbers: those that give the finite ones, and with them the one that
    makes the others NaN or infinite, or raises an error of arithmetic."""
    pairs = [*zip(observed.values, observed.problems, strict=True)]
    if any(got is None and not is_arithmetic(problem) for got, problem in pairs):
        return Diagnosis()
    finite = [k for k, (got, _) in enumerate(pairs) if got is not None and np.isfinite(got).all()]
    broken = {input.name for k, input in enumerate(observed.inputs) if k not in finite}
    if not finite or not broken:
        return Diagnosis()
    rest = observed.only(finite)
    explained = () if all(rest.right) else diagnose(rest).mistakes
    if not explained and not all(rest.right):
        return Diagnosis()
    values = np.concatenate([np.ravel(np.inf if got is None else got) for got, _ in pairs])
    only_plus_infinity = not (np.isnan(values) | np.isneginf(values)).any()
    cause = "nan-for-good-logits"
    if "large" in broken and broken <= EXTREME:
        cause = "no-max"
    elif (
        observed.part == "loss"
        and only_plus_infinity
        and broken <= EXTREME
        and (explained or broken == {"far apart"})
    ):
        cause = "log-of-underflow"
    return Diagnosis((*explained, BANK[cause]), (), len(finite))


def _not_finite(observed: Observed) -> list[str]:
    """Where the values are NaN or infinite, or an error of arithmetic was raised."""
    names: dict[str, list[str]] = {}
    for input, got, problem in zip(
        observed.inputs, observed.values, observed.problems, strict=True
    ):
        if got is not None:
            kinds = {"NaN": np.isnan(got), "inf": np.isposinf(got), "-inf": np.isneginf(got)}
            said = [f"has {kind}" for kind, found in kinds.items() if found.any()]
        else:
            said = [f"raised {problem}"] if is_arithmetic(problem) else []
        for words in said:
            names.setdefault(words, []).append(input.name)
    return [f"it {words} on: {', '.join(on)}" for words, on in names.items()]


def _properties(observed: Observed, problem: str | None) -> tuple[str, ...]:
    """The properties that fail, each as a sentence about "it", the part."""
    part, loose = observed.part, 1e4 * observed.epsilon
    pairs = [*zip(observed.inputs, observed.values, observed.right, strict=True)]
    arrays = {input.name: np.asarray(got) for input, got, _ in pairs if got is not None}
    finite = {name: array for name, array in arrays.items() if np.isfinite(array).all()}
    numbers = list(finite.values())
    sums_to = {"gradient": 0, "softmax": 1}.get(part)

    def differs(x: Array, y: Array) -> bool:
        return x.shape != y.shape or bool((abs(x - y) > loose * (1 + abs(y))).any())

    remarks = []
    raised = len(pairs) - len(arrays)
    if raised:
        right = all(ok for _, got, ok in pairs if got is not None)
        rest = ", and is right on the others" if right else ""
        remarks.append(f"it raises on {raised} of {len(pairs)} inputs{rest}: {problem}")
    if part == "loss" and any((array < 0).any() for array in numbers):
        remarks.append("it is negative for some inputs; a loss is not")
    if (
        sums_to is not None
        and observed.numbers.by == "logits"
        and any((abs(a.sum(axis=-1) - sums_to) > loose).any() for a in numbers)
    ):
        remarks.append(f"its rows do not sum to {sums_to}")
    if len(numbers) > 1 and all(np.ptp(a) == 0 for a in numbers) and part != "loss":
        remarks.append("all its entries are the same number")
    remarks += multiple_of(observed)
    two = finite.get("two examples")
    if two is None:
        return tuple(remarks)
    if differs(finite.get("shifted", two), two):
        remarks.append("it is not shift-invariant: adding 8 to every output changes it")
    of_classes = part != "loss" and two.shape[-1] == len(ORDER)
    reordered = two[..., ORDER] if of_classes else two
    if differs(finite.get("reordered", reordered), reordered):
        remarks.append("it depends on the order of the classes")
    one = finite.get("one example")
    if one is not None and part != "loss":
        first = two[:1] * (len(two) if part == "gradient" else 1)
        if differs(one, first) and differs(one, two[:1]):
            remarks.append("the values of an example depend on the other examples")
    return tuple(remarks)


def multiple_of(observed: Observed) -> list[str]:
    """Whether the numbers are the right ones times a number, or plus one: a remark, or none."""
    loose = 1e4 * observed.epsilon
    wanted = [np.asarray(observed.wanted(k)) for k in range(len(observed.values))]
    pairs = [
        (np.asarray(got), want)
        for got, want in zip(observed.values, wanted, strict=True)
        if got is not None and np.shape(got) == np.shape(want)
    ]
    if len(pairs) < 3:
        return []
    x, y = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    large = np.abs(y) > 1e-3
    if not large.any() or not np.isfinite(x).all():
        return []
    ratio, difference = np.median(x[large] / y[large]), np.median(x - y)
    if ratio and abs(ratio - 1) > loose and (abs(x - ratio * y) <= loose * (1 + abs(x))).all():
        return [f"it is {ratio:.6g} times the right one, everywhere"]
    if abs(difference) > loose and (abs(x - y - difference) <= loose * (1 + abs(x))).all():
        return [f"it is the right one plus {difference:.6g}, everywhere"]
    return []
