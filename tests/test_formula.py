"""The maths against 50-digit arithmetic, numerical derivatives, and its own algebra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import truth
from numpy.typing import NDArray

from softmaxloss import formula

Array = NDArray[Any]
mp = truth.mp

EXAMPLES = {
    "few classes": [2.0, 1.0, 0.1, -1.2],
    "two": [0.5, -0.25],
    "one": [-3.0],
    "tied": [1.0, 1.0, 0.0, 1.0],
    "sure": [40.0, 0.0, -5.0, 3.0],
    "very sure": [700.0, 0.0, -5.0],
    "offset": [1e8, 1e8 + 2, 1e8 - 30],
    "huge offset": [-1e300, -1e300, -1.5e300],
    "wide": [-400.0, 300.3, 12.7, -20.1, 299.9],
    "masked": [1.5, -math.inf, 0.25, -math.inf],
    "normal": list(np.random.default_rng(0).normal(0, 4, 60)),
}
# y, weight and label_smoothing for C classes
TARGETS = {
    "first class": lambda C: (0, None, 0.0),
    "last class": lambda C: (C - 1, None, 0.0),
    "weighted": lambda C: (C - 1, np.arange(1.0, C + 1), 0.0),
    "probabilities": lambda C: (np.arange(1.0, C + 1) / sum(range(1, C + 1)), None, 0.0),
    "smoothed": lambda C: (0, None, 0.1),
    "smoothed fully": lambda C: (0, None, 1.0),
    "all at once": lambda C: (np.eye(C)[0] * 0.5 + 0.5 / C, np.arange(C) + 0.5, 0.25),
}


def spread(z: Array) -> float:
    finite = z[np.isfinite(z)]
    return min(float(np.ptp(finite)), 745.0)


def allowed(z: Array) -> float:
    """The rounding of z_n − m, |z_n − m|·2^-53, becomes a relative error of its exp: so many units,
    and a few for the operations that follow. Where |z_n − m| is above 745 the result is 0."""
    return 4.0 + spread(z)


@pytest.mark.parametrize("name", EXAMPLES)
def test_softmax_logsumexp_and_neg_log_softmax(name: str) -> None:
    z = np.array(EXAMPLES[name])
    with mp.workdps(800):
        a = truth.softmax(z.tolist())
        logsumexp = mp.log(mp.fsum(mp.exp(mp.mpf(value)) for value in z))
        losses = [-mp.log(p) if p else mp.inf for p in a]
    assert np.all(truth.ulps(formula.softmax(z), a, "float64") <= allowed(z))
    assert np.all(truth.ulps(formula.neg_log_softmax(z), losses, "float64") <= allowed(z))
    # m and log1p(S) may cancel: the error is that of the larger of them.
    size = max(abs(logsumexp), abs(z.max()))
    assert truth.ulps(formula.logsumexp(z), logsumexp, "float64", of=size) <= 2


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_loss_and_gradient(name: str, target: str) -> None:
    z = np.array(EXAMPLES[name])
    y, weight, smoothing = TARGETS[target](z.size)
    c = truth.coefficients(y, z.size, weight, smoothing)
    loss, grad, size = truth.example(z, c)
    got = formula.cross_entropy(z, y, weight, smoothing)
    assert truth.ulps(got, loss, "float64") <= allowed(z)
    one = np.count_nonzero(np.array(c, float)) == 1  # nothing cancels
    got_grad = formula.cross_entropy_grad(z, y, weight, smoothing)
    error = truth.ulps(got_grad, grad, "float64", of=None if one else size)
    assert np.all(error <= allowed(z)), error


@pytest.mark.parametrize("sample_weight", [0.0, 0.3, 1e20])
@pytest.mark.parametrize("target", TARGETS)
def test_sample_weights(target: str, sample_weight: float) -> None:
    z = np.array(EXAMPLES["few classes"])
    y, *others = TARGETS[target](z.size)
    c = truth.coefficients(y, z.size, *others, sample_weight)
    loss, grad, size = truth.example(z, c)
    got = formula.cross_entropy(z, y, *others, sample_weight)
    got_grad = formula.cross_entropy_grad(z, y, *others, sample_weight)
    assert truth.ulps(got, loss, "float64") <= allowed(z)
    assert np.all(truth.ulps(got_grad, grad, "float64", of=size) <= allowed(z))
    nothing = np.full(z.shape, np.nan)
    assert math.isnan(formula.cross_entropy(nothing, y, *others, sample_weight)) == any(c)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["few classes", "two", "one", "tied", "sure", "wide"])
def test_gradient_is_the_derivative_of_the_loss(name: str, target: str) -> None:
    """Numerical differentiation of the definition by mpmath, without `truth`."""
    z = np.array(EXAMPLES[name])
    y, weight, smoothing = TARGETS[target](z.size)
    q = np.eye(z.size)[y] if np.ndim(y) == 0 else np.asarray(y)
    w = np.ones(z.size) if weight is None else np.asarray(weight)
    got = formula.cross_entropy_grad(z, y, weight, smoothing)
    with mp.workdps(360):  # exp(−700) takes away 305
        c = [
            mp.mpf(w[n]) * ((1 - mp.mpf(smoothing)) * mp.mpf(q[n]) + mp.mpf(smoothing) / z.size)
            for n in range(z.size)
        ]

        def loss(*x: Any) -> Any:
            total = mp.fsum(mp.exp(value) for value in x)
            return mp.fsum(-c[n] * mp.log(mp.exp(x[n]) / total) for n in range(z.size))

        point = tuple(mp.mpf(value) for value in z)
        orders = np.eye(z.size, dtype=int)
        want = np.array([mp.diff(loss, point, tuple(map(int, n))) for n in orders], object)
    size = np.array([sum(c) * a + c_n for a, c_n in zip(formula.softmax(z), c, strict=True)])
    one = np.count_nonzero(np.array(c, float)) == 1
    error = truth.ulps(got, want, "float64", of=None if one else size)
    assert np.all(error <= allowed(z)), error


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["few classes", "two", "tied", "normal"])
def test_gradient_is_the_slope_of_the_computed_loss(name: str, target: str) -> None:
    """(J(z + h) − J(z − h)) / 2h differs by h²/6·J''' and by the rounding of J over h.

    |J'''| ≤ Σc (of softmax, third derivatives are below 1), and each J is off by a few units.
    """
    z = np.array(EXAMPLES[name])
    y, weight, smoothing = TARGETS[target](z.size)
    grad = formula.cross_entropy_grad(z, y, weight, smoothing)
    total = formula.coefficients(y, z.size, weight, smoothing).sum()
    h = 2.0**-17
    for n in range(z.size):
        step = np.zeros_like(z)
        step[n] = h
        up, down = (formula.cross_entropy(z + s, y, weight, smoothing) for s in (step, -step))
        tolerance = h * h / 6 * total + 8 * np.spacing(up) / h
        assert (up - down) / (2 * h) == pytest.approx(grad[n], rel=0, abs=tolerance)


@pytest.mark.parametrize(
    "z", [[math.nan, 1.0], [math.inf, 1.0], [math.inf, -math.inf], [-math.inf, -math.inf]]
)
def test_a_row_without_a_softmax(z: list[float]) -> None:
    assert np.isnan(formula.softmax(z)).all()
    assert np.isnan(formula.neg_log_softmax(z)).all()
    assert math.isnan(formula.logsumexp(z))
    assert math.isnan(formula.cross_entropy(z, 0))
    assert np.isnan(formula.cross_entropy_grad(z, 0)).all()
    assert formula.cross_entropy(z, [0.0, 0.0]) == 0.0
    assert formula.cross_entropy_grad(z, [0.0, 0.0]).tolist() == [0.0, 0.0]


def test_coefficients() -> None:
    want = [1.0 * (0.6 * 0 + 0.1), 2.0 * (0.6 * 1 + 0.1), 3.0 * 0.1, 0.0]
    got = formula.coefficients(1, 4, weight=[1.0, 2.0, 3.0, 0.0], label_smoothing=0.4)
    np.testing.assert_allclose(got, want, rtol=4e-16)
    np.testing.assert_array_equal(formula.coefficients([0.2, 0.8], 2), [0.2, 0.8])


@pytest.mark.parametrize("z", [[], 1.0, [[1.0, 2.0]]])
def test_one_example_only(z: Any) -> None:
    with pytest.raises(ValueError, match=r"^formula takes the logits of one example, shape \(C,\)"):
        formula.softmax(z)


def test_batch_mean() -> None:
    assert formula.batch_mean([1.0, 2.0, 6.0]) == 3.0
    assert formula.batch_mean([2.0, 9.0, 0.0], weights=[1.0, 3.0, 0.0]) == 2.75
    assert math.isnan(formula.batch_mean([]))
    assert math.isnan(formula.batch_mean([0.0, 0.0], weights=[0.0, 0.0]))
    assert formula.batch_mean([math.inf, 1.0]) == math.inf
    assert math.isnan(formula.batch_mean([math.nan, math.inf]))
