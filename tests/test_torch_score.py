"""`score` of tensors: those of arrays, also where PyTorch's operations compute them."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

import softmaxloss  # noqa: E402
from softmaxloss.torch import score  # noqa: E402
from softmaxloss.torch.tensors import as_numpy  # noqa: E402

CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one-based": {"first_class": 1},
    "options": {
        "weight": torch.tensor([1.0, 2.0, 0.0, 0.5, 1.0]),
        "sample_weight": torch.tensor([1.0, 0.0, 3.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
        "label_smoothing": 0.1,
    },
    "soft": {"multi_label": "mean"},
}


def arguments(name: str) -> tuple[Any, Any]:
    """Logits and target: an ignored row, rows without a softmax, masked classes."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(8, 5, generator=generator) * 3
    y = torch.tensor([0, 1, 2, 3, 4, -100, 1, 2])
    z[2, 4], z[3, 0], z[6], z[7] = -torch.inf, torch.nan, -torch.inf, 90 * z[7]
    if name == "soft":
        return z, torch.rand(8, 5, generator=generator)
    return z, y + (y >= 0) if name == "one-based" else y


def agree(got: Any, want: Any) -> None:
    for field, mine, wanted in zip(want._fields, got, want, strict=True):
        assert (mine.shape, mine.dtype) == (wanted.shape, wanted.dtype), field
        torch.testing.assert_close(
            mine, wanted, equal_nan=True, rtol=3e-6, atol=1e-30, msg=lambda m, f=field: f"{f}: {m}"
        )


@pytest.mark.parametrize("name", CALLS)
def test_they_are_those_of_arrays(name: str) -> None:
    z, y = arguments(name)
    numbers = {n: as_numpy(v) if torch.is_tensor(v) else v for n, v in CALLS[name].items()}
    want = softmaxloss.score(z.numpy(), y.numpy(), **numbers)
    for got, wanted in zip(score(z, y, **CALLS[name]), want, strict=True):
        assert np.array_equal(got.numpy(), wanted, equal_nan=True)


@pytest.mark.parametrize("name", CALLS)
def test_in_a_compiled_graph(name: str) -> None:
    z, y = arguments(name)
    compiled = torch.compile(score, fullgraph=True, backend="aot_eager")
    agree(compiled(z, y, **CALLS[name]), score(z, y, **CALLS[name]))


@pytest.mark.slow  # it compiles C++: half a minute where nothing is cached
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile compiles C++")
def test_compiled_by_the_inductor() -> None:
    z, y = arguments("options")
    compiled = torch.compile(score, fullgraph=True, backend="inductor")
    agree(compiled(z, y, **CALLS["options"]), score(z, y, **CALLS["options"]))


@pytest.mark.parametrize("name", ["plain", "soft"])
def test_under_vmap(name: str) -> None:
    z, y = arguments(name)

    def of_one(z: Any, y: Any) -> Any:
        return tuple(score(z, y, **CALLS[name]))

    want = score(z, y, **CALLS[name])
    agree(type(want)(*torch.func.vmap(of_one)(z, y)), want)


def test_without_memory() -> None:
    z, y = arguments("plain")
    with FakeTensorMode() as mode:
        made = score(mode.from_tensor(z), mode.from_tensor(y))
    for got, wanted in zip(made, score(z, y), strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)


def test_scores_take_no_gradient() -> None:
    z, y = arguments("options")
    z.requires_grad_()
    weight = CALLS["options"]["weight"].clone().requires_grad_()
    assert not any(values.requires_grad for values in score(z, y, weight))

    def loss(z: Any) -> Any:
        return (z * score(z, y).predicted[:, None]).sum()

    assert torch.equal(
        torch.func.grad(loss)(z.detach()), score(z, y).predicted[:, None].expand(8, 5)
    )


def test_images_and_one_example() -> None:
    z, y = torch.randn(2, 5, 3, 4), torch.randint(5, (2, 3, 4))
    agree(torch.compile(score, backend="aot_eager")(z, y), score(z, y))
    agree(
        torch.compile(score, backend="aot_eager")(z[0, :, 0, 0], y[0, 0, 0]),
        score(z[0, :, 0, 0], y[0, 0, 0]),
    )
