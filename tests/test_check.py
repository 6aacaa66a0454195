"""`check`: every mistake of the bank is found and named, and nothing right is accused."""

from __future__ import annotations

import itertools
import json
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special
from tests.planted import (
    CHEATS,
    RIGHT_STYLES,
    alias,
    gradient_only,
    log_softmax,
    naive_with_max,
    replayed,
    seeds,
    softmax_only,
)

from softmaxloss import assert_softmax_loss, check
from softmaxloss.checking import BANK, Mistake
from softmaxloss.checking.diagnosis.mistakes import DEPENDS_ON, Numbers, diagnose, observe
from softmaxloss.checking.inputs import Input, plain_inputs
from softmaxloss.checking.reference import Steps, expected, is_right, precision

DTYPES = [np.float64, np.float32]
WITH_STEPS = [m for m in BANK.values() if m.steps]

# Python's index −1: in every NumPy implementation that does not check its labels.
INDEXED = "negative-label-accepted"

# Conventions that both parts must have; planted, only one of them has it.
ALONE = {
    "sum", "bits", "gradient-in-bits", "focal", "perplexity", "mean-over-sequences",
    "gradient-of-the-mean-over-sequences",
}  # fmt: skip


def shows_in(mistake: Mistake, part: str) -> bool:
    return set(mistake.steps[0]) <= set(DEPENDS_ON[part])


def planted(mistake: Mistake, part: str) -> Any:
    """An implementation with this mistake, of the loss, the gradient, both, or the softmax."""
    steps = Steps(**mistake.steps[0])

    def result(got: Any) -> Any:
        if got is None:
            raise IndexError("as NumPy does")
        return got

    if part == "softmax":
        return lambda z: result(steps.run(z, np.zeros(len(z), int)).softmax)
    if part == "loss+gradient":
        return lambda z, y: (result(steps.run(z, y).loss), result(steps.run(z, y).gradient))
    return lambda z, y: result(getattr(steps.run(z, y), part))


def test_the_bank_is_large_and_complete() -> None:
    assert len(BANK) > 150  # as the README says
    for id, mistake in BANK.items():
        assert mistake.id == id
        assert id == id.lower().strip()
        assert mistake.title
        assert mistake.why.endswith(".")
        assert mistake.fix


# Its gradient has other steps as well: the row without a next label has none.
OF_THE_LOSS_ALONE = {"next-label"}

WHERE_IT_SHOWS = [
    pytest.param(mistake, part, id=f"{mistake.id}-{part}")
    for part in ("softmax", "loss", "gradient", "loss+gradient")
    for mistake in WITH_STEPS
    if any(shows_in(mistake, one) for one in part.split("+"))
    and not (part == "loss+gradient" and mistake.id in OF_THE_LOSS_ALONE)
]


def in_turns() -> Iterator[Any]:
    """Each mistake in each part, in float64 and in float32 by turns; in both in the slow tests."""
    for k, one in enumerate(WHERE_IT_SHOWS):
        for dtype, seed in itertools.product(DTYPES, (1, 2)):
            quick = dtype is DTYPES[k % 2] and seed == 1
            marks = [] if quick else [pytest.mark.slow]
            id = f"{one.id}-{dtype.__name__}-{seed}"
            yield pytest.param(*one.values, dtype, seed, id=id, marks=marks)


@pytest.mark.parametrize(("mistake", "part", "dtype", "seed"), list(in_turns()))
def test_a_mistake_is_found_and_named(mistake: Mistake, part: Any, dtype: Any, seed: int) -> None:
    report = check(planted(mistake, part), part, layout="rows", dtype=dtype, seed=seed)
    expected_ids = [mistake.id]
    if part == "loss+gradient" and mistake.id in ALONE:  # one of the two has it
        expected_ids.append("loss-and-gradient-differ")
    if part == "loss+gradient" and mistake.id == "gradient-of-the-sum":
        expected_ids = ["gradient-not-divided"]
    found = [id for id in report.mistakes if id != INDEXED]
    assert sorted(found) == sorted(expected_ids), str(report)
    right = all(BANK[id].kind != "mistake" for id in expected_ids)
    assert report.verdict == ("right" if right else "wrong")


@lru_cache
def inputs_and_numbers(seed: int, dtype: Any) -> tuple[list[Input], Numbers]:
    given = plain_inputs(seed, dtype)
    return given, Numbers(given)


@seeds(0, slow=range(1, 5))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("mistake", "part"),
    [
        pytest.param(mistake, part, id=f"{mistake.id}-{part}")
        for part in ("softmax", "loss", "gradient")
        for mistake in WITH_STEPS
        if shows_in(mistake, part)
    ],
)
def test_no_other_mistake_has_the_same_numbers(
    mistake: Mistake, part: str, dtype: Any, seed: int
) -> None:
    given, numbers = inputs_and_numbers(seed, dtype)
    steps = Steps(**mistake.steps[0])
    values = [getattr(steps.run(input.z, input.y), part) for input in given]
    found = diagnose(observe(part, values, precision(dtype, []), numbers))
    assert [m.id for m in found.mistakes] == [mistake.id]
    assert [m.id for m in found.others] == []


def near(x: Any, y: Any) -> bool:
    """Whether two results are equal to two digits."""
    if x is None or y is None or np.shape(x) != np.shape(y):
        return x is y
    with np.errstate(all="ignore"):
        apart, error = abs(np.asarray(x) - y), 1e-2 * (1e-3 + abs(np.asarray(y)))
        return bool(((apart <= error) | (~np.isfinite(x) & ~np.isfinite(y))).all())


@pytest.mark.slow
@pytest.mark.parametrize("part", ["softmax", "loss", "gradient"])
@pytest.mark.parametrize("hundred", range(10))
def test_mistakes_are_told_apart_for_a_thousand_seeds(hundred: int, part: str) -> None:
    """As above, but of the other mistakes only those are compared that are near on one input."""
    mistakes = [mistake for mistake in WITH_STEPS if shows_in(mistake, part)]
    for seed in range(100 * hundred, 100 * (hundred + 1)):
        dtype = DTYPES[seed % 2]
        given = plain_inputs(seed, dtype)
        numbers = Numbers(given)

        def wrong(steps: Any, input: Input, numbers: Numbers = numbers) -> Any:
            return numbers.wrong(Steps(**steps), part, input, False)

        on_first = [(m, wrong(steps, given[0])) for m in mistakes for steps in m.steps]
        for mistake in mistakes:
            values = [wrong(mistake.steps[0], input) for input in given]
            alike = [*dict.fromkeys(m for m, value in on_first if near(values[0], value))]
            observed = observe(part, values, precision(dtype, []), numbers)
            found = diagnose(observed, alike, pairs=False)
            assert ([*found.mistakes], [*found.others]) == ([mistake], []), (mistake.id, seed)


@pytest.mark.parametrize(
    "many",
    [
        pytest.param(range(8), id="8-seeds"),
        pytest.param(range(8, 1000), id="1000-seeds", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("style", RIGHT_STYLES, ids=lambda f: f.__name__)
def test_a_right_implementation_is_not_accused(style: Any, many: range) -> None:
    """Of even seeds in float64, of odd ones in float32."""
    allowed = {"log-of-underflow"} if style is naive_with_max else set()
    allowed |= {"sum", "gradient-of-the-sum"} if style.__name__ == "summed" else set()
    for seed in many:
        report = check(style, seed=seed, dtype=DTYPES[seed % 2])
        assert report.verdict == "right", str(report)
        assert set(report.mistakes) - {INDEXED, "one-example-only"} == allowed, seed


@seeds(0, slow=range(1, 4))
@pytest.mark.parametrize("cheat", CHEATS, ids=lambda f: f.__name__)
def test_a_cheat_is_wrong(cheat: Any, seed: int) -> None:
    report = check(cheat, seed=seed)
    assert report.verdict == "wrong", str(report)


def test_mistakes_that_show_in_the_calls() -> None:
    assert "logits-overwritten" in check(alias).mistakes
    assert "result-is-the-input" in check(alias).mistakes
    assert "not-repeatable" in check(replayed()).mistakes or not check(replayed()).mistakes

    def labels(z: Any, y: Any) -> Any:
        loss = naive_with_max(z, y)
        y -= 1
        return loss

    assert "labels-overwritten" in check(labels).mistakes

    def shifted(z: Any, y: Any) -> Any:
        z -= z.max(axis=1, keepdims=True)
        return log_softmax(z, y)

    report = check(shifted)
    assert (report.verdict, "logits-shifted" in report.mistakes) == ("right", True)
    assert check(shifted, deny={"logits-shifted"}).verdict == "wrong"

    def exponentials(z: Any) -> Any:
        np.exp(z, out=z)
        return z / z.sum(axis=1, keepdims=True)

    report = check(exponentials)
    assert (report.verdict, "logits-overwritten" in report.mistakes) == ("wrong", True)

    def noisy(z: Any, y: Any) -> Any:
        np.random.seed(0)  # noqa: NPY002 - as people do
        return naive_with_max(z, y)

    assert "settings-changed" in check(noisy).mistakes


def test_results_that_depend_on_other_things_than_the_arguments() -> None:
    kept: dict[Any, Any] = {}
    calls: list[int] = []

    def cached(z: Any, y: Any) -> Any:
        return kept.setdefault((z.shape, y.tobytes()), naive_with_max(z, y))

    def later(z: Any, y: Any) -> Any:
        calls.append(1)
        return naive_with_max(z, y) * (1 if len(calls) < 26 else 2)

    def asking(z: Any, y: Any) -> Any:
        frame, names = sys._getframe(), ""
        while frame.f_back is not None:
            frame = frame.f_back
            names += frame.f_code.co_filename
        return naive_with_max(z, y) if "checking" in names else 0.0

    def in_the_main_thread(z: Any, y: Any) -> Any:
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
        return naive_with_max(z, y)

    assert "same-for-other-logits" in check(cached, seed=1).mistakes
    assert "not-repeatable" in check(later, seed=1).mistakes
    assert "depends-on-the-caller" in check(asking, seed=1).mistakes
    assert check(in_the_main_thread, seed=1).verdict == "right"


def test_two_mistakes_at_once() -> None:
    def function(z: Any, y: Any) -> Any:
        e = np.exp(z)
        a = e / e.sum(axis=1, keepdims=True)
        return -np.log(a[np.arange(len(y)), y - 1]).mean()

    assert set(check(function).mistakes) == {"no-max", "labels-from-one"}


def test_wrong_numbers_of_no_known_mistake() -> None:
    report = check(lambda z, y: 1.01 * naive_with_max(z, y), seed=3)
    assert report.verdict == "wrong"
    assert report.mistakes == []
    assert "not one of the known mistakes" in str(report)
    text = str(check(lambda z, y: np.tanh(z) * [0.1] - z.std(), "gradient"))
    assert "its rows do not sum to 0" in text
    assert "it is not shift-invariant" in text
    assert "the values of an example depend on the other examples" in text
    assert "it depends on the order of the classes" not in text
    text = str(check(lambda z: np.cumsum(np.exp(z - z.max(1)[:, None]), 1), "softmax"))
    assert "it depends on the order of the classes" in text
    assert "it is not shift-invariant" not in text


def test_the_report() -> None:
    report = check(lambda z, y: -naive_with_max(z, y), seed=5)
    text = str(report)
    assert text.startswith("wrong: loss, called as f(z, y) with z an array (N, C)")
    assert "   loss: wrong on 19 of 21; right on these:\n      above: a true class" in text
    assert text.index("no-minus") < text.index("Tried on 21 inputs; seed 5 repeats them:\n")
    assert text.index("Remarks, which") < text.index("loss: the log of a probability")
    assert "fix: J = -np.log(a[np.arange(N), y])" in text
    data = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert data["verdict"] == "wrong"
    assert data["seed"] == 5
    assert {m["id"] for m in data["findings"][0]["mistakes"]} == {"no-minus", "log-of-underflow"}
    again = check(lambda z, y: -naive_with_max(z, y), seed=5)
    assert str(again) == text


def test_what_cannot_be_checked() -> None:
    def broken(z: Any, y: Any) -> Any:
        raise RuntimeError("out of order")

    report = check(broken)
    assert report.problem == "RuntimeError: out of order"
    assert report.verdict == "not checked"
    assert report.to_dict()["verdict"] == "not checked"
    assert str(report).startswith("not checked: RuntimeError: out of order\n   called as f(z, y)")
    assert "check a function that calls it" in str(report)
    assert check(lambda z, y: "hello").verdict == "not checked"
    with pytest.raises(AssertionError, match="not checked: RuntimeError: out of order"):
        assert_softmax_loss(broken)
    with pytest.raises(TypeError, match="takes a function"):
        check(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind must be one of"):
        check(naive_with_max, "hinge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be float64 or float32"):
        check(naive_with_max, dtype=np.float16)


def test_assert_softmax_loss() -> None:
    assert_softmax_loss(naive_with_max)
    with pytest.raises(AssertionError, match="log-of-underflow"):
        assert_softmax_loss(naive_with_max, strict=True)
    known = {"log-of-underflow": "small logits only", INDEXED: "as Python does"}
    assert_softmax_loss(naive_with_max, strict=True, expected_failures=known)
    with pytest.raises(AssertionError, match="no-minus"):
        assert_softmax_loss(lambda z, y: -naive_with_max(z, y))
    known = {"no-minus": "to be fixed", "log-of-underflow": "fine"}
    assert_softmax_loss(lambda z, y: -naive_with_max(z, y), expected_failures=known)
    with pytest.raises(ValueError, match="unknown mistake: 'no-such'"):
        assert_softmax_loss(naive_with_max, expected_failures={"no-such": ""})


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_expected_values_are_right(dtype: Any) -> None:
    """Compared with mpmath, for the inputs as rounded."""
    epsilon = precision(dtype, [])
    for input in plain_inputs(0, dtype):
        want = expected(input, epsilon)
        with mpmath.workdps(400):
            losses, gradient = [], np.zeros(input.z.shape)
            for i, (row, y) in enumerate(zip(input.z.tolist(), input.y.tolist(), strict=True)):
                e = [mpmath.exp(mpmath.mpf(x)) for x in row]
                total = mpmath.fsum(e)
                losses.append(mpmath.log(total) - mpmath.mpf(row[y]))
                for n, x in enumerate(e):
                    gradient[i, n] = float(x / total - (n == y)) / len(input.z)
            loss = float(mpmath.fsum(losses) / len(losses))
        assert want.values["loss"] == pytest.approx(loss, rel=1e-14)
        np.testing.assert_allclose(want.values["gradient"], gradient, rtol=1e-12, atol=1e-300)
        # A value that is off by a hundred times the rounding is not right.
        assert is_right("loss", np.asarray(loss, dtype), want)
        off = 1000 * epsilon * (1 + np.abs(input.z).max())
        assert not is_right("loss", np.asarray(loss + off, dtype), want)


def test_the_smallest_case_can_be_worked_out_by_hand() -> None:
    (finding,) = check(lambda z, y: 2 * naive_with_max(z, y), seed=8).findings
    assert finding.example is not None
    z = np.array(eval(finding.example["z"]))
    assert z.size == 3
    assert (z == z.round(1)).all()


def test_the_docs_list_every_mistake() -> None:
    from docs.mistakes import PAGE, written

    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page)
    assert all(f'<a id="{id}"></a>' in page for id in BANK)


def test_every_behaviour_is_found() -> None:
    """The mistakes that are not a wrong step."""

    def nan_for_equal(z: Any, y: Any) -> Any:
        loss = naive_with_max(z, y)
        return np.nan if (z == 0).all() else loss

    def constant(z: Any, y: Any) -> Any:
        return 1.5

    def no_copy(z: Any, y: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        gradient = a
        gradient[np.arange(len(y)), y] -= 1
        return -np.log(a[np.arange(len(y)), y]).mean(), gradient / len(y)

    assert check(no_copy).mistakes == ["always-nan"]
    found = {id for function in (nan_for_equal, constant, no_copy, alias)
             for id in check(function).mistakes}  # fmt: skip
    report = check(naive_with_max, "loss+gradient")
    assert report.verdict == "wrong"
    found |= set(report.mistakes)
    found |= set(check(gradient_only, "loss+gradient").mistakes)
    elsewhere = {
        "labels-overwritten", "not-repeatable", "numpy-changed", "settings-changed",
        "computed-in-float32", "loss-and-gradient-differ", "one-example-only",
        "gradient-not-divided", "raises", "log-returned", "log-missing", "one-hot-from-the-labels",
        "classes-hard-coded", "same-for-other-logits", "depends-on-the-caller",
        "sum-said-to-be-the-mean", "not-the-mean-of-the-mask", "weighted-mean-not-pytorchs",
        "mask-times-logits", "masked-not-normalised", "of-the-log-likelihood",
        "shifted-backwards", "bias-and-weights-differ", "weights-negated", "fixed-penalty",
        "other-layer-wrong", "logits-shifted", "temperature-unused", "temperature-multiplied",
        "temperature-wrong",
    }  # fmt: skip
    assert {m.id for m in BANK.values() if not m.steps and not m.about} <= found | elsewhere


def capped(z: Any, y: Any) -> Any:
    return min(20.0, log_softmax(z, y))


def other_for_three(z: Any, y: Any) -> Any:
    return 42.0 if z.shape[1] == 3 else log_softmax(z, y)


def by_frequency(z: Any, y: Any) -> Any:
    weight = 1 / np.bincount(y)[y]
    log_a = z - scipy.special.logsumexp(z, axis=1, keepdims=True)
    return -(weight * log_a[np.arange(len(y)), y]).sum() / weight.sum()


def not_alone(z: Any, y: Any) -> Any:
    assert len(y) > 1, "more, please"
    return log_softmax(z, y)


@seeds(0, slow=range(1, 5))
@pytest.mark.parametrize("function", [capped, other_for_three, by_frequency, not_alone])
def test_most_of_a_mistake_is_not_the_mistake(function: Any, seed: int) -> None:
    """Wrong results on few inputs are not excused by a weakness or a convention near them."""
    report = check(function, seed=seed)
    assert report.verdict == "wrong", str(report)
    assert report.mistakes == []


def test_the_remarks_where_most_is_right() -> None:
    def mostly(z: Any, y: Any) -> Any:
        return 1.0 if len(y) == 6 else -log_softmax(z, y)

    assert "is right on the others: AssertionError: more, please" in str(check(not_alone))
    report = check(mostly)
    assert report.mistakes == []
    assert "the nearest is no-minus" in str(report)


def test_a_narrow_result_excuses_nothing() -> None:
    def hinge(z: Any, y: Any) -> Any:
        margins = np.maximum(0, z - z[np.arange(len(y)), y][:, None] + 1)
        return np.float16(margins.sum(axis=1).mean())

    assert check(hinge).verdict == "not checked"

    def both(z: Any, y: Any) -> Any:
        return 1.04 * log_softmax(z, y), gradient_only(z, y).astype(np.float16)

    assert check(both).verdict == "wrong"
    # And a right one, rounded at the end, is right.
    report = check(lambda z, y: np.float16(log_softmax(z, y)))
    assert report.verdict == "right", str(report)

    def in_half(z: Any, y: Any) -> Any:
        z = z.astype(np.float16)
        return -np.float16(np.log(np.exp(z - z.max(1)[:, None]).mean(1)).mean())

    report = check(in_half)
    assert report.verdict == "not checked"
    assert "half precision" in str(report.problem)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_result_flushed_to_zero_is_right(dtype: Any) -> None:
    """XLA and GPUs flush what is below the smallest normal number."""

    def flushed(z: Any, y: Any) -> Any:
        gradient = gradient_only(z, y)
        return np.where(abs(gradient) < np.finfo(dtype).tiny, 0, gradient).astype(dtype)

    assert check(flushed, "gradient", dtype=dtype).verdict == "right"
    unscaled = check(lambda z, y: flushed(z, y) * len(y), dtype=dtype)
    assert "log-of-underflow" not in unscaled.mistakes


def test_layouts() -> None:
    def over_all(z: Any) -> Any:
        e = np.exp(z - z.max())
        return e / e.sum()

    def over_columns(z: Any) -> Any:
        return scipy.special.softmax(z, axis=0)

    assert check(over_all).mistakes == ["one-example-only"]
    assert "has softmax-over-everything" in str(check(over_all))
    assert str(check(over_columns).form) == "f(z) with z an array (C, N)"
    assert check(over_all, layout="rows").mistakes == ["softmax-over-everything"]
    assert check(over_columns, layout="rows").mistakes == ["softmax-over-the-batch"]
    assert check(over_columns, layout="columns").verdict == "right"
    assert check(over_all, layout="one").mistakes == []
    with pytest.raises(ValueError, match='layout must be one of "rows", "columns", "one"'):
        check(over_all, layout="diagonal")  # type: ignore[arg-type]


def test_kinds_of_results() -> None:
    """Lists, dicts and triples of numbers; and results that are not numbers."""
    style = RIGHT_STYLES[3]  # loops, with a gradient

    for changed in (
        lambda z, y: list(style(z, y)),
        lambda z, y: {"loss": style(z, y)[0], "grad": style(z, y)[1]},
        lambda z, y: (*style(z, y), "seen"),
        lambda z, y: [style(z, y)[0], style(z, y)[1].tolist()],
        lambda z, y: tuple(np.longdouble(part) for part in style(z, y)),
    ):
        report = check(changed)
        assert report.verdict == "right", str(report)
        assert report.parts == ("loss", "gradient")
    assert check(lambda z: softmax_only(z).tolist()).verdict == "right"
    rarely = check(lambda z, y: style(z[:1], y[:1])[0] if len(y) == 1 else None)
    assert rarely.verdict == "not checked"
    for returned, message in (
        (None, "it returned None"),
        ("text", "it returned a str"),
        (np.zeros((2, 2, 2)), "it returned shape (2, 2, 2)"),
    ):
        problem = check(lambda z, y, returned=returned: returned).problem
        assert problem is not None
        assert message in problem
    masked = check(lambda z, y: np.ma.masked_array(1.0, mask=True))
    assert masked.mistakes == ["always-nan"]


def test_columns_of_one() -> None:
    def f(z: Any, q: Any) -> Any:
        assert z.shape == q.shape == (z.size, 1)
        return (scipy.special.logsumexp(z) - (q * z).sum()).item()

    report = check(f)
    assert report.verdict == "right"
    assert str(report.form) == "f(z, y) with z an array (C, 1) and y one-hot (C, 1)"


def test_zero_times_log_zero() -> None:
    def f(z: Any, q: Any) -> Any:
        return -(q * np.log(softmax_only(z))).sum(axis=1).mean()

    assert check(f).mistakes == ["zero-times-log-zero"]
    assert check(f).verdict == "right"


def test_probabilities_beside_a_loss() -> None:
    both = lambda z, y: (log_softmax(z, y), softmax_only(z))  # noqa: E731
    report = check(both)
    assert (report.verdict, report.parts) == ("right", ("softmax", "loss"))
    report = check(both, "loss+gradient")
    assert report.verdict == "wrong"
    assert "if that is intended, use kind='loss'" in str(report)
    assert check(both, "loss").verdict == "right"


def test_digits_that_show_the_difference() -> None:
    text = str(check(lambda z, y: round(float(log_softmax(z, y)), 5), seed=1))
    yours, want = (
        next(line.split()[-1] for line in text.splitlines() if line.strip().startswith(name))
        for name in ("yours", "expected")
    )
    assert yours != want
    assert "it is 1.01 times the right one" in str(check(lambda z, y: 1.01 * log_softmax(z, y)))
    assert "the right one plus 0.5" in str(check(lambda z, y: 0.5 + log_softmax(z, y)))
