"""`check` of losses with options, of layers, and of what frameworks derive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import softmaxloss
from softmaxloss.checking import BANK, check
from softmaxloss.checking.optional import RIGHT_WITH, Losses, plain

DTYPES = [np.float64, np.float32]

WITH_OPTIONS = [m for m in BANK.values() if m.wrong]


def reduced(parts: Losses, reduction: str) -> Any:
    """The loss and the gradient."""
    if reduction == "none":
        return parts.losses, parts.slopes
    divisor = parts.divisor if reduction == "mean" else 1.0
    with np.errstate(all="ignore"):
        slopes = np.where(parts.slopes == 0, 0.0, parts.slopes / divisor)
        return parts.losses.sum() / divisor + parts.penalty, slopes + parts.penalty_slopes


def with_option(about: str, wrong: Any, part: str) -> Any:
    """A loss with this option, which is wrong so."""

    def function(z: Any, y: Any, value: Any, reduction: str) -> Any:
        ignored = y == value if about == "ignore_index" else np.zeros(len(y), bool)
        if (((y < 0) | (y >= z.shape[1])) & ~ignored).any():
            raise ValueError("no such class")
        loss, slope = reduced((plain if value is None else wrong)(z, y, value), reduction)
        loss, slope = np.asarray(loss, z.dtype), np.asarray(slope, z.dtype)
        return {"loss": loss, "gradient": slope, "loss+gradient": (loss, slope)}[part]

    def weight(z: Any, y: Any, weight: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, weight, reduction)

    def ignore_index(z: Any, y: Any, ignore_label: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, ignore_label, reduction)

    def smoothing(z: Any, y: Any, label_smoothing: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, label_smoothing, reduction)

    return {"weight": weight, "ignore_index": ignore_index, "label_smoothing": smoothing}[about]


# In a gradient that comes alone; docs/check.md says so.
NOT_TOLD_APART = {
    "weight-unused": {"weight-not-in-the-gradient", "weight-inside-the-log"},
    "smoothing-unused": {"smoothing-not-in-the-gradient"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", ["loss", "gradient", "loss+gradient"])
def test_every_mistake_with_an_option_is_found_and_named(part: Any, dtype: Any) -> None:
    of_both = {"loss": set(), "gradient": set(), "loss+gradient": set()}  # type: ignore[var-annotated]
    for mistake in WITH_OPTIONS:
        if mistake.about not in ("weight", "ignore_index", "label_smoothing"):
            continue
        for wrong in mistake.wrong:
            for seed in range(3):
                function = with_option(mistake.about, wrong, part)
                report = check(function, part, dtype=dtype, seed=seed)
                if not report.mistakes:
                    assert report.verdict == "right"
                    continue
                (finding,) = report.findings
                of_both[part] |= {m.id for m in (*finding.mistakes, *finding.others)}
                assert mistake in (*finding.mistakes, *finding.others), str(report)
                known = NOT_TOLD_APART if part == "gradient" else {}
                assert {m.id for m in finding.others} == known.get(finding.mistakes[0].id, set())
                assert report.verdict == ("wrong" if mistake.kind == "mistake" else "right")
    named = {m.id for m in WITH_OPTIONS if m.about in ("weight", "ignore_index", "label_smoothing")}
    of_gradient_alone = {id for id in named if "gradient" in id}
    assert of_both[part] == (named - of_gradient_alone if part == "loss" else named)


@pytest.mark.parametrize("about", ["weight", "ignore_index", "label_smoothing"])
def test_right_options_are_not_accused(about: str) -> None:
    for seed in range(60):
        for part in ("loss", "gradient", "loss+gradient"):
            function = with_option(about, RIGHT_WITH[about], part)
            report = check(function, part, dtype=DTYPES[seed % 2], seed=seed)  # type: ignore[arg-type]
            assert report.verdict == "right", str(report)
            assert report.mistakes == []


def test_ours_and_pytorchs_options() -> None:
    """Each as a whole, with all of its options."""
    for dtype in DTYPES:
        for function in (softmaxloss.cross_entropy, torch.nn.functional.cross_entropy):
            report = check(function, dtype=dtype)
            assert report.verdict == "right", str(report)
            # PyTorch multiplies the gradient of ignored rows by 0, and 0 · NaN is NaN.
            theirs = function is torch.nn.functional.cross_entropy
            assert report.mistakes == (["ignored-rows-times-zero"] if theirs else [])
            names = {check.name for check in report.checks}
            assert {"weight", "ignore_index, all", "label_smoothing", "reduction='none'"} <= names
        assert {"upstream", "upstream of each", "bfloat16", "label -1", "label C"} <= names


def test_a_reduction_that_is_not_used() -> None:
    def loss(z: Any, y: Any, reduction: str = "mean") -> Any:
        return plain(z, y).losses.mean()

    assert check(loss).mistakes == ["reduction-unused", "negative-label-accepted"]

    def reversed(z: Any, y: Any, reduction: str = "mean") -> Any:
        losses = plain(z, y).losses
        return losses.mean() if reduction != "sum" else losses.sum() * 2

    report = check(reversed)
    assert report.verdict == "wrong"
    assert "reduction: wrong, and none of the mistakes" in str(report)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_from_above(reduction: str, dtype: Any) -> None:
    """Planted in the backward of a function of torch."""

    def with_backward(wrong: Any) -> Any:
        class Loss(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, z: Any, y: Any) -> Any:
                ctx.save_for_backward(z, y)
                loss, _ = reduced(plain(z.numpy(), y.numpy()), reduction)
                return torch.tensor(loss).to(z.dtype)

            @staticmethod
            def backward(ctx: Any, above: Any) -> Any:
                z, y = (t.numpy() for t in ctx.saved_tensors)
                each = np.broadcast_to(above.numpy(), y.shape)
                _, slope = reduced(wrong(z, y, each), reduction)
                return torch.tensor(slope).to(ctx.saved_tensors[0].dtype), None

        return lambda z, y: Loss.apply(z, y)

    allowed = {"sum", "gradient-of-the-sum", "a-loss-for-each", "negative-label-accepted"}
    right = check(with_backward(RIGHT_WITH["upstream"]), dtype=dtype)
    assert right.verdict == "right", str(right)
    assert set(right.mistakes) <= allowed
    for id in ("upstream-unused", "upstream-as-one-scalar"):
        for wrong in BANK[id].wrong:
            if reduction != "none" and id == "upstream-as-one-scalar":
                continue  # a scalar is right there
            assert id in check(with_backward(wrong), dtype=dtype).mistakes


def test_a_sum_in_half_precision() -> None:
    def loss(z: Any, y: Any) -> Any:
        losses = torch.nn.functional.cross_entropy(z, y, reduction="none")
        if z.dtype == torch.bfloat16:
            (wrong,) = BANK["half-precision-sum"].wrong
            losses = torch.tensor(wrong(z.detach().float().numpy(), y.numpy(), None).losses)
        return losses.mean().to(z.dtype)

    report = check(loss)
    assert report.mistakes == ["half-precision-sum"], str(report)
    assert report.verdict == "wrong"


def test_what_is_computed_in_float32() -> None:
    def loss(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(z.float(), y).double()

    assert check(loss).mistakes == ["computed-in-float32"]
    assert check(loss).verdict == "right"
    assert check(loss, dtype=np.float32).mistakes == []
    assert check(lambda z, y: -loss(z, y)).mistakes == ["no-minus", "computed-in-float32"]
    assert check(lambda z, y: loss(z, y) * 1.00001).verdict == "wrong"


def test_labels_that_are_none() -> None:
    def clipped(z: Any, y: Any) -> Any:
        return plain(z, np.clip(y, 0, z.shape[1] - 1)).losses.mean()

    report = check(clipped)
    assert report.verdict == "right"
    assert set(report.mistakes) == {"negative-label-accepted", "label-out-of-range-accepted"}
    assert check(clipped, strict=True).verdict == "wrong"


def test_a_derived_gradient_is_not_accused_beside_its_loss() -> None:
    """Whatever the mistake in the loss: it has one name."""

    def minus_z(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(-z, y)

    def twice(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.softmax(z, 1), y)

    def brier(z: Any, y: Any) -> Any:
        q = torch.nn.functional.one_hot(y, z.shape[1])
        return ((torch.softmax(z, 1) - q) ** 2).sum(1).mean()

    assert check(minus_z).mistakes == ["exp-minus-z"]
    assert check(twice).mistakes == ["softmax-twice"]
    assert check(brier).mistakes == ["squared-error"]
    (finding,) = check(lambda z, y: 1.01 * torch.nn.functional.cross_entropy(z, y)).findings
    assert finding.part == "loss"


# --- the layer with its loss, as courses have it --------------------------------------------------


def layer(W: Any, X: Any, y: Any, reg: float) -> Any:
    z = X @ W
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    slope = np.exp(log_a)
    slope[np.arange(len(y)), y] -= 1
    loss = -log_a[np.arange(len(y)), y].mean() + reg * (W * W).sum()
    return loss, X.T @ slope / len(y) + 2 * reg * W


def layer_in_columns(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W.T, X.T, y, reg)
    return loss, slope.T


def half(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / 2, slope + reg * W


def no_reg(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, 0.0)


def reg_of_n(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / len(y), slope + 2 * reg * W / len(y)


def lasso(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * abs(W).sum(), slope + reg * np.sign(W)


def without_bias(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    slope[:-1] += 2 * reg * W[:-1]
    return loss + reg * (W[:-1] ** 2).sum(), slope


def by_name(X: Any, y: Any, W: Any, lam: float = 0.0) -> Any:
    return layer(W, X, y, lam)


def without_reg(W: Any, X: Any, y: Any) -> Any:
    return layer(W, X, y, 0.0)


def loss_alone(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg)[0]


def transposed(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, reg)
    return loss, slope.T


def reg_not_in_gradient(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg)[0], layer(W, X, y, 0.0)[1]


def not_transposed(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), abs(X).T @ (X @ slope) + 2 * reg * W


def not_divided(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), slope * len(y) + 2 * reg * W


@pytest.mark.parametrize(
    ("function", "form", "mistakes", "verdict"),
    [
        (layer, "W an array (D, C), X (N, D)", [], "right"),
        (layer_in_columns, "W an array (C, D), X (D, N)", [], "right"),
        (half, "W an array (D, C), X (N, D)", ["half-regularisation"], "right"),
        (no_reg, "W an array (D, C), X (N, D)", ["no-regularisation"], "wrong"),
        (reg_of_n, "W an array (D, C), X (N, D)", ["regularisation-over-n"], "right"),
        (without_bias, "W an array (D, C), X (N, D)", ["bias-not-regularised"], "right"),
        (by_name, "f(X, y, W, reg) with W an array (D, C), X (N, D)", [], "right"),
        (without_reg, "f(W, X, y) with W an array (D, C), X (N, D)", [], "right"),
        (loss_alone, "W an array (D, C), X (N, D)", [], "right"),
        (transposed, "W an array (D, C), X (N, D)", [], "wrong"),
        (lasso, "W an array (D, C), X (N, D)", ["regularisation-wrong"], "wrong"),
        (reg_not_in_gradient, "W an array (D, C), X (N, D)", ["regularisation-gradient"], "wrong"),
        (not_transposed, "W an array (D, C), X (N, D)", [], "wrong"),
        (
            not_divided,
            "W an array (D, C), X (N, D)",
            ["gradient-not-divided"],
            "wrong",
        ),
    ],
)
def test_a_layer_and_its_loss(function: Any, form: str, mistakes: list[str], verdict: str) -> None:
    for seed in range(5):
        report = check(function, seed=seed)
        assert form in str(report.form)
        assert report.mistakes == mistakes
        assert report.verdict == verdict


def test_frameworks() -> None:
    def loss(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(z, y)

    for function in (loss, torch.nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(reduction="sum")):
        report = check(function)
        assert report.verdict == "right", str(report)
        assert report.parts == ("loss", "gradient")

    def wrong(z: Any, y: Any) -> Any:
        return torch.nn.functional.nll_loss(torch.softmax(z, 1), y)

    assert check(wrong).mistakes[0] == "minus-probability"

    def twice(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.softmax(z, 1), y)

    assert "softmax-twice" in check(twice).mistakes
