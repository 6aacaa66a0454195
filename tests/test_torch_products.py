"""The products of the linear loss: each library computes the same, and how one is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from softmaxloss import OptionError, linear_cross_entropy

torch = pytest.importorskip("torch")
from softmaxloss.torch.linear import products  # noqa: E402

SHAPE = (64, 1000, 2000)  # rows, features, classes: more than products.SMALL_CALL


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_chosen", {})
    monkeypatch.delenv(products.VARIABLE, raising=False)


def chosen(dtype: Any = torch.float32, shape: tuple[int, ...] = SHAPE, alone: bool = False) -> str:
    rows, features, classes = shape
    return products.library_for(dtype, "cpu", rows, 512, (classes, features), rows, alone)


def laid_out(m: int, n: int, layout: str, dtype: Any) -> Any:
    t = torch.randn(2 * m, 2 * n, dtype=dtype)
    return {
        "contiguous": lambda: t[:m, :n].contiguous(),
        "in a larger one": lambda: t[:m, :n],
        "transposed": lambda: t.t().contiguous().t()[:m, :n],
        "strided": lambda: t[::2, ::2],
        "expanded": lambda: t[:1, :n].expand(m, n),
    }[layout]()


LAYOUTS = ["contiguous", "in a larger one", "transposed", "strided", "expanded"]


@pytest.mark.parametrize("of_b", LAYOUTS)
@pytest.mark.parametrize("of_a", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("library", products.LIBRARIES)
def test_the_product(library: str, dtype: Any, of_a: str, of_b: str) -> None:
    if library not in products.available(dtype, "cpu"):
        pytest.skip(f"{library} has no {dtype}")
    torch.manual_seed(0)
    product = products.LIBRARIES[library]
    a, b = laid_out(5, 7, of_a, dtype), laid_out(3, 7, of_b, dtype)
    bias, place = torch.randn(6, dtype=dtype)[::2], torch.full((5, 9), 9.0, dtype=dtype)
    want = a.double() @ b.double().t()
    out = place[:, 3:6]
    with torch.no_grad():
        product.put(a, b, bias, out)
        torch.testing.assert_close(out.double(), want + bias.double(), rtol=1e-5, atol=1e-5)
        product.put(a, b, None, out)
        torch.testing.assert_close(out.double(), want, rtol=1e-5, atol=1e-5)
        product.add(a, b, out, torch.empty(20, dtype=dtype))
        torch.testing.assert_close(out.double(), 2 * want, rtol=1e-5, atol=1e-5)
    assert (place[:, :3] == 9).all()
    assert (place[:, 6:] == 9).all()


def with_threads(monkeypatch: pytest.MonkeyPatch, of_torch: int, of_numpy: int) -> None:
    monkeypatch.setattr(products, "_threads_of_numpy", lambda: of_numpy)
    monkeypatch.setattr(torch, "get_num_threads", lambda: of_torch)


def test_products_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def measure(names: list[str], *key: Any) -> str:
        measured.append(key)
        return names[-1]

    monkeypatch.setattr(products, "_measured", measure)
    with_threads(monkeypatch, 1, 1)
    assert chosen() == chosen()
    chosen(shape=(60, *SHAPE[1:]))  # another batch of about as many rows
    assert len(measured) == 1
    chosen(torch.float64)
    assert len(measured) == 2


def with_times(monkeypatch: pytest.MonkeyPatch, times: dict[str, float]) -> None:
    """Products of each library take so many seconds."""
    now = [0.0]
    for name, product in products.LIBRARIES.items():

        def put(*arguments: Any, seconds: float = times[name]) -> None:
            now[0] += seconds

        monkeypatch.setitem(products.LIBRARIES, name, product._replace(put=put, adds=False))
    monkeypatch.setattr(products, "perf_counter", lambda: now[0])
    monkeypatch.setattr(products, "available", lambda dtype, device: list(times))


def test_the_fastest_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with_times(monkeypatch, {"onednn": 2.0, "numpy": 1.0, "torch": 1.4})
    with_threads(monkeypatch, 1, 1)
    assert chosen() == "numpy"


def test_of_libraries_that_are_about_as_fast_it_is_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_times(monkeypatch, {"onednn": 1.0, "numpy": 1.0, "torch": 1.2})
    with_threads(monkeypatch, 1, 1)
    assert chosen() == "torch"
    assert products.clearly_fastest({"onednn": 1.2, "numpy": 1.0}) == "onednn"


def test_when_numpy_may_multiply_on_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """On as many as PyTorch has, and between no operations of PyTorch: its threads would hold the
    processors. A while after them, so not in small calls."""
    with_times(monkeypatch, {"onednn": 2.0, "numpy": 1.0, "torch": 1.4})
    small, large = SHAPE, (2500, 1000, 2000)
    for of_torch, of_numpy, shape, alone, want in (
        (2, 2, large, True, "numpy"),
        (2, 2, large, False, "torch"),
        (2, 2, small, True, "torch"),
        (4, 4, large, True, "torch"),  # half as long
        (1, 2, large, True, "torch"),
        (2, 1, large, True, "torch"),
        (1, 1, small, False, "numpy"),
    ):
        with_threads(monkeypatch, of_torch, of_numpy)
        products._chosen.clear()
        assert chosen(shape=shape, alone=alone) == want


def test_numpy_multiplies_between_no_operations_of_pytorch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole loop runs on arrays, with the result of the loop on tensors."""
    torch.manual_seed(0)
    x, W, b = torch.randn(300, 8), torch.randn(70, 8), torch.randn(70)
    y = torch.randint(70, (300,))
    for budget in (10**8, 40_000):
        found = []
        for name in ("numpy", "torch"):
            monkeypatch.setenv(products.VARIABLE, name)
            leaves = [t.clone().requires_grad_() for t in (x, W, b)]
            with torch.profiler.profile() as profile:
                loss = linear_cross_entropy(
                    *leaves[:2], y, linear_bias=leaves[2], memory_budget=budget
                )
            loss.backward()
            found.append([loss, *[leaf.grad for leaf in leaves]])
            events = {event.key for event in profile.key_averages()}
            assert bool(events & {"aten::mm", "aten::addmm", "aten::sum"}) is (name == "torch")
            assert not events & {"aten::add_"} or name == "torch"
        torch.testing.assert_close(*found)


def test_what_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_measured", lambda *_: pytest.fail("measured"))
    first = products.available(torch.float32, "cpu")[0]
    assert chosen(shape=(8, 16, 100)) == first
    assert chosen(shape=(64, 0, 2000)) == "torch"
    assert chosen(torch.bfloat16) == "torch"
    torch.use_deterministic_algorithms(True)
    try:
        assert chosen() == first
    finally:
        torch.use_deterministic_algorithms(False)
    for name in products.available(torch.float32, "cpu"):
        monkeypatch.setenv(products.VARIABLE, name)
        assert chosen() == name
    monkeypatch.setenv(products.VARIABLE, "numpy")
    assert chosen(torch.bfloat16) == "torch"


def test_an_unknown_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.VARIABLE, "mkl")
    x, W, y = torch.randn(4, 3), torch.randn(5, 3), torch.arange(4)
    with pytest.raises(OptionError, match=r"^SOFTMAXLOSS_PRODUCTS must be one of .*'mkl'$"):
        linear_cross_entropy(x, W, y)


def test_the_measurement_changes_nothing() -> None:
    """Not the random numbers, and a second call has the same bits as the first."""
    torch.manual_seed(0)
    x, W = torch.randn(SHAPE[:2]), torch.randn(SHAPE[2], SHAPE[1], requires_grad=True)
    y = torch.randint(SHAPE[2], (SHAPE[0],))
    before = torch.get_rng_state()
    found = [torch.autograd.grad(linear_cross_entropy(x, W, y), W)[0] for _ in range(2)]
    assert products._chosen
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*found)
