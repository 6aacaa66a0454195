"""The linear loss on tensors: values, gradients of every order, autograd, torch.compile, memory."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import softmaxloss
from softmaxloss import LabelError, OptionError, linear_cross_entropy
from softmaxloss.linear.plan import COPIES, Arguments
from softmaxloss.options import LinearOptions, number_of_bytes

torch = pytest.importorskip("torch")
from tests.without_kernels import use_formula  # noqa: E402
from truth.linear import (  # noqa: E402
    CASES,
    CLASSES,
    FEATURES,
    ROWS,
    arguments,
    close,
    truth,
)

from softmaxloss.torch.linear import layer, products  # noqa: E402
from softmaxloss.torch.linear import operators as linear_operators  # noqa: E402

F = torch.nn.functional
ONE_ROW = 8 * CLASSES  # bytes of a row of logits, float64
SMALL = (COPIES + 4) * ONE_ROW
EPS = {torch.float64: 2.0**-52, torch.float32: 2.0**-23}
EPS |= {torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
# torch.compile takes seconds to load: the tests that need it run in one process.
compiles = pytest.mark.xdist_group("compile")


def tensors(name: str, dtype: Any = torch.float64, lead: tuple[int, ...] = (ROWS,)) -> Any:
    """The arguments of a case as tensors that require gradients, rounded to the dtype."""
    x, W, b, y, options = arguments(name, lead)
    leaves = [None if a is None else torch.tensor(a, dtype=dtype) for a in (x, W, b)]
    for leaf in leaves:
        if leaf is not None:
            leaf.requires_grad_()
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"])
    return *leaves, torch.tensor(y), options


def wanted(x: Any, W: Any, b: Any, y: Any, upstream: Any, options: Any) -> Any:
    options = dict(options)
    options.pop("memory_budget", None)
    if "weight" in options:
        options["weight"] = options["weight"].numpy()
    arrays = [None if t is None else t.detach().double().numpy() for t in (x, W, b)]
    return truth(*arrays, y.numpy(), upstream, **options)


def check(x: Any, W: Any, b: Any, y: Any, upstream: Any, options: Any, ops: int = 200) -> None:
    want = wanted(x, W, b, y, upstream, options)
    loss = linear_cross_entropy(x, W, y, linear_bias=b, **options)
    loss.backward(torch.as_tensor(upstream, dtype=loss.dtype).expand(loss.shape))
    eps = EPS[x.dtype]
    close(loss.detach(), want.loss, max(eps, 2.0**-52), ops)
    for leaf, grad in zip((x, W, b), want[1:], strict=True):
        if leaf is not None and leaf.requires_grad:
            assert leaf.grad.dtype == leaf.dtype
            close(leaf.grad.double(), grad, eps, ops)
            leaf.grad = None


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "operations"])
@pytest.mark.parametrize("budget", ["64MB", SMALL])
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients(
    name: str, budget: Any, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as on a device without a kernel, where PyTorch's operations compute the same."""
    if not kernel:
        use_formula(monkeypatch)
    x, W, b, y, options = tensors(name)
    check(x, W, b, y, 1.0, options | {"memory_budget": budget})
    upstream = torch.randn(ROWS, dtype=torch.float64) if "none" in name else -0.7
    check(x, W, b, y, upstream, options | {"memory_budget": budget})


@pytest.mark.parametrize("library", products.LIBRARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(
    "name", ["bias", "some ignored, none", "everything", "softcap", "weights", "soft"]
)
def test_dtypes(name: str, dtype: Any, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each library. Rounding a logit of size 8 to the dtype changes a probability by 8·eps."""
    monkeypatch.setenv(products.VARIABLE, library)
    x, W, b, y, options = tensors(name, dtype)
    small, ops = (SMALL, 200) if dtype is torch.float64 else (SMALL // 2, 20)
    check(x, W, b, y, 1.0, options | {"memory_budget": small}, ops)
    check(x, W, b, y, 3.0, options | {"memory_budget": "1MB"}, ops)


@pytest.mark.parametrize("lead", [(), (1,), (3, 4)])
@pytest.mark.parametrize("name", ["plain", "none", "soft", "everything"])
def test_shapes(name: str, lead: tuple[int, ...]) -> None:
    x, W, b, y, options = tensors(name, lead=lead)
    check(x, W, b, y, 1.0, options | {"memory_budget": SMALL})


def test_as_pytorch() -> None:
    x, W, b, y, options = tensors("smoothing and weights", torch.float32)
    ours = linear_cross_entropy(x, W, y, linear_bias=b, **options)
    weight = options.pop("weight").float()
    theirs = F.linear_cross_entropy(x, W, y, linear_bias=b, weight=weight, **options)
    torch.testing.assert_close(ours, theirs)


def test_the_same_for_arrays_and_tensors() -> None:
    x, W, b, y, options = arguments("z_loss")
    want, grads = softmaxloss.linear_cross_entropy_with_grad(x, W, y, linear_bias=b, **options)
    x, W, b, y, options = tensors("z_loss")
    loss, found = softmaxloss.linear_cross_entropy_with_grad(x, W, y, linear_bias=b, **options)
    assert not loss.requires_grad
    close(loss, want)
    for a, c in zip(found, grads, strict=True):
        close(a, c)
    _, two = softmaxloss.linear_cross_entropy_with_grad(x, W, y, reduction="sum", grad_output=2)
    _, one = softmaxloss.linear_cross_entropy_with_grad(x, W, y, reduction="none")
    close(two.linear_weight, 2 * one.linear_weight)
    assert one.linear_bias is None


# --- autograd ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bias", "some ignored, none"])
def test_backward_twice(name: str) -> None:
    """The second pass computes the gradients again, from the same logits."""
    x, W, b, y, options = tensors(name, torch.float32)
    leaves = [t for t in (x, W, b) if t is not None]
    loss = linear_cross_entropy(x, W, y, linear_bias=b, memory_budget=SMALL, **options)
    ones = torch.ones_like(loss)
    first = torch.autograd.grad(loss, leaves, ones, retain_graph=True)
    second = torch.autograd.grad(loss, leaves, ones, retain_graph=True)
    third = torch.autograd.grad(loss, leaves, -2 * ones)
    for one, two, three in zip(first, second, third, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(three, -2 * one)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, leaves, ones)


def test_upstream_of_any_layout() -> None:
    x, W, b, y, options = tensors("some ignored, none")
    options["memory_budget"] = SMALL
    check(x, W, b, y, torch.randn(2 * ROWS)[::2].double(), options)
    check(x, W, b, y, torch.tensor(2.0).expand(ROWS), options)
    x, W, b, y, options = tensors("bias")
    loss = linear_cross_entropy(x, W, y, linear_bias=b, **options)
    (loss * loss).backward()
    (grad,) = torch.autograd.grad(linear_cross_entropy(x, W, y, linear_bias=b, **options), W)
    torch.testing.assert_close(W.grad, 2 * loss.detach() * grad)


def test_gradients_are_not_copied() -> None:
    x, W, b, y, options = tensors("bias", torch.float32)
    loss = linear_cross_entropy(x, W, y, linear_bias=b, **options)
    places = [grad.data_ptr() for grad in loss.grad_fn.kept]
    loss.backward()
    assert [t.grad.data_ptr() for t in (x, W, b)] == places
    assert loss.grad_fn.kept is None


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("frozen", ["x", "W", "both"])
def test_frozen_tensors_cost_no_product(
    frozen: str, reduction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, W, _, y, _ = tensors("plain", torch.float32)
    made = []
    product = products.LIBRARIES["torch"]

    def counted(a: Any, b: Any, bias: Any, out: Any) -> None:
        made.append({(CLASSES, FEATURES): "W", (ROWS, FEATURES): "x"}.get(tuple(out.shape)))
        product.put(a, b, bias, out)

    monkeypatch.setenv(products.VARIABLE, "torch")
    monkeypatch.setitem(products.LIBRARIES, "torch", product._replace(put=counted, adds=False))
    for name, tensor in (("x", x), ("W", W)):
        if frozen in (name, "both"):
            tensor.requires_grad_(False)
    loss = linear_cross_entropy(x, W, y, reduction=reduction)
    if frozen == "both":
        assert not loss.requires_grad
        assert made == [None]
        return
    loss.sum().backward()
    gradients = ["W" if frozen == "x" else "x"]
    assert made == ([None, *gradients] if reduction == "mean" else [None, None, *gradients])
    with torch.no_grad():
        made.clear()
        assert not linear_cross_entropy(x, W, y).requires_grad
        assert made == [None]


@pytest.mark.parametrize("name", ["plain", "some ignored, none", "everything", "soft"])
def test_derivatives_of_derivatives(name: str) -> None:
    x, W, b, y, options = tensors(name)
    x, W = (t.detach()[:5].requires_grad_() for t in (x, W))
    if name != "plain" or b is not None:
        options.pop("weight", None)
    y = y[:5, :5] / y[:5, :5].sum(1, keepdim=True) if y.dim() == 2 else y[:5].clamp(max=4)

    def loss(x: Any, W: Any) -> Any:
        return linear_cross_entropy(x, W, y, memory_budget=SMALL, **options)

    assert torch.autograd.gradcheck(loss, (x, W))
    assert torch.autograd.gradgradcheck(loss, (x, W))
    # The gradients that were kept for first derivatives are still right.
    value = loss(x, W)
    ones = torch.ones_like(value)
    (graph,) = torch.autograd.grad(value, W, ones, create_graph=True)
    (plain,) = torch.autograd.grad(value, W, ones)
    torch.testing.assert_close(graph.detach(), plain)


EAGER = """
import sys, torch, softmaxloss
x, W = (torch.randn(5, 3, requires_grad=True) for _ in range(2))
softmaxloss.linear_cross_entropy(x, W, torch.arange(5)).backward()
print("torch._dynamo" in sys.modules)
"""


def test_an_eager_call_does_not_load_the_compiler() -> None:
    """Which takes a second."""
    done = subprocess.run([sys.executable, "-c", EAGER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@compiles
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_operators_are_well_formed(reduction: Any, weighted: bool) -> None:
    x, W, b, y, _ = tensors("bias", torch.float32)
    s = torch.rand(ROWS) if weighted else None
    rest = (-100, reduction, 0.1, "error", None, 0, 0.01, 3.0, 2000, 0.0)
    torch.library.opcheck(
        linear_operators.forward.overload, (True, x, W, b, y, None, s, True, True, True, *rest)
    )
    upstream = torch.ones(() if reduction == "mean" else ROWS)
    x, W, b = (t.detach() for t in (x, W, b))
    torch.library.opcheck(
        linear_operators.gradients_of.overload,
        (upstream, x, W, b, y, None, s, True, False, True, *rest),
    )


@compiles
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_compiled(reduction: Any) -> None:
    x, W, b, y, _ = tensors("bias", torch.float32)

    def loss(x: Any, W: Any, b: Any) -> Any:
        hidden = 2 * x
        loss, scores = linear_cross_entropy(
            hidden, W, y, linear_bias=b, reduction=reduction, return_scores=True
        )
        return 3 * loss, scores.rank

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for f in (loss, compiled):
        value, rank = f(x, W, b)
        value.sum().backward()
        found = [value.detach(), rank, *(t.grad for t in (x, W, b))]
        for t in (x, W, b):
            t.grad = None
        if f is loss:
            want = found
    for one, two in zip(found, want, strict=True):
        torch.testing.assert_close(one, two)


def test_a_tied_embedding() -> None:
    """One weight as the embedding and as the layer: its gradient is the sum of both parts."""
    torch.manual_seed(0)
    E = torch.randn(CLASSES, FEATURES, dtype=torch.float64, requires_grad=True)
    words = torch.randint(CLASSES, (2, 8))
    grads = []
    for loss in (
        linear_cross_entropy(F.embedding(words, E).tanh(), E, words.roll(1, 1), memory_budget=300),
        F.cross_entropy(
            (F.embedding(words, E).tanh() @ E.T).flatten(0, 1), words.roll(1, 1).flatten()
        ),
    ):
        grads += torch.autograd.grad(loss, E)
    close(grads[0], grads[1])


def test_accumulation_over_unequal_parts() -> None:
    x, W, b, y, _ = tensors("some ignored")
    whole = torch.autograd.grad(linear_cross_entropy(x, W, y, linear_bias=b), (x, W, b))
    count = int((y != -100).sum())
    total = 0.0
    for part in (slice(0, 2), slice(2, 9), slice(9, ROWS)):
        loss = linear_cross_entropy(x[part], W, y[part], linear_bias=b, denominator=count)
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(linear_cross_entropy(x, W, y, linear_bias=b).item(), rel=1e-14)
    for leaf, want in zip((x, W, b), whole, strict=True):
        close(leaf.grad, want)


def test_autocast() -> None:
    x, W, b, y, _ = tensors("bias", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(x, W, y, linear_bias=b)
    loss.backward()
    assert loss.dtype == torch.float32
    assert W.grad.dtype == torch.float32
    want = linear_cross_entropy(
        *(t.detach().bfloat16() for t in (x, W)), y, linear_bias=b.bfloat16()
    )
    assert torch.equal(loss.detach(), want)


# --- arguments --------------------------------------------------------------------------------


def test_layouts_and_nothing_overwritten() -> None:
    x, W, b, y, options = tensors("bias", torch.float32)
    before = [t.detach().clone() for t in (x, W, b)]
    x2 = x.detach().t().contiguous().t().requires_grad_()
    W2 = W.detach().t().contiguous().t().requires_grad_()
    b2 = b.detach().repeat_interleave(2)[::2].requires_grad_()
    check(x2, W2, b2, y.int(), 1.0, options | {"memory_budget": SMALL}, ops=20)
    same = torch.tensor(3).expand(ROWS)
    check(x, W, b, same, 1.0, options | {"memory_budget": SMALL}, ops=20)
    for tensor, copy in zip((x, W, b), before, strict=True):
        assert torch.equal(tensor.detach(), copy)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_all_rows_ignored(reduction: Any) -> None:
    x, W, b, y, _ = tensors("bias")
    loss = linear_cross_entropy(x, W, torch.full_like(y, -100), linear_bias=b, reduction=reduction)
    loss.sum().backward()
    if reduction == "mean":
        assert math.isnan(loss.item())
    else:
        assert not loss.any()
    for leaf in (x, W, b):
        assert not leaf.grad.any()


ERRORS: dict[str, tuple[Any, Any, str]] = {
    "label": (lambda x, W, y: linear_cross_entropy(x, W, y + 20), LabelError, "label of row 0 is"),
    "target shape": (
        lambda x, W, y: linear_cross_entropy(x, W, y[:3]),
        LabelError,
        r"target has shape \(3,\)",
    ),
    "array beside tensors": (
        lambda x, W, y: linear_cross_entropy(x, W.detach().numpy(), y),
        TypeError,
        "linear_weight must be",
    ),
    "two dtypes": (
        lambda x, W, y: linear_cross_entropy(x, W.float(), y),
        TypeError,
        "linear_weight is torch",
    ),
    "integers": (
        lambda x, W, y: linear_cross_entropy(x.int(), W.int(), y),
        TypeError,
        "input must be float32",
    ),
    "z_loss": (
        lambda x, W, y: linear_cross_entropy(x, W, y, z_loss=-1.0),
        OptionError,
        "z_loss",
    ),
    "memory_budget": (
        lambda x, W, y: linear_cross_entropy(x, W, y, memory_budget=9),
        OptionError,
        "it takes",
    ),
    "two devices": (
        lambda x, W, y: linear_cross_entropy(x, W, y.to("meta")),
        OptionError,
        "target is on meta",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line(name: str) -> None:
    x, W, _, y, _ = tensors("plain")
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=message) as caught:
        call(x, W, y)
    assert "\n" not in str(caught.value)


# --- precision --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [16, 1024])
def test_half_precision_sums_are_not_worse_than_all_at_once(number: int) -> None:
    """The weight's gradient from 16 and from 1024 blocks, against PyTorch's from all logits."""
    torch.manual_seed(0)
    rows, classes = 2048, 128
    x = torch.randn(rows, 16).bfloat16()
    W = (torch.randn(classes, 16) / 2).bfloat16().requires_grad_()
    y = torch.randint(classes, (rows,))
    # A row: 2 bytes for each class, 4 copies of 4 bytes for each feature. A quarter is for others.
    budget = (2 * classes + 16 * 16) * (rows // number) * 4 // 3 + 8
    exact = W.detach().double().requires_grad_()
    F.cross_entropy(x.double() @ exact.T, y).backward()
    errors = []
    for loss in (
        linear_cross_entropy(x, W, y, memory_budget=budget),
        F.cross_entropy(F.linear(x, W), y),
    ):
        (grad,) = torch.autograd.grad(loss, W)
        errors.append((grad.double() - exact.grad).norm().item())
    arrays = Arguments(x, W, None, y, None, None)
    call = layer.Layer(arrays, LinearOptions(memory_budget=budget), [True, True, False])
    assert len(call.plan.blocks) == number
    assert errors[0] <= errors[1]


def test_an_upstream_gradient_does_not_round_twice() -> None:
    """The float32 sums of bfloat16 gradients are multiplied before they are rounded."""
    torch.manual_seed(0)
    x, W = torch.randn(64, 8).bfloat16(), torch.randn(50, 8).bfloat16().requires_grad_()
    b, y = torch.zeros(50, dtype=torch.bfloat16, requires_grad=True), torch.randint(50, (64,))
    loss = linear_cross_entropy(x, W, y, linear_bias=b, memory_budget=4000)
    _, by_weight, by_bias = (g if g is None else g.clone() for g in loss.grad_fn.kept)
    for leaf, kept, found in zip((W, b), (by_weight, by_bias), grads(3 * loss, W, b), strict=True):
        assert (found.dtype, kept.dtype) == (leaf.dtype, torch.float32)
        assert torch.equal(found, (3 * kept).bfloat16())
        assert not torch.equal(found, 3 * kept.bfloat16())  # as if rounded before, too


@pytest.mark.parametrize("budget", [4000, "1MB"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_gradient_of_the_input_is_rounded_once(dtype: Any, reduction: Any, budget: Any) -> None:
    """Half a unit in its last place, beside a float32 sum: of the exact product of the logits'
    gradient, which is bfloat16 for bfloat16, and the weight. An upstream gradient that is no power
    of two is part of the logits' gradient."""
    torch.manual_seed(0)
    upstream = 3 / 7 if reduction == "none" else 1 / 4
    x, W = torch.randn(64, 8).to(dtype).requires_grad_(), torch.randn(50, 8).to(dtype)
    y = torch.randint(50, (64,))
    loss = linear_cross_entropy(x, W, y, reduction=reduction, memory_budget=budget)
    (got,) = grads((loss * upstream).sum(), x)

    def held(t: Any) -> Any:
        return t.bfloat16().double() if dtype is torch.bfloat16 else t

    z = held(x.detach().double() @ W.double().T)
    factor = upstream if reduction == "none" else 1.0
    G = factor * (z.softmax(1) - F.one_hot(y, 50))
    exact = (held(G) @ W.double()) * (upstream / factor)
    _, exponent = exact.frexp()
    unit = EPS[dtype] * 2.0 ** (exponent.double() - 1)
    assert ((got.double() - exact).abs() <= 0.5 * unit + 1e-6).all()


def grads(loss: Any, *leaves: Any) -> Any:
    return torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("multi_label", ["error", "mean"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_probabilities(dtype: Any, multi_label: Any) -> None:
    """As the same numbers in float64."""
    torch.manual_seed(0)
    x, W = torch.randn(40, 8), torch.randn(50, 8)
    q = torch.randn(40, 50).softmax(1).to(dtype)
    options: dict[str, Any] = {"reduction": "none", "multi_label": multi_label}
    got = linear_cross_entropy(x, W, q, memory_budget=30000, **options)
    want = linear_cross_entropy(x, W, q.double(), **{**options, "multi_label": "sum"})
    if multi_label == "mean":
        want = want / q.double().sum(1).float()
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)


def test_float16_gradients_are_not_lost_before_the_loss_scale_is_applied() -> None:
    """1/N·a_n is far below the least float16; times the scale it is not."""
    x = torch.full((4096, 2), 1.0, dtype=torch.float16, requires_grad=True)
    W = torch.tensor([[0.0, 0.0], [-5.0, -5.0]], dtype=torch.float16, requires_grad=True)
    y = torch.zeros(4096, dtype=torch.int64)
    (65536.0 * linear_cross_entropy(x, W, y)).backward()
    a = 1 / (1 + math.exp(10))
    assert x.grad[0, 0].item() == pytest.approx(65536 / 4096 * a * -5, rel=2e-3)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_skip_below_keeps_its_bound(reduction: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(40, FEATURES, requires_grad=True)
    W = (3 * torch.randn(500, FEATURES)).requires_grad_()
    y = torch.randint(500, (40,))
    up = torch.rand(40) if reduction == "none" else torch.ones(())
    f = up.double() if reduction == "none" else torch.full((40,), 1 / 40).double()
    grads = []
    for p in (0.0, 1e-3):
        loss = linear_cross_entropy(x, W, y, skip_below=p, reduction=reduction, memory_budget=20000)
        grads.append(torch.autograd.grad(loss, (x, W), up))
    off = (grads[0][0] - grads[1][0]).abs().double()
    assert (off <= f[:, None] * 1e-3 * W.detach().abs().sum(0) + 1e-6).all()
    off = (grads[0][1] - grads[1][1]).abs().double()
    assert (off <= 1e-3 * (f[:, None] * x.detach().abs()).sum(0) + 1e-6).all()
    assert (grads[1][1] == 0).all(1).sum() > 10  # classes to which no row contributes


def test_skip_below_every_entry() -> None:
    x = torch.randn(40, FEATURES)
    y = torch.randint(500, (40,))
    W = torch.ones(2, FEATURES, requires_grad=True)
    linear_cross_entropy(x, W, y % 2, skip_below=0.6).backward()
    assert not W.grad.any()  # every entry is skipped: each is 0.5


@pytest.mark.parametrize("kernel", [True, False])
def test_scores(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel:
        use_formula(monkeypatch)
    x, W, b, y, options = tensors("one-based")
    x = x.reshape(1, ROWS, FEATURES)
    loss, scores = linear_cross_entropy(
        x, W, y[None], linear_bias=b, memory_budget=SMALL, return_scores=True, **options
    )
    z = (x @ W.T)[0].detach().numpy()
    want = softmaxloss.score(z, y.numpy(), first_class=1)
    for got, wanted in zip(scores, want, strict=True):
        assert got.shape == (1, ROWS)
        assert not got.requires_grad
        np.testing.assert_allclose(got[0].numpy(), wanted, rtol=1e-12)
    loss.backward()
    assert scores.predicted.dtype == torch.int64


# --- memory -----------------------------------------------------------------------------------

PROGRAM = """
import os
import torch
import softmaxloss.torch
rows, features, classes, dtype = {rows}, {features}, {classes}, torch.{dtype}
def highest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
x = torch.randn(rows, features).to(dtype).requires_grad_()
W = torch.randn(classes, features, dtype=dtype).requires_grad_()
y = torch.randint(classes, (rows,))
w = W.detach()[:4096].clone().requires_grad_()
given = os.environ.pop("SOFTMAXLOSS_PRODUCTS", "")
# Loads and compiles; and the libraries of products have what they keep for themselves.
for library in ("", "numpy", given):
    os.environ["SOFTMAXLOSS_PRODUCTS"] = library
    softmaxloss.linear_cross_entropy(x, w, y % len(w)).backward()
x.grad = None
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the highest is now the present one
before = highest()
softmaxloss.linear_cross_entropy(x, W, y, memory_budget="{budget}").backward()
print(highest() - before - (x.numel() + W.numel()) * x.element_size())
"""


def memory_beyond_gradients(**values: Any) -> int:
    """Bytes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**{"budget": "64MB", **values})],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


# In half precision the sum of the weight's gradient is added; 63.8 MB were measured beside it.
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
@pytest.mark.parametrize(
    ("dtype", "limit"), [("float32", 64e6), ("bfloat16", 70e6 + 4 * 32000 * 512)]
)
def test_memory_stays_within_the_budget(dtype: str, limit: float) -> None:
    sizes = {"rows": 2048, "features": 512, "classes": 32000}
    assert memory_beyond_gradients(**sizes, dtype=dtype) <= limit


@pytest.mark.slow
@pytest.mark.xdist_group("threads")  # never beside the other test that takes gigabytes
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
@pytest.mark.parametrize("library", ["", "onednn", "torch"], ids=["measured", "onednn", "torch"])
@pytest.mark.parametrize("budget", ["64MB", "256MB"])
def test_a_million_classes(budget: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.VARIABLE, library)
    sizes = {"rows": 4096, "features": 16, "classes": 10**6}
    used = memory_beyond_gradients(**sizes, dtype="float32", budget=budget)
    assert used <= number_of_bytes(budget)


@pytest.mark.parametrize(
    "extras",
    [{}, {"z_loss": 0.01, "softcap": 3.0, "label_smoothing": 0.1}],
    ids=["plain", "extras"],
)
def test_derivatives_outside_the_operators(extras: dict[str, Any]) -> None:
    """By torch.func, in forward mode, and with respect to soft targets and class weights."""
    torch.manual_seed(0)
    x, W = torch.randn(5, 3).double(), torch.randn(4, 3).double()
    y = torch.tensor([0, 3, 1, -100, 2])

    def ours(x: Any) -> Any:
        return linear_cross_entropy(x, W, y, **extras)

    x.requires_grad_()
    (want,) = torch.autograd.grad(ours(x), x)
    x = x.detach()
    torch.testing.assert_close(torch.func.grad(ours)(x), want)
    torch.testing.assert_close(torch.func.jacfwd(ours)(x), want)
    per_example = torch.func.vmap(
        torch.func.grad(lambda x, y: linear_cross_entropy(x, W, y, reduction="sum", **extras))
    )
    torch.testing.assert_close(per_example(x, y) / 4, want)
    q = torch.rand(5, 4).double().requires_grad_()
    w = torch.rand(4).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q, w: linear_cross_entropy(x, W, q, weight=w, multi_label="sum", **extras), (q, w)
    )


@compiles
def test_compiled_with_a_denominator() -> None:
    torch._dynamo.reset()
    x, W, y = torch.randn(5, 3).requires_grad_(), torch.randn(4, 3), torch.tensor([0, 3, 1, 1, 2])

    def loss(denominator: Any) -> Any:
        return linear_cross_entropy(x, W, y, denominator=denominator) + softmaxloss.cross_entropy(
            x @ W.T, y, denominator=denominator
        )

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for denominator in (*range(1, 12), torch.tensor(7)):
        torch.testing.assert_close(compiled(denominator), loss(denominator))


@pytest.mark.parametrize("layout", ["transposed", "strided", "expanded"])
def test_weights_in_any_layout(layout: str) -> None:
    """Larger than a chunk of classes, where the layout decides how the product is computed."""
    torch.manual_seed(0)
    x, W, y = torch.randn(64, 48), torch.randn(5000, 48), torch.randint(5000, (64,))
    W = {
        "transposed": W.T.contiguous().T,
        "strided": W.repeat_interleave(2, 1)[:, ::2],
        "expanded": W[:1].expand(5000, 48),
    }[layout]
    x.requires_grad_()
    got, want = linear_cross_entropy(x, W, y), F.cross_entropy(F.linear(x, W), y)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, x)[0] for loss in (got, want)), rtol=1e-4, atol=1e-5
    )


def test_ignored_rows_leak_nowhere() -> None:
    x, W, _, y, _ = tensors("plain")
    y = y.clone()
    y[1] = -100
    with torch.no_grad():
        x[1] = torch.nan
    for create_graph in (False, True):
        loss = linear_cross_entropy(x, W, y)
        for grad in torch.autograd.grad(loss, (x, W), create_graph=create_graph):
            assert grad.isfinite().all()
    by_weight = torch.func.grad(lambda W: linear_cross_entropy(x.detach(), W, y))(W.detach())
    assert by_weight.isfinite().all()


def test_several_upstream_gradients_at_once() -> None:
    x, W, _, y, _ = tensors("plain")
    want = torch.autograd.functional.jacobian(lambda x: linear_cross_entropy(x, W, y), x)
    got = torch.autograd.functional.jacobian(
        lambda x: linear_cross_entropy(x, W, y), x, vectorize=True
    )
    torch.testing.assert_close(got, want)


def test_autocast_leaves_float64() -> None:
    x, W, _, y, _ = tensors("plain", torch.float64)
    want = linear_cross_entropy(x, W, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = linear_cross_entropy(x, W, y)
    assert torch.equal(got, want)


def test_large_float16_logits_in_every_kind_of_derivative() -> None:
    x = torch.full((1, 2), 300.0, dtype=torch.float16)
    W, y = torch.full((3, 2), 300.0, dtype=torch.float16), torch.tensor([0])
    want = linear_cross_entropy(x.requires_grad_(), W, y)
    got = torch.func.grad_and_value(lambda x: linear_cross_entropy(x, W, y))(x.detach())
    torch.testing.assert_close(got[1], want.detach())
    assert got[0].isfinite().all()


def test_the_module() -> None:
    torch.manual_seed(0)
    ours = softmaxloss.torch.LinearCrossEntropyLoss(
        3, 4, bias=True, label_smoothing=0.1, memory_budget="1MB"
    )
    x, y = torch.randn(5, 3), torch.tensor([0, 3, 1, -100, 2])
    want = torch.nn.functional.cross_entropy(ours.linear(x), y, label_smoothing=0.1)
    torch.testing.assert_close(ours(x, y), want)
    torch.testing.assert_close(ours(x, y, denominator=8.0), want / 2)
    assert set(ours.state_dict()) == {"linear.weight", "linear.bias"}
    assert "memory_budget='1MB'" in repr(ours)
    want.backward()
    grad = ours.linear.weight.grad.clone()
    ours.zero_grad()
    ours(x, y).backward()
    torch.testing.assert_close(ours.linear.weight.grad, grad)


@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"grad_output": 3.0}], ids=str)
def test_gradients_in_inference_mode(options: Any) -> None:
    x, W, b, y, _ = tensors("bias")
    want = softmaxloss.linear_cross_entropy_with_grad(x, W, y, linear_bias=b, **options)
    with torch.inference_mode():
        got = softmaxloss.linear_cross_entropy_with_grad(x, W, y, linear_bias=b, **options)
    assert got[0].is_inference()
    for mine, other in zip((got[0], *got[1]), (want[0], *want[1]), strict=True):
        assert torch.equal(mine, other)


def test_gradients_at_once_are_not_under_torch_func() -> None:
    x, W, _, y, _ = tensors("plain")
    with pytest.raises(TypeError, match=r"^linear_cross_entropy_with_grad computes at once"):
        torch.func.vmap(softmaxloss.linear_cross_entropy_with_grad, (0, None, 0))(x, W, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_layer_without_features(dtype: Any) -> None:
    x, W, y = torch.zeros(6, 0, dtype=dtype), torch.zeros(5, 0, dtype=dtype), torch.arange(6) % 5
    b = torch.randn(5).to(dtype).requires_grad_()
    loss = linear_cross_entropy(x.requires_grad_(), W.requires_grad_(), y, linear_bias=b)
    want = torch.nn.functional.cross_entropy(b.float().expand(6, 5), y)
    torch.testing.assert_close(loss.float(), want, rtol=1e-5, atol=0.0)
    got = torch.autograd.grad(loss, (x, W, b))
    assert [g.shape for g in got] == [x.shape, W.shape, b.shape]
    rtol = 1e-5 if dtype.itemsize > 2 else 2e-2
    torch.testing.assert_close(got[2], torch.autograd.grad(want, b)[0], rtol=rtol, atol=1e-6)
    assert linear_cross_entropy(x, W, y).item() == pytest.approx(math.log(5), rel=1e-6)
