"""`check` of code as people write it: one-line bugs, and how they are reported in its style."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.one_line_bugs import SHAPES, Bugs
from tests.planted import seeds

from softmaxloss import check
from softmaxloss.checking import BANK

# What a right function of these shapes may have.
HARMLESS = {id for id, mistake in BANK.items() if mistake.kind != "mistake"}


def made(source: str) -> Any:
    names: dict[str, Any] = {"np": np, "math": math}
    exec(source, names)
    return names["f"]


@seeds(0, slow=range(1, 5))
@pytest.mark.parametrize(("source", "bugs"), SHAPES.values(), ids=SHAPES)
def test_one_line_bugs_are_named(source: str, bugs: Bugs, seed: int) -> None:
    right = check(made(source), seed=seed)
    assert right.verdict == "right", str(right)
    assert set(right.mistakes) <= HARMLESS
    not_named = []
    for old, new, ids in bugs:
        assert old in source
        report = check(made(source.replace(old, new, 1)), seed=seed)
        unknown = [finding for finding in report.findings if not finding.mistakes]
        if unknown or not ids <= set(report.mistakes):
            not_named.append((old, new, report.mistakes))
    assert not not_named


def test_every_way_to_make_a_mistake_is_known() -> None:
    """A loop that is written naively overflows where another is right: both are named."""

    def everything(z: Any, y: Any) -> Any:
        m = z.max(axis=1, keepdims=True)
        return (np.log(np.exp(z - m).sum()) + m[:, 0] - z[np.arange(len(y)), y]).mean()

    assert check(everything, "loss", layout="rows").mistakes == ["softmax-over-everything"]


def in_python(z: Any, y: Any) -> Any:
    e = [math.exp(v) for v in z]
    return -math.log(e[y] / sum(e))


def test_an_overflow_in_python_is_no_maximum() -> None:
    report = check(in_python)
    assert report.mistakes[:1] == ["no-max"]
    assert "it raised OverflowError: math range error on: large, mixed," in str(report)

    def with_maximum(z: Any, y: Any) -> Any:
        e = [math.exp(v - max(z)) for v in z]
        return -math.log(e[y] / sum(e))

    assert set(check(with_maximum).mistakes) <= {"log-of-underflow", "one-example-only"}


def test_what_is_not_finite_is_said_in_the_words_of_the_code() -> None:
    def infinite(z: Any, y: Any) -> Any:
        losses = np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + 0.5
        return np.where(abs(z).max() > 500, np.inf, losses.mean())

    text = str(check(infinite))
    assert "it has inf on: large, low, mixed, far apart" in text
    assert "not finite" not in text
    assert "NaN on" not in text


def test_a_fix_is_in_the_style_of_the_code() -> None:
    def batch(z: Any, y: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        return np.log(a[np.arange(len(y)), y]).mean()

    def loop(z: Any, y: Any) -> Any:
        total = 0.0
        for i in range(len(y)):
            e = np.exp(z[i] - z[i].max())
            total += np.log(e[y[i]] / e.sum())
        return total / len(y)

    def one(z: Any, y: Any) -> Any:
        e = np.exp(z - max(z))
        return np.log(e[y] / sum(e))

    assert "fix: J = -np.log(a[np.arange(N), y])\n" in str(check(batch))
    assert "fix: loss -= np.log(a[i, y[i]])\n" in str(check(loop))
    assert "fix: loss -= np.log(a[y])\n" in str(check(one))


@seeds(0, 1, slow=range(2, 20))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gradient_in_another_order_is_right(dtype: Any, seed: int) -> None:
    """Its rows sum to exactly 0, and each entry has the error of the largest term."""

    def centred(z: Any, y: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        dz = e / e.sum(axis=1, keepdims=True)
        dz[np.arange(len(y)), y] -= 1
        return (dz - dz.mean(axis=1, keepdims=True)) / len(y)

    def small_is_0(z: Any, y: Any) -> Any:
        dz = centred(z, y)
        return np.where(abs(dz) < 1e-4 / len(y), 0, dz)

    report = check(centred, "gradient", dtype=dtype, seed=seed)
    assert report.verdict == "right", str(report)
    assert report.mistakes == ["negative-label-accepted"]
    assert check(small_is_0, "gradient", dtype=dtype, seed=seed).verdict == "wrong"


# --- a layer --------------------------------------------------------------------------------------


def gradient_of_layer(W: Any, X: Any, y: Any) -> Any:
    z = X @ W
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    dz = np.exp(log_a)
    dz[np.arange(len(y)), y] -= 1
    return -log_a[np.arange(len(y)), y].mean(), dz / len(y)


def test_the_gradient_of_a_layer_is_shown_as_it_was_returned() -> None:
    def flipped(W: Any, X: Any, y: Any) -> Any:
        loss, dz = gradient_of_layer(W, X, y)
        return loss, -X.T @ dz

    (finding,) = check(flipped, seed=1).findings
    assert finding.mistakes == (BANK["gradient-flipped"],)
    example = finding.example
    assert example is not None
    W, X, y, yours = (
        np.array(eval(example[name].removeprefix("dW "))) for name in ("W", "X", "y", "yours")
    )
    np.testing.assert_allclose(yours, flipped(W, X, y)[1], atol=1e-4)
    assert example["expected"].startswith("dW ")


def test_mistakes_in_the_product_of_a_layer() -> None:
    def of_logits(W: Any, X: Any, y: Any) -> Any:
        return gradient_of_layer(W, X, y)

    def floor(W: Any, X: Any, y: Any) -> Any:
        loss, dz = gradient_of_layer(W, X, y)
        return loss, X.T @ (dz * len(y)) // len(y)

    assert check(of_logits).mistakes == ["logit-gradient-for-weights"]
    assert check(floor).mistakes == ["gradient-floor-divided"]
