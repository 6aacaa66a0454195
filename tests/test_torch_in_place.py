"""`cross_entropy(…, inplace=True)`: the gradient in the memory of the logits, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import softmaxloss

torch = pytest.importorskip("torch")

from tests.tensors import OPTIONS, close, example, name_of  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import CrossEntropyLoss, cross_entropy  # noqa: E402


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_in_place(options: dict[str, Any], dtype: Any) -> None:
    x, y = example(dtype)
    upstream = torch.rand(()).double()

    def gradient(inplace: bool) -> tuple[Any, Any, Any]:
        z, seen = x * 2, []
        z.register_hook(lambda grad: seen.append((grad.clone(), grad.data_ptr())))
        memory = z.data_ptr()
        loss = cross_entropy(z, y, **options, inplace=inplace)
        (loss.sum() * upstream).backward()
        return loss.detach(), seen[0][0], seen[0][1] == memory

    (loss, grad, there), (want_loss, want, _) = gradient(True), gradient(False)
    assert there
    assert torch.equal(loss, want_loss)
    eps = torch.finfo(dtype).eps  # the product with the upstream gradient rounds once more
    # With smoothing an entry is a difference, and each of the two terms was rounded.
    terms = 0.1 if "label_smoothing" in options else 0.0
    close(grad, want, rtol=2 * eps, atol=terms * eps * want.abs().max().item())


def test_in_place_without_a_backward_pass_leaves_the_logits() -> None:
    z, y = example()
    given = z.detach().clone()
    with torch.no_grad():
        cross_entropy(z, y, inplace=True)
    cross_entropy(z.detach(), y, inplace=True)
    assert torch.equal(z, given)


def test_in_place_tells_autograd() -> None:
    x, y = example()
    z = x * 2
    square = z**2  # needs z
    loss = cross_entropy(z, y, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (loss + square.sum()).backward()


def test_in_place_notices_writes_to_its_memory() -> None:
    x, y = example()
    z = x * 2
    twice = cross_entropy(z, y, inplace=True) + cross_entropy(z, y, inplace=True)
    with pytest.raises(RuntimeError, match="was written to since"):
        twice.backward()
    z = x * 2
    loss = cross_entropy(z, y, inplace=True)
    z.detach().zero_()
    with pytest.raises(RuntimeError, match="was written to since"):
        loss.backward()


def test_in_place_on_a_negated_view() -> None:
    """The memory of such a view has the opposite sign, so its gradient gets memory of its own."""
    c = torch.randn(6, 5, dtype=torch.complex128, requires_grad=True)
    _, y = example()

    def gradient(loss: Callable[..., Any], **options: Any) -> Any:
        return torch.autograd.grad(loss(torch.conj(c * 1).imag, y, **options), c)[0]

    close(gradient(cross_entropy, inplace=True), gradient(F.cross_entropy))
    out = torch.conj(torch.zeros(6, 5, dtype=torch.complex128)).imag
    with pytest.raises(softmaxloss.OptionError, match="out must be memory to write to"):
        softmaxloss.cross_entropy_with_grad(c.detach().real, y, out=out)


def test_in_place_has_one_gradient() -> None:
    x, y = example()
    loss = cross_entropy(x * 2, y, inplace=True)
    with pytest.raises(RuntimeError, match="leave inplace out"):
        torch.autograd.grad(loss, x, torch.eye(1, dtype=torch.float64)[0], is_grads_batched=True)
    loss.backward()  # the gradient is intact
    losses = cross_entropy(x * 2, y, reduction="none", inplace=True)
    with pytest.raises(RuntimeError, match="leave inplace out"):
        torch.autograd.grad(losses, x, torch.eye(6).double(), is_grads_batched=True)
    losses.sum().backward()


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_ignored_rows_stay_0_for_an_infinite_upstream_gradient(
    reduction: Any, inplace: bool
) -> None:
    x, y = example()
    y[2] = -100
    loss = cross_entropy(x * 2, y, reduction=reduction, inplace=inplace)
    upstream = torch.full(loss.shape, torch.inf).double()
    (grad,) = torch.autograd.grad(loss, x, upstream)
    assert not grad[2].any()
    assert not grad[:2].isfinite().any()


def test_in_place_refusals() -> None:
    x, y = example()
    for leaf in (x, x[:3]):
        with pytest.raises(softmaxloss.OptionError, match="a leaf of the graph"):
            cross_entropy(leaf, y[: len(leaf)], inplace=True)
    loss = cross_entropy(x * 2, y, inplace=True)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="for a second backward pass leave inplace out"):
        loss.backward()
    loss = cross_entropy(x * 2, y, inplace=True)
    with pytest.raises(RuntimeError, match="for create_graph=True leave inplace out"):
        torch.autograd.grad(loss, x, create_graph=True)
    for z in ((x[:1] * 2).expand(6, 5), (x[:2] * 2).view(-1).unfold(0, 5, 1)):
        with pytest.raises(
            softmaxloss.OptionError, match=r"^inplace=True .* some of these share memory"
        ):
            cross_entropy(z, y, inplace=True)
    for flag in ("yes", 1, None):
        for z in (x * 2, x.detach()):
            with pytest.raises(TypeError, match="inplace must be True or False, got"):
                cross_entropy(z, y, inplace=flag)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="inplace must be True or False, got"):
            CrossEntropyLoss(inplace=flag)  # type: ignore[arg-type]
