"""`softmax`, `log_softmax`, `logsumexp` of tensors: PyTorch's numbers, every kind of derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.tensors import close, example  # noqa: E402

import softmaxloss  # noqa: E402
import softmaxloss.torch as ours  # noqa: E402

NAMES = ["softmax", "log_softmax", "logsumexp"]
PAIRS = [(getattr(ours, name), getattr(torch, name)) for name in NAMES]
each = pytest.mark.parametrize(("function", "theirs"), PAIRS, ids=NAMES)

Function = Callable[..., Any]


@each
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_and_gradients_are_those_of_pytorch(
    function: Function, theirs: Function, dim: int, dtype: Any
) -> None:
    z = torch.randn(3, 4, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for made in (z, z.transpose(0, 2), z.permute(1, 0, 2)[:, ::2]):
        mine, other = (made.clone().requires_grad_() for _ in range(2))
        got, want = function(mine, dim), theirs(other, dim)
        close(got, want)
        upstream = torch.randn(want.shape, dtype=dtype)
        got.backward(upstream)
        want.backward(upstream)
        close(mine.grad, other.grad)
        assert got.dtype == want.dtype


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(function: Function, theirs: Function, dtype: Any) -> None:
    z = torch.randn(6, 50).to(dtype).requires_grad_()
    got = function(z, 1)
    per_entry = function is not ours.logsumexp
    assert got.dtype == (dtype if per_entry else torch.float32)
    assert torch.equal(got, function(z.float(), 1).to(got.dtype))
    (grad,) = torch.autograd.grad(got.sum() if per_entry is False else got[:, 0].sum(), z)
    assert grad.dtype == dtype
    assert grad.isfinite().all()


@each
def test_derivatives_of_every_order_and_mode(function: Function, theirs: Function) -> None:
    z, _ = example(rows=3, classes=4)
    for dim in (0, 1):
        assert torch.autograd.gradcheck(lambda z: function(z, dim), z, check_forward_ad=True)  # noqa: B023
        assert torch.autograd.gradgradcheck(lambda z: function(z, dim), z)  # noqa: B023
    z = z.detach()
    for transform in (torch.func.jacrev, torch.func.jacfwd, torch.func.hessian, torch.func.vmap):
        close(transform(lambda z: function(z, -1))(z), transform(lambda z: theirs(z, -1))(z))


@each
def test_in_a_compiled_graph(function: Function, theirs: Function) -> None:
    z, _ = example(torch.float32)
    compiled = torch.compile(lambda z: function(z, 1), fullgraph=True, backend="aot_eager")
    close(compiled(z), theirs(z, 1))
    grads = [torch.autograd.grad(f(z).sum(), z)[0] for f in (compiled, lambda z: theirs(z, 1))]
    close(*grads)


def test_the_gradient_of_a_sure_prediction_keeps_its_digits() -> None:
    """−log_softmax at the true class is the loss: of the same gradient, not 0."""
    z = torch.tensor([[40.0, 0.0, 1.0], [0.0, 60.0, 3.0]], requires_grad=True)
    y = torch.tensor([0, 1])
    (got,) = torch.autograd.grad(-ours.log_softmax(z, 1)[[0, 1], y].sum(), z)
    _, want = softmaxloss.cross_entropy_with_grad(z.detach(), y, reduction="sum")
    torch.testing.assert_close(got, want, rtol=3e-7, atol=0.0)
    assert (want != 0).all()


def test_tensors_of_other_kinds() -> None:
    for function in (ours.softmax, ours.log_softmax, ours.logsumexp):
        assert function(torch.tensor([[1, 2]]), 1).dtype is torch.float64
        assert function(torch.zeros(2, 3, device="meta"), 1).device.type == "meta"
        negated = torch.conj(torch.complex(torch.zeros(2, 3), torch.ones(2, 3))).imag
        close(function(negated, 1), function(-torch.ones(2, 3), 1))
        for bad in (torch.zeros(2, dtype=torch.complex64), torch.zeros(2) > 0, [0.0, 1.0]):
            with pytest.raises(TypeError):
                function(bad, 0)
        with pytest.raises(softmaxloss.OptionError, match=r"Pass dim=1 for"):
            function(torch.zeros(2, 3, 4))
    assert type(softmaxloss.softmax(torch.zeros(2))) is torch.Tensor


def test_rows_without_a_softmax() -> None:
    z = torch.tensor([[torch.nan, 0], [torch.inf, 0], [-torch.inf] * 2, [0, 0]])
    for function, theirs in PAIRS:
        got = function(z, 1)
        torch.testing.assert_close(got, theirs(z, 1), equal_nan=True)
        row_by_row = torch.func.vmap(lambda z, f=function: f(z, 0))(z)
        torch.testing.assert_close(row_by_row, got, equal_nan=True)
