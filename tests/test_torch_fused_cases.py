"""Cases in which fused losses have gone wrong, as the tests and issues of other packages tell.

Liger-Kernel and Cut Cross-Entropy compute the loss of a linear layer in parts, as this library
does. What they test beyond plain numbers, or had to mend, is here, against the definition in
float64.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.tensors import close  # noqa: E402

from softmaxloss.torch import cross_entropy, linear_cross_entropy  # noqa: E402

SMALL = 40_000  # bytes: some rows of the float32 logits below, so that there are several blocks
COMBINED: dict[str, Any] = {"softcap": 5.0, "z_loss": 0.03, "label_smoothing": 0.1}


def by_definition(
    x: Any,
    W: Any,
    b: Any,
    y: Any,
    *,
    softcap: float | None = None,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> Any:
    """The loss of each row, 0 where it is ignored, in float64."""
    z = x.double() @ W.double().T
    z = z if b is None else z + b.double()
    u = z if softcap is None else softcap * torch.tanh(z / softcap)
    counts = y != -100
    log_a, L = u.log_softmax(-1), u.logsumexp(-1)
    true = log_a.gather(-1, y.clamp(min=0)[..., None])[..., 0]
    loss = -(1 - label_smoothing) * true - label_smoothing * log_a.mean(-1) + z_loss * L**2
    return torch.where(counts, loss, 0.0)


def arguments(dtype: Any = torch.float32, lead: tuple[int, ...] = (63,)) -> tuple[Any, ...]:
    """Odd sizes, a bias, and a third of the rows ignored, the first one too."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(*shape, generator=generator) for shape in ((*lead, 33), (507, 33), (507,))]
    x, W, b = (t.to(dtype).requires_grad_() for t in made)
    y = torch.randint(507, lead, generator=generator)
    y[torch.rand(lead, generator=generator) < 0.3] = -100
    y.view(-1)[0] = -100
    return x, W, b, y


def reduced(losses: Any, y: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / (y != -100).sum()


# --- options together ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("budget", [SMALL, "64MB"])
def test_softcap_z_loss_and_smoothing_with_ignored_rows(
    budget: Any, reduction: Any, dtype: Any
) -> None:
    """Odd sizes, a bias, several blocks, and an upstream gradient other than 1."""
    x, W, b, y = arguments(dtype)
    options: dict[str, Any] = {**COMBINED, "reduction": reduction, "memory_budget": budget}
    got = linear_cross_entropy(x, W, y, linear_bias=b, **options)
    want = reduced(by_definition(x, W, b, y, **COMBINED), y, reduction)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    mine = torch.autograd.grad(got, (x, W, b), upstream.to(got.dtype))
    other = torch.autograd.grad(want, (x, W, b), upstream.double())
    # A logit is a sum of 33 products, rounded to the dtype: 4·eps of a number near 8.
    eps = torch.finfo(dtype).eps
    close(got.double(), want, rtol=32 * eps, atol=32 * eps)
    for one, two in zip(mine, other, strict=True):
        scale = two.double().abs().max().item()
        close(one.double(), two.double(), rtol=0.0, atol=64 * eps * scale)


@pytest.mark.parametrize("softcap", [1.0, 30.0])
def test_a_softcap_makes_a_logit_of_minus_infinity_finite(softcap: float) -> None:
    """By its formula it is −s, and counts in the denominator; its derivative is 0."""
    x, W, b, y = arguments(torch.float64)
    with torch.no_grad():
        b[3], y[y == 3] = -torch.inf, 4
    want = by_definition(x, W, b, y, softcap=softcap).sum()
    got = linear_cross_entropy(x, W, y, linear_bias=b, softcap=softcap, reduction="sum")
    close(got, want)
    (by_bias,) = torch.autograd.grad(got, b)
    assert by_bias[3] == 0
    assert by_bias.isfinite().all()


# --- which gradients are asked for ---------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("frozen", ["x", "W", "b", "x W", "x b", "W b"])
def test_frozen_sides(frozen: str, reduction: Any) -> None:
    """The gradients of the others are those that they have when nothing is frozen."""
    x, W, b, y = arguments(torch.float64)
    want = dict(
        zip(
            "xWb",
            torch.autograd.grad(by_definition(x, W, b, y, **COMBINED).sum(), (x, W, b)),
            strict=True,
        )
    )
    named = {"x": x, "W": W, "b": b}
    for name in frozen.split():
        named[name].requires_grad_(False)
    options: dict[str, Any] = {**COMBINED, "reduction": reduction, "memory_budget": SMALL}
    loss = linear_cross_entropy(x, W, y, linear_bias=b, **options).sum()
    counted = int((y != -100).sum()) if reduction == "mean" else 1
    (loss * counted).backward()
    for name, tensor in named.items():
        if name in frozen.split():
            assert tensor.grad is None
        else:
            close(tensor.grad, want[name])


def test_a_forward_pass_alone() -> None:
    x, W, b, y = arguments()
    want = linear_cross_entropy(x, W, y, linear_bias=b)
    with torch.no_grad():
        alone = linear_cross_entropy(x, W, y, linear_bias=b)
    assert torch.equal(alone, want.detach())
    with pytest.raises(RuntimeError, match="does not require grad"):
        alone.backward()


# --- rows ----------------------------------------------------------------------------------------


def test_each_row_has_its_own_upstream_gradient() -> None:
    """A mask or weights after reduction="none", the first row ignored."""
    x, W, b, y = arguments(torch.float64)
    mask = torch.rand(len(y), generator=torch.Generator().manual_seed(2)).double()
    mask[5:9] = 0
    got = linear_cross_entropy(x, W, y, linear_bias=b, reduction="none", memory_budget=SMALL)
    want = by_definition(x, W, b, y)
    for loss in (got, want):
        loss.retain_grad()
    mine = torch.autograd.grad((got * mask).sum(), (x, W, b))
    for one, two in zip(mine, torch.autograd.grad((want * mask).sum(), (x, W, b)), strict=True):
        close(one, two)


def test_the_loss_times_the_probability_of_the_true_class() -> None:
    """Token scaling: the probability is a constant. An ignored row adds nothing."""
    x, W, b, y = arguments(torch.float64)
    got, scores = linear_cross_entropy(x, W, y, linear_bias=b, reduction="none", return_scores=True)
    losses = by_definition(x, W, b, y)
    probability = torch.where(y == -100, 0.0, (-losses).exp()).detach()
    mine = torch.autograd.grad((got * scores.probability).sum(), (x, W, b))
    other = torch.autograd.grad((losses * probability).sum(), (x, W, b))
    for one, two in zip(mine, other, strict=True):
        close(one, two)


@pytest.mark.parametrize("shift", [1, 2])
def test_labels_of_later_tokens(shift: int) -> None:
    """Views of a batch of texts, which are not contiguous: the last tokens have no label."""
    x, W, _, y = arguments(torch.float64, (3, 21))
    hidden, labels = x[:, :-shift], y[:, shift:]
    got = linear_cross_entropy(hidden, W, labels, **COMBINED)
    want = reduced(by_definition(hidden, W, None, labels, **COMBINED), labels, "mean")
    close(got, want)
    mine, other = (torch.autograd.grad(loss, (x, W)) for loss in (got, want))
    for one, two in zip(mine, other, strict=True):
        close(one, two)
    assert not mine[0][:, -shift:].any()


def test_unequal_micro_batches_one_of_them_without_labels() -> None:
    x, W, b, y = arguments(torch.float64)
    y[10:20] = -100
    counted = (y != -100).sum()
    want = reduced(by_definition(x, W, b, y, **COMBINED), y, "mean")
    grads = torch.autograd.grad(want, (x, W, b))
    total = 0.0
    for part in (slice(0, 10), slice(10, 20), slice(20, 21), slice(21, None)):
        loss = linear_cross_entropy(
            x[part], W, y[part], linear_bias=b, denominator=counted, **COMBINED
        )
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(want.item(), rel=1e-13)
    for tensor, grad in zip((x, W, b), grads, strict=True):
        close(tensor.grad, grad)


def test_a_common_offset_of_the_logits_changes_nothing() -> None:
    """Integers as logits, so that an offset of 2²⁰ is exact in float32."""
    generator = torch.Generator().manual_seed(0)
    x, W = (torch.randint(-2, 3, (n, 8), generator=generator).float() for n in (20, 50))
    y = torch.randint(50, (20,), generator=generator)
    W.requires_grad_()
    for offset in (0.0, 2.0**20, -(2.0**20)):
        loss = linear_cross_entropy(x, W, y, linear_bias=torch.full((50,), offset))
        got = (loss.detach(), *torch.autograd.grad(loss, W))
        if offset == 0:
            want = got
            close(loss.double(), by_definition(x, W, None, y).mean(), rtol=1e-6, atol=0.0)
        for one, two in zip(got, want, strict=True):
            close(one, two, rtol=1e-5, atol=1e-7)


def test_half_precision_is_computed_in_float32() -> None:
    """A loss of bfloat16 logits is not rounded to bfloat16, nor is a mean of many."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1000, 50, generator=generator).bfloat16()
    y = torch.randint(50, (1000,), generator=generator)
    want = -z.double().log_softmax(1)[torch.arange(1000), y]
    close(cross_entropy(z, y, reduction="none"), want.float(), rtol=1e-6, atol=0.0)
    close(cross_entropy(z, y), want.mean().float(), rtol=1e-6, atol=0.0)
    one = torch.eye(50).bfloat16()
    close(linear_cross_entropy(z, one, y), want.mean().float(), rtol=1e-5, atol=0.0)
