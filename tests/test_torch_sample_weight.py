"""`sample_weight` on tensors: PyTorch's losses of each row, and derivatives of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softmaxloss

torch = pytest.importorskip("torch")

from tests.tensors import OPTIONS, close, example, name_of  # noqa: E402
from tests.without_kernels import on_kernel  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import (  # noqa: E402
    CrossEntropyLoss,
    LinearCrossEntropyLoss,
    cross_entropy,
    linear_cross_entropy,
)

__all__ = ["on_kernel"]

ROWS, CLASSES = 6, 5
# torch.compile takes seconds to load: the tests that need it run in one process.
compiles = pytest.mark.xdist_group("compile")


def weights(*shape: int) -> Any:
    """Sample weights in float64; the second number is 0."""
    s = torch.rand(shape or (ROWS,), dtype=torch.float64, generator=torch.manual_seed(3)) * 2
    s.view(-1)[1] = 0
    return s


def theirs(z: Any, y: Any, s: Any, reduction: str = "mean", **options: Any) -> Any:
    """PyTorch's loss of each row times its weight, over the sum of the weights in the mean."""
    losses = F.cross_entropy(z, y, reduction="none", **options)
    s = s.reshape(*s.shape, *[1] * (losses.ndim - s.ndim)).expand(losses.shape)
    if reduction == "none":
        return losses * s
    total = (losses * s).sum()
    if reduction == "sum":
        return total
    if y.is_floating_point():
        return total / s.sum()
    w = options.get("weight", torch.ones(z.shape[1])).to(z.dtype)
    counted = y != options.get("ignore_index", -100)
    return total / (s * w[y.clamp(min=0)] * counted).sum()


def target_of(kind: str, ignore_index: int = -100) -> Any:
    y = example()[1]
    if kind == "ignored":
        y[2] = ignore_index
    if kind == "soft":
        return torch.softmax(torch.randn(ROWS, CLASSES).double(), 1)
    return y


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
@pytest.mark.parametrize("target", ["index", "ignored", "soft"])
def test_each_row_times_its_weight(target: str, options: dict[str, Any]) -> None:
    z, s = example()[0], weights()
    y = target_of(target, options.get("ignore_index", -100))
    if target == "soft":
        options = {name: value for name, value in options.items() if name != "ignore_index"}
    got = cross_entropy(z, y, sample_weight=s, **options)
    want = theirs(z, y, s, **options)
    close(got, want)
    upstream = torch.rand(got.shape).double()
    for given in (torch.ones_like(got), upstream):
        (grad,) = torch.autograd.grad(got, z, given, retain_graph=True)
        close(grad, torch.autograd.grad(want, z, given, retain_graph=True)[0])
    loss, grad = softmaxloss.cross_entropy_with_grad(
        z.detach(), y, sample_weight=s, grad_output=upstream, **options
    )
    close(loss, want.detach())
    close(grad, torch.autograd.grad(want, z, upstream)[0])


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("shape", [(3,), (3, 2, 4)], ids=str)
def test_one_for_each_example_or_position(shape: Any, reduction: Any) -> None:
    z = torch.randn(3, CLASSES, 2, 4, dtype=torch.float64, requires_grad=True)
    y, s = torch.randint(CLASSES, (3, 2, 4)), weights(*shape)
    got, want = (
        cross_entropy(z, y, sample_weight=s, reduction=reduction),
        theirs(z, y, s, reduction),
    )
    close(got, want)
    upstream = torch.rand(got.shape).double()
    close(torch.autograd.grad(got, z, upstream), torch.autograd.grad(want, z, upstream))


@pytest.mark.usefixtures("on_kernel")
def test_one_example() -> None:
    z = torch.randn(CLASSES, dtype=torch.float64, requires_grad=True)
    for s in (torch.tensor(0.25), 0.25, np.float32(0.25)):
        loss = cross_entropy(z, torch.tensor(2), sample_weight=s, reduction="sum")
        close(loss, F.cross_entropy(z, torch.tensor(2)) / 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int32])
def test_weights_of_any_dtype(dtype: Any) -> None:
    z, y = example(torch.float32)
    s = torch.tensor([2, 0, 1, 3, 1, 4], dtype=dtype)
    want = cross_entropy(z, y, sample_weight=s.tolist())
    assert torch.equal(cross_entropy(z, y, sample_weight=s), want)
    assert torch.equal(cross_entropy(z, y, sample_weight=s.double().numpy()), want)


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("soft", [False, True])
def test_numerical_derivatives(soft: bool, smoothing: float, reduction: Any) -> None:
    """With respect to logits and sample weights; two rows for the second derivatives."""
    z, _ = example(rows=2)
    y = torch.softmax(torch.randn(2, CLASSES).double(), 1) if soft else torch.tensor([2, 0])
    s = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)

    def loss(z: Any, s: Any) -> Any:
        return cross_entropy(z, y, sample_weight=s, reduction=reduction, label_smoothing=smoothing)

    assert torch.autograd.gradcheck(loss, (z, s), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(loss, (z, s))
    assert torch.autograd.gradgradcheck(lambda z: loss(z, s.detach()), z)
    if soft:
        q = y.requires_grad_()
        assert torch.autograd.gradcheck(
            lambda q, s: cross_entropy(z.detach(), q, sample_weight=s, multi_label="sum"), (q, s)
        )


def test_the_derivative_with_respect_to_a_weight_is_the_loss() -> None:
    """Where it is 0, too. A row without a softmax has none there, and disturbs no other."""
    z, y = example()
    s = weights().requires_grad_()
    losses = F.cross_entropy(z, y, reduction="none").detach()
    (grad,) = torch.autograd.grad(cross_entropy(z, y, sample_weight=s, reduction="sum"), s)
    close(grad, losses)
    bad = z.detach().clone()
    bad[1] = torch.nan
    bad.requires_grad_()
    by_z, by_s = torch.autograd.grad(
        cross_entropy(bad, y, sample_weight=s, reduction="sum"), (bad, s)
    )
    close(by_s[[0, 2, 3, 4, 5]], losses[[0, 2, 3, 4, 5]])
    assert not by_z[1].any()
    assert by_z.isfinite().all()


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}], ids=str)
def test_logits_of_a_row_with_weight_0_do_not_matter(
    options: dict[str, Any], reduction: Any, bad: float
) -> None:
    (z, y), s = example(), weights()
    z = z.detach()
    z[1] = bad
    z.requires_grad_()
    counts = s != 0
    got = cross_entropy(z, y, sample_weight=s, reduction=reduction, **options)
    want = theirs(z[counts], y[counts], s[counts], reduction, **options)
    close(got[counts] if reduction == "none" else got, want)
    grad, wanted = (torch.autograd.grad(loss.sum(), z)[0] for loss in (got, want))
    close(grad, wanted)
    assert not grad[1].any()


def test_no_row_counts() -> None:
    z, y = example()
    loss = cross_entropy(z, y, sample_weight=torch.zeros(ROWS))
    loss.backward()
    assert loss.isnan()
    assert not z.grad.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_scaled_loss_and_a_second_backward_pass(dtype: Any) -> None:
    z, y = example(dtype)
    s = weights()
    loss = cross_entropy(z, y, sample_weight=s)
    eps = torch.finfo(dtype).eps
    (want,) = torch.autograd.grad(theirs(z.double(), y, s), z)
    for factor in (8.0, 1.0):
        (grad,) = torch.autograd.grad(loss * factor, z, retain_graph=True)
        close(grad, want * factor, rtol=8 * eps, atol=eps / 1000)


def test_in_place() -> None:
    (x, y), s = example(), weights()
    z = x * 2
    cross_entropy(z, y, sample_weight=s, inplace=True).backward()
    want = torch.autograd.grad(theirs(x * 2, y, s), x)[0]
    close(x.grad, want)


# --- torch.func, torch.compile, modules -------------------------------------------------------

BATCHED: dict[str, tuple[Any, Any]] = {
    "of each": ((4, ROWS), 0),
    "in another axis": ((ROWS, 4), 1),
    "of all": ((ROWS,), None),
}


@pytest.mark.parametrize("kind", BATCHED)
def test_vmap(kind: str) -> None:
    shape, dim = BATCHED[kind]
    z, y, s = torch.randn(4, ROWS, CLASSES).double(), torch.randint(CLASSES, (4, ROWS)), None
    s = weights(*shape)

    def of(loss: Callable[..., Any]) -> Any:
        return torch.func.vmap(torch.func.grad(loss), in_dims=(0, 0, dim))(z, y, s)

    close(of(lambda z, y, s: cross_entropy(z, y, sample_weight=s)), of(theirs_once))


def theirs_once(z: Any, y: Any, s: Any) -> Any:
    """`theirs` by operations that vmap knows."""
    losses = -torch.log_softmax(z, -1).gather(-1, y[..., None])[..., 0]
    return (losses * s).sum() / s.sum()


def test_vmap_over_rows_and_with_a_weight_for_several_positions() -> None:
    (z, y), s = example(), weights()
    z = z.detach()
    each = torch.func.vmap(
        torch.func.grad(lambda z, y, s: cross_entropy(z, y, sample_weight=s, reduction="sum"))
    )(z, y, s)
    close(each, torch.func.grad(lambda z: theirs(z, y, s, "sum"))(z))
    z, y, s = torch.randn(4, 3, CLASSES, 2), torch.randint(CLASSES, (4, 3, 2)), weights(4, 3)
    got = torch.func.vmap(lambda z, y, s: cross_entropy(z, y, sample_weight=s))(z, y, s)
    for i in range(4):
        close(got[i], theirs(z[i], y[i], s[i]).float())


def test_transforms_check_the_weights() -> None:
    z, y = example()
    s = torch.ones(ROWS)
    s[4] = -1
    message = r"^sample_weight\[4\] is -1.0; weights must be finite and not negative$"
    for weight in (s, s.double().requires_grad_()):
        with pytest.raises(softmaxloss.OptionError, match=message):
            cross_entropy(z, y, sample_weight=weight)
    with pytest.raises(softmaxloss.OptionError, match=message):
        torch.func.grad(lambda z: cross_entropy(z, y, sample_weight=s))(z.detach())
    many = torch.ones(4, ROWS)
    many[2, 4] = -1
    with pytest.raises(softmaxloss.OptionError, match=r"^sample_weight\[16\] is -1.0"):
        torch.func.vmap(lambda y, s: cross_entropy(z.detach(), y, sample_weight=s))(
            y.expand(4, ROWS), many
        )
    with pytest.raises(softmaxloss.OptionError, match=r"^sample_weight has shape \(5,\)"):
        torch.func.vmap(lambda z, y: cross_entropy(z, y, sample_weight=torch.ones(5)))(
            z.detach()[None], y[None]
        )


@compiles
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("with_respect_to_the_weights", [False, True])
def test_compiled(with_respect_to_the_weights: bool, reduction: Any) -> None:
    torch._dynamo.reset()
    z = torch.randn(3, CLASSES, 4, dtype=torch.float64, requires_grad=True)
    y, s = torch.randint(CLASSES, (3, 4)), weights(3)
    arguments = (z, s.requires_grad_()) if with_respect_to_the_weights else (z,)
    loss = torch.compile(
        lambda z, y, s: softmaxloss.cross_entropy(
            z * 2, y, sample_weight=s * 3, reduction=reduction
        ),
        fullgraph=True,
        backend="aot_eager",
    )
    got, want = loss(z, y, s), theirs(z * 2, y, s * 3, reduction)
    close(got, want)
    upstream = torch.rand(got.shape).double()
    close(*(torch.autograd.grad(value, arguments, upstream) for value in (got, want)))
    with pytest.raises(softmaxloss.OptionError, match=r"^sample_weight\[0\] is -"):
        loss(z, y, s - 10)


@compiles
def test_compiled_linear() -> None:
    torch._dynamo.reset()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    W = torch.randn(CLASSES, 4, dtype=torch.float64, requires_grad=True)
    y, s = torch.randint(CLASSES, (2, 3)), weights(2)
    loss = torch.compile(
        lambda x, W, s: linear_cross_entropy(2 * x, W, y, sample_weight=s),
        fullgraph=True,
        backend="aot_eager",
    )
    got = loss(x, W, s)
    want = theirs((2 * x @ W.T).movedim(-1, 1), y, s)
    close(got, want)
    close(*(torch.autograd.grad(value, (x, W)) for value in (got, want)))


def test_modules() -> None:
    (z, y), s = example(torch.float32), weights()
    w = torch.rand(CLASSES)
    close(CrossEntropyLoss(w)(z, y, sample_weight=s), theirs(z, y, s, weight=w).float())
    close(
        CrossEntropyLoss()(z, y, denominator=3, sample_weight=s), theirs(z, y, s, "sum").float() / 3
    )
    layer = LinearCrossEntropyLoss(4, CLASSES)
    x = torch.randn(ROWS, 4)
    close(layer(x, y, sample_weight=s), theirs(layer.linear(x), y, s).float())


# --- the linear loss --------------------------------------------------------------------------


def test_linear_derivatives_with_respect_to_the_weights() -> None:
    torch.manual_seed(0)
    x, W = torch.randn(ROWS, 4).double(), torch.randn(CLASSES, 4).double()
    y, s = target_of("ignored"), weights() + 0.1
    leaves = (x.requires_grad_(), W.requires_grad_(), s.requires_grad_())
    for options in ({}, {"z_loss": 0.1, "softcap": 2.0, "label_smoothing": 0.1}):
        assert torch.autograd.gradcheck(
            lambda x, W, s, options=options: linear_cross_entropy(
                x, W, y, sample_weight=s, **options
            ),
            leaves,
        )


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("by_formula", [False, True])
@pytest.mark.parametrize("extras", [{}, {"z_loss": 0.1}], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e308])
def test_linear_rows_with_weight_0_leak_nowhere(bad: float, extras: Any, by_formula: bool) -> None:
    """What they hold, and logits that overflow, do not matter, also where the formula holds all."""
    torch.manual_seed(0)
    x, W = torch.randn(ROWS, 4).double(), torch.randn(CLASSES, 4).double().requires_grad_()
    y, s = example()[1], weights()
    counts = s != 0
    x[1] = bad
    W.data *= 10
    want = linear_cross_entropy(x[counts], W, y[counts], sample_weight=s[counts], **extras)
    (wanted,) = torch.autograd.grad(want, W)
    x.requires_grad_()
    got = linear_cross_entropy(x, W, y, sample_weight=s.requires_grad_(by_formula), **extras)
    by_x, by_W = torch.autograd.grad(got, (x, W))
    close(got, want)
    close(by_W, wanted)
    assert not by_x[1].any()
    assert by_x.isfinite().all()


def test_linear_with_grad_and_scores() -> None:
    torch.manual_seed(0)
    x, W, y, s = torch.randn(ROWS, 4), torch.randn(CLASSES, 4), example()[1], weights()
    loss, grads = softmaxloss.linear_cross_entropy_with_grad(x, W, y, sample_weight=s)
    x.requires_grad_()
    want, scores = linear_cross_entropy(x, W, y, sample_weight=s, return_scores=True)
    close(loss, want.detach())
    close(grads.input, torch.autograd.grad(want, x)[0])
    assert scores.rank.tolist()[1] == 0
    close(scores.loss, (F.cross_entropy(x @ W.T, y, reduction="none") * s).detach().float())
    by_formula = linear_cross_entropy(
        x, W, y, sample_weight=s.requires_grad_(), return_scores=True, z_loss=0.1
    )[1]
    _, scores = linear_cross_entropy(
        x, W, y, sample_weight=s.detach(), return_scores=True, z_loss=0.1
    )
    for mine, want in zip(by_formula, scores, strict=True):
        close(mine, want)


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        (torch.ones(4), r"^sample_weight has shape \(4,\); these examples need shape \(6,\)$"),
        (2.0, r"^sample_weight has shape \(\); these examples need shape \(6,\)$"),
        (torch.ones(6, device="meta"), "^sample_weight is on meta, "),
    ],
    ids=["shape", "number", "device"],
)
def test_what_has_no_meaning(sample_weight: Any, message: str) -> None:
    z, y = example()
    x, W = torch.randn(ROWS, 4), torch.randn(CLASSES, 4)
    for call in (
        lambda: cross_entropy(z, y, sample_weight=sample_weight),
        lambda: cross_entropy(z.detach(), y, sample_weight=sample_weight),
        lambda: linear_cross_entropy(x, W, y, sample_weight=sample_weight),
    ):
        with pytest.raises(softmaxloss.OptionError, match=message):
            call()
