"""The page's own arithmetic, maths.js in Chromium, against the library's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pytest

from softmaxloss.explanation import explain
from softmaxloss.explanation.page.numerals import amount, short
from softmaxloss.explanation.rendering.numbers import number, percent

INF, NAN = math.inf, math.nan
SOURCE = resources.files("softmaxloss.explanation.page").joinpath("maths.js").read_text("utf-8")

# Run the module on many examples at once. JSON has no NaN: numbers go as text.
CALL = """async ([source, examples]) => {
  const { compute } = await import("data:text/javascript," + encodeURIComponent(source));
  return examples.map(([z, y, T, step]) => {
    const got = compute(Float64Array.from(z, Number), y, T, step);
    const text = (values) => Array.from(values, String);
    return {
      a: text(got.a), term: text(got.term), exp: text(got.exp), grad: text(got.grad),
      jac: text(got.jac), after: text(got.after),
      numbers: text([got.J, got.lse, got.m, got.den, got.inv]),
    };
  });
}"""
NUMBERS = """async ([source, values]) => {
  const { number } = await import("data:text/javascript," + encodeURIComponent(source));
  return values.map((value) => number(Number(value)));
}"""
GENERAL = NUMBERS.replace("number", "general")
PATH = """async ([source, z, y, T, step]) => {
  const { path } = await import("data:text/javascript," + encodeURIComponent(source));
  return path(Float64Array.from(z, Number), y, T, step);
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    yield page
    page.close()


def text(x: float) -> str:
    return {INF: "Infinity", -INF: "-Infinity"}.get(x, "NaN" if math.isnan(x) else repr(float(x)))


def run(page: Any, examples: list[tuple[Any, int, float, float]]) -> list[dict[str, Any]]:
    given = [([text(x) for x in z], y, T, step) for z, y, T, step in examples]
    results = page.evaluate(CALL, [SOURCE, given])
    return [{k: np.array([float(x) for x in v]) for k, v in r.items()} for r in results]


def examples() -> list[tuple[Any, int]]:
    found: list[tuple[Any, int]] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        z = rng.normal(0, rng.choice([1e-3, 1.0, 10.0, 300.0]), rng.integers(1, 30))
        z += rng.choice([0.0, 1e3, -1e6, 1e8])
        if seed % 4 == 0 and z.size > 1:
            z[rng.integers(z.size)] = -INF
        found.append((z, int(rng.integers(z.size))))
    special = [
        ([0.0, 0.0, 0.0], 1), ([5.0], 0), ([100.0, 0.0], 0), ([0.0, 100.0], 0), ([1e30, -1e30], 1),
        ([1e308, -1e308], 1), ([NAN, 1.0], 1), ([INF, 1.0], 0), ([-INF, -INF], 0), ([0.0, -INF], 1),
        ([-INF, 3.0], 1), ([1000.0, 1000.0, -1000.0], 2), ([40.0, 0.0, 0.0], 0),
    ]  # fmt: skip
    return found + special


EXAMPLES = examples()


@pytest.fixture(scope="module")
def results(page: Any) -> list[dict[str, Any]]:
    return run(page, [(z, y, 1.0, 0.1) for z, y in EXAMPLES])


@pytest.mark.parametrize("case", range(len(EXAMPLES)))
def test_the_page_computes_what_the_library_does(results: Any, case: int) -> None:
    (z, y), got = EXAMPLES[case], results[case]
    why = explain(z, y, steps=0)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.ptp(z) if np.isfinite(z).all() else 800.0
    # exp turns the rounding of z − m, half an ulp of at most the spread (beyond 750 it is 0),
    # into as large a relative error, in both; a handful of roundings come on top.
    rtol = (2 * min(float(spread), 750.0) + 16 + len(z)) * 2.0**-53
    tiny = 2.0**-1060  # subnormal numbers have fewer digits
    pairs = [
        ("a", why.before.probabilities), ("term", why.terms), ("grad", why.gradient),
        ("jac", why.jacobian_row), ("exp", why.exponentials), ("after", why.after.logits),
    ]  # fmt: skip
    for name, want in pairs:
        np.testing.assert_allclose(
            got[name], want, rtol=rtol, atol=tiny, equal_nan=True, err_msg=f"{name} of {z}, {y}"
        )
    scalars = [why.before.loss, why.logsumexp, why.largest, why.denominator]
    np.testing.assert_allclose(got["numbers"][:4], scalars, rtol=rtol, err_msg=str(z))
    # The error of exp(J) is the absolute one of J.
    loose = rtol * max(1.0, why.before.loss if math.isfinite(why.before.loss) else 1.0)
    np.testing.assert_allclose(got["numbers"][4], why.gradient_by_probability, rtol=loose)


def test_a_temperature_divides_the_logits(page: Any) -> None:
    z, T = np.array([2.0, 1.0, 0.1, -1.2]), 2.5
    (got,) = run(page, [(z, 2, T, 0.1)])
    why = explain(z / T, 2)
    np.testing.assert_allclose(got["a"], why.before.probabilities, rtol=1e-15)
    np.testing.assert_allclose(got["grad"], why.gradient / T, rtol=1e-14)
    np.testing.assert_allclose(got["after"], z - 0.1 * why.gradient / T, rtol=1e-14)


def halves() -> list[float]:
    """Numbers that lie halfway between two that are shown: in decimals, and of large integers."""
    rng = np.random.default_rng(2)
    odd = 2 * rng.integers(0, 10**6, 500) + 1
    return [
        *(odd * 0.5 ** rng.integers(1, 40, 500)),
        *(odd * 5.0 * 10.0 ** rng.integers(0, 9, 500)),
    ]


def test_numbers_are_rounded_as_python_rounds_them(page: Any) -> None:
    rng = np.random.default_rng(0)
    values = [
        *(rng.normal(size=1500) * 10.0 ** rng.integers(-12, 13, 1500)).tolist(),
        # Halves that a float holds: Python rounds them to the even digit.
        *halves(),
        0.03125, 0.09375, -0.03125, 1.00005, 2.50005, 0.00005, 12345.00003125, 0.5**7, 3 * 0.5**5,
        0.0, -0.0, 1e-3, 9.999e-4, -1e-3, 0.99999999, 1e9, 999999999.99999, 1e10, 1.5e10, -3e12,
        1234567890.5, 12345678905.0, 12345678915.0, 12345678901234.0, 1e22,
        1e30, 1e300, 5e-324, INF, -INF, NAN,
    ]  # fmt: skip
    got = page.evaluate(NUMBERS, [SOURCE, [text(x) for x in values]])
    assert got == [number(x) for x in values]


def test_step_sizes_are_shown_as_by_the_format_g(page: Any) -> None:
    rng = np.random.default_rng(1)
    values = [
        *(rng.normal(size=1000) * 10.0 ** rng.integers(-12, 13, 1000)).tolist(),
        *halves(),
        0.1, 0.5, 1.0, 10.0, 100000.0, 999999.5, 1e6, 1e-4, 0.000123456789, 9.9999995e-5, 1e-5,
        1e308, 5e-324, 123456.0, 1234567.0, 0.0,
    ]  # fmt: skip
    assert page.evaluate(GENERAL, [SOURCE, [text(x) for x in values]]) == [f"{x:g}" for x in values]


@pytest.mark.parametrize("words", [percent, short, amount], ids=lambda f: f.__name__)
def test_numbers_in_pictures_are_those_of_python(page: Any, words: Any) -> None:
    rng = np.random.default_rng(3)
    values = [
        *(rng.uniform(size=500) * 10.0 ** rng.integers(-9, 1, 500)).tolist(),
        0.0, 1.0, 0.9995, 0.99999, 1 - 2**-53, 0.125, 0.0625, 0.001, 0.01, 0.00999, 1e-3, 5e-324,
    ]  # fmt: skip
    if words is not percent:
        values += [-x for x in values] + [4e307, 12345.678, 1e6]
    call = NUMBERS.replace("number", words.__name__)
    assert page.evaluate(call, [SOURCE, [text(x) for x in values]]) == [words(x) for x in values]


@pytest.mark.parametrize(
    ("z", "y", "step"),
    [
        ([2.0, 1.0, 0.1, -1.2], 2, 0.1), ([9.0, 0.0], 1, 0.001), ([9.0, 0.0], 1, 30.0),
        ([10.0, 0.0], 0, 0.1), ([0.0, -INF, 3.0], 0, 0.5), ([1e20, 0.0], 1, 0.1),
        ([0.0, 0.0], 1, 1e308),
    ],
)  # fmt: skip
def test_the_page_follows_the_path_of_the_library(
    page: Any, z: list[float], y: int, step: float
) -> None:
    want = explain(z, y, step=step).path
    got = page.evaluate(PATH, [SOURCE, [text(x) for x in z], y, 1, step])
    assert want is not None
    assert [point["step"] for point in got] == want.steps.tolist()
    a, J = ([float(point[name]) for point in got] for name in ("a", "J"))
    np.testing.assert_allclose(a, want.target_probability, 1e-9)
    np.testing.assert_allclose(J, want.loss, 1e-9)


@pytest.mark.parametrize(
    "z",
    [[0.0, -INF], [NAN, 1.0], [1e308, -1e308], [0.0] * 5000],
    ids=["true class masked", "nan", "overflow", "too long"],
)
def test_the_page_has_no_path(page: Any, z: list[float]) -> None:
    assert page.evaluate(PATH, [SOURCE, [text(x) for x in z], 1, 1, 0.01]) == []
