"""`softmax`, `log_softmax` and `logsumexp` of batches, against 50-digit arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import truth

import softmaxloss
from softmaxloss import OptionError, log_softmax, logsumexp, softmax

mp = truth.mp
FUNCTIONS = [softmax, log_softmax, logsumexp]
# Logits of very different size: probabilities from near 1 down to 1e-300, and many alike.
ROWS = {
    "small": [0.3, -1.7, 0.2, 1.1],
    "sure": [60.0, 0.0, -3.0, 1.5],
    "underflow": [90.0, 3.0, -7.0, 89.5],
    "far": [1e4, 1e4 + 0.5, 1e4 - 20.0],
    "negative": [-1e4, -1e4 - 300.0, -1e4 + 1.0],
    "equal": [7.0] * 5,
    "one class": [3.0],
    "masked": [-np.inf, 0.0, 2.0],
}


def exactly(z: Any) -> tuple[list[Any], list[Any], Any]:
    """Softmax, log softmax and logsumexp of one example with the numbers z."""
    z = [mp.mpf(float(x)) for x in z]
    a = truth.softmax(z)
    total = mp.fsum(mp.exp(x) for x in z)
    return a, [mp.log(x) if x else mp.mpf("-inf") for x in a], mp.log(total)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 3), (np.float64, 4)])
def test_every_entry_to_a_few_units_in_the_last_place(name: str, dtype: Any, most: int) -> None:
    z = np.array(ROWS[name], dtype)
    for function, want in zip(FUNCTIONS, exactly(z), strict=True):
        got = function(z)
        assert got.dtype == dtype
        finite = np.isfinite(got)
        assert np.array_equal(np.atleast_1d(finite), [mp.isfinite(x) for x in np.atleast_1d(want)])
        errors = truth.ulps(
            np.atleast_1d(got[finite]), np.atleast_1d(want)[np.atleast_1d(finite)], dtype
        )
        assert max(errors) <= most, function.__name__


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_rounded_once(dtype: Any) -> None:
    z = np.random.default_rng(0).normal(size=(20, 50), scale=4).astype(dtype)
    for function in (softmax, log_softmax):
        got = function(z)
        assert got.dtype == dtype
        # float32 and float64 results round alike but for ties that float32 makes.
        assert np.mean(got == function(z.astype(np.float64)).astype(dtype)) > 0.999
    assert logsumexp(z).dtype == np.float32
    np.testing.assert_allclose(logsumexp(z), logsumexp(z.astype(np.float64)), rtol=2e-7)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_axis_is_that_of_single_examples(
    function: Callable[..., Any], axis: int, layout: str
) -> None:
    z = np.asarray(np.random.default_rng(1).normal(size=(3, 4, 5, 2)), order=layout)  # type: ignore[call-overload]
    before = z.copy()
    got = function(z, axis)
    want = np.apply_along_axis(function, axis, z)
    assert np.array_equal(got, want)
    assert np.array_equal(z, before)


def test_the_axis_of_a_batch_is_the_last_and_otherwise_asked_for() -> None:
    z = np.random.default_rng(2).normal(size=(3, 4))
    for function in FUNCTIONS:
        assert np.array_equal(function(z), function(z, 1))
        with pytest.raises(
            OptionError, match=r"^which axis of logits of shape \(3, 2, 2\) has the"
        ):
            function(z.reshape(3, 2, 2))
        with pytest.raises(
            OptionError, match=r"^axis is 2, but logits of shape \(3, 4\) have 2 axes$"
        ):
            function(z, 2)
        with pytest.raises(TypeError, match=r"^axis must be an integer or None, got 'last'$"):
            function(z, "last")
        with pytest.raises(ValueError, match=r"^logits of shape \(0, 4\) have no classes"):
            function(z[:0], 0)
        with pytest.raises(TypeError, match=r"^logits must be real numbers"):
            function(z > 0)
        assert function(z[:0]).shape == ((0,) if function is logsumexp else (0, 4))


def test_integers_and_lists() -> None:
    for function in FUNCTIONS:
        assert np.array_equal(function([[1, 2], [3, 4]]), function(np.array([[1.0, 2], [3, 4]])))


def test_rows_without_a_softmax() -> None:
    z = np.array([[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf], [0, 0]])
    for function in (softmax, log_softmax):
        assert np.array_equal(np.isnan(function(z)), np.repeat([[1], [1], [1], [0]], 2, axis=1))
    np.testing.assert_array_equal(logsumexp(z), [np.nan, np.inf, -np.inf, np.log(2)])
    assert logsumexp([np.inf, 1.0]) == np.inf


@pytest.mark.parametrize("classes", [3, 200, 5000])
def test_they_are_those_of_the_loss(classes: int) -> None:
    rng = np.random.default_rng(classes)
    z, y = rng.normal(size=(20, classes)).astype(np.float32), rng.integers(classes, size=20)
    s, row = softmaxloss.score(z, y), np.arange(20)
    np.testing.assert_array_max_ulp(softmax(z)[row, y], s.probability, 1)
    np.testing.assert_array_max_ulp(-log_softmax(z)[row, y], s.loss, 2)
    assert np.array_equal(logsumexp(z), s.logsumexp)
