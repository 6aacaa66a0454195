"""`check` of losses with options, of layers, and of what frameworks derive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.planted import seeds

import softmaxloss
from softmaxloss import check
from softmaxloss.checking import BANK, Mistake
from softmaxloss.checking.reference import WITH_OPTION, LossParts, plain

DTYPES = [np.float64, np.float32]

WITH_OPTIONS = [m for m in BANK.values() if m.wrong]


def reduced(parts: LossParts, reduction: str) -> Any:
    """The loss and the gradient."""
    if reduction == "none":
        return parts.losses, parts.gradients
    divisor = parts.divisor if reduction == "mean" else 1.0
    with np.errstate(all="ignore"):
        gradient = np.where(parts.gradients == 0, 0.0, parts.gradients / divisor)
        return parts.losses.sum() / divisor, gradient


def with_option(about: str, wrong: Any, part: str) -> Any:
    """A loss with this option, wrong in this way."""

    def function(z: Any, y: Any, value: Any, reduction: str) -> Any:
        ignored = y == value if about == "ignore_index" else np.zeros(len(y), bool)
        if (((y < 0) | (y >= z.shape[1])) & ~ignored).any():
            raise ValueError("no such class")
        loss, gradient = reduced((plain if value is None else wrong)(z, y, value), reduction)
        loss, gradient = np.asarray(loss, z.dtype), np.asarray(gradient, z.dtype)
        return {"loss": loss, "gradient": gradient, "loss+gradient": (loss, gradient)}[part]

    def weight(z: Any, y: Any, weight: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, weight, reduction)

    def ignore_index(z: Any, y: Any, ignore_label: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, ignore_label, reduction)

    def smoothing(z: Any, y: Any, label_smoothing: Any = None, reduction: str = "mean") -> Any:
        return function(z, y, label_smoothing, reduction)

    return {"weight": weight, "ignore_index": ignore_index, "label_smoothing": smoothing}[about]


# In a gradient that is returned alone, as docs/check.md says.
NOT_TOLD_APART = {
    "weight-unused": {"weight-not-in-the-gradient", "weight-inside-the-log"},
    "smoothing-unused": {"smoothing-not-in-the-gradient"},
    "label-smoothing-over-the-others": {"smoothing-less-entropy"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", ["loss", "gradient", "loss+gradient"])
@pytest.mark.parametrize(
    "mistake",
    [m for m in WITH_OPTIONS if m.about in ("weight", "ignore_index", "label_smoothing")],
    ids=lambda mistake: mistake.id,
)
def test_a_mistake_with_an_option_is_found_and_named(
    mistake: Mistake, part: Any, dtype: Any
) -> None:
    found = False
    for wrong in mistake.wrong:
        for seed in range(3):
            report = check(with_option(mistake.about, wrong, part), part, dtype=dtype, seed=seed)
            if not report.mistakes:
                assert report.verdict == "right"
                continue
            found = True
            (finding,) = report.findings
            assert mistake in (*finding.mistakes, *finding.others), str(report)
            known = NOT_TOLD_APART if part == "gradient" else {}
            assert {m.id for m in finding.others} == known.get(finding.mistakes[0].id, set())
            assert report.verdict == ("wrong" if mistake.kind == "mistake" else "right")
    assert found == (part != "loss" or "gradient" not in mistake.id)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(4), id="4-seeds"),
        pytest.param(range(4, 60), id="60-seeds", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("part", ["loss", "gradient", "loss+gradient"])
@pytest.mark.parametrize("about", ["weight", "ignore_index", "label_smoothing"])
def test_a_right_option_is_not_accused(about: str, part: Any, seeds: range) -> None:
    for seed in seeds:
        function = with_option(about, WITH_OPTION[about], part)
        report = check(function, part, dtype=DTYPES[seed % 2], seed=seed)
        assert report.verdict == "right", str(report)
        assert report.mistakes == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "mistakes"),
    [
        (softmaxloss.cross_entropy, []),
        # PyTorch multiplies the gradient of ignored rows by 0, and 0 · NaN is NaN.
        (torch.nn.functional.cross_entropy, ["ignored-rows-times-zero"]),
    ],
    ids=["softmaxloss", "torch"],
)
def test_a_library_with_all_its_options(function: Any, mistakes: list[str], dtype: Any) -> None:
    report = check(function, dtype=dtype)
    assert report.verdict == "right", str(report)
    assert report.mistakes == mistakes
    names = {check.name for check in report.checks}
    assert {"weight", "ignore_index, all", "label_smoothing", "reduction='none'"} <= names
    if function is torch.nn.functional.cross_entropy:
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
    assert "reduction: wrong, but not one of the known mistakes" in str(report)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_upstream_gradient(reduction: str, dtype: Any) -> None:
    """Planted in the backward of a function of torch."""

    def with_backward(wrong: Any) -> Any:
        class Loss(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, z: Any, y: Any) -> Any:
                ctx.save_for_backward(z, y)
                loss, _ = reduced(plain(z.numpy(), y.numpy()), reduction)
                return torch.tensor(loss).to(z.dtype)

            @staticmethod
            def backward(ctx: Any, upstream: Any) -> Any:
                z, y = (t.numpy() for t in ctx.saved_tensors)
                each = np.broadcast_to(upstream.numpy(), y.shape)
                _, gradient = reduced(wrong(z, y, each), reduction)
                return torch.tensor(gradient).to(ctx.saved_tensors[0].dtype), None

        return lambda z, y: Loss.apply(z, y)

    allowed = {"sum", "gradient-of-the-sum", "a-loss-for-each", "negative-label-accepted"}
    right = check(with_backward(WITH_OPTION["upstream"]), dtype=dtype)
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


def test_a_computation_in_float32() -> None:
    def loss(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(z.float(), y).double()

    assert check(loss).mistakes == ["computed-in-float32"]
    assert check(loss).verdict == "right"
    assert check(loss, dtype=np.float32).mistakes == []
    assert check(lambda z, y: -loss(z, y)).mistakes == ["no-minus", "computed-in-float32"]
    assert check(lambda z, y: loss(z, y) * 1.00001).verdict == "wrong"


def test_invalid_labels() -> None:
    def clipped(z: Any, y: Any) -> Any:
        return plain(z, np.clip(y, 0, z.shape[1] - 1)).losses.mean()

    report = check(clipped)
    assert report.verdict == "right"
    assert set(report.mistakes) == {"negative-label-accepted", "label-out-of-range-accepted"}
    assert check(clipped, strict=True).verdict == "right"  # NumPy code does not check its labels
    assert check(clipped, deny=["negative-label-accepted"]).verdict == "wrong"


def test_the_derivative_of_a_wrong_loss_is_not_accused() -> None:
    """The mistake is in the loss, and is named once."""

    def minus_z(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(-z, y)

    def twice(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.softmax(z, 1), y)

    def of_squares(z: Any, y: Any) -> Any:
        q = torch.nn.functional.one_hot(y, z.shape[1])
        return ((torch.softmax(z, 1) - q) ** 2).sum(1).mean()

    assert check(minus_z).mistakes == ["exp-minus-z"]
    assert check(twice).mistakes == ["softmax-twice"]
    assert check(of_squares).mistakes == ["squared-error"]
    (finding,) = check(lambda z, y: 1.01 * torch.nn.functional.cross_entropy(z, y)).findings
    assert finding.part == "loss"


# --- the layer with its loss, as courses have it --------------------------------------------------


def layer(W: Any, X: Any, y: Any, reg: float) -> Any:
    z = X @ W
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.exp(log_a)
    gradient[np.arange(len(y)), y] -= 1
    loss = -log_a[np.arange(len(y)), y].mean() + reg * (W * W).sum()
    return loss, X.T @ gradient / len(y) + 2 * reg * W


def layer_in_columns(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W.T, X.T, y, reg)
    return loss, gradient.T


def half(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / 2, gradient + reg * W


def no_reg(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, 0.0)


def reg_of_n(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / len(y), gradient + 2 * reg * W / len(y)


def lasso(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    return loss + reg * abs(W).sum(), gradient + reg * np.sign(W)


def without_bias(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    gradient[:-1] += 2 * reg * W[:-1]
    return loss + reg * (W[:-1] ** 2).sum(), gradient


def by_name(X: Any, y: Any, W: Any, lam: float = 0.0) -> Any:
    return layer(W, X, y, lam)


def without_reg(W: Any, X: Any, y: Any) -> Any:
    return layer(W, X, y, 0.0)


def loss_alone(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg)[0]


def transposed(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, reg)
    return loss, gradient.T


def reg_not_in_gradient(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg)[0], layer(W, X, y, 0.0)[1]


def not_transposed(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), abs(X).T @ (X @ gradient) + 2 * reg * W


def not_divided(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), gradient * len(y) + 2 * reg * W


@seeds(0, 1, slow=range(2, 5))
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
        (lasso, "W an array (D, C), X (N, D)", ["l1-regularisation"], "right"),
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
def test_a_layer_and_its_loss(
    function: Any, form: str, mistakes: list[str], verdict: str, seed: int
) -> None:
    report = check(function, seed=seed)
    assert form in str(report.form)
    assert report.mistakes == mistakes
    assert report.verdict == verdict


def with_terms(of_loss: Any, of_gradient: Any) -> Any:
    """A layer with these terms of W, reg and N."""

    def function(W: Any, X: Any, y: Any, reg: float) -> Any:
        loss, gradient = layer(W, X, y, 0.0)
        return loss + of_loss(W, reg, len(y)), gradient + of_gradient(W, reg, len(y))

    return function


TERMS = {
    "nothing": lambda W, reg, N: 0 * W.sum(),
    "reg·ΣW²": lambda W, reg, N: reg * (W * W).sum(),
    "½·reg·ΣW²": lambda W, reg, N: reg * (W * W).sum() / 2,
    "reg·ΣW²/N": lambda W, reg, N: reg * (W * W).sum() / N,
    "½·reg·ΣW²/N": lambda W, reg, N: reg * (W * W).sum() / (2 * N),
    "reg·ΣW": lambda W, reg, N: reg * W.sum(),
    "reg·‖W‖": lambda W, reg, N: reg * np.sqrt((W * W).sum()),
    "2·reg·ΣW²": lambda W, reg, N: 2 * reg * (W * W).sum(),
}
GRADIENTS = {
    "nothing": lambda W, reg, N: 0 * W,
    "2·reg·W": lambda W, reg, N: 2 * reg * W,
    "reg·W": lambda W, reg, N: reg * W,
    "2·reg·W/N": lambda W, reg, N: 2 * reg * W / N,
    "reg·W/N": lambda W, reg, N: reg * W / N,
    "reg": lambda W, reg, N: reg + 0 * W,
    "reg·W/‖W‖": lambda W, reg, N: reg * W / (np.linalg.norm(W) or 1),
    "4·reg·W": lambda W, reg, N: 4 * reg * W,
}
# Those that belong together, and what each is.
SAME = dict(zip(TERMS, GRADIENTS, strict=True))
IDS: dict[str, list[str]] = {
    "nothing": ["no-regularisation"],
    "reg·ΣW²": [],
    "½·reg·ΣW²": ["half-regularisation"],
    "reg·ΣW²/N": ["regularisation-over-n"],
    "½·reg·ΣW²/N": ["regularisation-over-n"],
    "reg·ΣW": ["regularisation-not-squared"],
    "reg·‖W‖": ["regularisation-by-the-norm"],
    "2·reg·ΣW²": ["regularisation-wrong"],
}
CONVENTIONS = {"reg·ΣW²", "½·reg·ΣW²", "reg·ΣW²/N", "½·reg·ΣW²/N"}


@seeds(0, slow=range(1, 5))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of_gradient", GRADIENTS)
@pytest.mark.parametrize("of_loss", TERMS)
def test_the_terms_of_regularisation(of_loss: str, of_gradient: str, dtype: Any, seed: int) -> None:
    function = with_terms(TERMS[of_loss], GRADIENTS[of_gradient])
    report = check(function, dtype=dtype, seed=seed)
    if SAME[of_loss] == of_gradient:
        assert report.mistakes == IDS[of_loss]
    elif of_loss in CONVENTIONS:
        once = of_gradient.removesuffix("/N") == SAME[of_loss].removesuffix("/N")
        expected = "regularisation-scaled-once" if once else "regularisation-gradient"
        assert report.mistakes == [expected]
    elif of_loss == "nothing":
        assert report.mistakes == ["regularisation-gradient"]
    else:
        assert report.mistakes[:1] == IDS[of_loss]
    right = SAME[of_loss] == of_gradient and of_loss in CONVENTIONS
    assert report.verdict == ("right" if right else "wrong")
    if report.mistakes:
        shown = "the data loss alone" if of_loss == "nothing" else f"data loss + {of_loss}"
        assert f"that is {shown}\n" in str(report)
        assert f"to the dW of the data loss you add {of_gradient}\n" in str(report)


def test_a_term_that_is_not_known_is_shown_in_numbers() -> None:
    function = with_terms(lambda W, reg, N: 3 * reg * (W * W).sum(), GRADIENTS["2·reg·W"])
    (finding,) = check(function, seed=4).findings
    assert finding.mistakes == ()
    (words, _) = finding.remarks
    assert words.startswith("reg 0.7, ΣW² ")
    assert words.endswith(": that is data loss + 3·reg·ΣW²")


def test_regularisation_is_checked_where_something_else_is_wrong() -> None:
    def both(W: Any, X: Any, y: Any, reg: float) -> Any:
        loss, gradient = layer(W, X, y, 0.0)
        return loss * 2 + reg * W.sum(), gradient + reg * W

    # With seed 76 and weights of one decimal, Σ|W|/N was ΣW.
    for seed in (None, 76):
        assert check(both, seed=seed).mistakes == ["doubled", "regularisation-not-squared"]


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


def test_the_derivative_of_another_quantity_is_not_accused() -> None:
    def focal(z: Any, y: Any) -> Any:
        losses = torch.nn.functional.cross_entropy(z, y, reduction="none")
        return ((1 - torch.exp(-losses)) ** 2 * losses).mean()

    report = check(focal)
    assert report.verdict == "right", str(report)
    assert report.mistakes[0] == "focal"
