"""The linear loss on arrays: against its definition, for any memory budget and option."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softmaxloss
from softmaxloss import LabelError, OptionError, linear_cross_entropy
from softmaxloss import linear_cross_entropy_with_grad as with_grad
from softmaxloss.linear.plan import COPIES, plan_for
from softmaxloss.options import LinearOptions, number_of_bytes
from softmaxloss.rows import BLOCK

pytest.importorskip("torch")
from truth.linear import CASES, CLASSES, FEATURES, ROWS, arguments, close, truth

ONE_ROW = 8 * CLASSES  # bytes of a row of logits, float64
BUDGETS = ["64MB", 12 * ONE_ROW, (COPIES + 4) * ONE_ROW]
LEADS = [(ROWS,), (), (3, 4), (1,)]


def check(name: str, lead: tuple[int, ...], budget: Any, upstream: Any = None) -> None:
    x, W, b, y, options = arguments(name, lead)
    want = truth(x, W, b, y, 1.0 if upstream is None else upstream, **options)
    options |= {"linear_bias": b, "memory_budget": budget}
    loss, grads = with_grad(x, W, y, **options, grad_output=upstream)
    close(loss, want.loss)
    close(grads.input, want.x)
    close(grads.linear_weight, want.W)
    if b is None:
        assert grads.linear_bias is None
    else:
        close(grads.linear_bias, want.b)
    alone = linear_cross_entropy(x, W, y, **options)
    np.testing.assert_array_equal(alone, loss)
    assert np.shape(alone) == (lead if options.get("reduction") == "none" else ())


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_for_any_budget(name: str, budget: Any) -> None:
    check(name, (ROWS,), budget)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("name", ["plain", "none", "weights", "soft", "everything"])
def test_shapes(name: str, lead: tuple[int, ...]) -> None:
    check(name, lead, BUDGETS[-1])


@pytest.mark.parametrize("name", ["plain", "some ignored", "softcap", "soft"])
def test_one_upstream_gradient(name: str) -> None:
    check(name, (ROWS,), BUDGETS[-1], -2.5)


@pytest.mark.parametrize(
    "upstream", [np.random.default_rng(1).normal(size=ROWS), 3.0], ids=["several", "one"]
)
@pytest.mark.parametrize("name", ["none", "some ignored, none", "z_loss, none", "softcap, none"])
def test_upstream_gradients_per_row(name: str, upstream: Any) -> None:
    check(name, (ROWS,), BUDGETS[-1], upstream)


def test_an_upstream_gradient_of_another_shape_is_an_error() -> None:
    x, W, _, y, _ = arguments("plain")
    with pytest.raises(OptionError, match=r"shape \(3,\).*one number$"):
        with_grad(x, W, y, grad_output=[1.0, 2.0, 3.0])
    with pytest.raises(OptionError, match=rf"shape \(3,\).*or shape \({ROWS},\)"):
        with_grad(x, W, y, reduction="none", grad_output=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", ["weights", "everything", "soft"])
def test_finite_differences(name: str) -> None:
    """∂J/∂θ against (J(θ+h) − J(θ−h)) / 2h, whose error h²·J‴/6 + eps·J/h is below 1e-8 here."""
    x, W, b, y, options = arguments(name, (4,))
    options["memory_budget"] = 12 * ONE_ROW
    _, grads = with_grad(x, W, y, linear_bias=b, **options)
    h = 1e-5
    for array, grad in zip((x, W, b), grads, strict=True):
        for i in np.ndindex(array.shape):
            before = array[i]
            ends = []
            for step in (h, -h):
                array[i] = before + step
                ends.append(linear_cross_entropy(x, W, y, linear_bias=b, **options))
            array[i] = before
            assert grad[i] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)


def test_the_same_bits_as_the_loss_of_the_logits() -> None:
    """Where the products are exact the losses have the same bits, down to 3.7e-44."""
    W = np.array([[100, 0], [0, 1], [0, 0]], np.float32)
    x = np.array([[1, 0], [0, 5], [2, 2]], np.float32)
    y = [0, 2, 1]
    got = linear_cross_entropy(x, W, y, reduction="none", memory_budget=30)
    want = softmaxloss.cross_entropy(x @ W.T, y, reduction="none")
    np.testing.assert_array_equal(got, want)
    assert 0 < got[0] < 1e-43
    loss, grads = with_grad(x[:1], W, y[:1])
    assert loss == got[0]
    assert -1e-43 < grads.linear_weight[0, 0] < 0


# --- the plan ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 7, 100, 101])
@pytest.mark.parametrize("budget", [200, 1000, 10**6])
def test_blocks_are_nearly_equal_and_fit(rows: int, budget: int) -> None:
    labels = np.zeros(rows, int)
    plan = plan_for(rows, (10, 3), labels, None, None, LinearOptions(memory_budget=budget), 4)
    sizes = [block.stop - block.start for block in plan.blocks]
    assert sum(sizes) == rows
    assert [b.start for b in plan.blocks] == [0, *np.cumsum(sizes)[:-1]]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) * 40 <= budget
    assert np.concatenate([np.arange(10)[c] for c in plan.chunks()]).tolist() == list(range(10))


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.1}], ids=str)
def test_a_budget_below_one_row_states_the_smallest_budget(options: dict[str, Any]) -> None:
    x, W, _, y, _ = arguments("plain")
    with pytest.raises(OptionError) as error:
        linear_cross_entropy(x, W, y, memory_budget=100, **options)
    message = str(error.value)
    assert message.startswith(f"memory_budget of 100 bytes does not hold one row of {CLASSES}")
    needed = int(message.split()[-1])
    want = linear_cross_entropy(x, W, y, **options)
    close(linear_cross_entropy(x, W, y, memory_budget=needed, **options), want)
    with pytest.raises(OptionError):
        linear_cross_entropy(x, W, y, memory_budget=needed * 9 // 10, **options)


@pytest.mark.parametrize(
    ("text", "number"),
    [("64MB", 64 * 10**6), ("512KiB", 2**19), ("1gb", 10**9), (" 1.5 MiB", 3 * 2**19), (7, 7)],
)
def test_budgets_in_bytes(text: Any, number: int) -> None:
    assert number_of_bytes(text) == number


@pytest.mark.parametrize("budget", ["", "MB", "64 apples", "-3MB", 0, -1, "0.1", "1e3MB"])
def test_budgets_without_a_meaning(budget: Any) -> None:
    with pytest.raises(OptionError, match=r"^memory_budget must be"):
        number_of_bytes(budget)


@pytest.mark.parametrize("budget", [None, 1.5, True, [1]])
def test_budgets_of_a_wrong_type(budget: Any) -> None:
    with pytest.raises(TypeError, match=r"^memory_budget must be"):
        number_of_bytes(budget)


@pytest.mark.parametrize(
    ("budget", "options"), [(2 * 10**6, {}), (6 * 10**6, {"softcap": 5.0, "z_loss": 0.1})]
)
def test_memory_stays_within_the_budget(budget: int, options: dict[str, Any]) -> None:
    """Beyond the gradients: the budget, and a few numbers per row. All logits are 40 MB."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 32)).astype(np.float32)
    W = rng.normal(size=(5000, 32)).astype(np.float32)
    y = rng.integers(5000, size=2000)
    tracemalloc.start()
    with_grad(x, W, y, memory_budget=budget, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < budget + x.nbytes + W.nbytes + 200 * len(x)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_probabilities_are_not_copied_whole(dtype: Any) -> None:
    """They take 20 MB, in float32 40 MB."""
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(2000, 8)).astype(np.float32), np.ones((5000, 8), np.float32)
    q = np.full((2000, 5000), 1 / 5000).astype(dtype)
    budget = 8 * 10**6
    tracemalloc.start()
    linear_cross_entropy(x, W, q, memory_budget=budget)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The check of the target converts a block of it.
    assert peak < budget + 200 * len(x) + 9 * BLOCK


# --- ignored rows -----------------------------------------------------------------------------


def test_ignored_rows_take_part_in_no_product() -> None:
    x, W, _, y, _ = arguments("some ignored")
    x[y == -100] = np.nan
    loss, grads = with_grad(x, W, y, memory_budget=250)
    counts = y != -100
    want = truth(x[counts], W, None, y[counts])
    close(loss, want.loss)
    close(grads.input[counts], want.x)
    assert not grads.input[~counts].any()
    close(grads.linear_weight, want.W)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_all_rows_ignored(reduction: Any) -> None:
    x, W, b, y, _ = arguments("bias")
    loss, grads = with_grad(x, W, np.full_like(y, -100), linear_bias=b, reduction=reduction)
    want = {"mean": math.nan, "sum": 0.0, "none": np.zeros(ROWS)}[reduction]
    np.testing.assert_array_equal(loss, want)
    assert not any(grad.any() for grad in grads)
    if reduction == "mean":
        loss, grads = with_grad(x, W, np.full_like(y, -100), denominator=3.0)
        assert loss == 0
        assert not grads.linear_weight.any()


def test_no_rows() -> None:
    x, W = np.zeros((0, FEATURES)), np.ones((CLASSES, FEATURES))
    assert math.isnan(linear_cross_entropy(x, W, np.zeros(0, int)))
    assert linear_cross_entropy(x, W, np.zeros(0, int), reduction="none").shape == (0,)
    loss, grads = with_grad(x, W, np.zeros(0, int), reduction="sum")
    assert loss == 0
    assert grads.linear_weight.shape == W.shape
    assert not grads.linear_weight.any()


def test_total_weight_zero() -> None:
    x, W, _, y, _ = arguments("plain")
    loss, grads = with_grad(x, W, y, weight=np.zeros(CLASSES))
    assert math.isnan(loss)
    assert not grads.linear_weight.any()


# --- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_dtypes(dtype: Any) -> None:
    """Products of half types are computed in float32; each gradient is rounded once."""
    x, W, b, y, _ = arguments("bias")
    x, W, b = (array.astype(dtype) for array in (x, W, b))
    want = truth(*(array.astype(np.float64) for array in (x, W, b)), y)
    loss, grads = with_grad(x, W, y, linear_bias=b, memory_budget=150)
    assert loss.dtype == np.float32
    close(loss, want.loss, 2.0**-24)
    half_ulp = float(ml_dtypes.finfo(dtype).eps) / 2
    for grad, wanted in zip(grads, want[1:], strict=True):
        assert grad.dtype == dtype
        error = np.abs(grad.astype(np.float64) - wanted)
        assert (error <= 1.01 * half_ulp * np.abs(wanted) + 100 * 2.0**-24).all()


def test_integers_and_mixed_dtypes() -> None:
    x, W = np.array([[1, 2], [0, 1]]), np.array([[1, 0], [0, 1], [2, 2]], np.float32)
    loss, grads = with_grad(x, W, [0, 2])
    assert loss.dtype == np.float64
    assert (grads.input.dtype, grads.linear_weight.dtype) == (np.float64, np.float32)
    close(loss, truth(x, W, None, np.array([0, 2])).loss)


def test_layouts_and_nothing_overwritten() -> None:
    x, W, b, y, _ = arguments("bias")
    want = truth(x, W, b, y)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    transposed = np.asfortranarray(W)
    swapped = b.astype(">f8")
    for array in (x, W, b, y, strided, transposed, swapped):
        array.flags.writeable = False
    for one, two, three in [(strided, transposed, swapped), (x[::-1][::-1], W, b)]:
        loss, grads = with_grad(one, two, y, linear_bias=three, memory_budget=250)
        close(loss, want.loss)
        close(grads.input, want.x)
        close(grads.linear_weight, want.W)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", ">i4", "uint64"])
def test_label_dtypes(dtype: str) -> None:
    x, W, _, y, _ = arguments("plain")
    want = truth(x, W, None, y).loss
    close(linear_cross_entropy(x, W, y.astype(dtype), memory_budget=250), want)
    same = np.broadcast_to(np.array(y[0], dtype), y.shape)
    want = truth(x, W, None, np.full_like(y, y[0])).loss
    close(linear_cross_entropy(x, W, same, memory_budget=250), want)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": [0] * (ROWS - 1) + [13]}, LabelError, r"label of row 10 is 13, outside 0\.\.12"),
        ({"y": np.zeros(ROWS)}, LabelError, "dtype float64: pass integers"),
        ({"y": np.zeros(ROWS + 1, int)}, LabelError, r"target has shape \(12,\); input of shape"),
        ({"y": np.ones((ROWS, CLASSES))}, LabelError, "row 0 has 13 labels"),
        ({"x": np.zeros((ROWS, 5))}, ValueError, r"\(11, 5\) has 5 features.*\(13, 6\) has 6"),
        ({"x": 1.0}, ValueError, "got one number"),
        ({"x": np.zeros((ROWS, 6), complex)}, TypeError, "input must be real numbers"),
        ({"W": np.zeros(6)}, ValueError, r"must have shape \(classes, features\)"),
        ({"W": np.zeros((0, 6))}, ValueError, r"must have shape \(classes, features\)"),
        ({"linear_bias": np.zeros(3)}, ValueError, r"linear_bias has shape \(3,\)"),
        ({"weight": -np.ones(CLASSES)}, OptionError, r"weight\[0\] is -1\.0"),
        ({"reduction": "all"}, OptionError, "reduction must be one of"),
        ({"z_loss": -1.0}, OptionError, "z_loss must be a number ≥ 0, got -1.0"),
        ({"z_loss": math.nan}, OptionError, "z_loss must be"),
        ({"z_loss": "a"}, TypeError, "z_loss must be"),
        (
            {"softcap": 0},
            OptionError,
            r"softcap must be a number in \[1e-30, 1e30\] or None, got 0",
        ),
        ({"softcap": True}, TypeError, "softcap must be"),
        ({"skip_below": 1.0}, OptionError, r"skip_below must be a number in \[0, 1\)"),
        ({"skip_below": None}, TypeError, "skip_below must be"),
    ],
)
def test_errors_are_one_line(change: dict[str, Any], error: Any, message: str) -> None:
    x, W, _, y, _ = arguments("plain")
    given = {"x": x, "W": W, "y": y} | change
    with pytest.raises(error, match=message) as caught:
        linear_cross_entropy(given.pop("x"), given.pop("W"), given.pop("y"), **given)
    assert "\n" not in str(caught.value)


# --- options of the linear loss ---------------------------------------------------------------


def test_softcap_far_outside() -> None:
    """tanh rounds to ±1 there; its slope, 4·exp(−2|z/s|), does not round to 0."""
    x = np.array([[1.0]])
    W = np.array([[30.0], [-40.0], [1.0]])
    loss, grads = with_grad(x, W, [2], softcap=1.0)
    a = np.exp([1.0, -1.0, math.tanh(1.0)])
    a /= a.sum()
    slope = 1 / np.cosh(W[:, 0]) ** 2
    assert slope[0] < 1e-24
    np.testing.assert_allclose(
        grads.linear_weight[:, 0], (a - [0, 0, 1]) * slope, rtol=1e-13, atol=0
    )
    assert loss == pytest.approx(-math.log(a[2]), rel=1e-14)
    loss, grads = with_grad(np.float32(x), np.float32(W) * 1e10, [2], softcap=1.0)
    assert np.isfinite(grads.input).all()


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_skip_below_keeps_its_bound(reduction: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, FEATURES))
    W = 2 * rng.normal(size=(300, FEATURES))
    y = rng.integers(300, size=40)
    upstream = rng.normal(size=40) if reduction == "none" else 1.0
    f = np.abs(upstream) * np.ones(40) if reduction == "none" else np.full(40, 1 / 40)
    options: dict[str, Any] = {"reduction": reduction, "grad_output": upstream}
    options["memory_budget"] = 40000
    loss, exact = with_grad(x, W, y, linear_bias=np.zeros(300), **options)
    for p in (1e-6, 1e-3, 0.1):
        same, grads = with_grad(x, W, y, linear_bias=np.zeros(300), skip_below=p, **options)
        np.testing.assert_array_equal(same, loss)
        np.testing.assert_array_equal(grads.linear_bias, exact.linear_bias)
        off = np.abs(grads.input - exact.input)
        assert (off <= f[:, None] * p * np.abs(W).sum(0) + 1e-14).all()
        off = np.abs(grads.linear_weight - exact.linear_weight)
        assert (off <= p * (f[:, None] * np.abs(x)).sum(0) + 1e-14).all()
        if p >= 1e-3:  # something is skipped
            assert off.max() > 1e-9


def test_skip_below_keeps_nan() -> None:
    x, W, _, y, _ = arguments("plain")
    x[3, 0] = np.nan
    _, grads = with_grad(x, W, y, skip_below=0.1)
    assert np.isnan(grads.input[3]).all()
    assert np.isnan(grads.linear_weight[:, 0]).all()
    assert not np.isnan(grads.input[:3]).any()


@pytest.mark.parametrize(
    "name", ["bias", "one-based", "softcap", "some ignored, none", "weights", "soft"]
)
def test_scores(name: str) -> None:
    x, W, b, y, options = arguments(name)
    loss, scores = linear_cross_entropy(
        x, W, y, linear_bias=b, **options, memory_budget=12 * ONE_ROW, return_scores=True
    )
    close(loss, truth(x, W, b, y, **options).loss)
    z = x @ W.T + (0 if b is None else b)
    if "softcap" in options:
        z = options["softcap"] * np.tanh(z / options["softcap"])
    options = {n: v for n, v in options.items() if n not in ("softcap", "reduction")}
    want = softmaxloss.score(z, y, **options)
    counts = (y != -100) if y.ndim == 1 else np.ones(len(y), bool)
    for got, wanted in zip(scores, want, strict=True):
        np.testing.assert_allclose(got[counts], wanted[counts], rtol=1e-12)
    for row, of_ignored in zip(scores, (0, 0, -1, 0, 0, 0), strict=True):
        assert (row[~counts] == of_ignored).all()


def test_the_loss_of_scores_has_the_z_loss() -> None:
    x, W, _, y, options = arguments("z_loss")
    _, scores = linear_cross_entropy(x, W, y, **options, return_scores=True)
    options["reduction"] = "none"
    assert np.array_equal(scores.loss, linear_cross_entropy(x, W, y, **options))


def test_scores_of_one_row() -> None:
    x, W, _, _, _ = arguments("soft", ())
    _, scores = linear_cross_entropy(x, W, 3, return_scores=True)
    assert scores.loss == linear_cross_entropy(x, W, 3)
    assert scores.rank.shape == ()
