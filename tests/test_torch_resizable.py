"""FSDP2 frees the memory of gathered parameters by resizing it. PyTorch refuses that for memory
that `tensor.numpy()` ever showed, so no call may do so with what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softmaxloss
from softmaxloss import linear_cross_entropy

torch = pytest.importorskip("torch")

from softmaxloss.arrays import BFLOAT16  # noqa: E402
from softmaxloss.torch.linear import products  # noqa: E402
from softmaxloss.torch.tensors import as_numpy  # noqa: E402

ROWS, FEATURES, CLASSES = 4, 3, 5
PLAIN: list[dict[str, Any]] = [{}, {"label_smoothing": 0.1}, {"z_loss": 0.1, "softcap": 3.0}]


def freed(*tensors: Any) -> bool:
    """Whether PyTorch still frees the memory of each tensor. It does so only if it frees all of
    them: a test that fails shows them."""
    storages = [t.untyped_storage() for t in tensors]
    if not all(storage.resizable() for storage in storages):
        return False
    for storage in storages:
        storage.resize_(0)
    return True


def test_what_is_tested() -> None:
    x = torch.ones(3)
    x.numpy()
    assert not freed(x)
    with pytest.raises(RuntimeError, match="not resizable"):
        x.untyped_storage().resize_(0)


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", PLAIN, ids=str)
def test_loss(options: dict[str, Any], dtype: Any, soft: bool) -> None:
    z = torch.randn(ROWS, CLASSES).to(dtype).requires_grad_()
    y = torch.full((ROWS, CLASSES), 1 / CLASSES) if soft else torch.arange(ROWS)
    w, s = torch.ones(CLASSES).double(), torch.ones(ROWS).double()
    softmaxloss.cross_entropy(z, y, weight=w, sample_weight=s, **options).backward()
    softmaxloss.cross_entropy_with_grad(z.detach(), y, weight=w, sample_weight=s, **options)
    softmaxloss.score(z.detach(), y, weight=w, sample_weight=s)
    assert freed(z, y, w, s)


@pytest.mark.parametrize(
    "call", [softmaxloss.softmax, softmaxloss.log_softmax, softmaxloss.logsumexp]
)
def test_softmaxes(call: Callable[[Any], Any]) -> None:
    z = torch.randn(ROWS, CLASSES)
    call(z)
    assert freed(z)


@pytest.mark.parametrize("library", products.LIBRARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [*PLAIN, {"reduction": "none"}], ids=str)
def test_linear_loss(
    options: dict[str, Any], dtype: Any, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(products.VARIABLE, library)
    x = torch.randn(ROWS, FEATURES).to(dtype).requires_grad_()
    W = torch.randn(CLASSES, FEATURES).to(dtype).requires_grad_()
    b = torch.randn(CLASSES).to(dtype).requires_grad_()
    y, w, s = torch.arange(ROWS), torch.ones(CLASSES).double(), torch.ones(ROWS).double()
    loss = linear_cross_entropy(x, W, y, linear_bias=b, weight=w, sample_weight=s, **options)
    upstream = torch.ones_like(loss)
    loss.backward(upstream)
    assert freed(x, W, b, y, w, s, upstream)


@pytest.mark.parametrize("library", products.LIBRARIES)
def test_products(library: str) -> None:
    a, b, out = torch.ones(3, 4), torch.ones(5, 4), torch.empty(3, 5)
    products.LIBRARIES[library].put(a, b, None, out)
    assert freed(a, b, out)


# --- the arrays --------------------------------------------------------------------------------

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bool, torch.uint8, torch.int8]
DTYPES += [torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (2, 3)], ids=str)
def test_arrays_are_those_of_pytorch(shape: tuple[int, ...], dtype: Any) -> None:
    t = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    got = as_numpy(t)
    np.testing.assert_array_equal(got, t.clone().numpy(), strict=True)
    assert freed(t)


def test_layouts() -> None:
    t = torch.arange(24.0).reshape(2, 3, 4)
    views = [t.mT, t[:, ::2], t[1], t.permute(2, 0, 1), t[0, 0].expand(5, 4), t[..., 1:], t[:0].mT]
    for view in views:
        got = as_numpy(view)
        np.testing.assert_array_equal(got, view.clone().numpy(), strict=True)
        assert not got.size or np.shares_memory(got, as_numpy(t))
    as_numpy(t)[0, 0, 0] = 7
    assert t[0, 0, 0] == 7
    assert freed(t)


def test_bfloat16_and_views_of_other_numbers() -> None:
    t = torch.randn(3, 2)
    got = as_numpy(t.bfloat16())
    assert got.dtype == BFLOAT16
    np.testing.assert_array_equal(got.view(np.int16), t.bfloat16().view(torch.int16).numpy())
    assert as_numpy(torch.empty(0, 2, dtype=torch.bfloat16)).dtype == BFLOAT16
    c = torch.randn(3, dtype=torch.complex64)
    np.testing.assert_array_equal(as_numpy(c.conj().imag), -c.imag.clone().numpy())


def test_the_array_keeps_the_memory() -> None:
    array = as_numpy(torch.full((1 << 16,), 3.0))
    torch.zeros(1 << 16)
    assert (array == 3).all()


@pytest.mark.filterwarnings("ignore:Accessing the data pointer")
def test_tensors_without_memory_are_pytorchs_error() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(3)
    with pytest.raises((RuntimeError, TypeError)):
        as_numpy(fake)
    with pytest.raises(TypeError, match="float8"):
        as_numpy(torch.ones(3).to(torch.float8_e5m2))
