"""The scores of a whole call in one crossing into the kernel: those and the errors of the general
way, which is the same call where `direct_score` leaves everything to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.test_direct import BAD, INTEGERS, LAYOUTS, SHAPES, bits, labels, logits

import softmaxloss
from softmaxloss import engine, score
from softmaxloss.kernels import direct_on

pytestmark = pytest.mark.skipif(
    softmaxloss.kernels.level() == "reference", reason="without the extension all is general"
)


class Kernels:
    """The kernel, with a `direct_score` that leaves every call, or notes which calls it takes."""

    def __init__(self, leaves: bool) -> None:
        self.leaves, self.taken = leaves, []  # type: ignore[var-annotated]

    def direct_score(self, *arguments: Any) -> Any:
        result = None if self.leaves else direct_on("cpu").direct_score(*arguments)
        self.taken.append(result is not None)
        return result


def both(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], *modules: Any
) -> tuple[Any, Any, list[bool]]:
    """The results of the call directly and in general, and which direct calls were taken."""
    direct, general = Kernels(leaves=False), Kernels(leaves=True)
    with monkeypatch.context() as patch:
        for module in (engine, *modules):
            patch.setattr(module, "direct_on", lambda device="cpu": direct)
        first = call()
        for module in (engine, *modules):
            patch.setattr(module, "direct_on", lambda device="cpu": general)
        return first, call(), direct.taken


def agree(
    monkeypatch: pytest.MonkeyPatch, *arguments: Any, is_taken: bool = True, **options: Any
) -> None:
    first, second, taken = both(monkeypatch, lambda: score(*arguments, **options))
    assert type(first) is type(second) is softmaxloss.Scores
    assert bits(tuple(first)) == bits(tuple(second))
    assert taken == [is_taken]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 10, 127, 128, 1000, 5000])
def test_every_size(classes: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (1, 3, 40):
        agree(monkeypatch, logits(rows, classes, dtype), labels(rows, classes))
    agree(monkeypatch, logits(1, classes, dtype)[0], 0)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_strides(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change, is_taken = SHAPES[name]
    z = change(np.random.default_rng(0).normal(size=(3, 10, 4, 5)).astype(dtype))
    classes = z.shape[min(1, z.ndim - 1)]
    shape = z.shape[:1] + z.shape[2:] if z.ndim > 1 else ()
    y = np.asarray(np.random.default_rng(0).integers(classes, size=shape))
    agree(monkeypatch, z, y, is_taken=is_taken)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.char)
def test_labels_of_every_integer_dtype(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    y = labels(20, 10).astype(dtype)
    agree(monkeypatch, logits(20, 10), y)
    agree(monkeypatch, logits(20, 10), y, ignore_index=int(y[3]))
    agree(monkeypatch, logits(1, 10)[0], dtype.type(3))


@pytest.mark.parametrize(
    "layout", [name for name in LAYOUTS if name not in ("a subclass", "a list")]
)
def test_layouts(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, is_taken = LAYOUTS[layout]
    agree(monkeypatch, change(logits(20, 10)), labels(20, 10), is_taken=is_taken)


def test_options_and_special_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = logits(20, 10), labels(20, 10)
    y[:4] = -100
    z[4, 2], z[5], z[6, 1] = np.nan, -np.inf, np.inf
    agree(monkeypatch, z, y)
    agree(monkeypatch, z[0], y[0])
    agree(monkeypatch, z, y + 1, first_class=1, ignore_index=-99, is_taken=False)
    agree(monkeypatch, z, np.where(y < 0, 10**6, y), ignore_index=10**6)
    for bad in ({"first_class": False}, {"ignore_index": [1]}, {"ignore_index": 1.0}):
        with pytest.raises(TypeError, match="must be an integer"):
            score(z, y, **bad)


@pytest.mark.parametrize("bad", [name for name in BAD if "label" in name or "logits" in name])
def test_errors_are_those_of_the_general_way(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> tuple[Any, str]:
        z, y = logits(20, 10), labels(20, 10)
        with pytest.raises((ValueError, TypeError)) as info:
            score(**{"logits": z, "target": y, **BAD[bad](z, y)})
        return info.type, str(info.value)

    first, second, taken = both(monkeypatch, error)
    assert first == second
    assert taken == [False]


def test_each_score_has_its_own_memory() -> None:
    scores = score(logits(20, 10), labels(20, 10))
    assert all(array.base is None and array.flags.writeable for array in scores)


def test_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    import softmaxloss.torch

    z, y = torch.from_numpy(logits(20, 10)), torch.from_numpy(labels(20, 10))
    y[3] = -100
    imaginary = torch.conj(torch.complex(z, z)).imag
    places = z.view(2, 5, 20), y.view(2, 10).repeat(1, 2) % 5
    calls: list[tuple[Any, Any, list[bool]]] = [
        *((z.to(dtype), y, [True]) for dtype in (torch.float32, torch.float64)),
        *((z.to(dtype), y, [True]) for dtype in (torch.bfloat16, torch.float16)),
        (z[0], y[0], [True]),
        (places[0], places[1].clamp(min=0), [True]),
        (z.clone().requires_grad_(), y.int(), [True]),
        (imaginary, y, [True]),  # resolved first, then by the engine for arrays
        (z.int(), y, [False, False]),
    ]
    for logits_, target, taken in calls:
        first, second, was_taken = both(
            monkeypatch,
            lambda: softmaxloss.torch.score(logits_, target),  # noqa: B023
            softmaxloss.torch.engine,
        )
        for got, want in zip(first, second, strict=True):
            assert type(got) is torch.Tensor
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            assert got.numpy().tobytes() == want.numpy().tobytes()
        assert was_taken == taken
