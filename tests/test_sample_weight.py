"""`sample_weight` on arrays: rows that count more or less, against sums row by row."""

from __future__ import annotations

import itertools
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import truth
from numpy.typing import NDArray

from softmaxloss import (
    LabelError,
    OptionError,
    cross_entropy,
    cross_entropy_with_grad,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    score,
)
from softmaxloss.options import sample_weights

Array = NDArray[Any]
ROWS, CLASSES = 40, 7
OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1},
    {"weight": np.array([0.5, 2.0, 1.0, 0.0, 3.0, 0.1, 1.0])},
    {"weight": np.linspace(0.1, 2, CLASSES), "label_smoothing": 0.3},
]
TARGETS = ["index", "ignored", "soft"]


def example(target: str, dtype: str = "float64") -> tuple[Array, Array, Array]:
    """Logits, a target and sample weights, some of them 0."""
    rng = np.random.default_rng(len(target))
    z = rng.normal(0, 3, (ROWS, CLASSES)).astype(dtype)
    y: Array = rng.integers(CLASSES, size=ROWS)
    if target == "ignored":
        y[::3] = -100
    if target == "soft":
        y = rng.dirichlet(np.ones(CLASSES), ROWS).astype(dtype)
    s = rng.uniform(0, 3, ROWS)
    s[1::5] = 0.0
    return z, y, s


def row_by_row(z: Array, y: Array, s: Array, **options: Any) -> tuple[Array, Array]:
    """The losses and gradients without sample weights, each times its own."""
    losses, grads = cross_entropy_with_grad(z, y, reduction="none", **options)
    return losses * s, grads * s[:, None]


def divisor_of(y: Array, s: Array, weight: Array | None) -> float:
    if y.ndim == 2:
        return math.fsum(s)
    w = np.ones(CLASSES) if weight is None else weight
    return math.fsum(s_i * w[y_i] for s_i, y_i in zip(s, y, strict=True) if y_i != -100)


# --- the numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "default")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_each_row_times_its_weight(reduction: Any, target: str, options: dict[str, Any]) -> None:
    z, y, s = example(target)
    losses, grads = row_by_row(z, y, s, **options)
    divisor = divisor_of(y, s, options.get("weight")) if reduction == "mean" else 1.0
    want = losses if reduction == "none" else math.fsum(losses) / divisor
    loss, grad = cross_entropy_with_grad(z, y, sample_weight=s, reduction=reduction, **options)
    np.testing.assert_allclose(loss, want, rtol=1e-14)
    np.testing.assert_allclose(grad, grads / divisor, rtol=1e-13, atol=1e-17)
    alone = cross_entropy(z, y, sample_weight=s, reduction=reduction, **options)
    assert np.asarray(alone).tobytes() == np.asarray(loss).tobytes()


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "default")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_within_the_goals_of_50_digits(dtype: str, target: str, options: dict[str, Any]) -> None:
    z, y, s = example(target, dtype)
    s[:3] = 1e-30, 1e30, 2.0**-60
    wanted = truth.cross_entropy(z, y, sample_weight=s, reduction="none", **options)
    loss, grad = cross_entropy_with_grad(z, y, sample_weight=s, reduction="none", **options)
    ulps = {"float32": 2.0, "float64": 4.0}[dtype]
    assert np.all(truth.ulps(loss, wanted.loss, dtype) <= ulps)
    several = target == "soft" or "label_smoothing" in options
    of = wanted.size if several else None
    assert np.all(truth.ulps(grad, wanted.grad, dtype, of=of) <= ulps)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "default")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_weight_of_k_is_the_row_k_times(
    reduction: Any, target: str, options: dict[str, Any]
) -> None:
    z, y, _ = example(target)
    times = np.arange(ROWS) % 4
    repeated = np.repeat(np.arange(ROWS), times)
    loss, grad = cross_entropy_with_grad(z, y, sample_weight=times, reduction=reduction, **options)
    want, wanted = cross_entropy_with_grad(z[repeated], y[repeated], reduction=reduction, **options)
    assert loss == pytest.approx(want, rel=1e-14)
    summed = np.zeros_like(z)
    np.add.at(summed, repeated, wanted)
    np.testing.assert_allclose(grad, summed, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_1_change_no_bit(reduction: Any, target: str) -> None:
    for dtype in ("float32", "float64"):
        z, y, _ = example(target, dtype)
        got = cross_entropy_with_grad(z, y, sample_weight=np.ones(ROWS), reduction=reduction)
        want = cross_entropy_with_grad(z, y, reduction=reduction)
        for a, b in zip(got, want, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_beside_upstream_gradients() -> None:
    z, y, s = example("ignored")
    upstream = np.random.default_rng(1).normal(size=ROWS)
    _, grad = cross_entropy_with_grad(z, y, sample_weight=s, reduction="none", grad_output=upstream)
    wanted = row_by_row(z, y, s)[1] * upstream[:, None]
    np.testing.assert_allclose(grad, wanted, rtol=1e-14)


def test_with_a_denominator() -> None:
    z, y, s = example("index")
    loss, grad = cross_entropy_with_grad(z, y, sample_weight=s, denominator=7.0)
    losses, grads = row_by_row(z, y, s)
    assert loss == pytest.approx(math.fsum(losses) / 7, rel=1e-14)
    np.testing.assert_allclose(grad, grads / 7, rtol=1e-14)


@pytest.mark.parametrize("multi_label", ["sum", "mean"])
def test_beside_several_labels(multi_label: Any) -> None:
    z, _, s = example("index")
    y = (np.random.default_rng(2).random(z.shape) < 0.4).astype(np.int8)
    y[:, 0] = 1
    losses, grads = row_by_row(z, y, s, multi_label=multi_label)
    loss, grad = cross_entropy_with_grad(z, y, sample_weight=s, multi_label=multi_label)
    assert loss == pytest.approx(math.fsum(losses) / math.fsum(s), rel=1e-14)
    np.testing.assert_allclose(grad, grads / math.fsum(s), rtol=1e-13, atol=1e-17)


# --- shapes and types -------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("layout", ["C", "F", "every other"])
def test_a_weight_for_each_example_counts_for_all_its_positions(
    layout: str, soft: bool, reduction: Any
) -> None:
    rng = np.random.default_rng(3)
    shape = (4, 5, 3, 2)
    z = rng.normal(size=shape)
    if layout == "every other":
        z = np.repeat(z, 2, axis=-1)[..., ::2]
    z = np.asarray(z, order="F" if layout == "F" else "K")  # type: ignore[call-overload]
    y: Array = rng.integers(5, size=(4, 3, 2))
    if soft:
        y = np.moveaxis(rng.dirichlet(np.ones(5), (4, 3, 2)), -1, 1)
    s = np.array([0.5, 0.0, 2.0, 1.25])
    each = np.broadcast_to(s[:, None, None], (4, 3, 2))
    got = cross_entropy_with_grad(z, y, sample_weight=s, reduction=reduction)
    same = cross_entropy_with_grad(z, y, sample_weight=each, reduction=reduction)
    losses, grads = cross_entropy_with_grad(z, y, reduction="none")
    want, wanted = losses * each, grads * each[:, None]
    if reduction == "mean":
        want, wanted = want.sum() / each.sum(), wanted / each.sum()
    for loss, grad in (got, same):
        np.testing.assert_allclose(loss, want, rtol=1e-14)
        np.testing.assert_allclose(grad, wanted, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize(
    "dtype", ["float64", ">f8", "float32", "float16", ml_dtypes.bfloat16, "int64", "uint8"]
)
def test_weights_of_any_dtype_and_layout(dtype: Any) -> None:
    z, y, _ = example("index")
    s = np.arange(ROWS) % 5
    want = cross_entropy(z, y, sample_weight=s.astype(float))
    given = s.astype(dtype)
    misaligned = np.frombuffer(b"-" + given.tobytes(), given.dtype, offset=1)
    strided = np.repeat(given, 2)[::2]
    for values in (given, misaligned, strided, given[::-1].copy()[::-1]):
        assert cross_entropy(z, y, sample_weight=values) == want
    assert cross_entropy(z, y, sample_weight=s.tolist()) == want


@pytest.mark.parametrize(
    ("logits", "target", "sample_weight", "error", "message"),
    [
        (
            (2, 3),
            (2,),
            2.0,
            OptionError,
            "sample_weight has shape (); these examples need shape (2,)",
        ),
        (
            (3,),
            (),
            [1.0],
            OptionError,
            "sample_weight has shape (1,); these examples need shape ()",
        ),
        (
            (2, 3, 4),
            (2, 4),
            [[1.0], [1.0]],
            OptionError,
            "sample_weight has shape (2, 1); these examples need shape (2, 4) or (2,)",
        ),
        (
            (2, 3, 4),
            (2, 4),
            [[1, 1, 1, 1], [1, 1, -1, math.inf]],
            OptionError,
            "sample_weight[1, 2] is -1.0; weights must be finite and not negative",
        ),
        (
            (2, 3, 4),
            (2, 4),
            [1, math.inf],
            OptionError,
            "sample_weight[1] is inf; weights must be finite and not negative",
        ),
        (
            (3,),
            (),
            math.nan,
            OptionError,
            "sample_weight is nan; weights must be finite and not negative",
        ),
        (
            (2, 3),
            (2,),
            [True, False],
            TypeError,
            "sample_weight must be real numbers, got dtype bool",
        ),
        (
            (2, 3),
            (2,),
            [[1.0], [1.0, 2.0]],
            OptionError,
            "sample_weight is not one rectangular array: its rows differ in length",
        ),
    ],
)
def test_what_has_no_meaning(
    logits: Any, target: Any, sample_weight: Any, error: Any, message: str
) -> None:
    z, y = np.zeros(logits), np.zeros(target, int)
    out = np.full(logits, 7.0)
    for call in (
        lambda: cross_entropy(z, y, sample_weight=sample_weight),
        lambda: cross_entropy_with_grad(z, y, sample_weight=sample_weight, out=out),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message
    assert np.all(out == 7.0), "nothing is written before an error"


def test_a_misspelled_name() -> None:
    for name, meant in [("sample_weights", "sample_weight"), ("class_weight", "weight")]:
        with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
            cross_entropy([[0.0, 1.0]], [0], **{name: [1.0]})  # type: ignore[call-overload]


def test_no_rows() -> None:
    for s in (np.zeros(0), []):
        assert math.isnan(cross_entropy(np.zeros((0, 3)), np.zeros(0, int), sample_weight=s))
    assert sample_weights([], (0, 4)).shape == (0,)  # type: ignore[union-attr]


def test_logits_that_are_copied_block_by_block() -> None:
    """Byte-swapped ones are, and these are more than one block."""
    z = np.random.default_rng(4).normal(size=(3, 900, 1000)).astype(">f4")
    y = np.random.default_rng(5).integers(900, size=(3, 1000))
    s = np.random.default_rng(6).uniform(0, 2, (3, 1000))
    want = cross_entropy_with_grad(z.astype("f4"), y, sample_weight=s)
    got = cross_entropy_with_grad(z, y, sample_weight=s)
    for a, b in zip(got, want, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# --- rows that do not count -------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "default")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_logits_of_a_row_with_weight_0_do_not_matter(
    zero: float, target: str, options: dict[str, Any], bad: float
) -> None:
    z, y, s = example(target)
    s[s == 0] = zero
    unused = s == 0
    want, wanted = cross_entropy_with_grad(z, y, sample_weight=s, **options)
    z[unused] = bad
    for upstream in (1.0, math.inf):
        loss, grad = cross_entropy_with_grad(z, y, sample_weight=s, grad_output=upstream, **options)
        assert loss == want
        assert grad[unused].tobytes() == bytes(8 * grad[unused].size), "+0 everywhere"
        if upstream == 1.0:
            np.testing.assert_array_equal(grad, wanted)
    losses = cross_entropy(z, y, sample_weight=s, reduction="none", **options)
    assert losses[unused].tobytes() == bytes(8 * unused.sum())


@pytest.mark.parametrize("target", TARGETS)
def test_no_row_counts(target: str) -> None:
    z, y, s = example(target)
    for zeros in (np.zeros(ROWS), np.where(np.asarray(y).reshape(ROWS, -1)[:, 0] == -100, s, 0.0)):
        loss, grad = cross_entropy_with_grad(z, y, sample_weight=zeros)
        assert math.isnan(loss)
        assert not grad.any()
        assert cross_entropy(z, y, sample_weight=zeros, reduction="sum") == 0
        assert cross_entropy(z, y, sample_weight=zeros, denominator=3.0) == 0


def test_labels_are_checked_in_rows_with_weight_0() -> None:
    z, y, s = example("index")
    y[1] = CLASSES
    assert s[1] == 0
    with pytest.raises(LabelError, match=f"the label of row 1 is {CLASSES}"):
        cross_entropy(z, y, sample_weight=s)
    q = np.full((ROWS, CLASSES), 0.5)
    with pytest.raises(LabelError, match=r"the target of row 0 sums to 3\.5"):
        cross_entropy(z, q, sample_weight=np.zeros(ROWS))


# --- the linear loss --------------------------------------------------------------------------


def layer(target: str) -> tuple[Array, Array, Array, Array]:
    """Input, weight of the layer, target, and sample weights."""
    _, y, s = example(target)
    rng = np.random.default_rng(8)
    return rng.normal(size=(ROWS, 4)), rng.normal(size=(CLASSES, 4)), y, s


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.3, "softcap": 2.0}], ids=str)
@pytest.mark.parametrize("budget", [400, "64MB"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_linear_a_weight_of_k_is_the_row_k_times(
    reduction: Any, target: str, budget: Any, options: dict[str, Any]
) -> None:
    """The whole loss of a row counts, the part of z_loss included."""
    x, W, y, _ = layer(target)
    budget = "10KB" if options and budget == 400 else budget
    times = np.arange(ROWS) % 4
    repeated = np.repeat(np.arange(ROWS), times)
    options = {**options, "reduction": reduction, "memory_budget": budget}
    loss, grads = linear_cross_entropy_with_grad(x, W, y, sample_weight=times, **options)
    want, wanted = linear_cross_entropy_with_grad(x[repeated], W, y[repeated], **options)
    assert loss == pytest.approx(want, rel=1e-13)
    np.testing.assert_allclose(grads.linear_weight, wanted.linear_weight, rtol=1e-11, atol=1e-14)
    summed = np.zeros_like(x)
    np.add.at(summed, repeated, wanted.input)
    np.testing.assert_allclose(grads.input, summed, rtol=1e-11, atol=1e-14)
    assert linear_cross_entropy(x, W, y, sample_weight=times, **options) == loss


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("budget", [400, "64MB"])
def test_linear_rows_with_weight_0_take_part_in_no_product(budget: Any, target: str) -> None:
    x, W, y, s = layer(target)
    counts = s != 0
    options: dict[str, Any] = {"memory_budget": budget}
    want, wanted = linear_cross_entropy_with_grad(
        x[counts], W, y[counts], sample_weight=s[counts], **options
    )
    x[~counts] = np.nan
    loss, grads = linear_cross_entropy_with_grad(x, W, y, sample_weight=s, **options)
    assert loss == pytest.approx(want, rel=1e-14)
    np.testing.assert_allclose(grads.linear_weight, wanted.linear_weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(grads.input[counts], wanted.input, rtol=1e-12, atol=1e-15)
    assert not grads.input[~counts].any()


def test_linear_scores_are_those_of_score() -> None:
    x, W, y, s = layer("ignored")
    _, got = linear_cross_entropy(x, W, y, sample_weight=s, return_scores=True)
    want = score(x @ W.T, y, sample_weight=s)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("lead", [(), (3,), (3, 4), (2, 3, 2)])
def test_linear_shapes(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(9)
    x, W = rng.normal(size=(*lead, 4)), rng.normal(size=(CLASSES, 4))
    y = rng.integers(CLASSES, size=lead)
    losses = linear_cross_entropy(x, W, y, reduction="none")
    for shape in {lead, lead[:1]}:
        s = rng.uniform(0, 2, shape)
        got = linear_cross_entropy(x, W, y, sample_weight=s, reduction="none")
        want = losses * s.reshape((*shape, *[1] * (len(lead) - len(shape))))
        np.testing.assert_allclose(got, want, rtol=1e-14)
    with pytest.raises(OptionError, match=r"^sample_weight has shape \(9,\); these examples need"):
        linear_cross_entropy(x, W, y, sample_weight=np.ones(9))


def test_linear_soft_targets_stay_within_the_budget() -> None:
    """Where some rows do not count, those of the target that do are gathered block by block."""
    x, W, y, s = layer("soft")
    with pytest.raises(OptionError, match=f"does not hold one row of {CLASSES} logits"):
        linear_cross_entropy(x, W, y, sample_weight=s, memory_budget=8 * CLASSES * 3 // 2)
    linear_cross_entropy(x, W, y, memory_budget=8 * CLASSES * 3 // 2)


def test_the_same_loss_of_logits_and_of_the_layer() -> None:
    x, W, _, s = layer("index")
    for target, smoothing in itertools.product(TARGETS, (0.0, 0.2)):
        y = layer(target)[2]
        options = {"sample_weight": s, "label_smoothing": smoothing}
        want = cross_entropy(x @ W.T, y, **options)
        assert linear_cross_entropy(x, W, y, **options) == pytest.approx(want, rel=1e-14)
