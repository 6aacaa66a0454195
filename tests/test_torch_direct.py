"""Calls on tensors in one crossing into the kernel, against the same calls through the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import softmaxloss

torch = pytest.importorskip("torch")

from softmaxloss.torch import cross_entropy, cross_entropy_with_grad, engine  # noqa: E402

pytestmark = pytest.mark.skipif(
    softmaxloss.kernels.level() == "reference", reason="without the extension all is general"
)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def both(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> tuple[Any, Any, list[bool]]:
    """The results of the call directly and through the engine, and which were taken directly."""
    taken: list[bool] = []
    directly = engine._directly

    def noted(*arguments: Any) -> bool:
        taken.append(directly(*arguments))
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_directly", noted)
        first = call()
        patch.setattr(engine, "_directly", lambda *_: False)
        return first, call(), taken


def agree(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], taken: set[bool]) -> None:
    first, second, was_taken = both(monkeypatch, call)
    for got, want in zip(first, second, strict=True):
        assert (got.dtype, got.shape, got.stride()) == (want.dtype, want.shape, want.stride())
        assert torch.equal(got.reshape(-1).view(torch.uint8), want.reshape(-1).view(torch.uint8))
    assert set(was_taken) == taken


def example(dtype: Any = torch.float32, rows: int = 50, classes: int = 10) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(rows)
    z = torch.randn(rows, classes, generator=generator).to(dtype)
    return z, torch.randint(classes, (rows,), generator=generator)


def passes(z: Any, y: Any, upstream: float = 1.0, **options: Any) -> Callable[[], Any]:
    """The loss without a gradient, with one, and the gradient."""

    def call() -> tuple[Any, ...]:
        leaf = z.detach().clone().requires_grad_()
        loss = cross_entropy(leaf, y, **options)
        (loss.sum() * upstream).backward()
        return cross_entropy(z, y, **options), loss.detach(), leaf.grad

    return call


OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"reduction": "none", "upstream": 0.3},
    {"upstream": 3.0},
    {"upstream": 0.0},
    {"label_smoothing": 0.1},
    {"ignore_index": 3},
    {"denominator": torch.tensor(7)},
    {"weight": torch.linspace(0, 2, 10)},
    {"weight": torch.linspace(0, 2, 10, dtype=torch.float64)},
    {"weight": torch.linspace(0, 2, 20)[::2], "label_smoothing": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_option(dtype: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    agree(monkeypatch, passes(*example(dtype), **options), {True})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, _ = example(dtype)
    q = torch.softmax(torch.randn(50, 10, dtype=dtype), 1)
    agree(monkeypatch, passes(z, q), {True})
    agree(monkeypatch, passes(z, q.double()), {True})


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.uint64])
def test_labels_of_every_dtype(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = example()
    agree(monkeypatch, passes(z, y.to(dtype)), {True})


def test_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = example()
    agree(monkeypatch, passes(torch.cat([z, z], 1)[:, 3:13], y), {True})
    agree(monkeypatch, passes(z, torch.stack([y, y], 1)[:, 1]), {True})
    agree(monkeypatch, passes(z[:1].expand(50, 10), y[:1].expand(50)), {True})
    for reduction in ("mean", "none"):
        agree(monkeypatch, passes(z[0], y[0], reduction=reduction), {True})
    for shape in ((5, 10, 10), (5, 2, 5, 10)):
        for reduction in ("mean", "none"):
            places = y.view(5, 10) if len(shape) == 3 else (y % 2).view(5, 1, 10).expand(5, 5, 10)
            agree(
                monkeypatch,
                passes(z.view(-1)[:500].view(shape), places, reduction=reduction),
                {True},
            )
    images = z.view(5, 10, 2, 5).to(memory_format=torch.channels_last)
    agree(monkeypatch, passes(images, y.view(5, 2, 5)), {True})


def test_misaligned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = example()
    memory = bytearray(b"." + z.numpy().tobytes())
    apart = torch.frombuffer(memory, dtype=torch.float32, offset=1).view(50, 10)
    assert apart.data_ptr() % 4 != 0
    agree(monkeypatch, lambda: [cross_entropy(apart, y)], {False})
    assert torch.equal(cross_entropy(apart, y), cross_entropy(z, y))


def test_a_negated_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are not what lies in memory: the engine resolves them first."""
    z = torch.conj(torch.randn(50, 10, dtype=torch.complex64)).imag
    assert z.is_neg()
    _, y = example()
    agree(monkeypatch, lambda: [cross_entropy(z, y), *cross_entropy_with_grad(z, y)], {False})
    want = torch.nn.functional.cross_entropy(z, y)
    torch.testing.assert_close(cross_entropy(z, y), want)

    def negated_upstream() -> Any:
        leaf = z.clone().requires_grad_()
        loss = cross_entropy(leaf, y, reduction="none")
        upstream = torch.conj(torch.ones(50, dtype=torch.complex64) * -2j).imag
        return torch.autograd.grad(loss, leaf, upstream)

    agree(monkeypatch, negated_upstream, {True, False})


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_batch_of_upstream_gradients(reduction: Any) -> None:
    z, y = example(torch.float64)
    z.requires_grad_()
    loss = cross_entropy(z, y, reduction=reduction)
    upstream = torch.randn(3, *loss.shape, dtype=torch.float64)
    (got,) = torch.autograd.grad(loss, z, upstream, is_grads_batched=True)
    theirs = torch.nn.functional.cross_entropy(z, y, reduction=reduction)
    want = [torch.autograd.grad(theirs, z, u, retain_graph=True)[0] for u in upstream]
    torch.testing.assert_close(got, torch.stack(want))


def test_a_default_device_and_a_default_dtype_change_nothing() -> None:
    z, y = example()
    want = cross_entropy(z, y)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            got = cross_entropy(z, y)
            each = cross_entropy(z, y, reduction="none")
    finally:
        torch.set_default_dtype(torch.float32)
    assert (got.device.type, got.dtype, each.device.type) == ("cpu", torch.float32, "cpu")
    assert torch.equal(got, want)


def test_inference_mode_and_parameters() -> None:
    z, y = example()
    want = cross_entropy(z, y)
    with torch.inference_mode():
        assert cross_entropy(z, y).is_inference()
        assert torch.equal(cross_entropy(z, y), want)
    parameter = torch.nn.Parameter(z)
    loss = cross_entropy(parameter, y)
    loss.backward()
    assert torch.equal(loss, want)
    assert type(parameter.grad) is torch.Tensor


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_one_node_and_nothing_kept_too_long(reduction: Any) -> None:
    """The gradient becomes the leaf's own, without a copy: no second reference to it is left."""
    z, y = example()
    z.requires_grad_()
    memory = []
    fresh = engine.empty_like
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "empty_like", lambda t: memory.append(fresh(t)) or memory[-1])
        loss = cross_entropy(z, y, reduction=reduction)
        assert type(loss.grad_fn).__name__ == "_LossBackward"
        assert [type(f).__name__ for f, _ in loss.grad_fn.next_functions[:1]] == ["AccumulateGrad"]
        if reduction == "none":
            assert not memory
        places = [tensor.data_ptr() for tensor in memory]
        memory.clear()
        loss.sum().backward()
        places += [tensor.data_ptr() for tensor in memory]
        assert len(places) == 1
    z2 = z.detach().clone().requires_grad_()
    places.clear()
    with pytest.MonkeyPatch.context() as patch:

        def noted(tensor: Any) -> Any:
            made = fresh(tensor)
            places.append(made.data_ptr())
            return made

        patch.setattr(engine, "empty_like", noted)
        cross_entropy(z2, y, reduction=reduction).sum().backward()
    assert places == [z2.grad.data_ptr()]


ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "a label too large": lambda z, y: cross_entropy(z, y + 1),
    "labels of floats": lambda z, y: cross_entropy(z, y.float()),
    "labels of another shape": lambda z, y: cross_entropy(z, y[1:]),
    "a negative weight": lambda z, y: cross_entropy(z, y, -torch.ones(10)),
    "weights of another shape": lambda z, y: cross_entropy(z, y, torch.ones(9)),
    "a negative probability": lambda z, y: cross_entropy(z, -torch.ones(50, 10)),
    "complex logits": lambda z, y: cross_entropy(z + 0j, y),
    "one number": lambda z, y: cross_entropy(z[0, 0], y),
    "one number, not reduced": lambda z, y: cross_entropy(z[0, 0], y, reduction="none"),
    "no classes": lambda z, y: cross_entropy(z[:, :0], y),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("grad", [False, True])
def test_errors(error: str, grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = example()
    y[0] = 9

    def call() -> tuple[Any, str]:
        with pytest.raises((ValueError, TypeError)) as info:
            ERRORS[error](z.detach().requires_grad_(grad), y)
        return info.type, str(info.value)

    first, second, taken = both(monkeypatch, call)
    assert first == second
    assert set(taken) <= {False}


def test_without_the_exchange_the_engine_computes() -> None:
    """As with a PyTorch that has no C exchange API: types that the kernel was not told about."""

    class Mine(torch.Tensor):
        pass

    z, y = example()
    loss = cross_entropy(z.as_subclass(Mine), y)
    assert torch.equal(loss.as_subclass(torch.Tensor), cross_entropy(z, y))
    kernel = engine.direct_on("cpu")
    assert not kernel.know_tensors((torch.Tensor,), object())
    assert not kernel.know_tensors((torch.Tensor,) * 5, engine.exchange_of_tensors())
    assert kernel.know_tensors((torch.Tensor, torch.nn.Parameter), engine.exchange_of_tensors())
