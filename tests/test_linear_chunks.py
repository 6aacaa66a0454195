"""The linear loss in chunks of classes: against its definition, and against blocks of rows."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

import softmaxloss
from softmaxloss import linear_cross_entropy
from softmaxloss import linear_cross_entropy_with_grad as with_grad
from softmaxloss.linear import plan
from softmaxloss.options import LinearOptions

torch = pytest.importorskip("torch")
from truth.linear import CLASSES, ROWS, arguments, close, truth  # noqa: E402

from softmaxloss.torch.linear import products  # noqa: E402

CASES = [
    *("plain", "sum", "none", "bias", "weights", "weights, none", "some ignored"),
    *("some ignored, none", "some ignored, weights", "sample weights", "sample weights, none"),
    *("ignore a class", "one-based", "denominator"),
]
#: rows in a block, classes in a chunk, chunks whose logits are kept
LOOPS = [(ROWS, 4, 1), (ROWS, 4, 3), (ROWS, 1, 99), (3, 5, 1)]


def in_chunks(monkeypatch: pytest.MonkeyPatch, most: int, chunk: int, kept: int) -> list[Any]:
    """From now on calls are computed in chunks; a list of those that were."""
    made: list[Any] = []

    def forced(sizes: plan.Sizes, *rest: Any) -> Any:
        made.append(sizes.rows)
        return plan._nearly_equal(sizes.rows, most), chunk, kept

    monkeypatch.setattr(plan, "_by_chunks", forced)
    return made


@pytest.mark.parametrize("loop", LOOPS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_arrays(name: str, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = in_chunks(monkeypatch, *loop)
    x, W, b, y, options = arguments(name)
    upstream = np.random.default_rng(1).normal(size=ROWS) if "none" in name else -0.7
    want = truth(x, W, b, y, upstream, **options)
    loss, grads = with_grad(x, W, y, linear_bias=b, grad_output=upstream, **options)
    close(loss, want.loss)
    for got, wanted in zip(grads, want[1:], strict=True):
        if wanted is not None:
            close(got, wanted)
    np.testing.assert_array_equal(linear_cross_entropy(x, W, y, linear_bias=b, **options), loss)
    assert len(made) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("loop", LOOPS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_tensors(name: str, loop: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the products of each library, against one truth."""
    made = in_chunks(monkeypatch, *loop)
    x, W, b, y, options = arguments(name)
    leaves = [None if a is None else torch.tensor(a, dtype=dtype) for a in (x, W, b)]
    upstream = torch.randn(ROWS).double() if "none" in name else torch.tensor(1.0).double()
    arrays = [None if t is None else t.double().numpy() for t in leaves]
    want = truth(*arrays, y, upstream.numpy(), **options)
    eps = torch.finfo(dtype).eps
    for library in products.LIBRARIES:
        monkeypatch.setenv(products.VARIABLE, library)
        given = [None if t is None else t.clone().requires_grad_() for t in leaves]
        loss = linear_cross_entropy(
            given[0], given[1], torch.tensor(y), linear_bias=given[2], **options
        )
        loss.backward(upstream.to(loss.dtype))
        close(loss.detach(), want.loss, torch.finfo(loss.dtype).eps)
        for leaf, wanted in zip(given, want[1:], strict=True):
            if leaf is not None:
                close(leaf.grad.double(), wanted, eps, 200 if eps < 1e-4 else 20)
        assert made, library
        made.clear()


@pytest.mark.parametrize("frozen", ["x", "W"])
def test_frozen_sides(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_chunks(monkeypatch, ROWS, 4, 1)
    x, W, _, y, _ = arguments("plain")
    want = truth(x, W, None, y)
    leaves = {"x": torch.tensor(x), "W": torch.tensor(W)}
    leaf = leaves["W" if frozen == "x" else "x"].requires_grad_()
    linear_cross_entropy(leaves["x"], leaves["W"], torch.tensor(y)).backward()
    close(leaf.grad, want.W if frozen == "x" else want.x)


def test_a_small_loss_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """S is apart from the 1, over chunks as well."""
    made = in_chunks(monkeypatch, 1, 1, 1)
    W = np.array([[0, 0], [100, 0], [0, 1]], np.float32)
    x = np.array([[1, 0]], np.float32)
    loss, grads = with_grad(x, W, [1])
    want = softmaxloss.cross_entropy(x @ W.T, [1])
    assert made
    assert loss == want
    assert 0 < want < 1e-42
    assert -1e-42 < grads.linear_weight[1, 0] < 0


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("classes", [slice(0, 4), slice(2, 3), slice(0, CLASSES)], ids=str)
def test_numbers_that_are_not_finite(
    value: float, classes: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in blocks of rows: −inf masks classes out, a whole chunk of them as well."""
    x, W, b, y, _ = arguments("bias")
    y[0] = -100
    b[classes] = value
    want = with_grad(x, W, y, linear_bias=b, reduction="none")
    in_chunks(monkeypatch, ROWS, 4, 1)
    got = with_grad(x, W, y, linear_bias=b, reduction="none")
    np.testing.assert_allclose(got[0], want[0], rtol=1e-14)
    for one, other in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


# --- when ------------------------------------------------------------------------------------


def made_plan(
    rows: int, classes: int, features: int, budget: str, gradients: bool | None, **options: Any
) -> plan.Plan:
    y, given = np.zeros(rows, int), LinearOptions(memory_budget=budget, **options)
    return plan.plan_for(rows, (classes, features), y, None, None, given, 4, 0, gradients)


def test_few_rows_in_the_budget_mean_chunks() -> None:
    assert made_plan(1024, 128256, 512, "16MB", True).kept
    assert made_plan(4096, 10**6, 64, "64MB", True).kept
    assert made_plan(1024, 128256, 512, "64MB", False).kept > 1
    for kept in (
        made_plan(1024, 128256, 512, "256MB", True).kept,
        made_plan(16, 128256, 512, "64MB", True).kept,  # all of them fit
        made_plan(1024, 128256, 512, "16MB", None).kept,
        made_plan(1024, 128256, 512, "16MB", True, label_smoothing=0.1).kept,
        made_plan(1024, 128256, 512, "16MB", True, z_loss=0.1).kept,
        made_plan(1024, 1000, 512, "1MB", True).kept,
    ):
        assert kept == 0


@pytest.mark.parametrize("gradients", [True, False])
def test_memory_stays_within_the_budget(gradients: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 32)).astype(np.float32)
    W = rng.normal(size=(5000, 32)).astype(np.float32)
    y = rng.integers(5000, size=2000)
    assert made_plan(2000, 5000, 32, "1MB", gradients).kept
    tracemalloc.start()
    if gradients:
        with_grad(x, W, y, memory_budget="1MB")
    else:
        linear_cross_entropy(x, W, y, memory_budget="1MB")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6 + (x.nbytes + W.nbytes) * gradients + 200 * len(x)
