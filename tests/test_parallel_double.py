"""Double-double arithmetic against 60 decimal digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from softmaxloss.parallel.double import Double, exp, log1p  # noqa: E402
from softmaxloss.parallel.merge import softmax_of  # noqa: E402


def off(got, want):
    """The largest error of `got`, relative to what is right."""
    pairs = zip(got.hi.tolist(), got.lo.tolist(), want, strict=True)
    return max(float(abs((Decimal(hi) + Decimal(lo) - w) / w)) for hi, lo, w in pairs)


def numbers(*values):
    return torch.tensor(np.array(values), dtype=torch.float64)


@pytest.fixture(autouse=True)
def digits():
    with localcontext() as context:
        context.prec = 60
        yield


def test_exp_of_differences():
    random = np.random.default_rng(0)
    z = random.normal(0, 30, 2000)
    m = z + np.abs(random.normal(0, 10 ** random.uniform(-4, 2, 2000)))
    got = exp(Double.sum(numbers(*z), -numbers(*m)))
    want = [(Decimal(a) - Decimal(b)).exp() for a, b in zip(z.tolist(), m.tolist(), strict=True)]
    assert off(got, want) < 2.0**-55


def test_log1p():
    random = np.random.default_rng(1)
    s = 10 ** np.r_[random.uniform(-3, 2, 1000), random.uniform(-40, 5, 1000)]
    low = s * 2.0**-54 * random.uniform(-1, 1, 2000)
    got = log1p(Double(numbers(*s), numbers(*low)))
    pairs = zip(s.tolist(), low.tolist(), strict=True)
    assert off(got, [(1 + Decimal(a) + Decimal(b)).ln() for a, b in pairs]) < 2.0**-54


def test_products_quotients_and_sums_are_exact_to_106_bits():
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 500))
    A, B = Double.of(numbers(*a)), Double.of(numbers(*b))
    exact = [(Decimal(x), Decimal(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert off(A.times(B), [x * y for x, y in exact]) < 2.0**-104
    assert off(A.over(B), [x / y for x, y in exact]) < 2.0**-103
    assert off(A.plus(B), [x + y for x, y in exact]) < 2.0**-104


def test_what_is_not_finite():
    inf, nan = float("inf"), float("nan")
    assert exp(Double.of(numbers(-inf, -750.0, 0.0))).hi.tolist() == [0.0, 0.0, 1.0]
    assert exp(Double.of(numbers(nan))).hi.isnan().all()
    assert Double.sum(numbers(inf, 1.0), numbers(1.0, inf)).hi.tolist() == [inf, inf]
    assert Double.sum(numbers(inf, 1.0), numbers(1.0, inf)).lo.tolist() == [0.0, 0.0]
    assert Double.of(numbers(inf)).times(Double.of(numbers(0.5))).hi.tolist() == [inf]
    assert Double.of(numbers(inf)).over(Double.of(numbers(0.5))).hi.tolist() == [inf]
    assert log1p(Double.of(numbers(0.0, 5e-324))).hi.tolist() == [0.0, 5e-324]
    # A rank without classes, and a row that no rank has a finite logit of.
    row = softmax_of(
        numbers([-inf, -inf], [2.0, -inf]), numbers([0.0, 0.0], [3.0, 0.0]), double=True
    )
    assert row.S.tolist()[0] == 3.0
    assert row.loss(numbers(2.0, 2.0)).tolist()[0] == np.log(4.0)
    assert row.m.isnan().tolist() == [False, True]
    assert row.L.isnan().tolist() == [False, True]
